"""ReceiptWaits: who waits at this router for the receipt of which message, and until when.

Several may wait for one message: a repeat is asked for like the first. Who has waited for long enough is
given what is known, which is nothing yet. Bounded: beyond ``count`` nobody more is taken. Pure: the time is
an argument.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from warren.envelope import Receipt

COUNT: Final = 10_000

W = TypeVar("W")
_Key = tuple[str, str, int]  # (room, id, level)


class ReceiptWaits(Generic[W]):
    """One router's. A waiter is whatever its caller needs to answer it."""

    def __init__(self, count: int = COUNT) -> None:
        """At most ``count`` may wait at a time."""
        self._count = count
        self._number = 0
        self._waiters: dict[int, tuple[_Key, float, W]] = {}
        self._keys: dict[_Key, dict[int, None]] = {}  # ▶ who waits for it

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiters)

    def expect(self, room: str, ident: str, level: int, waiter: W, until: float) -> bool:
        """Take one who waits for a message's receipt of this level until then; False where too many wait
        already.
        """
        if len(self._waiters) >= self._count:
            return False
        self._number += 1
        key = (room, ident, level)
        self._waiters[self._number] = (key, until, waiter)
        self._keys.setdefault(key, {})[self._number] = None
        return True

    def take(self, receipt: Receipt) -> list[W]:
        """Return those who have waited for this receipt, and wait no longer."""
        numbers = self._keys.pop((receipt.room, receipt.id, receipt.level), {})
        return [self._waiters.pop(number)[2] for number in numbers]

    def expire(self, now: float) -> list[tuple[str, str, W]]:
        """Return (room, id, waiter) of those whose time is over, and who wait no longer."""
        over = [number for number, (_, until, _) in self._waiters.items() if until <= now]
        expired: list[tuple[str, str, W]] = []
        for number in over:
            key, _, waiter = self._waiters.pop(number)
            numbers = self._keys[key]
            del numbers[number]
            if not numbers:
                del self._keys[key]
            expired.append((*key[:2], waiter))
        return expired
