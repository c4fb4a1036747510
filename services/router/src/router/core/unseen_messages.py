"""UnseenMessages: messages of backends that somebody is to see in time; where nobody has, backends are told.

The times are those of the log's own entries. Bounded: ``MOST`` messages of ``MOST_BYTES`` wait on a shard;
one more does not wait, and is told of at once: a push that was not needed does less harm than one that was.
Pure, and told in the order of the log, so all its readers tell the same. It does not know who is there.

    1.0 s   m1 to @ann, to be seen in 10 s     waits
    4.0 s   m2 to @bob, to be seen in 10 s     waits
    9.0 s   ann has seen @ann up to m1         m1 waits no more
   14.2 s   some entry                         m2 is told: nobody has seen it
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final

import msgspec

from warren.envelope import OVERHEAD_BYTES, Deliver

MOST: Final = 10_000
MOST_BYTES: Final = 8 * 1024 * 1024
FEW: Final = 64


class Unseen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One that waits, until the log's time ``due_us``; ``generation`` is that of its room's epoch."""

    due_us: int
    generation: int
    message: Deliver


class UnseenMessages:
    """One shard's."""

    def __init__(self, waiting: Iterable[Unseen] = ()) -> None:
        """Begin with those that wait, in the order in which they came."""
        self._waiting: dict[int, Unseen] = {}  # by the order in which they came
        self._rooms: dict[tuple[str, int], dict[int, None]] = {}  # (room, generation) ▶ those that wait there
        self._due: list[tuple[int, int]] = []  # a heap; of those that wait no more, too
        self._bytes = 0
        self._numbers = 0
        for each in waiting:
            self._put(each)

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    @property
    def next_us(self) -> int | None:
        """When the next one is due, by the log's time; None: none waits."""
        while self._due and self._due[0][1] not in self._waiting:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def put(self, unseen: Unseen) -> bool:
        """Have one wait; False where there is no place."""
        if len(self._waiting) >= MOST or self._bytes + _size(unseen) > MOST_BYTES:
            return False
        self._put(unseen)
        return True

    def saw(self, room: str, generation: int, seq: int) -> None:
        """Somebody has seen all messages up to this one of a room's epoch."""
        seen = []
        for number in self._rooms.get((room, generation), ()):  # in the order of their seqs
            if self._waiting[number].message.seq > seq:
                break
            seen.append(number)
        for number in seen:
            self._drop(number)

    def due(self, at_us: int) -> list[Deliver]:
        """Return what nobody has seen by then, and waits no more."""
        told: list[Deliver] = []
        while (next_us := self.next_us) is not None and next_us <= at_us:
            _, number = heapq.heappop(self._due)
            told.append(self._drop(number).message)
        return told

    def snapshot(self) -> list[Unseen]:
        """Return those that wait, in the order in which they came."""
        return list(self._waiting.values())

    def _put(self, unseen: Unseen) -> None:
        self._numbers += 1
        self._waiting[self._numbers] = unseen
        self._rooms.setdefault(_place(unseen), {})[self._numbers] = None
        heapq.heappush(self._due, (unseen.due_us, self._numbers))
        self._bytes += _size(unseen)

    def _drop(self, number: int) -> Unseen:
        unseen = self._waiting.pop(number)
        numbers = self._rooms[_place(unseen)]
        del numbers[number]
        if not numbers:
            del self._rooms[_place(unseen)]
        self._bytes -= _size(unseen)
        if len(self._due) > 2 * len(self._waiting) + FEW:  # most of it waits no more
            self._due = [(each.due_us, number) for number, each in self._waiting.items()]
            heapq.heapify(self._due)
        return unseen


def _place(unseen: Unseen) -> tuple[str, int]:
    return unseen.message.room, unseen.generation


def _size(unseen: Unseen) -> int:
    return OVERHEAD_BYTES + len(unseen.message.payload)
