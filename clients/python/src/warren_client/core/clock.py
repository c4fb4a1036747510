"""The time as it was last told, in milliseconds, and what is due when. It has no clock of its own: its owner
tells it the time, and asks when to do so next.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterator

Then = Callable[[], None]


class Clock:
    """``now`` is monotonic, ``wall`` is since the Unix epoch, ``random()`` is from 0 to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        """The time is 0 until it is told."""
        self.now = 0.0
        self.wall = 0
        self.random = random
        self._due: dict[Hashable, tuple[float, int, Then]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._count = 0

    @property
    def deadline(self) -> float | None:
        """When something is due next (as ``now``), or None."""
        while self._heap:
            at, count, name = self._heap[0]
            found = self._due.get(name)
            if found is not None and found[1] == count:
                return at
            heapq.heappop(self._heap)
        return None

    def tell(self, now: float, wall: int) -> None:
        """It is this late: do what is due, in the order in which it became due."""
        self.now = max(self.now, now)
        self.wall = wall
        # what is set meanwhile waits for the next time, so that this ends
        for name, count in list(self._take()):
            found = self._due.get(name)
            if found is not None and found[1] == count:  # neither cancelled nor set anew meanwhile
                del self._due[name]
                found[2]()

    def after(self, name: Hashable, ms: float, then: Then) -> None:
        """Do ``then`` in ``ms``, in place of what had this name."""
        self._count += 1
        at = self.now + max(0.0, ms)
        self._due[name] = (at, self._count, then)
        heapq.heappush(self._heap, (at, self._count, name))
        if len(self._heap) > 64 + 2 * len(self._due):
            self._heap = [(at, count, name) for name, (at, count, _) in self._due.items()]
            heapq.heapify(self._heap)

    def has(self, name: Hashable) -> bool:
        """Whether something of this name is to come."""
        return name in self._due

    def cancel(self, name: Hashable) -> None:
        """Forget what has this name."""
        self._due.pop(name, None)

    def _take(self) -> Iterator[tuple[Hashable, int]]:
        while (at := self.deadline) is not None and at <= self.now:
            _, count, name = heapq.heappop(self._heap)
            yield name, count


class Timers:
    """Named timers of one owner: at most one for each name, and all can be cancelled at once."""

    def __init__(self, clock: Clock) -> None:
        """``clock`` does them."""
        self._clock = clock
        self._names: set[Hashable] = set()

    def after(self, name: Hashable, ms: float, then: Then) -> None:
        """Do ``then`` in ``ms``, in place of what had this name."""
        self._names.add(name)

        def fire() -> None:
            self._names.discard(name)
            then()

        self._clock.after((id(self), name), ms, fire)

    def has(self, name: Hashable) -> bool:
        """Whether something of this name is to come."""
        return name in self._names

    def cancel(self, name: Hashable) -> None:
        """Forget what has this name."""
        self._names.discard(name)
        self._clock.cancel((id(self), name))

    def clear(self) -> None:
        """Forget everything."""
        for name in list(self._names):
            self.cancel(name)
