"""UnsentJoins: what joins and leaves of one shard that have not been sent yet make of each other.

What a gateway wants to be joined is a table, not a queue. A leave takes back the joins of its connection and
room that still wait, and is not sent itself where the log does not hold that member, or another leave waits.
A join takes back a leave whose answer nobody awaits. So a client that joins and leaves again and again while
the broker is away takes no more place than one that does it once, and crowds nobody out. Only what waits is
looked at: what has a number is on its way. A connection's joins of its user's own room are never taken back
by a leave, since backends are told by them that it came and went; the same question asked again takes the
place of the one before. It sends nothing and knows no time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec

from gateway.core.batch_numbers import BatchNumbers, Entry
from warren.address import is_reserved
from warren.envelope import Join, Leave

E = TypeVar("E", bound=Entry)


class _Waiting(Generic[E]):
    """What waits of one connection in one room: a leave, and the joins behind it."""

    __slots__ = ("joins", "leave", "member")

    def __init__(self, *, member: bool) -> None:
        self.member = member  # before all of it
        self.leave: E | None = None
        self.joins: list[tuple[str, E]] = []  # each with its ref


class UnsentJoins(Generic[E]):
    """Those of one shard; it offers to its batches what has to be sent."""

    def __init__(self, batches: BatchNumbers[E]) -> None:
        """Begin with nothing that waits."""
        self._batches = batches
        self._waiting: dict[tuple[str, str], _Waiting[E]] = {}

    def __len__(self) -> int:
        """Return of how many memberships something waits."""
        return len(self._waiting)

    def join(self, up: Join, entry: E, *, first: bool) -> None:
        """Offer a join; ``first``: the connection was not in the room, as far as the gateway knows."""
        self._batches.offer(entry)
        waiting = self._waiting.setdefault((up.conn, up.room), _Waiting(member=not first))
        if waiting.leave is not None and not waiting.leave.awaited and not is_reserved(up.room):
            self._batches.give_up(waiting.leave)
            waiting.leave = None
        for before in [before for before in waiting.joins if before[0] == up.ref]:
            self._batches.give_up(before[1])
            waiting.joins.remove(before)
        waiting.joins.append((up.ref, entry))

    def leave(self, up: Leave) -> Leave | None:
        """Take back the joins that a leave makes void; return what of the leave has to be sent (``left``),
        None where nothing has.
        """
        rooms = tuple(room for room in up.rooms if self._has_to_leave((up.conn, room)))
        if len(rooms) == len(up.rooms):
            return up
        return msgspec.structs.replace(up, rooms=rooms) if rooms else None

    def left(self, up: Leave, entry: E) -> None:
        """Offer a leave that has to be sent."""
        self._batches.offer(entry)
        if len(up.rooms) == 1:  # more go with their connection, which joins nothing any more
            self._waiting.setdefault((up.conn, up.rooms[0]), _Waiting(member=True)).leave = entry

    def sent(self, entries: Iterable[E]) -> None:
        """These have a number now, so nothing is taken back of them."""
        for entry in entries:
            up = entry.envelope
            if isinstance(up, Join):
                self._waiting.pop((up.conn, up.room), None)
            elif isinstance(up, Leave):
                for room in up.rooms:
                    self._waiting.pop((up.conn, room), None)

    def clear(self) -> None:
        """Forget all of it: our life on the shard is over, so it was dropped, or goes again as it is."""
        self._waiting.clear()

    def _has_to_leave(self, key: tuple[str, str]) -> bool:
        waiting = self._waiting.get(key)
        if waiting is None or is_reserved(key[1]):
            return True
        for _, entry in waiting.joins:
            self._batches.give_up(entry)
        waiting.joins.clear()
        if waiting.leave is None and not waiting.member:
            del self._waiting[key]
        return waiting.leave is None and waiting.member
