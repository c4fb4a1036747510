"""Hub: who is connected to this gateway, in which rooms, how far each has got, and the hot path of delivery.

Both directions are kept (room ▶ members, member ▶ rooms) and empty entries go. It takes what the chain of
feeds brings and puts it on members' outboxes: each run of messages of one room is one chunk of bytes, built
once for each variant and shared by all members. It never writes to a socket, never asks for what it misses
(it reports gaps) and knows no session.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.core.fanout import Fanout
from gateway.core.frame_batch import Delivered, FrameBatch, Gap, Member
from gateway.core.recent_messages import RecentMessages
from gateway.core.room import Room
from gateway.core.websocket.frames import FrameSet
from warren.address import EVERYONE
from warren.envelope import Counts, CountsQuery, Deliver
from warren.namespaces import Namespaces, Slow
from warren.position import Position

__all__ = ["Delivered", "Gap", "Hub", "Member"]

NOWHERE = Position("", 0)


_NO_NAMESPACES = Namespaces()


class Hub:
    """The connections of one gateway."""

    def __init__(self, namespaces: Namespaces = _NO_NAMESPACES, recent: RecentMessages | None = None) -> None:
        """``namespaces`` have each room's policy for members that read too slowly; the rooms' messages are
        kept in ``recent``.
        """
        self._namespaces = namespaces
        self._recent = recent
        self._members: dict[str, Member] = {}
        self._rooms: dict[str, Room] = {}
        self.spelled = 0  # bytes of frames that were made so far
        # Nobody joins it: who is connected is in it, from where it stands at that moment.
        self._everyone = Room(EVERYONE, self._slow(EVERYONE), self._members, NOWHERE)

    # ── who is here ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._members)

    @property
    def rooms(self) -> int:
        """How many rooms have members here."""
        return len(self._rooms)

    def add(self, member: Member) -> None:
        """Add a connection; it is in no room yet."""
        self._members[member.id] = member

    def remove(self, conn: str) -> tuple[str, ...]:
        """Forget a connection; return the rooms it was in."""
        member = self._members.pop(conn, None)
        if member is None:
            return ()
        self._everyone.apart.pop(conn, None)
        rooms = tuple(member.rooms)
        for room in rooms:
            self._drop(room, member)
        return rooms

    def find(self, conn: str) -> Member | None:
        """Return a connection by its id."""
        return self._members.get(conn)

    def of_user(self, user: str) -> list[Member]:
        """Return a user's connections. It looks at all."""
        return [member for member in self._members.values() if member.user == user]

    def is_here(self, conn: str) -> bool:
        """Say whether a connection is here."""
        return conn in self._members

    def enter(self, room: str, conn: str, position: Position) -> Gap | None:
        """Make a connection a member of a room that stands at ``position`` now.

        ``stand`` says where the member stands; before that it is given nothing. Unknown connections are
        ignored; who is a member stays where it stands. Where the room did not stand there it goes on from
        there: its members lack what lies between (the gap).
        """
        member = self._members.get(conn)
        if member is None:
            return None
        gap: Gap | None = None
        entry = self._rooms.get(room)
        if entry is None:
            entry = self._rooms[room] = Room(room, self._slow(room), {}, position)
        elif entry.epoch != position.epoch or entry.seq < position.seq:
            gap = Gap(room, entry.position, position)
            entry.go_on(position)
        if self._recent is not None:
            self._recent.begin(room, entry.position)
        if conn not in entry.members:
            entry.members[conn] = member
            entry.apart[conn] = None
            member.rooms[room] = None
        return gap

    def stand(self, room: str, conn: str, position: Position) -> None:
        """Put a member of a room where it stands: it is given what comes after that, by ``give`` until it
        stands where the room stands.
        """
        entry = self._room(room)
        if entry is not None and conn in entry.members:
            entry.stand(conn, position)

    def join(self, room: str, conn: str, position: Position) -> Gap | None:
        """Make a connection a member that stands where its room stands."""
        gap = self.enter(room, conn, position)
        self.stand(room, conn, position)
        return gap

    def everyone_at(self, position: Position) -> Gap | None:
        """Have everyone's room stand where it stands at this place of the chain; return the gap, where what
        lies between has not come here.
        """
        entry = self._everyone
        had = entry.position
        if had.epoch == position.epoch and had.seq >= position.seq:
            return None
        if self._recent is not None:
            self._recent.begin(EVERYONE, position)
        if not had.epoch or not self._members:  # nobody lacks anything
            entry.epoch, entry.seq = position.epoch, position.seq
            return None
        entry.go_on(position)
        return Gap(EVERYONE, had, position)

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

    # ── how far they have got ───────────────────────────────────────────────────────────────────────────────

    def position(self, room: str) -> Position | None:
        """Return how far a room with members here has got."""
        entry = self._room(room)
        return entry.position if entry is not None and entry.epoch else None

    def standing(self, room: str, conn: str) -> Position | None:
        """Return how far one member of a room has got; None where it has been told nothing yet."""
        entry = self._room(room)
        return None if entry is None or conn not in entry.members else entry.standing(conn)

    def apart(self, room: str) -> list[tuple[str, Position | None]]:
        """Return the members of a room who stand lower than the room, and where (None: has been told nothing
        yet).
        """
        entry = self._room(room)
        return [] if entry is None else list(entry.apart.items())

    # ── delivery ────────────────────────────────────────────────────────────────────────────────────────────

    def deliver(self, messages: Sequence[Deliver], now_ms: int) -> Delivered:
        """Put messages, in the order of their chain, on the outboxes of those they are for. ``now_ms`` is the
        wall clock, for messages that expire.

        A sender gets no copy of its own message unless the message says so; a member gets each message of a
        room once and in order, and nothing that is numbered while it stands lower than its room.
        """
        result = Delivered([0] * len(messages))
        fanout = Fanout(now_ms, result, self._recent)
        at, end = 0, len(messages)
        while at < end:
            room = messages[at].room
            begin = at
            at += 1
            while at < end and messages[at].room == room:
                at += 1
            entry = self._entry(room)
            if entry is not None:
                fanout.run(entry, messages, begin, at)
        return self._done(result)

    def give(
        self, room: str, conns: Iterable[str], messages: Sequence[Deliver], own_upto: int, now_ms: int
    ) -> Delivered:
        """Put consecutive messages of a room on the outboxes of members who stand just before them.

        A sender gets no copy of its own ones above the seq ``own_upto``.
        """
        result = Delivered([0] * len(messages))
        entry = self._room(room)
        if entry is not None and messages:
            Fanout(now_ms, result, self._recent).give(entry, conns, messages, own_upto)
        return self._done(result)

    def tell(self, conns: Iterable[str], message: Deliver) -> Delivered:
        """Put a message that is not numbered on the outboxes of these connections, whatever rooms they are
        in; ``missed`` of what comes back are those who have no place for it.
        """
        members = [member for conn in conns if (member := self._members.get(conn)) is not None]
        result = Delivered([0])
        result.missed = []
        FrameBatch([FrameSet(message)]).put(members, result)
        result.recipients[0] = len(members) - len(result.missed)
        return self._done(result)

    def counts(self, asked: CountsQuery, gateway: str) -> Counts:
        """Answer a router for how many connections of this ``gateway`` a message was what."""
        place = (gateway, asked.shard, asked.room, asked.epoch, asked.seq)
        stands = self.position(asked.room)
        upto = stands.seq if stands is not None and stands.epoch == asked.epoch else -1
        recent = self._recent
        known = None if recent is None else recent.counts(asked.room, asked.epoch, asked.seq)
        if known is None:
            return Counts(*place, upto)
        return Counts(*place, upto, True, known.written, known.withheld, known.expired, known.whole)

    def tidy(self, now_us: int, rooms: int) -> None:
        """Let go of messages that are too old, in the next so many rooms."""
        if self._recent is not None:
            self._recent.tidy(now_us, rooms)

    def _done(self, result: Delivered) -> Delivered:
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
            if self._recent is not None:
                self._recent.forget(room)

    def _slow(self, room: str) -> Slow:
        return self._namespaces.policy(room).slow

    def _room(self, room: str) -> Room | None:
        return self._everyone if room == EVERYONE else self._rooms.get(room)

    def _entry(self, room: str) -> Room | None:
        if "~" in room:
            member = self._members.get(room)
            if member is None:
                return None
            # No entry is kept for a connection's own address: nothing on it is numbered.
            return Room(room, "disconnect", {room: member}, NOWHERE)
        return self._room(room)
