"""LargestFirst: which of very many things is among the largest, at a cost that does not grow with how many
there are; and how much memory a kept message takes.

Things are kept by the power of two that their bytes reach; among those of the highest power, which differ by
less than half, the turn goes round. It is told at once when one grows, and finds out when it looks that one
has become lighter. Pure; it knows nothing of what it holds.
"""

from __future__ import annotations

from collections import OrderedDict
from sys import getsizeof
from typing import Final, Generic, Protocol, TypeVar

from warren.envelope import Deliver

# What CPython 3.11 takes for a kept message besides its texts (the struct, its numbers, its place among the
# others), within some tenths: ``tests/unit/router/core/test_history.py`` measures it.
ENTRY_BYTES: Final = 248


# What each of its texts takes besides its characters, and its payload besides its bytes.
_TEXT_BYTES: Final = getsizeof("")
_BYTES_BYTES: Final = getsizeof(b"")
_FIXED_BYTES: Final = ENTRY_BYTES + _BYTES_BYTES + 5 * _TEXT_BYTES


def kept_bytes(entry: Deliver) -> int:
    """Return how much memory a kept message takes."""
    # All texts as one: less time than asking for each, and never less bytes. It is asked twice of each
    # message, wherever that is kept.
    texts = f"{entry.room}{entry.type}{entry.conn}{entry.user}{entry.id}{entry.key}".__sizeof__()
    return _FIXED_BYTES + len(entry.payload) + texts


class Weighed(Protocol):
    """A thing with a weight. ``rank`` is ours: the power of two that it is kept under, -1 where it is not
    kept.
    """

    bytes: int
    rank: int


T = TypeVar("T", bound=Weighed)


class LargestFirst(Generic[T]):
    """Things by weight."""

    def __init__(self) -> None:
        """Begin with none."""
        self._ranks: list[OrderedDict[T, None]] = []

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(len(things) for things in self._ranks)

    def grown(self, thing: T) -> None:
        """Add a thing, or note that it weighs more than before."""
        rank = thing.bytes.bit_length()
        if rank > thing.rank:
            self.drop(thing)
            while len(self._ranks) <= rank:
                self._ranks.append(OrderedDict())
            self._ranks[rank][thing] = None
            thing.rank = rank

    def drop(self, thing: T) -> None:
        """Remove a thing, where it is here."""
        if thing.rank >= 0:
            del self._ranks[thing.rank][thing]
            thing.rank = -1

    def heaviest(self) -> T | None:
        """Return one that none weighs twice as much as; another one next time, where there are several. None
        where there is nothing.
        """
        while self._ranks:
            things = self._ranks[-1]
            if not things:
                self._ranks.pop()
                continue
            thing = next(iter(things))
            if thing.bytes.bit_length() == thing.rank:
                things.move_to_end(thing)
                return thing
            self.drop(thing)
            self.grown(thing)
        return None
