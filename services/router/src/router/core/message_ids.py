"""MessageIds: the message ids that a shard has seen, so that a message sent twice counts once.

Bounded in count alone: the oldest id is forgotten first (a repeat that comes later than that is a new message). It knows no clock, so that
all who have read the same log remember the same.
"""

from __future__ import annotations

from collections import deque

Key = tuple[str, str, str]  # (room, user, id); a backend's user is ""
Place = tuple[int, int]  # (generation, seq) that its message was given; (0, 0): it is not numbered


class MessageIds:
    """Ids seen, each with the place that its message was first given."""

    def __init__(self, seen: dict[Key, Place] | None = None) -> None:
        """Begin with those in ``seen``, the oldest first, and without a bound."""
        self.seen: dict[Key, Place] = {} if seen is None else seen
        # Beside the dict, since finding the first key of a dict takes the longer the more of its first ones are gone.
        self._order: deque[Key] = deque(self.seen)
        self._count = len(self.seen)

    def __len__(self) -> int:
        """Return how many ids are remembered."""
        return len(self.seen)

    def bound(self, count: int) -> None:
        """Remember at most ``count`` ids from now on."""
        self._count = count
        while len(self._order) > count:
            del self.seen[self._order.popleft()]

    def get(self, key: Key) -> Place | None:
        """Return the place first given to this id; None where it is not known (any more)."""
        return self.seen.get(key)

    def put(self, key: Key, place: Place) -> None:
        """Remember an id that is not known."""
        self.seen[key] = place
        self._order.append(key)
        if len(self._order) > self._count:
            del self.seen[self._order.popleft()]
