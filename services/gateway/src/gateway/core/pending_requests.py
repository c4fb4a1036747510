"""PendingRequests: the rooms that one connection is in or has asked for, and what it has asked the routers
and has no answer to yet.

Each question has a ref, a client's own or an internal one, by which its answer is known: so it can be asked
again as often as need be (a router that speaks anew may never have heard of it) and is still answered once.
Bounded. It decides nothing about rights and makes no messages.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from warren import envelope
from warren.position import Position

# Questions that a client may have open beyond one for each room.
OPEN_MAX: Final = 16

Question = envelope.Join | envelope.HistoryQuery


class PendingRequests:
    """One connection's rooms. ``rooms`` are those that a router may hold it in, each with since when it is
    there (µs since the Unix epoch, as the log says), or, below 0, when it was asked for where no JOIN of it
    was answered.

    An idle connection has nothing open, and then no table for it either: a gateway holds many of them.
    """

    __slots__ = ("_number", "_open", "rooms")

    def __init__(self) -> None:
        """Begin in no room."""
        self.rooms: dict[str, int] = {}
        # (room, ref) ▶ the question, and whether we asked by ourselves: then only bad news is the client's
        # business.
        self._open: dict[tuple[str, str], tuple[Question, bool]] | None = None
        self._number = 0

    def is_full(self, rooms_max: int) -> bool:
        """Say whether too much is open for one more question."""
        return len(self._open or ()) >= rooms_max + OPEN_MAX

    def ref(self) -> str:
        """Return a new ref for a question that the client gave none."""
        self._number += 1
        return f"{envelope.INTERNAL_ID}{self._number:x}"

    def ask(self, question: Question, now_us: int = 0) -> None:
        """Open a question; a JOIN takes up its room at once, and asks for it since ``now_us``."""
        self._ask(question, quiet=False)
        if isinstance(question, envelope.Join):
            self.rooms.setdefault(question.room, -now_us)

    def ask_silently(self, join: envelope.Join, now_us: int = 0) -> None:
        """Open a JOIN of which the client is told nothing."""
        self._ask(join, quiet=True)
        self.rooms.setdefault(join.room, -now_us)

    def is_in(self, room: str) -> bool:
        """Say whether a JOIN of a room was answered."""
        return self.rooms.get(room, 0) > 0

    def since(self, room: str) -> int:
        """Return since when the connection is in a room, or was on its way there; 0 where it is not held."""
        return abs(self.rooms.get(room, 0))

    def came(self, room: str, came_us: int) -> None:
        """The connection is in a room since this moment (0: that was not said), where that is still held."""
        if room in self.rooms:
            self.rooms[room] = came_us or self.since(room) or 1

    def again(self, room: str, conn: str, user: str, since: Position) -> envelope.Join | None:
        """Return the JOIN that asks for what a member lacks since it stands at ``since``; None where the room
        was left, or its JOIN is not answered yet (it is asked again anyway). An earlier one is replaced.
        """
        if not self.is_in(room):
            return None
        for key in [key for key, (_, quiet) in (self._open or {}).items() if quiet and key[0] == room]:
            self._close(key)
        join = envelope.Join(room, conn, user, self.ref(), since)
        self._ask(join, quiet=True)
        return join

    def answered(self, room: str, ref: str) -> tuple[Question | None, bool]:
        """Close a question that is answered; return what was asked (None: nothing is open under this ref) and
        whether we asked by ourselves.
        """
        question, quiet = self._close((room, ref))
        if isinstance(question, envelope.Join):
            self.came(room, 0)
        return question, quiet

    def refused(self, ref: str) -> tuple[Question | None, bool]:
        """Close a question that is refused; a room that only this JOIN asked for is not
        held any more.
        """
        key = next((key for key in self._open or () if key[1] == ref), None)
        if key is None:
            return None, False
        question, quiet = self._close(key)
        room = key[0]
        is_join = isinstance(question, envelope.Join)
        if (
            is_join
            and not self.is_in(room)
            and not any(open_room == room for open_room, _ in self._open or ())
        ):
            self.rooms.pop(room, None)
        return question, quiet

    def leave(self, room: str) -> bool:
        """Forget a room and what was asked of it; False where it was not held."""
        if room not in self.rooms:
            return False
        del self.rooms[room]
        self.forget(room)
        return True

    def forget(self, room: str) -> None:
        """Forget what was asked of a room, which stays held."""
        for key in [key for key in self._open or () if key[0] == room]:
            self._close(key)

    def refs(self, room: str) -> list[str]:
        """Return the refs of what the client has asked of a room and has no answer to."""
        return [
            ref
            for (open_room, ref), (_, quiet) in (self._open or {}).items()
            if open_room == room and not quiet
        ]

    def open(self, room: str, ref: str) -> tuple[Question | None, bool]:
        """Return what is open under this ref (None: nothing), and whether we asked by ourselves."""
        return (self._open or {}).get((room, ref), (None, False))

    def joins(self, rooms: Collection[str]) -> Iterator[envelope.Join]:
        """Yield the client's JOINs of these rooms that are open."""
        for (room, _), (question, quiet) in list((self._open or {}).items()):
            if isinstance(question, envelope.Join) and not quiet and room in rooms:
                yield question

    def clear(self) -> tuple[str, ...]:
        """Forget everything; return the rooms that were held."""
        rooms = tuple(self.rooms)
        self.rooms = {}
        self._open = None
        return rooms

    def _ask(self, question: Question, *, quiet: bool) -> None:
        if self._open is None:
            self._open = {}
        self._open[question.room, question.ref] = (question, quiet)

    def _close(self, key: tuple[str, str]) -> tuple[Question | None, bool]:
        """Take a question out; return it and whether we asked by ourselves."""
        if self._open is None:
            return None, False
        question, quiet = self._open.pop(key, (None, False))
        if not self._open:
            self._open = None
        return question, quiet
