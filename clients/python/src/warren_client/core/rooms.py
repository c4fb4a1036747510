"""The rooms that the client is in or wants to be in: joins and leaves, what is new, and what is missing. Each
message goes into its room's inbox once and in order, or a Gap says that some are lost. It writes nothing: the
outbox does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from warren_client.core.clock import Clock, Timers
from warren_client.core.decode import Frame, payload_of
from warren_client.core.encode import control_text
from warren_client.core.entry import Entry
from warren_client.core.feed import Inbox
from warren_client.core.outbox import Outbox
from warren_client.core.outcome import Outcome
from warren_client.core.room_position import Joined, Lost, RoomPosition
from warren_client.core.roster import Roster
from warren_client.core.seen_reports import SeenReports
from warren_client.errors import LeftError, WarrenError
from warren_client.messages import Dropped, Gap, Message, Position
from warren_client.options import Options

_REMEMBERED = 256  # ids of own acknowledged messages, to recognise them when a room is replayed


@dataclass(slots=True, eq=False)
class RoomState:
    """One room. ``joined`` is settled by the first JOINED, or when the room can't be joined."""

    name: str
    inbox: Inbox
    position: RoomPosition
    roster: Roster | None = None
    is_implied: bool = False  # the server has joined it for us: it is read with what is for the user
    joined: Outcome[Joined] = field(default_factory=Outcome, init=False)
    began_at: Position | None = field(default=None, init=False)  # where the application's reading began

    @property
    def read_up_to(self) -> Position | None:
        """Where to go on another day: up to here the application has taken everything."""
        if not self.inbox.items:
            return self.position.since
        return self.inbox.taken or self.began_at


@dataclass(frozen=True, slots=True)
class RoomsOwner:
    """What rooms need to know of the client. ``deliver`` gets what is new."""

    is_open: Callable[[], bool]
    user: Callable[[], str | None]
    new_id: Callable[[], str]
    deliver: Callable[[RoomState, Message], None]


class Rooms:
    """All rooms of a client, by name."""

    def __init__(
        self, options: Options, clock: Clock, outbox: Outbox, seen: SeenReports, owner: RoomsOwner
    ) -> None:
        """The client is in no room."""
        self._rooms: dict[str, RoomState] = {}
        self._mine: dict[str, None] = {}
        self._gap_ms = options.gap_wait * 1_000
        self._clock = clock
        self._timers = Timers(clock)
        self._outbox = outbox
        self._seen = seen
        self._owner = owner
        self.repeats = 0

    def __iter__(self) -> Any:
        return iter(list(self._rooms.values()))

    def get(self, name: str | None) -> RoomState | None:
        """Return the room of this name."""
        return self._rooms.get(name) if name is not None else None

    def add(self, room: RoomState) -> None:
        """We are in a room, or will be by the next JOINs."""
        self._rooms[room.name] = room

    def enter(self, room: RoomState) -> None:
        """Join a room, and stay in it over all connections."""
        before = self._rooms.get(room.name)
        if before is not None:  # it was implied: go on from there
            self._outbox.settle(before.position.asked)
            if room.position.position is None:
                room.position = before.position
        self._rooms[room.name] = room
        room.began_at = room.position.position
        room.inbox.on_space = lambda: self._go_on_reading(room)
        if self._owner.is_open():
            self._outbox.add(self.join_entry(room))

    def leave(self, room: RoomState) -> Entry | None:
        """Leave a room. Return the LEAVE, if one is sent."""
        if self._rooms.get(room.name) is not room:
            return None
        self._seen.leaving(room.name)
        was_asked = room.is_implied or room.position.asked is not None or room.joined.is_done
        self.forget(room, LeftError(room.name, None))
        if not self._owner.is_open() or not was_asked:
            return None
        id = self._owner.new_id()
        text = control_text("LEAVE", room.name, None, id, self._clock.wall)
        return self._outbox.add(Entry(id, "LEAVE", lambda: text, room.name))

    def join_entry(self, room: RoomState) -> Entry:
        """Return the JOIN of a room; it says where we are in the moment in which it is sent."""
        id = self._owner.new_id()
        room.position.asked = id

        def build() -> str:
            payload = room.position.request
            if room.roster is not None:
                payload["presence"] = room.roster.joining()
            return control_text("JOIN", room.name, payload or None, id, self._clock.wall)

        return Entry(id, "JOIN", build, room.name)

    def forget(self, room: RoomState, why: WarrenError) -> None:
        """We are not in this room any more."""
        if self._rooms.get(room.name) is not room:
            return
        del self._rooms[room.name]
        if room.roster is not None:
            room.roster.disconnect()
            if room.roster.changes is not None:
                room.roster.changes.end(None if isinstance(why, LeftError) and why.reason is None else why)
        self._seen.forget(room.name)
        self._timers.cancel(room.name)
        self._outbox.settle(room.position.asked)
        room.joined.reject(why)
        self._deliver(room, room.position.release())
        if not room.is_implied:  # others are read from the same inbox
            room.inbox.end(None if isinstance(why, LeftError) and why.reason is None else why)

    def down(self, why: WarrenError | None) -> None:
        """The connection is closed; with ``why``, for good."""
        self._timers.clear()
        for room in list(self._rooms.values()):
            room.position.disconnect()
            if room.roster is not None:
                room.roster.disconnect()
            if why is not None:
                self.forget(room, why)

    # ── what the server says ────────────────────────────────────────────────────────────────────────────────

    def joined(self, frame: Frame) -> None:
        """A JOINED has arrived."""
        payload = payload_of(frame)
        said = Joined(
            str(payload["epoch"]), int(payload["seq"]), payload.get("recovered") is True,
            int(payload.get("missed") or 0),
        )  # fmt: skip
        room = self.get(frame.get("room"))
        if room is None:
            return
        if frame.get("ref") != room.position.asked:
            # only the answer to our own last JOIN says what was missed
            if room.joined.is_done:
                room.position.repeated(said)
            return
        if isinstance(payload.get("grant"), str):
            room.position.grant = payload["grant"]
        found = room.position.joined(said)
        room.began_at = room.began_at or said.position
        self._deliver(room, found)
        if room.roster is not None and payload.get("presence"):
            room.roster.joined(payload["presence"].get("watching") is True)
        self._seen.joined(room.name, said.epoch)
        self._outbox.settle(frame.get("ref"))
        room.joined.resolve(said)
        self._timers.cancel(room.name)
        self._look(room)

    def left(self, frame: Frame) -> LeftError | None:
        """A LEFT has arrived. Return why we are out of the room, if nobody asked for it."""
        entry = self._outbox.settle(frame.get("ref"))
        if entry is not None:
            entry.outcome.resolve(None)
            return None
        room = self.get(frame.get("room"))
        if room is None or frame.get("ref") is not None:
            return None
        reason = payload_of(frame).get("reason")
        if reason == "unavailable":
            # the room is still wanted: the JOIN is postponed while nobody can decide
            if room.roster is not None:
                room.roster.disconnect()
            if room.position.asked is None:
                self._outbox.add(self.join_entry(room))
            return None
        error = LeftError(room.name, str(reason) if reason else "removed")
        self.forget(room, error)
        return error

    def numbered(self, room: RoomState, message: Message) -> None:
        """A numbered message of a room has arrived."""
        if not room.inbox.has_space():
            room.position.let_go()
            return
        entry = self._outbox.get(message.id)
        is_own = message.sender == self._owner.user() and self._is_mine(message.id)
        verdict = room.position.take(message, is_own, entry is not None and entry.resent)
        if verdict == "repeat":
            self.repeats += 1
        elif verdict == "early":
            self._miss(room)
        elif verdict == "new":
            self._owner.deliver(room, message)
        self._go_on(room)

    def withheld(self, room: RoomState, count: int, seq: int) -> None:
        """DROPPED has arrived."""
        if room.inbox.is_stalled:
            return  # they will be asked for
        room.position.withheld(seq)
        room.inbox.put(Dropped(room.name, count, seq, "server"))

    def acked(self, entry: Entry, room_name: str | None, epoch: str | None, seq: int | None) -> None:
        """An own message is accepted."""
        if not entry.echo:
            self.remember(entry.id)
            room = self.get(room_name)
            if room is not None:
                room.position.ack(epoch, seq)
                self._go_on(room)

    def remember(self, id: str) -> None:
        """Keep in mind that an id is one of our own, although its message is not in the outbox any more."""
        self._mine[id] = None
        if len(self._mine) > _REMEMBERED:
            del self._mine[next(iter(self._mine))]

    # ── what is missing ─────────────────────────────────────────────────────────────────────────────────────

    def _is_mine(self, id: str | None) -> bool:
        """Whether this client sent the message without asking for a copy."""
        entry = self._outbox.get(id)
        if entry is not None and entry.kind == "message":
            return not entry.echo
        return id in self._mine

    def _deliver(self, room: RoomState, found: list[Message | Lost]) -> None:
        for each in found:
            if isinstance(each, Lost):
                room.inbox.put(Gap(room.name, each.since, each.to))
            else:
                self._owner.deliver(room, each)

    def _go_on(self, room: RoomState) -> None:
        """Deliver the held messages that are now in sequence."""
        if not room.position.lacks:
            return
        for message in room.position.following():
            self._owner.deliver(room, message)
        self._look(room)

    def _look(self, room: RoomState) -> None:
        """Whether anything is missing."""
        if room.position.lacks:
            self._miss(room)
        else:
            self._timers.cancel(room.name)

    def _miss(self, room: RoomState) -> None:
        """Messages of a room are missing. Ask for them, unless they are in flight, or may be own messages
        that are not acknowledged yet.
        """
        if room.position.asked is not None or not self._owner.is_open():
            return
        may_come = room.position.is_replayed or self._outbox.has_sent_to(room.name)
        if not may_come or room.position.is_full:
            self._ask(room)
        elif not self._timers.has(room.name):
            self._timers.after(room.name, self._gap_ms, lambda: self._ask(room))

    def _ask(self, room: RoomState) -> None:
        self._timers.cancel(room.name)
        if room.position.lacks and self._owner.is_open() and self._rooms.get(room.name) is room:
            self._outbox.add(self.join_entry(room))

    def _go_on_reading(self, room: RoomState) -> None:
        """Half of an inbox that was full has been read: ask for what follows."""
        room.inbox.go_on()
        is_in = self._rooms.get(room.name) is room and self._owner.is_open()
        if is_in and room.position.asked is None:
            self._outbox.add(self.join_entry(room))
