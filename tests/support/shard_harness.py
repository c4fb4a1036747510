"""What the tests of a shard stand on: a log that the test writes, and a router's parts around it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.support.log_stream import LogStream
from tests.support.router_context import router_context
from tests.support.scripted_bus import ManualClock

from router.core.log_maintenance import Bounds
from router.core.peers import Peers, PeerTimes
from router.core.placement import Assignment
from router.shell.egress import Egress
from router.shell.peer_messages import PeerMessages
from router.shell.shard_context import ShardContext, ShardLimits
from warren.batch import BatchLimits, Pace
from warren.namespaces import Namespaces
from warren.topology import Topology


class FixedPlacement:
    """A placement as the test sets it."""

    def __init__(self) -> None:
        self.assignment = Assignment("r1")
        self.announced = True

    def of(self, shard: int) -> Assignment:
        return self.assignment


class ShardHarness:
    """Router r1 on a log of one shard; what a test sets here counts at once."""

    def __init__(self, namespaces: Namespaces | None = None, **limits: Any) -> None:
        self.log, self.clock = LogStream(), ManualClock(wall_us=1_000_000_000_000)
        self.topology = Topology(shards=1)
        self.log.ingress = self.topology.ingress
        self.router = router_context(self.log, clock=self.clock, topology=self.topology)
        self.metrics = self.router.metrics
        self.peers = Peers("r1", PeerTimes(5.0, 1.5, 0.5))
        self.gateways, self.routers = self.peers.gateways, self.peers.routers
        self.placement = FixedPlacement()
        self.changes = 0
        self.egress = Egress(self.router, self.gateways, BatchLimits(), Pace(0.0, float))
        usual = {
            "bounds": Bounds(100, 100, 100),
            "events": frozenset({"client", "room", "message"}),
        }
        self.context = ShardContext(
            self.router,
            self.peers,
            self.placement,  # type: ignore[arg-type]
            SimpleNamespace(soon=self._change),  # type: ignore[arg-type]
            self.egress,
            namespaces or Namespaces(),
            ShardLimits(**usual | limits),
            PeerMessages(self.router),
        )

    def place(self, speaker: str, standby: str = "") -> None:
        """Have the shard placed anew."""
        self.placement.assignment = Assignment(speaker, standby)

    def listen(self) -> None:
        """Say that heartbeats have been heard for as long as is needed to know who lives."""
        self.peers.begun(self.clock.monotonic() - self.gateways.lease_s)

    def _change(self) -> None:
        self.changes += 1
