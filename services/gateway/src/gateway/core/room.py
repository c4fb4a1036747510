"""Room: a room's members on this gateway and how far each of them has got.

Nearly all members stand where the room stands; those who don't are ``apart`` and have a seq of their own: who is catching up, and who
joined later than what the others still miss. One rule gives every member its messages once and in order: message N is given
to whoever stands at N-1, and to nobody else. What comes too early is not delivered; it comes again with what is missing. Pure
arithmetic; it puts nothing on an outbox. Hub owns the rooms.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from gateway.core.runs import Member
from warren.namespaces import Slow
from warren.position import Position


class Verdict(enum.Enum):
    """What a numbered message is to those who stand where the room stands."""

    NEXT = "next"
    REPEAT = "repeat"
    EARLY = "early"  # something before it is missing
    FOREIGN = "foreign"  # of a life of the room's log that we know nothing of


class Room:
    """One room. ``known`` is the highest seq that is known to exist: the room is behind while it stands below that."""

    __slots__ = ("apart", "epoch", "foreign", "known", "members", "name", "seq", "shard", "slow")

    def __init__(self, name: str, shard: int, slow: Slow, members: dict[str, Member], position: Position) -> None:
        """Begin at ``position``; an epoch "" means that nobody has said yet where the room is."""
        self.name = name
        self.shard = shard
        self.slow = slow
        self.members = members
        self.epoch = position.epoch
        self.seq = self.known = position.seq
        self.foreign = False  # a message of an unknown epoch has come
        self.apart: dict[str, int] = {}

    @property
    def position(self) -> Position:
        """Where the room stands."""
        return Position(self.epoch, self.seq)

    @property
    def behind(self) -> bool:
        """Whether something is missing for those who stand where the room stands."""
        return self.foreign or self.known > self.seq

    def standing(self, conn: str) -> int:
        """Return the seq of a member."""
        return self.apart.get(conn, self.seq)

    def lagging(self) -> list[str]:
        """Return the members who are behind the room: their catching up is not complete."""
        return [conn for conn, seq in self.apart.items() if seq < self.seq]

    def judge(self, epoch: str, seq: int) -> Verdict:
        """Judge a numbered message; where it is the next one the room moves on to it."""
        if epoch == self.epoch:
            if seq == self.seq + 1:
                self.seq = seq
                self.foreign = False
                if seq > self.known:
                    self.known = seq
                return Verdict.NEXT
            if seq <= self.seq:
                return Verdict.REPEAT
            if seq > self.known:
                self.known = seq
            return Verdict.EARLY
        self.foreign = True
        return Verdict.FOREIGN

    def stand(self, conn: str, seq: int) -> None:
        """Put a member where it stands now. The room goes with its only member, but never back."""
        self.known = max(self.known, seq)
        if seq > self.seq and len(self.members) == 1:
            self.seq = seq
        if seq == self.seq:
            self.apart.pop(conn, None)
        else:
            self.apart[conn] = seq

    def gather(self, standings: Iterable[tuple[str, int]]) -> None:
        """Take new standings of members who were apart; who stands where the room stands is apart no more."""
        for conn, seq in standings:
            if seq == self.seq:
                self.apart.pop(conn, None)
            else:
                self.apart[conn] = seq

    def restart(self, position: Position) -> tuple[str, ...]:
        """Put the room and all its members to ``position``; return those who did not stand there, and so may lack something."""
        same = position.epoch == self.epoch
        moved = tuple(conn for conn in self.members if not same or self.standing(conn) != position.seq)
        self.epoch = position.epoch
        self.seq = self.known = position.seq
        self.foreign = False
        self.apart = {}
        return moved
