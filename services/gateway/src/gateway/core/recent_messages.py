"""Recent messages: the last numbered messages of each room that has members here, for those who come back and for HISTORY.

A room's are without a hole, in one epoch, and end where the hub's room stands: the hub puts them as the chain of feeds brings them. What
can't be told from here (a hole, another epoch, what is older than what is kept, or what the room's policy does not keep) is None: the
router has to be asked. Bytes are bounded for each room and over all, where the largest lose their oldest first. Pure: the time is an
argument. ``core/hub.py`` fills it, ``core/room_catch_up.py`` and HISTORY ask it.
"""

from __future__ import annotations

from warren.envelope import Deliver
from warren.namespaces import Namespaces
from warren.position import Position


class RecentMessages:
    """The last messages of this gateway's rooms."""

    def __init__(self, namespaces: Namespaces, room_bytes: int, all_bytes: int) -> None:
        """Keep at most ``room_bytes`` of each room and ``all_bytes`` of all; nothing of rooms whose policy keeps no history."""
        self.bytes = 0
        self.evicted = 0  # messages that went for their bytes, since the beginning

    def __len__(self) -> int:
        """Return how many rooms there is something of."""
        raise NotImplementedError

    def begin(self, room: str, position: Position) -> None:
        """From here on what comes is contiguous: the room stands at ``position``. What is kept stays where it ends just there."""
        raise NotImplementedError

    def put(self, message: Deliver) -> None:
        """Keep a room's next message; of a room that has not begun nothing is kept."""
        raise NotImplementedError

    def forget(self, room: str) -> None:
        """Forget a room: it has no members here any more."""
        raise NotImplementedError

    def since(self, room: str, position: Position, upto: Position, now_us: int) -> list[Deliver] | None:
        """Return the messages after ``position`` up to ``upto`` for who comes back: only what the policy keeps. None: can't be told from here."""
        raise NotImplementedError

    def between(self, room: str, after: Position, upto: int) -> list[Deliver] | None:
        """Return the messages after ``after`` up to the seq ``upto`` for who has been a member since, whatever the policy says."""
        raise NotImplementedError

    def page(self, room: str, before: int, limit: int, now_us: int) -> tuple[list[Deliver], bool] | None:
        """Return what the router's History would: the last ``limit`` messages before the seq ``before`` (0: before now), at most 256 KiB,
        and whether there are older ones. None: can't be told from here.
        """
        raise NotImplementedError
