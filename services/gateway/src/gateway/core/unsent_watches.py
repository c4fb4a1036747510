"""UnsentWatches: what a shard's unsent words about presence, and about what is seen, make of each other.

Somebody who begins to watch a room and stops again has said nothing while neither was sent, and of several
words about what is shown of a member, or what it has seen, only the last counts. So a client that does one of
these again and again while the broker is away takes no more place than one that does it once. It sends
nothing and knows no time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from gateway.core.batch_numbers import BatchNumbers, Entry
from warren.envelope import Inform, Seen, Watch

E = TypeVar("E", bound=Entry)
Word = Watch | Inform | Seen
_Key = tuple[type[Word], str, str]


class UnsentWatches(Generic[E]):
    """Those of one shard; it offers to its batches what has to be sent."""

    def __init__(self, batches: BatchNumbers[E]) -> None:
        """Begin with nothing that waits."""
        self._batches = batches
        self._waiting: dict[_Key, tuple[Word, E]] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def take_back(self, up: Word) -> bool:
        """Give up what waits and is void by ``up``; say whether ``up`` itself needs not be sent then."""
        before, entry = self._waiting.pop(_key(up), (None, None))
        if before is None or entry is None:
            return False
        self._batches.give_up(entry)
        return isinstance(up, Watch) and isinstance(before, Watch) and before.on != up.on

    def offer(self, up: Word, entry: E) -> None:
        """Offer what has to be sent."""
        self._batches.offer(entry)
        self._waiting[_key(up)] = up, entry

    def sent(self, entries: Iterable[E]) -> None:
        """These have a number now, so nothing is taken back of them."""
        for entry in entries:
            up = entry.envelope
            if isinstance(up, Watch | Inform | Seen):
                self._waiting.pop(_key(up), None)

    def clear(self) -> None:
        """Forget all of it: our life on the shard is over, so it was dropped."""
        self._waiting.clear()


def _key(up: Word) -> _Key:
    return type(up), up.conn, up.room
