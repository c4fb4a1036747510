"""PositionVector: how far one reader of an event stream has got in each of its rooms; the ``id`` of its
events.

An id is ``room~epoch~seq`` for each room that was joined, with commas between them, and ``room~`` for one
that was left though the address names it. It says where its reader stands behind that event, and whoever
shows it as ``Last-Event-ID`` goes on from there. It moves by what is written to the reader and by nothing
else, in that order: a JOINED, a message, a LEFT. It never reads a frame, and is as long as its rooms' names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.core.sse.events import BETWEEN, ID
from warren.address import is_room, is_user_room
from warren.position import Position

# What is read of a vector that a client shows: no less than one has that was made here, with all rooms that
# may stand in it as left.
SHOWN_MAX: Final = 12 * 1024
# What a room takes in a vector besides its name: its epoch, its seq, and what stands between.
PLACE_BYTES: Final = 40
# Of the rooms of a connection, so that the id fits into a header that each proxy on the way lets through.
VECTOR_BYTES: Final = 4 * 1024

_COMMA: Final = b","
_NEXT: Final = b"\n\n" + ID
_SEQ = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a vector says: where its reader stood in each room, and which rooms it had left."""

    since: Mapping[str, Position] = field(default_factory=dict)
    left: frozenset[str] = frozenset()

    def but(self, rooms: Iterable[str]) -> Shown:
        """Return the same where the client wants to be in these rooms again."""
        return Shown(self.since, self.left.difference(rooms))


NOTHING: Final = Shown()


def read(vector: str) -> Shown:
    """Return what a client shows. One that was not made here says nothing at all: a part of it could be
    wrong too.
    """
    if not vector or len(vector) > SHOWN_MAX or not vector.isascii():
        return NOTHING
    since: dict[str, Position] = {}
    left: set[str] = set()
    for entry in vector.split(","):
        room, between, place = entry.partition("~")
        if not between or not (is_room(room) or is_user_room(room)) or room in since or room in left:
            return NOTHING
        if not place:
            left.add(room)
            continue
        epoch, _, seq = place.partition("~")
        position = Position(epoch, int(seq)) if _SEQ.fullmatch(seq) else None
        if position is None or not position.is_valid():
            return NOTHING
        since[room] = position
    return Shown(since, frozenset(left))


def size_of(rooms: Iterable[str]) -> int:
    """Return about how many bytes a vector of these rooms has."""
    return sum(len(room) + PLACE_BYTES for room in rooms)


class PositionVector:
    """One connection's."""

    __slots__ = ("_kept", "_others", "_places", "_room")

    def __init__(self, shown: Shown = NOTHING, named: Iterable[str] = ()) -> None:
        """Begin where the client says that it stands. ``named``: rooms that it will be joined to again
        unless its id says that it has left them; a WELCOME adds those that everybody joins.
        """
        self._kept = frozenset(room.encode() for room in (*named, *shown.left))
        self._places = {room.encode(): _entry(room, position) for room, position in shown.since.items()}
        self._places |= {room.encode(): room.encode() + BETWEEN for room in shown.left}
        self._room: bytes | None = None  # whose messages came last
        self._others = ID  # the id without that room

    def __bytes__(self) -> bytes:
        """Return the id as it stands now."""
        return _COMMA.join(self._places.values())

    def address(self, chunk: bytes) -> bytes:
        """Return events with the ids that they have for this connection, and stand behind them. A chunk has
        those of one room, or one event.
        """
        if chunk.startswith(ID):
            at = len(ID)
        else:
            at = chunk.find(_NEXT)
            if at < 0:  # none of these moves anybody
                return chunk
            at += len(_NEXT)
        name, between, place = chunk[at : chunk.index(b"\n", at)].partition(BETWEEN)
        if not between:
            self._kept |= frozenset(name.split(_COMMA))
            return self._whole(chunk)
        if not place:
            return self._left(chunk, name)
        if name != self._room:
            self._turn_to(name)
        last = chunk.rfind(_NEXT)
        if last >= 0:
            at = last + len(_NEXT)
        self._places[name] = chunk[at : chunk.index(b"\n", at)]
        others = self._others
        if others == ID:
            return chunk
        addressed = chunk.replace(_NEXT, b"\n\n" + others)
        return others + addressed[len(ID) :] if chunk.startswith(ID) else addressed

    def _turn_to(self, name: bytes) -> None:
        others = [entry for room, entry in self._places.items() if room != name]
        self._room = name
        self._others = ID + _COMMA.join([*others, b""])

    def _left(self, event: bytes, name: bytes) -> bytes:
        """Address an event that says that a room was left."""
        if name in self._kept:
            self._places[name] = name + BETWEEN
        else:
            self._places.pop(name, None)
        self._room = None
        return self._whole(event)

    def _whole(self, event: bytes) -> bytes:
        """Address one event that moves its reader in no room."""
        return ID + bytes(self) + event[event.index(b"\n") :]


def _entry(room: str, position: Position) -> bytes:
    return b"~".join((room.encode(), position.epoch.encode(), b"%d" % position.seq))
