"""Routers: who of them lives. Each holds a lease that its heartbeats renew; who says goodbye is gone at once.

While nobody listens no lease ends (``listen`` renews all). Pure: times are monotonic seconds. ``shell/inbox.py`` tells it what it hears,
``shell/owner.py`` asks it who shares the shards.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from warren.envelope import RouterHeartbeat


@dataclass(slots=True)
class Routers:
    """The leases of all routers. ``lease_s``: how long one lives without a heartbeat."""

    lease_s: float = 1.5
    _leases: dict[str, float] = field(default_factory=dict)
    _living: frozenset[str] = frozenset()

    @property
    def living(self) -> frozenset[str]:
        """Those whose lease runs (as of the last call of any method that changes it)."""
        return self._living

    def heartbeat(self, beat: RouterHeartbeat, now: float) -> bool:
        """Renew a router's lease; True where it is new. A router's id is new for each of its lives."""
        new = beat.router not in self._leases
        self._leases[beat.router] = now + self.lease_s
        if new:
            self._count()
        return new

    def bye(self, router: str) -> bool:
        """A router goes in order; False where it was not known."""
        known = self._leases.pop(router, None) is not None
        if known:
            self._count()
        return known

    def expire(self, now: float) -> list[str]:
        """Return those whose lease has ended, once."""
        gone = [router for router, until in self._leases.items() if until <= now]
        for router in gone:
            del self._leases[router]
        if gone:
            self._count()
        return gone

    def listen(self, now: float) -> None:
        """Heartbeats can be heard (again): no lease ends for what could not be heard."""
        for router, until in self._leases.items():
            self._leases[router] = max(until, now + self.lease_s)

    def _count(self) -> None:
        self._living = frozenset(self._leases)
