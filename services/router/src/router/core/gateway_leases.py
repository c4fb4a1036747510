"""GatewayLeases: who lives. Each gateway holds a lease that its heartbeats renew; where it ends, its members
have left.

While nobody listens no lease ends (``listen`` renews all). Pure: times are monotonic seconds.
``shell/peer_inbox.py`` tells it what it hears, ``app.py`` asks it for the living and the gone, and for the
sums over the whole installation.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from warren.envelope import Heartbeat


class Heard(enum.Enum):
    """What a heartbeat tells about its gateway."""

    NEW = "new"
    KNOWN = "known"
    REBORN = "reborn"  # another life under the same name: the members of the former one are gone
    LATE = "late"  # a word of a former life under this name
    BACK = "back"  # it was suspected, and lives: something may have been lost on the way to it


@dataclass(slots=True)
class _Lease:
    until: float
    said: Heartbeat | None = None
    suspected: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of what the living gateways say."""

    gateways: int = 0
    connections: int = 0
    messages_in: int = 0
    messages_out: int = 0
    errors: int = 0
    rss_bytes: int = 0
    uplink_bytes: int = 0


@dataclass(slots=True)
class GatewayLeases:
    """The leases of all gateways. ``lease_s``: how long one lives without a heartbeat."""

    lease_s: float = 5.0
    _leases: dict[str, _Lease] = field(default_factory=dict)
    _living: frozenset[str] = frozenset()
    _outgrown: bool = False

    @property
    def living(self) -> frozenset[str]:
        """Those whose lease runs (as of the last call of any method that changes it)."""
        return self._living

    def heartbeat(self, beat: Heartbeat, now: float) -> Heard:
        """Renew a gateway's lease."""
        lease = self._leases.get(beat.gateway)
        if lease is None:
            self._leases[beat.gateway] = _Lease(now + self.lease_s, beat)
            self._count()
            return Heard.NEW
        heard = Heard.BACK if lease.suspected else Heard.KNOWN
        if lease.said is not None and lease.said.started_us != beat.started_us:
            if beat.started_us < lease.said.started_us:
                return Heard.LATE
            heard = Heard.REBORN
        lease.until, lease.said, lease.suspected = now + self.lease_s, beat, False
        return heard

    def meet(self, gateway: str, now: float) -> bool:
        """A gateway was seen in another way (an answer, a member): start a lease if it has none; True where
        it was new.
        """
        if gateway in self._leases:
            return False
        self._leases[gateway] = _Lease(now + self.lease_s)
        self._count()
        return True

    def suspect(self, gateway: str, now: float) -> bool:
        """Nothing reaches this gateway: halve what is left of its lease. True where it lives and was not
        suspected yet.
        """
        lease = self._leases.get(gateway)
        if lease is None or lease.suspected:
            return False
        lease.suspected = True
        lease.until = min(lease.until, now + self.lease_s / 2)
        return True

    def leaving(self, gateway: str) -> bool:
        """A gateway has gone in order; False where it was not known."""
        known = self._leases.pop(gateway, None) is not None
        if known:
            self._count()
        return known

    def expire(self, now: float) -> list[str]:
        """Return those whose lease has ended, once."""
        gone = [gateway for gateway, lease in self._leases.items() if lease.until <= now]
        for gateway in gone:
            del self._leases[gateway]
        if gone:
            self._count()
        return gone

    def listen(self, now: float) -> None:
        """Heartbeats can be heard (again): no lease ends for what could not be heard."""
        for lease in self._leases.values():
            lease.until = max(lease.until, now + self.lease_s)

    def totals(self) -> Totals:
        """Return the sums of what the gateways said last."""
        said = [lease.said for lease in self._leases.values() if lease.said is not None]
        return Totals(
            gateways=len(self._leases),
            connections=sum(beat.connections for beat in said),
            messages_in=sum(beat.messages_in for beat in said),
            messages_out=sum(beat.messages_out for beat in said),
            errors=sum(beat.errors for beat in said),
            rss_bytes=sum(beat.rss_bytes for beat in said),
            uplink_bytes=sum(beat.uplink_bytes for beat in said),
        )

    def outgrown(self, uplink_bytes: int, kept_bytes: int) -> bool | None:
        """Say whether all gateways together may write more of one shard than its log surely keeps; None where
        that is as it was.
        """
        before, self._outgrown = self._outgrown, uplink_bytes > kept_bytes
        return None if self._outgrown is before else self._outgrown

    def said(self) -> list[Heartbeat]:
        """Return each gateway's last heartbeat, by its name."""
        beats = [lease.said for lease in self._leases.values() if lease.said is not None]
        return sorted(beats, key=lambda beat: beat.gateway)

    def _count(self) -> None:
        self._living = frozenset(self._leases)
