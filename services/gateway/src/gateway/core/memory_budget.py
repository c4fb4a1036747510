"""Memory budget: how much all connections of a gateway may hold together, and who goes when it is more.

Each connection is bounded by itself, but ten thousand of them are not: this is the bound for all. Policy beyond it, until clearly less is held: first
who is closing anyway is cut, then clients that are not known go, then the others, in each case who holds most first. So a client that takes what is
sent to it and sends whole messages never goes for those that don't. It counts nothing itself and ends nobody; ``shell/memory.py`` does.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from warren.errors import CloseCode

# Ending who holds less frees nothing worth a connection.
LEAST_BYTES = 4 * 1024
LOW_PERCENT = 75


class Standing(enum.IntEnum):
    """In which order connections go."""

    ENDING = 0  # closing already
    UNKNOWN = 1  # no token was checked yet
    KNOWN = 2


class Holding(NamedTuple):
    """What one connection holds, in bytes."""

    standing: Standing
    receiving: int  # of messages that have not come whole or were not taken yet
    sending: int  # that its client has not taken yet
    window: int  # that its client's compressed messages build on

    @property
    def total(self) -> int:
        """All of it."""
        return self.receiving + self.sending + self.window


@dataclass(frozen=True, slots=True)
class End:
    """A connection that has to go: which one of those that were given, with which code, and for what it goes in metrics."""

    index: int
    code: CloseCode | None  # None: cut it, it is closing already
    of: str


class MemoryBudget:
    """One gateway's."""

    __slots__ = ("_low", "limit")

    def __init__(self, limit: int) -> None:
        """``limit`` is in bytes."""
        self.limit = limit
        self._low = limit * LOW_PERCENT // 100

    def over(self, holdings: Sequence[Holding]) -> list[End]:
        """Return who has to go, in order, where ``holdings`` are all that is held; nobody while that is within the limit."""
        total = sum(sum(holding[1:]) for holding in holdings)
        if total <= self.limit:
            return []
        order = sorted(range(len(holdings)), key=lambda index: (holdings[index].standing, -holdings[index].total))
        ends: list[End] = []
        for index in order:
            holding = holdings[index]
            if total <= self._low:
                break
            if holding.total >= LEAST_BYTES:
                ends.append(_end(index, holding))
                total -= holding.total
        return ends


def _end(index: int, holding: Holding) -> End:
    if holding.standing is Standing.ENDING:
        return End(index, None, "ending")
    if holding.standing is Standing.UNKNOWN:
        return End(index, CloseCode.OVERLOADED, "unknown")
    if holding.sending >= holding.receiving + holding.window:
        return End(index, CloseCode.TOO_SLOW, "sending")
    return End(index, CloseCode.OVERLOADED, "receiving")
