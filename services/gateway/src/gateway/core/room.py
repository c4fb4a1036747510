"""Room: a room's members on this gateway and how far each of them has got.

Nearly all members stand where the room stands; those who don't are ``apart`` and stand lower, at a position
of their own: they catch up. One rule gives every member its messages once and in order: message N is given to
whoever stands at N-1, and to nobody else. The chain of feeds brings a room's messages without a hole; where
one does not follow the last (behind a hole in the chain, or in a new epoch) the room goes on from there, and
its members are apart. Pure arithmetic; it puts nothing on an outbox.
"""

from __future__ import annotations

from gateway.core.frame_batch import Member
from warren.namespaces import Slow
from warren.position import Position


class Room:
    """One room. A member that is apart at None has been told nothing yet, and is given nothing."""

    __slots__ = ("apart", "epoch", "members", "name", "seq", "slow")

    def __init__(self, name: str, slow: Slow, members: dict[str, Member], position: Position) -> None:
        """Begin at ``position``; an epoch "" means that nobody has said yet where the room is."""
        self.name = name
        self.slow = slow
        self.members = members
        self.epoch = position.epoch
        self.seq = position.seq
        self.apart: dict[str, Position | None] = {}

    @property
    def position(self) -> Position:
        """Where the room stands."""
        return Position(self.epoch, self.seq)

    def standing(self, conn: str) -> Position | None:
        """Return where a member stands; None where it has been told nothing yet."""
        return self.apart.get(conn, self.position)

    def stand(self, conn: str, position: Position) -> None:
        """Put a member where it stands now; who stands where the room stands is apart no more."""
        if position.epoch == self.epoch and position.seq >= self.seq:
            self.apart.pop(conn, None)
        else:
            self.apart[conn] = position

    def go_on(self, position: Position) -> None:
        """Go on from another position than the next: the members stay where they are."""
        had = self.position
        for conn in self.members:
            self.apart.setdefault(conn, had)
        self.epoch = position.epoch
        self.seq = position.seq
