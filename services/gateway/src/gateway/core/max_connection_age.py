"""MaxConnectionAge: who has been connected for long enough, so that pods that came later get their share of
the clients.

A connection that reaches its age is first to be asked away, and closed a moment later where it is still here.
Each has an age of its own, some part below the maximum, so that those who came together don't go together. It
owns no connection and no timer. What it holds is bounded by those who are here.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

# How many entries of connections that have gone may lie in the heap besides as many as there are connections.
_SPARE = 64


@dataclass(frozen=True, slots=True)
class Due:
    """What is due at one tick, by connection id."""

    ask: list[str] = field(default_factory=list)  # to be asked away
    close: list[str] = field(default_factory=list)  # were asked a while ago and are still here


class MaxConnectionAge:
    """The ages of all connections of a gateway."""

    def __init__(self, max_s: float, jitter: float, grace_s: float) -> None:
        """``max_s``: nobody is asked later than this (0: nobody ever is); ``jitter``: from 0 to 1, the part
        of it by which an age may be shorter; ``grace_s``: from being asked to being closed. All in seconds.
        """
        self._max_s = max_s
        self._jitter = jitter
        self._grace_s = grace_s
        self._at: dict[str, float] = {}  # connection ▶ when its next step is due
        self._asked: set[str] = set()
        self._heap: list[tuple[float, str]] = []  # may hold entries that _at knows nothing of any more

    def __len__(self) -> int:
        """Return how many entries are held, those of connections that have gone among them."""
        return len(self._heap)

    def enter(self, name: str, now: float, chance: float) -> None:
        """Add a connection; ``chance`` from 0 to 1 gives its age."""
        if self._max_s:
            self._set(name, now + self._max_s * (1 - self._jitter * chance))

    def end(self) -> None:
        """Ask and close nobody from now on."""
        self._max_s = 0.0
        self._at.clear()
        self._asked.clear()
        self._heap.clear()

    def leave(self, name: str) -> None:
        """Let a connection go, at whatever point; one that is not known is nothing."""
        self._at.pop(name, None)
        self._asked.discard(name)
        if len(self._heap) > 2 * len(self._at) + _SPARE:
            self._heap = [(at, each) for each, at in self._at.items()]
            heapq.heapify(self._heap)

    def due(self, now: float) -> Due:
        """Return who is to be asked away and who to be closed now; each is named once for each."""
        due = Due()
        while self._heap and self._heap[0][0] <= now:
            at, name = heapq.heappop(self._heap)
            if self._at.get(name) != at:
                continue
            if name in self._asked:
                self._asked.discard(name)
                del self._at[name]
                due.close.append(name)
            else:
                self._asked.add(name)
                self._set(name, now + self._grace_s)
                due.ask.append(name)
        return due

    def _set(self, name: str, at: float) -> None:
        self._at[name] = at
        heapq.heappush(self._heap, (at, name))
