"""What the tests of a shard stand on: a log that the test writes, and a router's parts around it."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry
from tests.support.log_stream import LogStream
from tests.support.scripted_bus import ManualClock

from router.core.gateway_leases import GatewayLeases
from router.core.log_maintenance import Bounds
from router.core.placement import Place
from router.core.router_leases import RouterLeases
from router.shell.egress import Egress
from router.shell.retrying_publisher import RetryingPublisher
from router.shell.shard_context import ShardContext, ShardLimits
from warren.batch import BatchLimits, Pace
from warren.metrics import RouterMetrics
from warren.namespaces import Namespaces
from warren.telemetry import Tracing
from warren.topology import Topology


class ShardHarness:
    """Router r1 on a log of one shard; what a test sets here counts at once."""

    def __init__(self, **more: Any) -> None:
        self.log, self.clock = LogStream(), ManualClock(wall_us=1_000_000_000_000)
        self.topology = Topology(shards=1)
        self.log.ingress = self.topology.ingress
        self.metrics = RouterMetrics(CollectorRegistry())
        self.tracing = Tracing("router")
        self.gateways, self.routers = GatewayLeases(5.0), RouterLeases(1.5)
        self.place = Place("r1")
        self.known, self.listened = True, False
        self.changes = 0
        self.outdated: list[tuple[int, str]] = []
        publisher = RetryingPublisher(self.log)  # type: ignore[arg-type]
        self.egress = Egress(
            self.log, self.topology, publisher, self.clock, self.metrics, self.tracing, BatchLimits(), Pace(0.0, float), suspect=lambda _: None,  # type: ignore[arg-type]
        )  # fmt: skip
        fields: dict[str, Any] = {
            "router": "r1",
            "topology": self.topology,
            "bus": self.log,
            "publisher": publisher,
            "clock": self.clock,
            "gateways": self.gateways,
            "routers": self.routers,
            "metrics": self.metrics,
            "tracing": self.tracing,
            "namespaces": Namespaces(),
            "egress": self.egress,
            "limits": ShardLimits(bounds=Bounds(100, 100, 100)),
            "events": frozenset({"client", "room", "message"}),
            "place": lambda _: self.place,
            "known": lambda: self.known,
            "listened": lambda: self.listened,
            "changed": self._change,
            "outdated": lambda *said: self.outdated.append(said),
        }
        self.context = ShardContext(**fields | more)

    def _change(self) -> None:
        self.changes += 1
