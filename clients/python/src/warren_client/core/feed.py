"""Bounded queues between what arrives and the application, each with a policy for when it is full.

It wakes nobody by itself but by calling ``wake``, and never calls the application.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from warren_client.errors import WarrenError
from warren_client.messages import Dropped, Gap, Item, Message, Overflow, Position

T = TypeVar("T")


class Feed(Generic[T]):
    """Items for a reader. If ``limit`` of them wait, a further one takes the place of the oldest; or with
    ``summary``, that takes the place of all.
    """

    def __init__(self, limit: int, summary: T | None = None) -> None:
        """It is empty; at least one item can wait."""
        self.limit = limit
        self.items: deque[T] = deque()
        self.is_ended = False
        self.error: WarrenError | None = None
        self.wake: Callable[[], None] = _nothing
        self._summary = summary

    def put(self, item: T) -> None:
        """Have the reader get an item."""
        if self.is_ended:
            return
        if len(self.items) >= self.limit:
            if self._summary is None:
                self.items.popleft()
            else:
                self.items.clear()
                item = self._summary
        self.items.append(item)
        self.wake()

    def take(self) -> T | None:
        """Remove and return the oldest item; None if there is none."""
        return self.items.popleft() if self.items else None

    def end(self, error: WarrenError | None = None) -> None:
        """There will be no further item. The reader gets those that wait, and then ``error`` if there is
        one.
        """
        if not self.is_ended:
            self.is_ended = True
            self.error = error
            self.wake()


class Inbox(Feed[Item]):
    """What waits of a room. When ``limit`` messages wait, or their frames have ``limit_bytes``, the policy
    decides:

    ``catch_up``: it takes no further numbered ones (``is_stalled``), and once half of them are read, its
    owner asks the server for what follows. Nothing is lost; what the server does not have any more becomes a
    Gap. ``drop_oldest``: the oldest are dropped.

    In either case a Dropped says how many messages nobody can read any more.
    """

    def __init__(self, room: str | None, limit: int, overflow: Overflow, limit_bytes: int = 1 << 30) -> None:
        """It is empty."""
        super().__init__(limit)
        self.room = room
        self.is_stalled = False
        self.on_space: Callable[[], None] = _nothing  # called once half of a stalled inbox has been read
        self.taken: Position | None = None  # of the last item that was taken and has one
        self.last: Message | None = None  # the last numbered message that was taken
        self._overflow = overflow
        self._limit_bytes = limit_bytes
        self._messages = 0
        self._bytes = 0  # of their frames

    def has_space(self) -> bool:
        """Whether it takes another numbered message. If not, it is stalled from now on."""
        if self._overflow == "catch_up" and self._is_full:
            self.is_stalled = True
        return not self.is_stalled

    def put(self, item: Item) -> None:
        """Take an item: of numbered messages those for which there is space, everything else always."""
        if self.is_ended:
            return
        if isinstance(item, Message) and self._is_full:
            if self._overflow == "drop_oldest":
                while self._is_full:
                    self._drop_oldest()
            elif not item.seq:
                item = Dropped(self.room, 1, 0, "client")
        if isinstance(item, Message):
            self._messages += 1
            self._bytes += item.size
            self.items.append(item)
        else:
            self._tell(item)
        self.wake()

    def take(self) -> Item | None:
        """Remove and return the oldest item; None if there is none."""
        item = super().take()
        if isinstance(item, Message):
            self._messages -= 1
            self._bytes -= item.size
        if isinstance(item, Message) and item.seq:
            self.taken, self.last = item.position, item
        elif isinstance(item, Gap):
            self.taken = item.position
        return item

    @property
    def is_read(self) -> bool:
        """Whether it is stalled, and half of it has been read."""
        is_half = self._messages <= self.limit // 2 and self._bytes <= self._limit_bytes // 2
        return self.is_stalled and is_half

    @property
    def _is_full(self) -> bool:
        return self._messages >= self.limit or self._bytes >= self._limit_bytes

    def go_on(self) -> None:
        """It takes numbered messages again."""
        self.is_stalled = False

    def _tell(self, item: Gap | Dropped) -> None:
        """Have a gap or drops told behind what waits. Of those without a message in between there is one
        each.
        """
        run: list[Item] = []
        while self.items and not isinstance(self.items[-1], Message):
            run.insert(0, self.items.pop())
        self.items.extend(_merged([*run, item]))

    def _drop_oldest(self) -> None:
        run: list[Item] = []
        while not isinstance(head := self.items.popleft(), Message):
            run.append(head)
        self._messages -= 1
        self._bytes -= head.size
        run.append(Dropped(self.room, 1, head.seq or 0, "client"))
        while self.items and not isinstance(self.items[0], Message):
            run.append(self.items.popleft())
        self.items.extendleft(reversed(_merged(run)))


def _merged(run: list[Item]) -> list[Item]:
    """Return gaps and drops with no message between them as one of each kind, in the order of their first
    ones.
    """
    found: dict[str, Item] = {}
    for item in run:
        kind = item.by if isinstance(item, Dropped) else "gap"
        before = found.get(kind)
        if isinstance(item, Gap) and isinstance(before, Gap):
            item = Gap(item.room, before.since, item.position)
        elif isinstance(item, Dropped) and isinstance(before, Dropped):
            item = Dropped(item.room, before.count + item.count, max(before.seq, item.seq), item.by)
        found[kind] = item
    return list(found.values())


def _nothing() -> None:
    """Nobody waits."""
