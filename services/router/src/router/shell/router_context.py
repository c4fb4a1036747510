"""RouterContext: what all parts of a router work with: who it is, the broker, the time, metrics and traces.

References alone; it does no work.
"""

from __future__ import annotations

from dataclasses import dataclass

from router.shell.retrying_publisher import RetryingPublisher
from warren.bus import Bus
from warren.clock import Clock
from warren.metrics import RouterMetrics
from warren.telemetry import Tracing
from warren.topology import Topology


@dataclass(frozen=True, slots=True)
class RouterContext:
    """One router's."""

    id: str  # new for each of its lives
    bus: Bus
    topology: Topology
    publisher: RetryingPublisher
    clock: Clock
    metrics: RouterMetrics
    tracing: Tracing
