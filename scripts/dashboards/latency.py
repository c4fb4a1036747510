"""The page that Grafana shows of Warren's latency, as data: a message's whole way, and each hop of it."""

from __future__ import annotations

from scripts.dashboards.panels import WIDTH, Dashboard, latency

LATENCY = Dashboard(
    "warren-latency",
    "Warren latency",
    [
        (
            "The whole way",
            [
                latency(
                    "Gateway to gateway",
                    "gateway",
                    "end_to_end",
                    "From taking a message to writing it. A dot is a sampled message: it leads to its trace.",
                    WIDTH,
                )
            ],
        ),
        (
            "Hop by hop, in the order of the way",
            [
                latency(
                    "1 Uplink",
                    "gateway",
                    "uplink",
                    "Gateway: from taking a message to the broker's confirm. What it has more than 2 is the "
                    "wait for its batch.",
                ),
                latency(
                    "2 Confirm",
                    "gateway",
                    "confirm",
                    "Gateway: from sending a batch to the broker's confirm.",
                ),
                latency(
                    "3 Log",
                    "router",
                    "log",
                    "From making a batch until the router reads it. It grows first when a router is busy.",
                ),
                latency(
                    "4 Process",
                    "router",
                    "process",
                    "Router: applying one entry of the log and handing it on. CPU alone.",
                ),
                latency(
                    "1, 3 and 4 Queue",
                    "router",
                    "queue",
                    "From taking a message until the router has applied it: the oldest of each entry.",
                ),
                latency(
                    "5 Egress wait",
                    "router",
                    "egress_wait",
                    "Router: from having something for a gateway until it leaves: pace, and the last batch.",
                ),
                latency("6 Egress", "router", "egress", "Router: until the gateways' queues have the batch."),
                latency(
                    "7 Downlink",
                    "gateway",
                    "downlink",
                    "Gateway: from taking a batch to having put it on its members' sockets. CPU alone.",
                ),
            ],
        ),
        (
            "What backends are asked, and ask",
            [
                latency(
                    "Requests",
                    "gateway",
                    "call",
                    "From a client's REQUEST to its last word: the service's time.",
                ),
                latency("Hooks", "gateway", "hook", "Until a backend has decided."),
                latency("HTTP API", "router", "http_api", "From a request to its answer."),
            ],
        ),
        (
            "What happens seldom",
            [
                latency(
                    "Takeover",
                    "router",
                    "takeover",
                    "From being given a shard until the router speaks for it.",
                    12,
                ),
                latency(
                    "Handover",
                    "router",
                    "handover",
                    "From a router's goodbye until the others speak for all of its shards. It serves them "
                    "meanwhile.",
                    12,
                ),
            ],
        ),
    ],
)
