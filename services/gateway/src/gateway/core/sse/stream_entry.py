"""StreamEntry: how a client comes in by an event stream: what its address names, and where it says that it
stands.

A stream has no way up of its own, so what a client of a WebSocket says first is said by its address: the
rooms that it joins, each with the position that it shows, as if it had sent a JOIN for each. It decides which
rooms these are; whether the client may join them the session does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.core.client_messages import NULL, ClientMessage
from gateway.core.sse.position_vector import NOTHING, VECTOR_BYTES, Shown, size_of
from warren.position import Position

# A JOIN's id, by which its answer names it, is the room as far as an id may be long.
REF_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One client's. ``rooms``: those of the address; ``post``: the secret by which it may say something."""

    rooms: tuple[str, ...] = ()
    shown: Shown = NOTHING
    post: str = ""

    @property
    def resumes(self) -> bool:
        """Whether it has been here before."""
        return bool(self.shown.since or self.shown.left)

    def unasked(self, rooms: Iterable[str]) -> tuple[str, ...]:
        """Return those of the rooms that everybody joins at connect which this client has not left."""
        return tuple(room for room in rooms if room not in self.shown.left)

    def joins(self, unasked: Sequence[str]) -> list[ClientMessage]:
        """Return the JOINs of the client; ``unasked`` are the rooms that everybody joins."""
        since = self.shown.since
        first = unasked if self.resumes else ()
        known = frozenset(() if self.resumes else unasked) | self.shown.left
        rooms = [room for room in dict.fromkeys((*first, *self.rooms, *since)) if room not in known]
        return [ClientMessage("JOIN", room, _since(since.get(room)), id=room[:REF_MAX]) for room in rooms]

    @staticmethod
    def has_place(rooms: Iterable[str], room: str) -> bool:
        """Say whether one more room fits into the ids of a connection that is in these."""
        return size_of((*rooms, room)) <= VECTOR_BYTES


# That of one who is in: nothing more is asked of it.
ENTERED: Final = StreamEntry(post="-")
# That of one who is in no room.
VISIT: Final = StreamEntry()


def within(rooms: Iterable[str], held: Iterable[str] = ()) -> list[str]:
    """Return the first of these rooms, as many as the ids of a stream that is in others have place for."""
    taken: list[str] = []
    left = VECTOR_BYTES - size_of(held)
    for room in rooms:
        left -= size_of((room,))
        if left < 0:
            break
        taken.append(room)
    return taken


def _since(position: Position | None) -> bytes:
    if position is None:
        return NULL
    return msgspec.json.encode({"since": {"epoch": position.epoch, "seq": position.seq}})
