"""RouterLeases: who of them lives, what each can apply, and how far each shard's speaker has got. Each holds
a lease that its heartbeats renew.

Who says goodbye is gone at once. How far a speaker had got is remembered when it is gone: the next one goes
on from there. While nobody listens no lease ends (``listen`` renews all). Pure: times are monotonic seconds.
``shell/peer_inbox.py`` tells it what it hears, ``shell/heartbeat.py`` asks it who shares the shards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from warren.envelope import RouterHeartbeat, Spoken


@dataclass(slots=True)
class _Lease:
    until: float
    said: RouterHeartbeat


@dataclass(slots=True)
class RouterLeases:
    """The leases of all routers. ``lease_s``: how long one lives without a heartbeat."""

    lease_s: float = 1.5
    _leases: dict[str, _Lease] = field(default_factory=dict)
    _living: frozenset[str] = frozenset()
    _spoken: dict[int, Spoken] = field(default_factory=dict)

    @property
    def living(self) -> frozenset[str]:
        """Those whose lease runs (as of the last call of any method that changes it)."""
        return self._living

    def heartbeat(self, beat: RouterHeartbeat, now: float) -> bool:
        """Renew a router's lease; True where it is new. A router's id is new for each of its lives."""
        lease = self._leases.get(beat.router)
        for spoken in beat.shards:
            self._heard(spoken)
        if lease is not None:
            lease.until, lease.said = now + self.lease_s, beat
            return False
        self._leases[beat.router] = _Lease(now + self.lease_s, beat)
        self._count()
        return True

    def leaving(self, router: str) -> bool:
        """A router goes in order, or is known to be dead; False where it was not known."""
        known = self._leases.pop(router, None) is not None
        if known:
            self._count()
        return known

    def expire(self, now: float) -> list[str]:
        """Return those whose lease has ended, once."""
        gone = [router for router, lease in self._leases.items() if lease.until <= now]
        for router in gone:
            del self._leases[router]
        if gone:
            self._count()
        return gone

    def listen(self, now: float) -> None:
        """Heartbeats can be heard (again): no lease ends for what could not be heard."""
        for lease in self._leases.values():
            lease.until = max(lease.until, now + self.lease_s)

    def speaking(self, shard: int) -> frozenset[str]:
        """Return the living routers that say they speak for a shard."""
        leases = self._leases.items()
        return frozenset(
            name for name, lease in leases if any(spoken.shard == shard for spoken in lease.said.shards)
        )

    def spoken(self, shard: int, life: str = "") -> Spoken | None:
        """Return how far the speakers of a shard have got as far as they have said, whoever of them lives;
        ``life``: of this life only.
        """
        found = self._spoken.get(shard)
        return found if found is not None and life in ("", found.life) else None

    def know(self, own: int, living: Iterable[str]) -> int:
        """Return the highest version of the fold that ``living`` and we (``own``) can apply; one that has not
        said is taken to know the first.
        """
        said = (self._leases[name].said.knows for name in living if name in self._leases)
        return min([own, *(max(1, version) for version in said)])

    def _heard(self, spoken: Spoken) -> None:
        known = self._spoken.get(spoken.shard)
        if known is None or known.life != spoken.life:
            self._spoken[spoken.shard] = spoken
        else:
            events, mark = max(known.events, spoken.events), max(known.mark, spoken.mark)
            self._spoken[spoken.shard] = Spoken(spoken.shard, spoken.life, events, mark)

    def _count(self) -> None:
        self._living = frozenset(self._leases)
