"""Dedup: the message ids that a shard has seen, so that a message sent twice counts once.

Bounded in count and in age; where it is full the oldest id is forgotten first (a repeat that comes later than that is a new
message). Pure: the time is an argument. ``core/shard.py`` owns one.
"""

from __future__ import annotations

from collections import deque

from warren.position import Position

Key = tuple[str, str, str]  # (room, user, id); a backend's user is ""


class Dedup:
    """Ids seen, each with the position that its message was first given."""

    def __init__(self, count: int, age_us: int) -> None:
        """Remember at most ``count`` ids for ``age_us`` microseconds."""
        self._count = count
        self._age_us = age_us
        self._seen: dict[Key, Position] = {}
        self._order: deque[tuple[int, Key]] = deque()

    def __len__(self) -> int:
        """Return how many ids are remembered."""
        return len(self._seen)

    def get(self, key: Key, now_us: int) -> Position | None:
        """Return the position first given to this id; None where it is not known (any more)."""
        self._forget(now_us)
        return self._seen.get(key)

    def put(self, key: Key, position: Position, now_us: int) -> None:
        """Remember an id. What is known already keeps the position that it has."""
        if key in self._seen:
            return
        if len(self._order) >= self._count:
            _, oldest = self._order.popleft()
            del self._seen[oldest]
        self._seen[key] = position
        self._order.append((now_us, key))

    def discard(self, key: Key) -> None:
        """Forget an id: its message does not count after all. Seldom; it takes a time of the order of the count."""
        if self._seen.pop(key, None) is not None:
            self._order = deque(entry for entry in self._order if entry[1] != key)

    def known(self) -> list[Key]:
        """Return the ids that are remembered, the oldest first."""
        return list(self._seen)

    def shift(self, by_us: int) -> None:
        """Make every id younger by so much: nobody was there to see them age."""
        self._order = deque((at_us + by_us, key) for at_us, key in self._order)

    def tidy(self, now_us: int, most: int) -> None:
        """Drop at most so many that are too old, though nothing is asked."""
        order, limit = self._order, now_us - self._age_us
        for _ in range(most):
            if not order or order[0][0] >= limit:
                return
            del self._seen[order.popleft()[1]]

    def _forget(self, now_us: int) -> None:
        """Drop what is too old. A clock that went back only makes ids live longer."""
        order, limit = self._order, now_us - self._age_us
        while order and order[0][0] < limit:
            del self._seen[order.popleft()[1]]
