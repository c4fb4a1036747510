"""What a router's parts work with, in a test: a scripted bus, a clock in the hand, metrics of its own."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry
from tests.support.scripted_bus import ManualClock

from router.shell.retrying_publisher import RetryingPublisher
from router.shell.router_context import RouterContext
from warren.clock import Clock
from warren.metrics import RouterMetrics
from warren.telemetry import Tracing
from warren.topology import Topology


def router_context(
    bus: Any,
    *,
    clock: Clock | None = None,
    topology: Topology | None = None,
    tracing: Tracing | None = None,
) -> RouterContext:
    """Return the context of router r1 on this bus; what is left out is made here."""
    return RouterContext(
        "r1",
        bus,
        topology or Topology(shards=1),
        RetryingPublisher(bus),
        clock or ManualClock(),
        RouterMetrics(CollectorRegistry()),
        tracing or Tracing("router"),
    )
