"""Membership: the rooms that one connection is in or has asked for, and what it has asked the routers and has no answer to yet.

Each question has a ref, a client's own or an internal one, by which its answer is known: so it can be asked again as often as need be
(a new owner of a shard may never have heard of it) and is still answered once. Bounded. It decides nothing about rights and makes
no messages. Session owns one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from warren import envelope
from warren.position import Position

# Questions that a client may have open beyond one for each room.
OPEN_MAX: Final = 16

Question = envelope.Join | envelope.HistoryQuery


class Membership:
    """One connection's rooms. ``rooms`` are those that a router may hold it in: joined, or asked for."""

    __slots__ = ("_joined", "_number", "_questions", "_quiet", "rooms")

    def __init__(self) -> None:
        """Begin in no room."""
        self.rooms: dict[str, None] = {}
        self._joined: set[str] = set()  # those in which a JOIN was answered
        self._questions: dict[tuple[str, str], Question] = {}  # (room, ref)
        self._quiet: set[tuple[str, str]] = set()  # asked by ourselves: only bad news is the client's business
        self._number = 0

    def is_full(self, rooms_max: int) -> bool:
        """Say whether too much is open for one more question."""
        return len(self._questions) >= rooms_max + OPEN_MAX

    def ref(self) -> str:
        """Return a new ref for a question that the client gave none."""
        self._number += 1
        return f"{envelope.INTERNAL_ID}{self._number:x}"

    def ask(self, question: Question) -> None:
        """Take note of a question; a JOIN takes up its room at once."""
        self._questions[question.room, question.ref] = question
        if isinstance(question, envelope.Join):
            self.rooms[question.room] = None

    def again(self, room: str, conn: str, user: str, since: Position) -> envelope.Join | None:
        """Return the JOIN that asks for what a member lacks since it stands at ``since``; None where the room was left, or its JOIN
        is not answered yet (it is asked again anyway). An earlier one is replaced.
        """
        if room not in self._joined:
            return None
        for key in [key for key in self._quiet if key[0] == room]:
            self._quiet.discard(key)
            self._questions.pop(key, None)
        join = envelope.Join(room, conn, user, self.ref(), since)
        self._questions[room, join.ref] = join
        self._quiet.add((room, join.ref))
        return join

    def answered(self, room: str, ref: str) -> tuple[Question | None, bool]:
        """Take an answer; return what was asked (None: nothing is open under this ref) and whether we asked by ourselves."""
        question = self._questions.pop((room, ref), None)
        quiet = (room, ref) in self._quiet
        self._quiet.discard((room, ref))
        if isinstance(question, envelope.Join):
            self._joined.add(room)
        return question, quiet

    def refused(self, ref: str) -> tuple[Question | None, bool]:
        """Take that what was asked under ``ref`` was refused; a room that only this JOIN asked for is not held any more."""
        key = next((key for key in self._questions if key[1] == ref), None)
        if key is None:
            return None, False
        question, quiet = self._questions.pop(key), key in self._quiet
        self._quiet.discard(key)
        room = key[0]
        is_join = isinstance(question, envelope.Join)
        if is_join and room not in self._joined and not any(open_room == room for open_room, _ in self._questions):
            self.rooms.pop(room, None)
        return question, quiet

    def leave(self, room: str) -> bool:
        """Forget a room and what was asked of it; False where it was not held."""
        if room not in self.rooms:
            return False
        del self.rooms[room]
        self._joined.discard(room)
        for key in [key for key in self._questions if key[0] == room]:
            del self._questions[key]
            self._quiet.discard(key)
        return True

    def questions(self, concerns: Callable[[str], bool]) -> Iterator[Question]:
        """Yield what is open for the rooms that ``concerns`` picks."""
        for (room, _), question in list(self._questions.items()):
            if concerns(room):
                yield question

    def clear(self) -> tuple[str, ...]:
        """Forget everything; return the rooms that were held."""
        rooms = tuple(self.rooms)
        self.rooms.clear()
        self._joined.clear()
        self._questions.clear()
        self._quiet.clear()
        return rooms
