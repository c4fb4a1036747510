"""Ground: what all shards of a router stand on: who it is, the broker, who lives, the placement, the limits, and whose turn it is.

References and figures, made once by ``app.py``; it does no work. Possessions and workers take from it what they need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from router.core.gateways import Gateways
from router.core.limits import ShardLimits
from router.core.placement import Place
from router.core.routers import Routers
from router.core.takeover import TakeoverLimits
from router.shell.sandbox import Sandbox
from router.shell.steady import Steady
from warren.bus import Bus
from warren.clock import Clock
from warren.metrics import RouterMetrics
from warren.namespaces import DEFAULT_POLICY, Namespaces
from warren.topology import Topology

# Well within the time for which a router that goes waits for the next owners' claims.
FIRST_READING_S = 2.0


class Turns:
    """So that shards which change hands because of the placement do so a few at a time: the owner before serves the others meanwhile."""

    def __init__(self, at_once: int) -> None:
        """Nobody has a turn yet."""
        self._at_once = at_once
        self._taken: set[int] = set()
        self._waiting: dict[int, Callable[[], None]] = {}

    def take(self, shard: int, again: Callable[[], None]) -> bool:
        """Take a turn; False where all are taken: ``again`` is called when one is free."""
        if shard in self._taken or len(self._taken) < self._at_once:
            self._taken.add(shard)
            return True
        self._waiting[shard] = again
        return False

    def give_back(self, shard: int) -> None:
        """The turn is over (or there was none), and whoever waited longest is told."""
        self._waiting.pop(shard, None)
        if shard not in self._taken:
            return
        self._taken.remove(shard)
        if self._waiting:
            first = next(iter(self._waiting))
            self._waiting.pop(first)()


class Beginning:
    """The first reading of a router that has just started: it calls for no shard before it has read the logs of all that it was given.

    Reading many logs is the busiest time of its life. A shard that it took meanwhile would stand still for as long, although the owner
    before could have served it. It is over at the latest after ``FIRST_READING_S``, since one log that can't be read must not keep the
    others away.
    """

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._reading: set[int] = set()
        self._until = 0.0
        self._over = False

    def reads(self, shard: int, now: float) -> None:
        """A shard's log begins to be read."""
        if self._over:
            return
        if not self._reading:
            self._until = now + FIRST_READING_S
        self._reading.add(shard)

    def has_read(self, shard: int) -> None:
        """It is read as far as it goes, or need not be."""
        self._reading.discard(shard)

    def over(self, now: float) -> bool:
        """Say whether all is read; once it is, it stays so. To be asked for a shard that was read itself."""
        self._over = self._over or not self._reading or now >= self._until
        return self._over


@dataclass(frozen=True, slots=True)
class Ground:
    """What all possessions of a router stand on."""

    router: str
    topology: Topology
    bus: Bus
    steady: Steady
    clock: Clock
    gateways: Gateways
    routers: Routers
    metrics: RouterMetrics
    namespaces: Namespaces
    place: Callable[[int], Place]  # of a shard
    listening_s: Callable[[], float]  # for how long heartbeats have been heard
    shard_limits: ShardLimits
    takeover_limits: TakeoverLimits
    turns: Turns
    beginning: Beginning = field(default_factory=Beginning)
    events: frozenset[str] = frozenset()  # the kinds of events that backends are told
    window: int = 128  # deliveries that the broker hands over before any is acknowledged
    sandbox: Sandbox = field(default_factory=Sandbox)

    @property
    def horizon_us(self) -> int:
        """How far back a shard's log matters: ids and histories that are older count for nothing."""
        ages = [policy.history.age_s for policy in (DEFAULT_POLICY, *self.namespaces.policies)]
        return max(self.shard_limits.dedup_age_us, self.shard_limits.history_floor_us, 1_000_000 * max(ages))
