"""Batch: what waits for one destination, what goes next, when it is full, and how often it is sent to.

Group commit: while one batch is under way everything that arrives waits here and goes as the next one. Pure;
it never drops: what does not fit is refused, and the caller has the policy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import exp
from typing import Generic, TypeVar

T = TypeVar("T")

RATE_S = 0.25  # over about so long a rate is taken
LOOK_S = 0.05  # so seldom it is looked how busy the process is
SHORTEST_S = 0.001  # a shorter wait costs more wakeups than it saves


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much goes at once, and how much may wait."""

    batch_count: int = 512
    batch_bytes: int = 256 * 1024
    waiting_count: int = 65_536
    waiting_bytes: int = 64 * 1024 * 1024


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
        """Take an item of ``size`` bytes; False where it does not fit. An item of any size fits an empty
        queue.
        """
        limits = self._limits
        if self._items and (
            len(self._items) >= limits.waiting_count or self.bytes + size > limits.waiting_bytes
        ):
            return False
        self._items.append((item, size))
        self.bytes += size
        return True

    def next(self) -> list[T]:
        """Take out what goes next, in order: at least one item (where any waits), else as many as the limits
        let.
        """
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


class Pace:
    """For how long the busy destinations of a process wait for more: not at all while it has time to spare,
    and the longer the busier it is.

    A batch costs broker and services nearly the same, whatever its size; who has time to spare need not save
    it. It has one for each process and asks how much of the last moments there was something to do. Larger
    batches make less to do, so it comes to rest somewhere between.
    """

    def __init__(self, longest_s: float, busy_s: Callable[[], float]) -> None:
        """Begin at rest. ``longest_s``: the interval of a process that is never idle, 0 for always at once;
        ``busy_s()``: for how many seconds there was something to do; only differences mean anything.
        """
        self._longest_s = longest_s
        self._busy_s = busy_s
        self._looked_at = 0.0
        self._busy_before = busy_s() if longest_s else 0.0
        self._busy = 0.0  # which part of the time there was something to do
        self._interval_s = 0.0

    def interval(self, now: float) -> float:
        """Return the seconds from one beat to the next at ``now`` (monotonic); 0: nobody waits."""
        span = now - self._looked_at
        if span >= LOOK_S and self._longest_s:
            busy_s = self._busy_s()
            share = min(1.0, max(0.0, busy_s - self._busy_before) / span)
            self._busy += (1.0 - exp(-span / RATE_S)) * (share - self._busy)
            self._looked_at, self._busy_before = now, busy_s
            interval = self._longest_s * self._busy**2
            self._interval_s = interval if interval >= SHORTEST_S else 0.0
        return self._interval_s


class Pacer:
    """How often one destination is sent to: at once, or at the beat of a process that is pressed, so that
    batches are fewer and larger.

    The beat is that of the clock, so all busy destinations of a process are sent to in the same turn, and
    what they cause comes back together. The interval is the most that it adds to a message's time. Where no
    more than one item comes in an interval, waiting makes no batch larger.
    """

    def __init__(self, pace: Pace) -> None:
        """Begin idle, at the pace of the process."""
        self._pace = pace
        self._rate = 0.0  # items a second
        self._counted_at = 0.0

    def pause(self, count: int, now: float) -> float:
        """Take that ``count`` items have gone; return how many seconds from ``now`` (monotonic) the next
        batch should wait.
        """
        interval_s = self._pace.interval(now)
        span = max(now - self._counted_at, 0.0001)
        self._counted_at = now
        self._rate += (1.0 - exp(-span / RATE_S)) * (count / span - self._rate)
        return interval_s - now % interval_s if self._rate * interval_s > 1.0 else 0.0
