"""ShardContext: what all shards of a router have in common: who it is, the broker, who lives, the placement,
and the limits.

References and figures, made once by ``app.py``; it does no work. Each ``Shard`` takes from it what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from router.core.gateway_leases import GatewayLeases
from router.core.log_maintenance import Bounds, MarkTimes
from router.core.placement import Place
from router.core.router_leases import RouterLeases
from router.shell.egress import Egress
from router.shell.retrying_publisher import RetryingPublisher
from warren.bus import Bus
from warren.clock import Clock
from warren.metrics import RouterMetrics
from warren.namespaces import DEFAULT_POLICY, Namespaces
from warren.telemetry import Tracing
from warren.topology import Topology


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """What a shard remembers, and when it makes a checkpoint."""

    bounds: Bounds = Bounds()
    marks: MarkTimes = MarkTimes()
    ring_bytes: int = 16 * 1024 * 1024
    room_history_bytes: int = 4 * 1024 * 1024
    history_bytes: int = 32 * 1024 * 1024
    history_floor_us: int = 10 * 1_000_000
    prefetch: int = 128  # entries that the broker hands over before they are acknowledged


@dataclass(frozen=True, slots=True)
class ShardContext:
    """What all shards of a router have in common."""

    router: str
    topology: Topology
    bus: Bus
    publisher: RetryingPublisher
    clock: Clock
    gateways: GatewayLeases
    routers: RouterLeases
    metrics: RouterMetrics
    tracing: Tracing
    namespaces: Namespaces
    egress: Egress
    limits: ShardLimits
    events: frozenset[str]  # the kinds of events that backends are told
    place: Callable[[int], Place]  # of a shard
    known: Callable[[], bool]  # whether the other routers know of us
    listened: Callable[[], bool]  # whether heartbeats were heard for a whole lease without a break
    changed: Callable[[], None]  # the other routers are to hear soon which shards we speak for
    # the log of a shard is for routers that are newer than this one; why
    outdated: Callable[[int, str], None]

    @property
    def horizon_s(self) -> int:
        """How far back histories reach."""
        policies = [policy.history for policy in (DEFAULT_POLICY, *self.namespaces.policies)]
        ages = [policy.age_s for policy in policies if policy.kept]
        return max([self.limits.history_floor_us // 1_000_000, *ages])
