"""The pages that Grafana shows of Warren, as data: which panels, which queries, and how each is read in one
sentence.
"""

from __future__ import annotations

from scripts.dashboards.latency import LATENCY
from scripts.dashboards.panels import (
    MINE,
    RATE,
    Dashboard,
    Panel,
    broker,
    by,
    each,
    latency,
    mean_batch,
    process,
    quantiles,
    rate,
)

OVERVIEW = Dashboard(
    "warren-overview",
    "Warren overview",
    [
        (
            "Now",
            [
                Panel(
                    "Clients",
                    "Open connections on all gateways.",
                    [("sum(warren_gateway_connections)", "")],
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "Gateways",
                    "How many are scraped.",
                    [("count(warren_gateway_connections)", "")],
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "Routers",
                    "How many are scraped.",
                    [("count(warren_router_shards_active)", "")],
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "Shards spoken for",
                    "Less than the number of shards: the messages of some rooms wait.",
                    [("sum(warren_router_shards_active)", "")],
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "Without a broker",
                    "Gateways and routers that cannot publish; anything but 0 is felt by clients.",
                    [("count(warren_gateway_bus_up == 0 or warren_router_bus_up == 0) or vector(0)", "")],
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "Latency p99",
                    "From a gateway's taking a message to another gateway's writing it.",
                    [quantiles("gateway", "end_to_end")[2]],
                    "s",
                    kind="stat",
                    width=4,
                ),
            ],
        ),
        (
            "Traffic",
            [
                Panel(
                    "Clients by gateway",
                    "Even after a while; uneven after a rollout.",
                    each("warren_gateway_connections"),
                    stacked=True,
                ),
                Panel(
                    "Messages in, by type",
                    "What clients send, each second.",
                    by("type", "warren_gateway_messages_in_total"),
                    "ops",
                ),
                Panel(
                    "Messages out, by type",
                    "What is written to clients, once for each receiver.",
                    by("type", "warren_gateway_messages_out_total"),
                    "ops",
                ),
                Panel(
                    "Bytes",
                    "In from clients and out to them, each second.",
                    [
                        (rate("warren_gateway_bytes_in_total"), "in"),
                        (rate("warren_gateway_bytes_out_total"), "out"),
                    ],
                    "Bps",
                ),
                Panel(
                    "Notifications",
                    "What backends publish.",
                    [(rate("warren_router_notifications_total"), "")],
                    "ops",
                ),
                latency(
                    "Latency",
                    "gateway",
                    "end_to_end",
                    "Gateway to gateway. A dot is a sampled message: it leads to its trace.",
                ),
            ],
        ),
        (
            "What goes wrong",
            [
                Panel(
                    "Errors told to clients",
                    "ERROR frames by code.",
                    by("code", "warren_gateway_errors_total"),
                    "ops",
                ),
                Panel(
                    "Connections that end",
                    "1000 and 1001 are clients that leave, 1012 a rollout; the rest is trouble.",
                    by("code", "warren_gateway_closes_total"),
                    "ops",
                ),
                Panel(
                    "Refused at the door",
                    "Upgrades that were refused, by reason.",
                    by("reason", "warren_gateway_upgrades_refused_total"),
                    "ops",
                ),
                Panel(
                    "Not delivered",
                    "Withheld from a receiver, who is told; repeat and other_life are rightly dropped "
                    "duplicates.",
                    by("reason", "warren_gateway_drops_total"),
                    "ops",
                ),
                Panel(
                    "Set aside",
                    "Messages in dead-letter queues, by reason.",
                    by("reason", "warren_router_dead_total"),
                    "ops",
                ),
                Panel(
                    "Takeovers",
                    "Shards that changed their speaker.",
                    [(f"sum(rate(warren_router_takeovers_total{RATE})) * 60", "a minute")],
                ),
            ],
        ),
    ],
)

GATEWAY = Dashboard(
    "warren-gateway",
    "Warren gateways",
    [
        (
            "Connections",
            [
                Panel(
                    "Connections",
                    "Against the places that the pod has.",
                    [
                        *each(f"warren_gateway_connections{MINE}"),
                        (f"max(warren_gateway_connection_limit{MINE})", "places"),
                    ],
                ),
                Panel("Rooms", "Rooms with a member on the pod.", each(f"warren_gateway_rooms{MINE}")),
                Panel(
                    "Ends, by close code",
                    "Each second.",
                    by("code", "warren_gateway_closes_total", MINE),
                    "ops",
                ),
                Panel(
                    "Refused, by reason",
                    "draining and full are answered 503, and the balancer asks another pod.",
                    by("reason", "warren_gateway_upgrades_refused_total", MINE),
                    "ops",
                ),
                Panel(
                    "Tokens that do not hold",
                    "By reason.",
                    by("reason", "warren_gateway_auth_failures_total", MINE),
                    "ops",
                ),
                Panel(
                    "Cut",
                    "Clients that read too slowly, that gave no pong, or that held too much.",
                    [
                        (rate("warren_gateway_slow_disconnects_total", MINE), "slow"),
                        (rate("warren_gateway_heartbeats_missed_total", MINE), "no pong"),
                        (rate("warren_gateway_buffer_closes_total", MINE), "held too much"),
                    ],
                    "ops",
                ),
                Panel(
                    "Held",
                    "By kind.",
                    [(f"sum by (of) (warren_gateway_buffer_bytes{MINE})", "{{of}}")],
                    "bytes",
                ),
            ],
        ),
        (
            "Messages",
            [
                Panel(
                    "In",
                    "Each second.",
                    each(f"sum by (instance) (rate(warren_gateway_messages_in_total{MINE}{RATE}))"),
                    "ops",
                ),
                Panel(
                    "Out",
                    "Each second, once for each receiver.",
                    each(f"sum by (instance) (rate(warren_gateway_messages_out_total{MINE}{RATE}))"),
                    "ops",
                ),
                Panel(
                    "Errors, by code", "ERROR frames.", by("code", "warren_gateway_errors_total", MINE), "ops"
                ),
                Panel(
                    "Withheld, by reason",
                    "Messages that a receiver did not get.",
                    by("reason", "warren_gateway_drops_total", MINE),
                    "ops",
                ),
                Panel(
                    "Reads",
                    "What members missed, and HISTORY: from the pod's own memory, or asked of the routers.",
                    by("source", "warren_gateway_reads_total", MINE),
                    "ops",
                ),
                Panel(
                    "Gaps",
                    "Feeds that came too early.",
                    each(f"rate(warren_gateway_feed_gaps_total{MINE}{RATE})"),
                    "ops",
                ),
                Panel(
                    "Batch sizes",
                    "Messages that went together, on average. More is busier, not worse.",
                    mean_batch("gateway"),
                ),
            ],
        ),
        (
            "The pod",
            [
                Panel("Broker", "Up; and held back by a memory or disk alarm (1: yes).", broker("gateway")),
                Panel(
                    "Lives ended",
                    "Times that the pod was taken for dead on a shard, or the shard's log was lost.",
                    each(f"increase(warren_gateway_lives_ended_total{MINE}{RATE})"),
                ),
                Panel(
                    "Resets",
                    "Parts of feeds that were lost.",
                    each(f"increase(warren_gateway_resets_total{MINE}{RATE})"),
                ),
                Panel(
                    "Waiting",
                    "Items in bounded buffers.",
                    [(f"warren_gateway_waiting{MINE}", "{{instance}} {{buffer}}")],
                ),
                Panel(
                    "CPU",
                    "Cores; one process uses one core.",
                    process(f"rate(process_cpu_seconds_total{RATE})", "warren_gateway_connections"),
                ),
                Panel(
                    "Memory",
                    "Resident.",
                    process("process_resident_memory_bytes", "warren_gateway_connections"),
                    "bytes",
                ),
                Panel(
                    "Open files",
                    "Each client is one; against the limit.",
                    process("process_open_fds / process_max_fds", "warren_gateway_connections"),
                    "percentunit",
                ),
            ],
        ),
    ],
    "warren_gateway_connections",
)

ROUTER = Dashboard(
    "warren-router",
    "Warren routers",
    [
        (
            "Shards",
            [
                Panel(
                    "Shards",
                    "Spoken for by each router; even, but for a moment after a pod came or went.",
                    each(f"warren_router_shards_active{MINE}"),
                    stacked=True,
                ),
                Panel(
                    "Takeovers",
                    "Each second.",
                    each(f"rate(warren_router_takeovers_total{MINE}{RATE})"),
                    "ops",
                ),
                Panel(
                    "Gateways that live",
                    "As each router sees it; all must see the same.",
                    each(f"warren_router_gateways{MINE}"),
                ),
                Panel(
                    "Rooms", "Known to the router's shards.", each(f"warren_router_rooms{MINE}"), stacked=True
                ),
                Panel("Members", "Of those rooms.", each(f"warren_router_members{MINE}"), stacked=True),
                Panel(
                    "Waiting",
                    "Items in bounded buffers.",
                    [(f"warren_router_waiting{MINE}", "{{instance}} {{buffer}}")],
                ),
                Panel(
                    "What a log has to hold",
                    "What all gateways together may write of one shard before routers have counted it, and "
                    "what its log keeps at least.",
                    [
                        (f"max(warren_router_uplink_bytes{MINE})", "all gateways"),
                        (f"min(warren_router_log_kept_bytes{MINE})", "kept"),
                    ],
                    "bytes",
                ),
            ],
        ),
        (
            "Work",
            [
                Panel(
                    "Envelopes, by kind",
                    "Each second.",
                    by("kind", "warren_router_messages_total", MINE),
                    "ops",
                ),
                Panel(
                    "Copies to gateways",
                    "To one gateway at a time, or to all at once.",
                    by("to", "warren_router_delivered_total", MINE),
                    "ops",
                ),
                Panel(
                    "Duplicates",
                    "Messages that came again and were counted once.",
                    each(f"rate(warren_router_duplicates_total{MINE}{RATE})"),
                    "ops",
                ),
                Panel(
                    "Refused, by reason",
                    "Each second.",
                    by("reason", "warren_router_rejected_total", MINE),
                    "ops",
                ),
                Panel(
                    "Set aside, by reason",
                    "In dead-letter queues.",
                    by("reason", "warren_router_dead_total", MINE),
                    "ops",
                ),
                Panel("Batch sizes", "Messages that went together, on average.", mean_batch("router")),
            ],
        ),
        (
            "Presence",
            [
                Panel(
                    "Members shown",
                    "Of whom the presence of rooms tells.",
                    each(f"warren_router_presence_connections{MINE}"),
                    stacked=True,
                ),
                Panel(
                    "Watchers",
                    "Connections that watch the presence of a room, each room counted.",
                    each(f"warren_router_presence_watchers{MINE}"),
                    stacked=True,
                ),
                Panel(
                    "Told to gateways",
                    "Diffs, and pages of lists: many pages without many joins mean that diffs are lost.",
                    by("kind", "warren_router_presence_total", MINE),
                    "ops",
                ),
            ],
        ),
        (
            "The pod",
            [
                Panel("Broker", "Up; and held back by a memory or disk alarm (1: yes).", broker("router")),
                Panel(
                    "CPU",
                    "Cores; one process uses one core.",
                    process(f"rate(process_cpu_seconds_total{RATE})", "warren_router_shards_active"),
                ),
                Panel(
                    "Memory",
                    "Resident.",
                    process("process_resident_memory_bytes", "warren_router_shards_active"),
                    "bytes",
                ),
            ],
        ),
    ],
    "warren_router_shards_active",
)

DASHBOARDS = {"overview": OVERVIEW, "gateway": GATEWAY, "router": ROUTER, "latency": LATENCY}
