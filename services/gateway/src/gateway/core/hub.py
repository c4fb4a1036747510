"""Hub: who is connected to this gateway, in which rooms, how far each has got, and the hot path of delivery.

Both directions are kept (room ▶ members, member ▶ rooms) and empty entries go. It takes what routers send and puts it on members'
outboxes: each run of messages of one room is one chunk of bytes, built once for each variant and shared by all members. It never
writes to a socket, never asks for what it misses (it says what is ``late``) and knows no session. The downlink delivers through it,
connections add and remove themselves, the announcer reads snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.core.room import Room
from gateway.core.runs import Delivered, Gap, Member
from gateway.core.spreading import Spreading
from warren.address import EVERYONE, shard_of
from warren.envelope import Deliver, Members
from warren.namespaces import Slow
from warren.position import Position

__all__ = ["Delivered", "Gap", "Hub", "Late", "Member"]

NOWHERE = Position("", 0)


def _disconnect(room: str) -> Slow:
    return "disconnect"


@dataclass(frozen=True, slots=True)
class Late:
    """A room in which something is missing: for those who stand at ``position`` (None: for nobody), and for single members."""

    room: str
    position: Position | None
    members: tuple[tuple[str, Position], ...] = ()


class Hub:
    """The connections of one gateway."""

    def __init__(self, shards: int, slow: Callable[[str], Slow] = _disconnect) -> None:
        """``shards`` is the installation's number of shards; ``slow`` gives a room's policy for members that read too slowly."""
        self._shards = shards
        self._slow = slow
        self._members: dict[str, Member] = {}
        self._rooms: dict[str, Room] = {}
        self._terms: dict[int, int] = {}
        self._late: dict[str, None] = {}  # rooms that may be late
        self.spelled = 0  # bytes of frames that were made so far
        # Nobody joins it: who is connected is in it, from where it stands at that moment.
        self._everyone = Room(EVERYONE, shard_of(EVERYONE, shards), slow(EVERYONE), self._members, NOWHERE)

    # ── who is here ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._members)

    @property
    def rooms(self) -> int:
        """How many rooms have members here."""
        return len(self._rooms)

    def add(self, member: Member) -> None:
        """Take in a connection; it is in no room yet."""
        self._members[member.id] = member

    def remove(self, conn: str) -> tuple[str, ...]:
        """Forget a connection; return the rooms it was in."""
        member = self._members.pop(conn, None)
        if member is None:
            return ()
        rooms = tuple(member.rooms)
        for room in rooms:
            self._drop(room, member)
        return rooms

    def find(self, conn: str) -> Member | None:
        """Return a connection by its id."""
        return self._members.get(conn)

    def join(self, room: str, conn: str, position: Position, missed: int = 0) -> tuple[str, ...]:
        """Make a connection a member that stands at ``position``: it gets only what comes after that, and ``missed`` messages of it soon.

        Unknown connections are ignored. Joining again moves the member. Where the position is of another life of the room's log than
        the one that its members here know, the room begins anew; returned are those others, who have to be told.
        """
        member = self._members.get(conn)
        if member is None:
            return ()
        entry = self._rooms.get(room)
        if entry is None:
            entry = self._rooms[room] = Room(room, shard_of(room, self._shards), self._slow(room), {}, position)
        told: tuple[str, ...] = ()
        entry.members[conn] = member
        member.rooms[room] = None
        end = position.seq + missed
        if entry.epoch != position.epoch:
            told = tuple(other for other in entry.restart(Position(position.epoch, end)) if other != conn)
        entry.stand(conn, position.seq)
        entry.known = max(entry.known, end)
        if entry.apart or entry.behind:
            self._late[room] = None
        return told

    def leave(self, room: str, conn: str) -> bool:
        """Take a connection out of a room; False where it was not in it."""
        member = self._members.get(conn)
        if member is None or room not in member.rooms:
            return False
        self._drop(room, member)
        return True

    def rooms_of(self, conn: str) -> tuple[str, ...]:
        """Return the rooms that a connection is in."""
        member = self._members.get(conn)
        return () if member is None else tuple(member.rooms)

    def members(self, room: str) -> tuple[str, ...]:
        """Return the ids of a room's members here."""
        entry = self._room(room)
        return () if entry is None else tuple(entry.members)

    # ── how far they have got ────────────────────────────────────────────────────────────────────────────────────────────

    def position(self, room: str) -> Position | None:
        """Return how far a room with members here has got."""
        entry = self._room(room)
        return None if entry is None or not entry.epoch else entry.position

    def standing(self, room: str, conn: str) -> Position | None:
        """Return how far one member of a room has got."""
        entry = self._room(room)
        return None if entry is None or conn not in entry.members else Position(entry.epoch, entry.standing(conn))

    def snapshot(self, shard: int) -> Iterator[Members]:
        """Yield the members and the position of each room on a shard; use it up before the hub changes again. Everyone's room
        has no members there, and is in it always.
        """
        if shard == self._everyone.shard:
            yield Members(EVERYONE, (), self.position(EVERYONE))
        for entry in self._rooms.values():
            if entry.shard == shard:
                yield Members(entry.name, tuple((one.id, one.user) for one in entry.members.values()), entry.position)

    def late(self) -> Iterator[Late]:
        """Yield the rooms in which something is missing; use it up before the hub changes again."""
        for name in list(self._late):
            entry = self._room(name)
            members = entry.lagging() if entry is not None else []
            behind = entry is not None and entry.behind and bool(entry.members)
            if entry is None or not (behind or members):
                del self._late[name]
                continue
            lagging = tuple((conn, Position(entry.epoch, entry.standing(conn))) for conn in members)
            yield Late(name, entry.position if behind else None, lagging)

    def resync(self, room: str, position: Position) -> tuple[str, ...]:
        """Put a room and all its members here to ``position``; return the members for whom something may lie before it that they will
        not get: they have to be told.
        """
        entry = self._room(room)
        if entry is None:
            return ()
        fresh = not entry.epoch  # nobody had got anywhere yet
        moved = entry.restart(position)
        return () if fresh else moved

    # ── terms ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def fence(self, shard: int, term: int) -> bool:
        """Take nothing of an older term than ``term`` on this shard from now on; False where a newer one stands already."""
        if term < self._terms.get(shard, 0):
            return False
        self._terms[shard] = term
        return True

    def term(self, shard: int) -> int:
        """Return the newest term seen on a shard; 0: none."""
        return self._terms.get(shard, 0)

    def admits(self, address: str, term: int) -> bool:
        """Say whether what was sent under ``term`` for this address still counts. A newer term than the fence's becomes the fence."""
        return self.fence(shard_of(address, self._shards), term)

    # ── delivery ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def deliver(self, envelopes: Sequence[Deliver], now_ms: int) -> Delivered:
        """Put messages on the outboxes of those they are for. ``now_ms`` is the wall clock, for messages that expire.

        A sender gets no copy of its own message unless the message says so, or it is catching up; a member gets each message of a room
        once and in order; repeats and older terms are dropped, and so is what comes before something that is missing (a gap).
        """
        result = Delivered([0] * len(envelopes))
        spreading = Spreading(self._terms, self._late, now_ms, result)
        at, end = 0, len(envelopes)
        while at < end:
            room, to = envelopes[at].room, envelopes[at].to
            begin = at
            at += 1
            while at < end and envelopes[at].room == room and envelopes[at].to == to:
                at += 1
            entry = self._entry(room)
            if entry is None:
                continue
            if to:
                spreading.catch_up(entry, to, envelopes, begin, at)
            else:
                spreading.run(entry, envelopes, begin, at)
        self.spelled += result.spelled
        if result.too_slow:
            result.woken = [member for member in result.woken if not member.outbox.lost]
        return result

    def _drop(self, room: str, member: Member) -> None:
        member.rooms.pop(room, None)
        entry = self._rooms.get(room)
        if entry is None:
            return
        entry.members.pop(member.id, None)
        entry.apart.pop(member.id, None)
        if not entry.members:
            del self._rooms[room]

    def _room(self, room: str) -> Room | None:
        return self._everyone if room == EVERYONE else self._rooms.get(room)

    def _entry(self, room: str) -> Room | None:
        if "~" in room:
            member = self._members.get(room)
            if member is None:
                return None
            # No entry is kept for a connection's own address: nothing on it is numbered.
            return Room(room, shard_of(room, self._shards), "disconnect", {room: member}, NOWHERE)
        return self._room(room)
