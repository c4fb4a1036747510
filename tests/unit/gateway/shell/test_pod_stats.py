"""What a pod tells of itself."""

from __future__ import annotations

import json
from types import SimpleNamespace

from gateway.core.broker_presence import BrokerPresence
from gateway.core.hub import Hub
from gateway.shell.pod_stats import PodStats
from warren.metrics import GatewayMetrics
from warren.probes import Readiness


class Three:
    """Three connections, one of which is an event stream."""

    def __len__(self) -> int:
        return 3

    def streams(self) -> int:
        return 1


async def test_the_counts_of_this_moment_are_shown():
    """As JSON that nobody keeps."""
    now = iter([100.0, 107.5])
    clock = SimpleNamespace(monotonic=lambda: next(now))
    metrics, presence, readiness = GatewayMetrics(), BrokerPresence("g", 4, 0.0), Readiness()
    stats = PodStats("g", Three(), Hub(), presence, readiness, clock, metrics)  # type: ignore[arg-type]
    metrics.messages_in("CHAT", 5)
    metrics.messages_out("CHAT", 2)
    presence.bus_changed(up=True, blocked=True)
    readiness.drain()
    answer = await stats.show(None)  # type: ignore[arg-type]
    assert answer.headers["Cache-Control"] == "no-store"
    shown = json.loads(answer.body)  # type: ignore[arg-type]
    memory = shown.pop("memory")
    assert memory["rss"] > 0
    assert memory["peak_rss"] > 0
    assert shown == {
        "gateway": "g",
        "connections": 3,
        "event_streams": 1,
        "messages": 1,
        "messages_out": 2,
        "errors": 0,
        "rooms": 0,
        "uptime": 7.5,
        "bus": "blocked",
        "draining": True,
    }
