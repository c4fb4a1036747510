"""Hub: who is connected to this gateway, in which rooms, how far each room has got, and the hot path of delivery.

Both directions are kept (room ▶ members, member ▶ rooms) and empty entries go. It takes what routers send and puts it on members'
outboxes: each run of messages of one room is one chunk of bytes, built once for each variant and shared by all members. It never
writes to a socket, never asks for what it missed (it reports gaps) and knows no session. The downlink delivers through it, connections add
and remove themselves, the announcer reads snapshots.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.core.frames import FrameSet
from gateway.core.runs import Delivered, Gap, Member, Run, is_for
from warren.address import EVERYONE, shard_of
from warren.envelope import Deliver, Members
from warren.position import Position

__all__ = ["Delivered", "Gap", "Hub", "Member"]


class _Room:
    """A room's members here and its position. ``ahead`` holds those who joined later than the position that the room has reached."""

    __slots__ = ("ahead", "epoch", "members", "name", "seq", "shard")

    def __init__(self, name: str, shard: int, members: dict[str, Member]) -> None:
        self.name = name
        self.shard = shard
        self.members = members
        self.epoch = ""
        self.seq = 0
        self.ahead: dict[str, int] = {}


class Hub:
    """The connections of one gateway."""

    def __init__(self, shards: int) -> None:
        """``shards`` is the installation's number of shards."""
        self._shards = shards
        self._members: dict[str, Member] = {}
        self._rooms: dict[str, _Room] = {}
        self._terms: dict[int, int] = {}
        self._everyone = _Room(EVERYONE, shard_of(EVERYONE, shards), self._members)

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

    def join(self, room: str, conn: str, position: Position) -> Gap | None:
        """Make a connection a member from ``position`` on: it gets only what comes after that. Unknown connections are ignored.

        Joining again moves the member's own start. Returns a gap where the others here have missed what lies before ``position``.
        """
        member = self._members.get(conn)
        if member is None:
            return None
        entry = self._rooms.get(room)
        if entry is None:
            entry = self._rooms[room] = _Room(room, shard_of(room, self._shards), {})
            entry.epoch, entry.seq = position.epoch, position.seq
        others = len(entry.members) > (conn in entry.members)
        entry.members[conn] = member
        member.rooms[room] = None
        entry.ahead.pop(conn, None)
        if entry.epoch != position.epoch:
            # The room's log began a new life. Every member is told so by a Joined of its own.
            entry.epoch, entry.seq, entry.ahead = position.epoch, position.seq, {}
        elif position.seq > entry.seq:
            if others:
                entry.ahead[conn] = position.seq
                return Gap(room, Position(entry.epoch, entry.seq), position)
            entry.seq = position.seq
        return None

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
        entry = self._rooms.get(room)
        return () if entry is None else tuple(entry.members)

    def position(self, room: str) -> Position | None:
        """Return how far a room with members here has got."""
        entry = self._rooms.get(room)
        return None if entry is None else Position(entry.epoch, entry.seq)

    def snapshot(self, shard: int) -> Iterator[Members]:
        """Yield the members and the position of each room on a shard; use it up before the hub changes again."""
        for entry in self._rooms.values():
            if entry.shard == shard:
                members = tuple((member.id, member.user) for member in entry.members.values())
                yield Members(entry.name, members, Position(entry.epoch, entry.seq))

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

    def deliver(self, envelopes: Sequence[Deliver], now_ms: int) -> Delivered:
        """Put messages on the outboxes of those they are for. ``now_ms`` is the wall clock, for messages that expire.

        A sender gets no copy of its own message unless the message says so; a member gets nothing from before its start; repeats and
        older terms are dropped; a jump in seq is reported, and what came is delivered.
        """
        result = Delivered([0] * len(envelopes))
        at, end = 0, len(envelopes)
        while at < end:
            room, epoch = envelopes[at].room, envelopes[at].epoch
            begin = at
            at += 1
            # A run is of one room and one life of its log; what is not numbered (epoch "") goes with either.
            while at < end and envelopes[at].room == room:
                of = envelopes[at].epoch
                if of and of != epoch:
                    if epoch:
                        break
                    epoch = of
                at += 1
            entry = self._entry(room)
            if entry is not None:
                self._run(entry, envelopes, begin, at, now_ms, result)
        if result.too_slow:
            result.woken = [member for member in result.woken if not member.outbox.lost]
        return result

    def _drop(self, room: str, member: Member) -> None:
        member.rooms.pop(room, None)
        entry = self._rooms.get(room)
        if entry is None:
            return
        entry.members.pop(member.id, None)
        entry.ahead.pop(member.id, None)
        if not entry.members:
            del self._rooms[room]

    def _entry(self, room: str) -> _Room | None:
        if room == EVERYONE:
            return self._everyone
        if "~" in room:
            member = self._members.get(room)
            # No entry is kept for a connection's own address: nothing on it is numbered.
            return None if member is None else _Room(room, shard_of(room, self._shards), {room: member})
        return self._rooms.get(room)

    def _run(
        self, room: _Room, envelopes: Sequence[Deliver], begin: int, end: int, now_ms: int, result: Delivered
    ) -> None:
        """Deliver consecutive messages of one room."""
        members = room.members
        framesets: list[FrameSet] = []
        places: list[int] = []
        apart: dict[str, Member] = {}  # members who don't get the whole run
        for index in range(begin, end):
            message = envelopes[index]
            if not self._accept(room, message, result):
                continue
            if message.expires_ms and message.expires_ms < now_ms:
                result.expired += 1
                continue
            framesets.append(FrameSet(message))
            places.append(index)
            if message.conn and not message.include_sender and message.conn in members:
                apart[message.conn] = members[message.conn]
        if not framesets:
            return
        for conn in room.ahead:
            apart[conn] = members[conn]
        everyone = members.values()
        Run(framesets).put([member for member in everyone if member.id not in apart] if apart else everyone, result)
        for index in places:
            result.recipients[index] = len(members) - len(apart)
        for conn, member in apart.items():
            start = room.ahead.get(conn, 0)
            own = [k for k, frameset in enumerate(framesets) if is_for(frameset.deliver, conn, start)]
            if own:
                Run([framesets[k] for k in own]).put((member,), result)
                for k in own:
                    result.recipients[places[k]] += 1
        if room.ahead:
            room.ahead = {conn: start for conn, start in room.ahead.items() if start > room.seq}

    def _accept(self, room: _Room, message: Deliver, result: Delivered) -> bool:
        """Say whether a message is of our time and new, and move the room's position on."""
        term, fence = message.term, self._terms.get(room.shard, 0)
        if term != fence:
            if term < fence:
                result.fenced += 1
                return False
            self._terms[room.shard] = term
        seq = message.seq
        if not seq:
            return True
        if message.epoch == room.epoch:
            if seq <= room.seq:
                result.repeats += 1
                return False
            if seq != room.seq + 1:
                result.gaps.append(Gap(room.name, Position(room.epoch, room.seq), Position(room.epoch, seq)))
        else:
            # Nobody joins "*", so nobody is told of its new life; a room's members should have been, by Joined.
            if room is not self._everyone:
                result.gaps.append(Gap(room.name, Position(room.epoch, room.seq), Position(message.epoch, seq)))
            room.epoch, room.ahead = message.epoch, {}
        room.seq = seq
        return True
