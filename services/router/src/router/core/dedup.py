"""SeenIds: the message ids that a shard has seen, so that a message sent twice counts once.

Bounded in count alone: the oldest id is forgotten first (a repeat that comes later than that is a new
message). It knows no clock, so that all who have read the same log remember the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

Key = tuple[str, str, str]  # (room, user, id); a backend's user is ""
Place = tuple[int, int]  # (generation, seq) that its message was given; (0, 0): it is not numbered

_CHUNK = 512
_UNBOUNDED = 1 << 62


class SeenIds:
    """Ids seen, each with the place that its message was first given."""

    def __init__(self, seen: dict[Key, Place] | None = None) -> None:
        """Begin with those in ``seen``, the oldest first, and without a bound."""
        self.seen: dict[Key, Place] = {} if seen is None else seen
        # Their order is kept beside the dict, in lists that only grow: so the oldest is found at once, and a
        # snapshot is a few references.
        self._chunks: deque[tuple[list[Key], list[Place]]] = deque()
        self._gone = 0  # so many of the first chunk's are forgotten
        self._count = _UNBOUNDED
        for key, place in self.seen.items():
            self._append(key, place)

    def __len__(self) -> int:
        """Return how many ids are remembered."""
        return len(self.seen)

    def bound(self, count: int) -> None:
        """Remember at most ``count`` ids from now on."""
        self._count = count
        while len(self.seen) > count:
            self._forget()

    def get(self, key: Key) -> Place | None:
        """Return the place first given to this id; None where it is not known (any more)."""
        return self.seen.get(key)

    def put(self, key: Key, place: Place) -> None:
        """Remember an id that is not known."""
        self.seen[key] = place
        self._append(key, place)
        if len(self.seen) > self._count:
            self._forget()

    def snapshot(self) -> Iterator[tuple[Key, Place]]:
        """Walk what there is now, the oldest first, whatever is remembered and forgotten meanwhile."""
        return _walk([(keys, places, len(keys)) for keys, places in self._chunks], self._gone)

    def _append(self, key: Key, place: Place) -> None:
        if not self._chunks or len(self._chunks[-1][0]) >= _CHUNK:
            self._chunks.append(([], []))
        keys, places = self._chunks[-1]
        keys.append(key)
        places.append(place)

    def _forget(self) -> None:
        keys, _ = self._chunks[0]
        del self.seen[keys[self._gone]]
        self._gone += 1
        if self._gone == len(keys):
            self._chunks.popleft()
            self._gone = 0


def _walk(chunks: list[tuple[list[Key], list[Place], int]], gone: int) -> Iterator[tuple[Key, Place]]:
    for keys, places, end in chunks:
        yield from zip(keys[gone:end], places[gone:end], strict=True)
        gone = 0
