"""Blocks: who is kept out of which room, and until when; looked up by both, and walked in order.

It forgets nothing by itself: what has ended is for ``access.py`` to drop, and for who walks to pass over. A
change costs a search and a move of what stands behind it, and a page what it shows, so nobody waits for a
long list to be put in order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import takewhile

Key = tuple[str, str]  # room, user; the user's own room: all of them


class Blocks:
    """One shard's."""

    def __init__(self, until: dict[Key, int] | None = None) -> None:
        """``until``: when each ends, ms since the Unix epoch; 0: never. It is kept."""
        self.until: dict[Key, int] = {} if until is None else until
        self._order = sorted(self.until)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.until)

    def __contains__(self, key: Key) -> bool:
        """Say whether there is one."""
        return key in self.until

    def put(self, key: Key, until_ms: int) -> None:
        """Add one, or change its end."""
        if key not in self.until:
            insort(self._order, key)
        self.until[key] = until_ms

    def drop(self, key: Key) -> bool:
        """Take one out; False where there is none."""
        if self.until.pop(key, None) is None:
            return False
        del self._order[bisect_left(self._order, key)]
        return True

    def walk(self, room: str, prefix: str, after: Key) -> Iterator[tuple[Key, int]]:
        """Walk those of one room (empty: of all whose names begin with ``prefix``) behind a key, in order,
        each with its end. Nothing may be changed meanwhile.
        """
        order = self._order
        begin = bisect_right(order, max(after, (room or prefix, "")))
        behind = (order[at] for at in range(begin, len(order)))
        if room:
            found = takewhile(lambda key: key[0] == room, behind)
        else:
            found = takewhile(lambda key: key[0].startswith(prefix), behind)
        return ((key, self.until[key]) for key in found)
