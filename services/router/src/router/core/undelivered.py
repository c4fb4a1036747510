"""Undelivered: which messages were for nobody: of each room the latest that came one behind the other.

They are in no gateway's feed, so nothing else tells them from those that nobody knows of any more. Bounded:
beyond ``rooms`` the one that was said in longest ago is forgotten. It keeps no message. Pure.

By example: nobody is in chat:a when 7, 8 and 9 are said there, and ann is when 10 is. Kept is: 7 to 9.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from warren.envelope import Deliver

ROOMS: Final = 1_024


class Undelivered:
    """One shard's, of one life of its log."""

    def __init__(self, rooms: int = ROOMS) -> None:
        """Nothing was for nobody yet; at most so many rooms are known."""
        self._most = rooms
        self._rooms: OrderedDict[str, tuple[str, int, int]] = OrderedDict()  # epoch, first seq, last seq

    def __len__(self) -> int:
        """Return of how many rooms something is known."""
        return len(self._rooms)

    def __contains__(self, place: tuple[str, str, int]) -> bool:
        """Say whether the message at this room, epoch and seq is known to have been for nobody."""
        room, epoch, seq = place
        known, first, last = self._rooms.get(room, ("", 0, -1))
        return known == epoch and first <= seq <= last

    def put(self, message: Deliver) -> None:
        """A numbered message was for nobody."""
        rooms, room, seq = self._rooms, message.room, message.seq
        epoch, first, last = rooms.get(room, ("", 0, -1))
        follows = epoch == message.epoch and last + 1 == seq
        rooms[room] = (message.epoch, first if follows else seq, seq)
        rooms.move_to_end(room)
        if len(rooms) > self._most:
            rooms.popitem(last=False)

    def clear(self) -> None:
        """Forget all: the log is another one."""
        self._rooms.clear()
