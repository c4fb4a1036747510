"""HeldLeaves: leaves of connections that were closed, each held for a moment in case its user comes back.

A client that loses its socket is mostly back within seconds: it joins again before its old connection has
left, so nobody is told that its user went. What is held is bounded in count and bytes; beyond that the oldest
leaves are due before their time. It sends nothing; the time is an argument, in monotonic seconds.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, NamedTuple

from warren.envelope import Leave, size_of

HELD_COUNT: Final = 65_536
HELD_BYTES: Final = 16 * 1024 * 1024


class Held(NamedTuple):
    """A leave of rooms of one shard, and until when it is held."""

    leave: Leave
    shard: int
    until: float


class HeldLeaves:
    """One gateway's."""

    def __init__(self, grace_s: float, count: int = HELD_COUNT, size: int = HELD_BYTES) -> None:
        """Hold each leave for ``grace_s`` seconds (0: for none), and at most so many, of so many bytes."""
        self._grace_s = grace_s
        self._count = count
        self._size = size
        self._held: deque[Held] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many are held."""
        return len(self._held)

    def hold(self, leave: Leave, shard: int, now: float) -> list[Held]:
        """Hold a leave; return those that have to be sent now, which may be this one."""
        self._held.append(Held(leave, shard, now + self._grace_s))
        self._bytes += size_of(leave)
        due = self.due(now)
        while len(self._held) > self._count or self._bytes > self._size:
            due.append(self._take())
        return due

    def due(self, now: float) -> list[Held]:
        """Take out those that were held for long enough, the oldest first."""
        due: list[Held] = []
        while self._held and self._held[0].until <= now:
            due.append(self._take())
        return due

    def end(self) -> list[Held]:
        """Hold nothing any more; return what was held."""
        self._grace_s = 0.0
        return self.due(math.inf)

    def _take(self) -> Held:
        held = self._held.popleft()
        self._bytes -= size_of(held.leave)
        return held
