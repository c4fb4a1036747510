"""ShardContext: what all shards of a router have in common: who lives, the placement, the ways to the
gateways and to other routers, and the limits.

References and figures; it does no work.
"""

from __future__ import annotations

from dataclasses import dataclass

from router.core.log_maintenance import Bounds, MarkTimes
from router.core.peers import Peers
from router.core.placement import Placement
from router.settings import RouterSettings
from router.shell.egress import Egress
from router.shell.peer_messages import PeerMessages
from router.shell.router_context import RouterContext
from warren.heartbeat import HeartbeatLoop
from warren.namespaces import DEFAULT_POLICY, Namespaces

# After this many times the seconds of a checkpoint anything that has come is enough for one.
LATE = 10


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """What a shard remembers, when it makes a checkpoint, and what backends are told."""

    bounds: Bounds = Bounds()
    marks: MarkTimes = MarkTimes()
    ring_bytes: int = 16 * 1024 * 1024
    room_history_bytes: int = 4 * 1024 * 1024
    history_bytes: int = 32 * 1024 * 1024
    history_floor_us: int = 10 * 1_000_000
    prefetch: int = 128  # entries that the broker hands over before they are acknowledged
    events: frozenset[str] = frozenset()  # the kinds of events that backends are told

    @classmethod
    def of(cls, settings: RouterSettings) -> ShardLimits:
        """Return the limits that the settings ask for."""
        memory = settings.memory
        soon_us = memory.checkpoint_s * 1_000_000
        return cls(
            bounds=Bounds(memory.dedup_count, memory.rooms_remembered),
            marks=MarkTimes(memory.checkpoint_bytes, soon_us, LATE * soon_us),
            ring_bytes=memory.ring_bytes,
            room_history_bytes=memory.room_history_bytes,
            history_bytes=memory.history_bytes,
            history_floor_us=memory.history_floor_ms * 1_000,
            prefetch=settings.flow.prefetch,
            events=frozenset(settings.events),
        )


@dataclass(frozen=True, slots=True)
class ShardContext:
    """What all shards of a router have in common."""

    router: RouterContext
    peers: Peers
    placement: Placement
    heartbeat: HeartbeatLoop
    egress: Egress
    namespaces: Namespaces
    limits: ShardLimits
    peer_messages: PeerMessages

    @property
    def horizon_s(self) -> int:
        """How far back histories reach."""
        policies = [policy.history for policy in (DEFAULT_POLICY, *self.namespaces.policies)]
        ages = [policy.age_s for policy in policies if policy.kept]
        return max([self.limits.history_floor_us // 1_000_000, *ages])
