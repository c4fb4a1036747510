"""Outbox: what is to be published, in its order, until the broker has confirmed it; over any number of
channels.

A channel that ends takes with it what was written and not confirmed: all of that is written again, in the
same order, before anything newer. So what goes to one room keeps its order, and ids make it count once.
Bounded in messages and bytes. Pure: it writes nothing and knows no time but what it is told.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

# So many numbers may be left behind by what was given up, beyond as many as wait.
SLACK: Final = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """``messages`` and ``bytes`` are what may wait at once, ``window`` how many are written and not
    confirmed.
    """

    messages: int = 10_000
    bytes: int = 64 * 1024 * 1024
    window: int = 256


@dataclass(slots=True)
class _Waiting(Generic[T]):
    item: T
    size: int
    written: bool = False


class Outbox(Generic[T]):
    """Items by number, in the order in which they came."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[int, _Waiting[T]] = {}
        self._unwritten: list[int] = []  # a heap
        self._number = 0
        self._bytes = 0
        self._written = 0
        # Those that were written when the broker ended a channel for one of them; until they are settled each
        # is written alone, so that the next end names it.
        self._suspects: set[int] = set()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def fits(self, size: int) -> bool:
        """Say whether one more of this size may wait. One alone may have any size."""
        if not self._waiting:
            return True
        return len(self._waiting) < self._limits.messages and self._bytes + size <= self._limits.bytes

    def add(self, item: T, size: int) -> int:
        """Add an item behind all others, and return its number."""
        self._number += 1
        self._waiting[self._number] = _Waiting(item, size)
        heapq.heappush(self._unwritten, self._number)
        self._bytes += size
        return self._number

    def next(self) -> tuple[int, T] | None:
        """Return what is to be written now, as written from here on; None: nothing, or too much is
        unconfirmed.
        """
        if self._written >= (1 if self._suspects else self._limits.window):
            return None
        while self._unwritten:
            number = heapq.heappop(self._unwritten)
            waiting = self._waiting.get(number)
            if waiting is not None and not waiting.written:
                waiting.written = True
                self._written += 1
                return number, waiting.item
        return None

    def settle(self, number: int) -> T | None:
        """Forget an item: it is confirmed, refused for good, or not wanted any more. None: that was so
        already.
        """
        waiting = self._waiting.pop(number, None)
        self._suspects.discard(number)
        if waiting is None:
            return None
        self._bytes -= waiting.size
        self._written -= waiting.written
        if len(self._unwritten) > 2 * len(self._waiting) + SLACK:
            # what was given up before it could be written leaves its number behind
            self._unwritten = [each for each, found in self._waiting.items() if not found.written]
            heapq.heapify(self._unwritten)
        return waiting.item

    def again(self, number: int) -> None:
        """Write an item again, before all that came after it: the broker has refused it for now."""
        waiting = self._waiting.get(number)
        if waiting is not None and waiting.written:
            waiting.written = False
            self._written -= 1
            heapq.heappush(self._unwritten, number)

    def ended(self, *, refused: bool = False) -> T | None:
        """Handle the end of the channel: what was written is to be written again.

        ``refused``: the broker ended it for something that it does not allow. Where only one item was
        written, that is the one: it is forgotten and returned.
        """
        written = [number for number, waiting in self._waiting.items() if waiting.written]
        if refused and len(written) == 1:
            return self.settle(written[0])
        if refused:
            self._suspects.update(written)
        for number in written:
            self.again(number)
        return None

    def drain(self) -> list[T]:
        """Forget and return everything that waits."""
        items = [waiting.item for waiting in self._waiting.values()]
        self._waiting.clear()
        self._unwritten.clear()
        self._suspects.clear()
        self._bytes = self._written = 0
        return items
