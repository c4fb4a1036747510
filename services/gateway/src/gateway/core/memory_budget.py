"""MemoryBudget: how much all connections of a gateway may hold together, and who goes when it is more.

Each connection is bounded by itself, but ten thousand of them are not: this is the bound for all. Policy
beyond it, until clearly less is held: first who is closing anyway is cut, then clients that are not known go,
then the others, in each case who holds most first. So a client that takes what is sent to it and sends whole
messages never goes for those that don't.

A chunk that waits for many members of a room is one object, and is held once. What is summed up for each
connection counts it for each of them, which is cheap and never too little; only where that sum is beyond the
limit are the chunks themselves looked at, and then not again until so many bytes were spelled anew that it
could matter. What compressed messages build on is not part of it: nobody holds more of that than was
negotiated, and who is idle must not go for it. It ends nobody.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from warren.errors import CloseCode

# Ending who holds less frees nothing worth a connection.
LEAST_BYTES = 4 * 1024
LOW_PERCENT = 75
# Smaller chunks count for each who holds them where it is asked who holds most, so that to answer takes
# little memory.
SMALL_CHUNK_BYTES = 1024


class Standing(enum.IntEnum):
    """In which order connections go."""

    ENDING = 0  # closing already
    UNKNOWN = 1  # no token was checked yet
    KNOWN = 2


class Holding(NamedTuple):
    """What one connection holds, in bytes."""

    standing: Standing
    receiving: int  # of messages that have not come whole or were not taken yet
    sending: int  # of chunks that its client has not taken yet, which others may hold too
    window: int  # that its client's compressed messages build on; outside of the budget
    queue: int = 0  # that the queue of these chunks takes itself

    @property
    def own(self) -> int:
        """What no other connection holds."""
        return self.receiving + self.queue

    @property
    def total(self) -> int:
        """All of it that is in the budget."""
        return self.receiving + self.queue + self.sending


@dataclass(frozen=True, slots=True)
class End:
    """A connection that has to go: which one of those that were given, with which code, and for what it goes
    in metrics.
    """

    index: int
    code: CloseCode | None  # None: cut it, it is closing already
    of: str


# For a connection's index: the chunks that wait for it.
Chunks = Callable[[int], Iterable[bytes]]


class MemoryBudget:
    """One gateway's. ``chunks`` is at least how many bytes all chunks that wait take, each counted once."""

    __slots__ = ("_low", "_spelled", "chunks", "limit")

    def __init__(self, limit: int) -> None:
        """``limit`` is in bytes."""
        self.limit = limit
        self._low = limit * LOW_PERCENT // 100
        self.chunks = 0
        self._spelled = 0

    def over(self, holdings: Sequence[Holding], spelled: int, chunks: Chunks) -> list[End]:
        """Return who has to go, in order, where ``holdings`` are all that is held; nobody while that is
        within the limit. ``spelled``: how many bytes of chunks were made since the beginning, so that what
        waits can't have grown by more.
        """
        own = sum(holding.own for holding in holdings)
        self.chunks = min(self.chunks + spelled - self._spelled, sum(holding.sending for holding in holdings))
        self._spelled = spelled
        if own + self.chunks <= self.limit:
            return []
        seen: set[int] = set()
        held = own
        for index in range(len(holdings)):
            held += _unseen(chunks(index), seen)
            if held > self.limit:
                break
        else:
            self.chunks = held - own
            return []
        seen.clear()
        return self._ends(_fair(holdings, chunks), chunks)

    def _ends(self, holdings: Sequence[Holding], chunks: Chunks) -> list[End]:
        """Return the fewest of the first in order without whom clearly less is held."""
        order = sorted(
            range(len(holdings)), key=lambda index: (holdings[index].standing, -holdings[index].total)
        )
        going = [index for index in order if holdings[index].total >= LEAST_BYTES]
        staying = [index for index in order if holdings[index].total < LEAST_BYTES]
        seen: set[int] = set()
        shared = sum(_unseen(chunks(index), seen) for index in staying)
        held = shared + sum(holdings[index].own for index in staying)
        # From those who go last on, so that a chunk is freed only with the last who holds it.
        while going:
            holding, new = holdings[going[-1]], _unseen(chunks(going[-1]), seen)
            held += holding.own + new
            if held > self._low:
                break
            shared += new
            going.pop()
        self.chunks = shared
        return [_end(index, holdings[index]) for index in going]


def _fair(holdings: Sequence[Holding], chunks: Chunks) -> list[Holding]:
    """Return what each holds where a chunk is shared out among all who hold it."""
    holders: dict[int, int] = {}
    shared: list[list[bytes]] = []
    for index in range(len(holdings)):
        shared.append([chunk for chunk in chunks(index) if len(chunk) >= SMALL_CHUNK_BYTES])
        for name in map(id, shared[-1]):
            holders[name] = holders.get(name, 0) + 1
    return [
        holding._replace(
            sending=holding.sending - sum(len(chunk) - len(chunk) // holders[id(chunk)] for chunk in those)
        )
        for holding, those in zip(holdings, shared, strict=True)
    ]


def _unseen(chunks: Iterable[bytes], seen: set[int]) -> int:
    """Return the bytes of those chunks that were not seen yet. They are alive meanwhile, so no two have the
    same id.
    """
    size = 0
    for chunk in chunks:
        name = id(chunk)
        if name not in seen:
            seen.add(name)
            size += len(chunk)
    return size


def _end(index: int, holding: Holding) -> End:
    if holding.standing is Standing.ENDING:
        return End(index, None, "ending")
    if holding.standing is Standing.UNKNOWN:
        return End(index, CloseCode.OVERLOADED, "unknown")
    if holding.sending + holding.queue >= holding.receiving:
        return End(index, CloseCode.TOO_SLOW, "sending")
    return End(index, CloseCode.OVERLOADED, "receiving")
