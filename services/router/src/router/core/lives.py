"""Lives: each room's position, for as long as it is remembered.

A life is an epoch (unique: made of the owner's term and a counter) and a seq that only grows. A room without members keeps its
position; of those, only the latest are remembered, and one that comes back after that begins a new life. Pure; only ``core/shard.py``
calls it, and only here does a seq grow.
"""

from __future__ import annotations

from collections import OrderedDict

from warren.address import EVERYONE
from warren.position import Position


class Lives:
    """Positions of a shard's rooms under one term."""

    def __init__(self, term: int, remembered: int) -> None:
        """Keep the positions of at most ``remembered`` rooms without members."""
        self._term = term
        self._remembered = remembered
        self._positions: dict[str, Position] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()  # rooms without members, the latest used last
        self._born = 0

    def __len__(self) -> int:
        """Return how many rooms have a position."""
        return len(self._positions)

    def __contains__(self, room: str) -> bool:
        """Say whether this room has a position."""
        return room in self._positions

    def get(self, room: str) -> Position | None:
        """Return the room's position; None where it has none."""
        return self._positions.get(room)

    def at(self, room: str) -> Position:
        """Return the room's position; it begins a life where it has none, idle until ``wake``."""
        position = self._positions.get(room)
        if position is None:
            self._born += 1
            position = self._positions[room] = Position(f"{self._term:x}-{self._born:x}", 0)
            self.rest(room)
        return position

    def advance(self, room: str) -> Position:
        """Return the position of the room's next message, which is its position from now on."""
        before = self._positions.get(room) or self.at(room)
        position = self._positions[room] = Position(before.epoch, before.seq + 1)
        if room in self._idle:
            self._idle.move_to_end(room)
        return position

    def wake(self, room: str) -> None:
        """The room has members: it is never forgotten."""
        self._idle.pop(room, None)

    def rest(self, room: str) -> None:
        """The room has no members: it may be forgotten when too many others have been used since."""
        if room == EVERYONE or room not in self._positions:
            return  # everyone is always there
        self._idle[room] = None
        self._idle.move_to_end(room)
        if len(self._idle) > self._remembered:
            forgotten, _ = self._idle.popitem(last=False)
            del self._positions[forgotten]
