"""What a gateway says of itself."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry
from tests.support.scripted_bus import ManualClock, ScriptedBus

from gateway.core.file_descriptor_capacity import FileDescriptorCapacity
from gateway.core.max_connection_age import MaxConnectionAge
from gateway.shell.connections import Connections
from gateway.shell.heartbeat import GatewayHeartbeat
from warren.envelope import Heartbeat, Leaving
from warren.log_entries import FOLD_VERSION
from warren.metrics import GatewayMetrics
from warren.own_queue import OwnQueue
from warren.topology import Topology


def test_it_says_who_lives_since_when_and_how_much_goes_on() -> None:
    """The start stays, the figures move; a queue that is not consumed has no name."""
    clock, metrics = ManualClock(7), GatewayMetrics(CollectorRegistry())
    capacity = FileDescriptorCapacity.of(9, None)
    connections = Connections("g", clock, metrics, capacity, 0, MaxConnectionAge(0.0, 0.0, 0.0))
    queue = OwnQueue(ScriptedBus(), partial(Topology(shards=1).gateway_queue, "g"), prefetch=1)
    heartbeat = GatewayHeartbeat("g", clock, connections, metrics, queue, 64)
    clock.advance(5.0)
    connections.reserve()
    metrics.messages_out("CHAT", 3)
    metrics.lag.note(9_000)
    said = heartbeat.heartbeat()
    assert said.rss_bytes > 1 << 20
    assert said == Heartbeat("g", 7, 1, 0, 3, 0, said.rss_bytes, "", 64, FOLD_VERSION, 9)
    assert heartbeat.goodbye() == [Leaving("g")]
