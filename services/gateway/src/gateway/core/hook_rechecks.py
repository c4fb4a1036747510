"""HookRechecks: what one connection was allowed by an earlier word of a backend (a grant, or an answer that
is kept), and what of that is to be asked about anew, since it was revoked and this gateway had not heard of
it.

Bounded by the rooms that the connection holds; a few are being asked about at a time. It asks nobody and
decides nothing: what it does not know needs no second look.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from gateway.core.grants import is_void

# Stands for a room where it is about whether the connection may be there at all.
CONNECT: Final = ""
# What is asked about at a time.
OPEN_MAX: Final = 8
# Entries of rooms that were left stay until there are more of them than of others, by so many.
_SLACK: Final = 16


class HookRechecks:
    """One connection's. A question is known by a ticket, and by its room."""

    __slots__ = ("_given", "_open", "_waiting")

    def __init__(self) -> None:
        """Begin with nothing."""
        self._given: dict[str, int] = {}  # room ▶ when a backend said that it may join it, s
        self._waiting: dict[str, None] = {}
        self._open: dict[int, str] = {}

    def __len__(self) -> int:
        """Return how many rooms are remembered."""
        return len(self._given) + len(self._waiting) + len(self._open)

    def allowed(self, room: str, given_s: int, held: Collection[str]) -> None:
        """A room was joined by what a backend said at ``given_s``; ``held`` are the rooms that the connection
        is in.
        """
        self.settled(room)
        self._given[room] = given_s
        if len(self._given) > 2 * len(held) + _SLACK:
            self._given = {
                each: at_s for each, at_s in self._given.items() if each in held or each in (room, CONNECT)
            }

    def settled(self, room: str) -> None:
        """A backend itself has just decided about a room: nothing earlier counts."""
        self._given.pop(room, None)
        self._waiting.pop(room, None)
        self._open = {ticket: each for ticket, each in self._open.items() if each != room}

    def void(self, void_s: int) -> None:
        """What was granted before that counts no more."""
        for room in [room for room, given_s in self._given.items() if is_void(given_s, void_s)]:
            del self._given[room]
            self._waiting[room] = None

    def doubt(self, room: str) -> None:
        """A room was joined by what does not count any more, whenever that was."""
        self._waiting[room] = None

    def next(self, held: Collection[str]) -> str | None:
        """Return a room that is to be asked about now: ``ask`` follows. None: there is none, or enough are
        being asked about.
        """
        while self._waiting and len(self._open) < OPEN_MAX:
            room = next(iter(self._waiting))
            del self._waiting[room]
            if room in held or room == CONNECT:
                return room
        return None

    def ask(self, ticket: int, room: str) -> None:
        """A room is being asked about under a new ticket."""
        self._open[ticket] = room

    def decided(self, ticket: int) -> str | None:
        """Return the room whose question is answered; None: it is none of these (any more)."""
        return self._open.pop(ticket, None)
