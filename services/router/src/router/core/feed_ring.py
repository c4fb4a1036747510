"""Feed ring: the last of what a shard's log had for gateways, in the order of the log, bounded in bytes.

From it a gateway is fed that asks from a place which lies behind; what has left the ring is not to be had. It
never resolves members anew: whom an item is for was said at its own place of the log. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import Final

from warren.envelope import Item, Named

Place = tuple[int, int]  # (offset, index), in the log's present life
Entry = tuple[int, int, Item]  # as a feed has it
Kept = tuple[int, int, tuple[str, ...], Entry, int]  # offset, index, gateways, entry, bytes

TARGET_BYTES: Final = 16  # about what the name of one gateway more takes
TRIM_AT: Final = 1024  # so many places that are free at the front are given back at once
_FREE: Final[Kept] = (-1, 0, (), (-1, 0, Named()), 0)  # stands in a free place, so that what was there can go


class FeedRing:
    """All items behind ``floor``, each with the gateways that it is for. Of one life of the log."""

    def __init__(self, limit: int) -> None:
        """Hold at most ``limit`` bytes; nothing is known yet of what comes behind (0, 0)."""
        self.floor: Place = (0, 0)  # everything above this is here
        self.bytes = 0
        self._limit = limit
        self._kept: list[Kept] = []
        self._first = 0  # before it, places are free

    def __len__(self) -> int:
        """Return how many items are held."""
        return len(self._kept) - self._first

    def begin(self, floor: Place) -> None:
        """Forget everything: what comes from here on lies above ``floor``."""
        self.floor, self.bytes, self._first = floor, 0, 0
        self._kept.clear()

    def put(self, entry: Entry, gateways: tuple[str, ...], size: int) -> None:
        """Take the item that comes next in the log; the oldest make room for it."""
        size += TARGET_BYTES * len(gateways)
        self._kept.append((entry[0], entry[1], gateways, entry, size))
        self.bytes += size
        if self.bytes > self._limit:
            self._trim()

    def above(self, place: Place) -> Iterator[tuple[Entry, tuple[str, ...]]]:
        """Yield what lies above ``place``, which must not be below ``floor``, each with its gateways."""
        offset, index = place
        # a shorter tuple is the smaller one, so no comparison ever gets as far as the gateways
        start = bisect_left(self._kept, (offset, index + 1), lo=self._first)
        for kept in islice(self._kept, start, None):
            yield kept[3], kept[2]

    def latest(self) -> Iterator[tuple[int, int, tuple[str, ...], Item]]:
        """Yield what is here, the latest first: offset, index, gateways, item."""
        for at in range(len(self._kept) - 1, self._first - 1, -1):
            offset, index, gateways, entry, _ = self._kept[at]
            yield offset, index, gateways, entry[2]

    def _trim(self) -> None:
        kept, first = self._kept, self._first
        while self.bytes > self._limit:
            offset, index, _gateways, _entry, size = kept[first]
            self.floor = (offset, index)
            self.bytes -= size
            kept[first] = _FREE
            first += 1
        if first >= TRIM_AT or first == len(kept):
            del kept[:first]
            first = 0
        self._first = first
