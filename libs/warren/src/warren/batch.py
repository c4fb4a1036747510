"""Batch: what waits for one destination, what goes next, when it is full, and how often it is sent to.

Group commit: while one batch is under way everything that arrives waits here and goes as the next one. Pure; it never drops:
what does not fit is refused, and the caller has the policy. ``batcher.py`` drives it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import exp
from typing import Generic, TypeVar

T = TypeVar("T")

RATE_S = 0.25  # over about so long a rate is taken
BUSY_PER_S = 200.0  # items from which on a destination is busy


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much goes at once, how much may wait, and how often a busy destination is sent to."""

    batch_count: int = 512
    batch_bytes: int = 256 * 1024
    waiting_count: int = 65_536
    waiting_bytes: int = 64 * 1024 * 1024
    interval_s: float = 0.0  # of a busy destination; this and the next: see Cadence
    busy_per_s: float = BUSY_PER_S


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


class Cadence:
    """How often one destination is sent to: at once while few items come, else at a beat, so that batches are fewer and larger.

    A batch costs broker and services nearly the same, whatever its size. The beat is that of the clock, so all busy destinations of a process are
    sent to in the same turn, and what they cause comes back together. The interval is the most that a busy destination adds to a message's time; one
    client that waits for its own message before it sends the next does not make a destination busy.
    """

    def __init__(self, interval_s: float, busy_per_s: float = BUSY_PER_S) -> None:
        """Begin idle. ``interval_s``: from one beat to the next, 0 for always at once; ``busy_per_s``: items from which on it is busy."""
        self._interval_s = interval_s
        self._busy_per_s = busy_per_s
        self._rate = 0.0  # items a second
        self._counted_at = 0.0

    def pause(self, count: int, now: float) -> float:
        """Take that ``count`` items have gone; return how many seconds from ``now`` (monotonic) the next batch should wait."""
        if not self._interval_s:
            return 0.0
        span = max(now - self._counted_at, 0.0001)
        self._counted_at = now
        self._rate += (1.0 - exp(-span / RATE_S)) * (count / span - self._rate)
        return self._interval_s - now % self._interval_s if self._rate > self._busy_per_s else 0.0
