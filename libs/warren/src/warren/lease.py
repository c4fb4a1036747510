"""Leases: who lives. Each name holds a lease, which whatever is heard of it renews; a lease that is not
renewed in time ends, once.

It has no timer: who reads ``living`` sees as of the last call of ``expire``. It never ends a lease for want
of what could not be heard, as long as it is told of the silence (``renew_all``). Pure: times are monotonic
seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Lease(Generic[T]):
    until: float
    said: T | None
    heard_at: float | None = None
    shortened: bool = False


class Leases(Generic[T]):
    """The leases of all who are known. With each one stands what its holder has said last (``T``).

    With leases of 5 s: a holder heard at 0 s and at 4 s lives until 9 s, when ``expire`` names it.
    """

    def __init__(self, lease_s: float) -> None:
        """``lease_s``: how long a holder lives without being heard."""
        self.lease_s = lease_s
        self._leases: dict[str, _Lease[T]] = {}
        self._living: frozenset[str] = frozenset()

    @property
    def living(self) -> frozenset[str]:
        """Those whose lease has not been found to have ended."""
        return self._living

    def renew(self, name: str, said: T, now: float) -> bool:
        """Give a holder a whole lease from ``now``; True where it had none."""
        lease = self._leases.get(name)
        if lease is not None:
            lease.until, lease.said, lease.shortened = now + self.lease_s, said, False
            lease.heard_at = now
            return False
        self._add(name, said, now)
        self._leases[name].heard_at = now
        return True

    def meet(self, name: str, now: float) -> bool:
        """Begin a lease for somebody who was seen in another way and has said nothing yet; False, and nothing
        changes, where it holds one.
        """
        if name in self._leases:
            return False
        self._add(name, None, now)
        return True

    def shorten(self, name: str, now: float) -> bool:
        """Have a lease end within half of one, unless its holder is heard before that. True where it was not
        shortened yet.
        """
        lease = self._leases.get(name)
        if lease is None or lease.shortened:
            return False
        lease.shortened = True
        lease.until = min(lease.until, now + self.lease_s / 2)
        return True

    def end(self, name: str) -> bool:
        """End a lease at once; False where there is none."""
        known = self._leases.pop(name, None) is not None
        if known:
            self._living = frozenset(self._leases)
        return known

    def expire(self, now: float) -> list[str]:
        """End the leases whose time is up; return their holders."""
        gone = [name for name, lease in self._leases.items() if lease.until <= now]
        for name in gone:
            del self._leases[name]
        if gone:
            self._living = frozenset(self._leases)
        return gone

    def renew_all(self, now: float) -> None:
        """Give each a whole lease at least: until now nobody could be heard."""
        for lease in self._leases.values():
            lease.until = max(lease.until, now + self.lease_s)

    def said(self, name: str) -> T | None:
        """Return what a holder has said last; None where it has said nothing, or holds no lease."""
        lease = self._leases.get(name)
        return lease.said if lease is not None else None

    def all_said(self) -> dict[str, T]:
        """Return what each holder has said last, of those that have said anything."""
        return {name: lease.said for name, lease in self._leases.items() if lease.said is not None}

    def heard_at(self, name: str) -> float | None:
        """Return when a holder was heard last; None where it never was, or holds no lease."""
        lease = self._leases.get(name)
        return lease.heard_at if lease is not None else None

    def _add(self, name: str, said: T | None, now: float) -> None:
        self._leases[name] = _Lease(now + self.lease_s, said)
        self._living = frozenset(self._leases)
