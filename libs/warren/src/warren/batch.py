"""Batch: what waits for one destination, what goes next, and when it is full.

Group commit: while one batch is under way everything that arrives waits here and goes as the next one. Pure; it never drops:
what does not fit is refused, and the caller has the policy. ``batcher.py`` drives it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much goes at once, how much may wait, and how long a busy destination rests between two batches."""

    batch_count: int = 512
    batch_bytes: int = 256 * 1024
    waiting_count: int = 65_536
    waiting_bytes: int = 64 * 1024 * 1024
    rest_s: float = (
        0.0  # the longest rest between two batches; nothing rests where nothing came while the last one was under way
    )


class Batch(Generic[T]):
    """A bounded queue that is emptied by the batch."""

    def __init__(self, limits: BatchLimits) -> None:
        """Begin empty."""
        self._limits = limits
        self._items: deque[tuple[T, int]] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        """Return how many items wait."""
        return len(self._items)

    def offer(self, item: T, size: int) -> bool:
        """Take an item of ``size`` bytes; False where it does not fit. An item of any size fits an empty queue."""
        limits = self._limits
        if self._items and (len(self._items) >= limits.waiting_count or self.bytes + size > limits.waiting_bytes):
            return False
        self._items.append((item, size))
        self.bytes += size
        return True

    def next(self) -> list[T]:
        """Take out what goes next, in order: at least one item (where any waits), else as many as the limits let."""
        limits, items = self._limits, self._items
        taken: list[T] = []
        size = 0
        while items and len(taken) < limits.batch_count:
            item, item_size = items[0]
            if taken and size + item_size > limits.batch_bytes:
                break
            items.popleft()
            taken.append(item)
            size += item_size
        self.bytes -= size
        return taken
