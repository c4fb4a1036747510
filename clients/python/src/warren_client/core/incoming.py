"""What arrives for one client: each frame goes to the part that it is for. The parts are made here; what the
application wants of them is in ``session.py``. Nothing in it waits or buffers without a bound, and it calls
no code of the application.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from warren_client.core.clock import Clock, Timers
from warren_client.core.contacts import Contacts
from warren_client.core.decode import Frame, error_of, message_of, page_of, payload_of, read_frame, welcome_of
from warren_client.core.effects import Effect
from warren_client.core.encode import cancel_text, control_text
from warren_client.core.entry import Entry, Urgent
from warren_client.core.feed import Feed, Inbox
from warren_client.core.link import Credentials, Link, LinkOwner
from warren_client.core.outbox import Outbox, OutboxOwner
from warren_client.core.outcome import Outcome
from warren_client.core.receipts import Receipts, Wanted
from warren_client.core.requests import Requests
from warren_client.core.room_position import RoomPosition
from warren_client.core.rooms import Rooms, RoomsOwner, RoomState
from warren_client.core.seen_reports import SeenReports
from warren_client.errors import InvalidError, WarrenError
from warren_client.messages import Accepted, Dropped, Gap, Message, Notice, Position, State, Welcome
from warren_client.options import Options

_NAMELESS = frozenset({"invalid_format", "invalid_message"})  # of frames whose id the server could not read
_AWAITED = frozenset(
    {"message", "REQUEST", "RECEIPT", "HISTORY", "PRESENCE", "JOIN"}
)  # their callers are told


class Incoming:
    """The parts of one client, and what arrives for them."""

    def __init__(
        self, url: str, options: Options, credentials: Credentials, random: Callable[[], float]
    ) -> None:
        """``random()`` is from 0 to 1. Raises InvalidError if the address is none."""
        self._options = options
        self._clock = Clock(random)
        self.effects: deque[Effect] = deque()
        self.notices: list[Feed[Notice]] = []
        self.mailbox = Inbox(
            None, options.queue_limit, "drop_oldest"
        )  # what is for the user and for everyone
        self.welcome: Welcome | None = None
        self.is_degraded = False
        self.contacts = Contacts()
        owner = OutboxOwner(self._ping, self._reject, self._forgotten)
        self.outbox = Outbox(options, self._clock, owner)
        self._requests = Requests(options, self._clock, self.outbox, self._cancel)
        self._receipts = Receipts(self._clock, self.outbox)
        self._seen = SeenReports(self._clock, self.outbox, self.new_id)
        self._timers = Timers(self._clock)
        rooms = RoomsOwner(lambda: self.link.state == "open", lambda: self.user, self.new_id, self._deliver)
        self.rooms = Rooms(options, self._clock, self.outbox, self._seen, rooms)
        link = LinkOwner(self.effects.append, self._down, self._became, self._report)
        self.link = Link(url, options, credentials, self._clock, link)
        self._wanted: dict[str, Wanted] = {}
        self._at_connect: frozenset[str] = frozenset()  # rooms that the server has joined for us
        self._not_wanted: set[str] = set()  # those of them that the application has left
        self._table: dict[str, Callable[[Frame], None]] = {
            "WELCOME": self._welcomed,
            "JOINED": self._joined,
            "LEFT": self._left,
            "ACK": self._acked,
            "ERROR": self._refused,
            "HISTORY": self._history,
            "PRESENCE": self._told_presence,
            "DROPPED": self._dropped,
            "RESPONSE": self._responded,
            "RECONNECT": self._reconnect,
            "DEGRADED": self._degraded,
            "RESTORED": self._degraded,
            "ACCEPTED": self._accepted,
            "RECEIPT": self._told_receipt,
            "AUTHENTICATED": self._authenticated,
            "PONG": self._heard,
        }
        self._count = 0
        self._size = 0  # of the frame that is heard
        # an id counts once for a room and user, so the ids of another client or an earlier life must differ
        self._prefix = f"{int(random() * 2**32):08x}{int(random() * 2**32):08x}"

    @property
    def is_closed(self) -> bool:
        """Whether there will be no further connection."""
        return self.link.state == "closed"

    @property
    def user(self) -> str | None:
        """Who the server takes this client for."""
        return self.welcome.user if self.welcome else self.link.user

    def received(self, life: int, text: str | bytes) -> None:
        """A frame has arrived. One that is none of the protocol is reported and ignored."""
        if life != self.link.life:
            return
        self.link.heard()
        self._size = len(text)
        try:
            self._hear(read_frame(text))
        except InvalidError as fault:
            self._report(fault)
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            what = f"the server sent an invalid frame: {type(fault).__name__} {fault}"
            self._report(InvalidError("invalid_format", what))
        self.outbox.pump()

    def new_id(self) -> str:
        """Return an id that nobody else has."""
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def _ask(self, type: str, room: str | None, payload: dict[str, Any], *, once: bool = False) -> Entry:
        id = self.new_id()
        text = control_text(type, room, payload, id, self._clock.wall)
        return self.outbox.add(Entry(id, type, lambda: text, room, once=once))

    def _presence(self, room: str | None, payload: dict[str, Any], *, once: bool) -> Outcome[Any]:
        return self._ask("PRESENCE", room, payload, once=once).outcome

    def _ping(self) -> Urgent:
        id = self.new_id()
        return Urgent(id, lambda: control_text("PING", None, None, id, self._clock.wall))

    def _cancel(self, id: str) -> None:
        self.outbox.first(Urgent(None, lambda: cancel_text(id, self._clock.wall)))

    # ── incoming ────────────────────────────────────────────────────────────────────────────────────────────

    def _hear(self, frame: Frame) -> None:
        self.outbox.answered(frame.get("ref"))
        hear = self._table.get(frame["type"])
        if hear is not None:
            return hear(frame)
        message = message_of(frame, self._size)
        room = self.rooms.get(message.room)
        if room is None:
            return self._to_mailbox(message)
        if message.seq:
            return self.rooms.numbered(room, message)
        return room.inbox.put(message)

    def _deliver(self, room: RoomState, message: Message) -> None:
        """A numbered message of a room is new."""
        if message.type == "RESPONSE" and self._requests.answered(message):
            return
        room.inbox.put(message)

    def _to_mailbox(self, message: Message) -> None:
        if message.type == "RESPONSE" and self._requests.answered(message):
            return
        self.mailbox.put(message)

    def _welcomed(self, frame: Frame) -> None:
        welcome = self.welcome = welcome_of(frame)
        grant = payload_of(frame).get("grant")
        self.is_degraded = False
        joins = self._begin(welcome) if not self.link.is_manual else self._resume(welcome)
        self.link.is_manual = True  # from now on we know our rooms and our positions in them

        def ping(sent: Callable[[], None]) -> None:
            first = self._ping()
            self.outbox.first(Urgent(first.id, first.build, sent))

        self.link.opened(welcome, grant if isinstance(grant, str) else None, ping)
        self.outbox.open(self.link.write, welcome.limits, [self.rooms.join_entry(room) for room in joins])
        if self.contacts.online:
            self._presence(None, {"watch": list(self.contacts.online)}, once=True)
        self.link.refresh(welcome.expires_at)
        self._receipts.opened()

    def _begin(self, welcome: Welcome) -> list[RoomState]:
        """The first connection: the server has joined some rooms for us. Return those that we join
        ourselves.
        """
        wanted = list(self.rooms)
        self._at_connect = frozenset(welcome.rooms) - self._not_wanted
        for name in welcome.rooms:
            if name in self._at_connect and self.rooms.get(name) is None:
                self._imply(name)
        return wanted

    def _resume(self, welcome: Welcome) -> list[RoomState]:
        """A later connection: return all our rooms."""
        own = f"@{welcome.user}"
        for room in self.rooms:
            if room.name.startswith("@") and room.name != own:
                self.rooms.forget(room, InvalidError("user", "the token is another user's"))
        if self._at_connect and own not in self._not_wanted and self.rooms.get(own) is None:
            self._imply(own)
        return list(self.rooms)

    def _imply(self, name: str) -> None:
        """We are in a room that the application has not opened: what is said there is for the user."""
        self.rooms.add(RoomState(name, self.mailbox, RoomPosition(), is_implied=True))

    def _joined(self, frame: Frame) -> None:
        if frame.get("room") == "*":  # nobody joins this room, so nobody can ask for what was missed there
            payload = payload_of(frame)
            self.mailbox.put(Gap("*", None, Position(str(payload["epoch"]), int(payload["seq"]))))
        else:
            self.rooms.joined(frame)

    def _left(self, frame: Frame) -> None:
        error = self.rooms.left(frame)
        if error is not None:
            self._notify(Notice("left", error.room, error))

    def _acked(self, frame: Frame) -> None:
        entry = self.outbox.settle(frame.get("ref"))
        if entry is None or entry.kind != "message":
            return
        payload = payload_of(frame)
        room, seq, epoch = frame.get("room"), payload.get("seq") or None, payload.get("epoch")
        self.rooms.acked(entry, room, epoch, seq)
        entry.outcome.resolve(Accepted(entry.id, room, seq, epoch if seq else None))
        wanted = self._wanted.pop(entry.id, None)
        if wanted is not None:
            self._receipts.acked(wanted, room, seq)

    def _refused(self, frame: Frame) -> None:
        error, payload = error_of(frame), payload_of(frame)
        close, reconnect = payload.get("close"), payload.get("reconnect")
        is_nameless = error.ref is None and close is None and error.code in _NAMELESS
        entry = self.outbox.accuse(error) if is_nameless else self.outbox.get(error.ref)
        after_ms = (error.retry_after or 0.0) * 1_000
        if close is not None:
            advice = self.link.advice
            advice.reconnect, advice.error, advice.after_ms = reconnect, error, after_ms
        if entry is not None and entry.kind == "JOIN" and error.retry:
            self.outbox.postpone(entry, after_ms)  # the room is still wanted
        elif entry is not None and (close is None or reconnect == "no"):
            self._reject(entry, error)
        elif error.ref is not None:
            self._requests.refused(error.ref, error)
        self._seen.refused(error)
        is_told = entry is not None and entry.kind in _AWAITED  # by what its caller waits for
        if not is_told and error.code != "cancelled" and close is None:
            self._report(error)

    def _history(self, frame: Frame) -> None:
        page = page_of(frame)
        entry = self.outbox.settle(frame.get("ref"))
        if entry is not None:
            entry.outcome.resolve(page)

    def _told_presence(self, frame: Frame) -> None:
        payload, name = payload_of(frame), frame.get("room")
        room = self.rooms.get(name)
        if room is not None and room.roster is not None:
            room.roster.take(payload)
        if name is not None and name.startswith("@"):
            self.contacts.take(name[1:], payload)
        entry = self.outbox.settle(frame.get("ref"))
        if entry is not None:
            entry.outcome.resolve(payload)

    def _dropped(self, frame: Frame) -> None:
        payload, name = payload_of(frame), frame.get("room")
        count, seq = int(payload.get("count") or 0), int(payload.get("seq") or 0)
        room = self.rooms.get(name)
        if room is not None:
            self.rooms.withheld(room, count, seq)
        else:
            self.mailbox.put(Dropped(name, count, seq, "server"))

    def _responded(self, frame: Frame) -> None:
        message = message_of(frame, self._size)
        room = self.rooms.get(message.room)
        if message.seq and room is not None:
            self.rooms.numbered(room, message)
        else:
            self._to_mailbox(message)

    def _accepted(self, frame: Frame) -> None:
        self._requests.accepted(frame.get("ref"))

    def _told_receipt(self, frame: Frame) -> None:
        self._receipts.told(frame.get("ref"), payload_of(frame))

    def _authenticated(self, frame: Frame) -> None:
        self.link.refresh(payload_of(frame).get("expires_at"))

    def _heard(self, frame: Frame) -> None:
        """The answer to a PING says nothing but that there is one."""

    def _reconnect(self, frame: Frame) -> None:
        after_ms = float(payload_of(frame).get("after_ms") or 0)
        self.link.move(after_ms)
        self._notify(Notice("reconnect", f"{after_ms / 1_000:g}"))

    def _degraded(self, frame: Frame) -> None:
        self.is_degraded = frame["type"] == "DEGRADED"
        self.outbox.degraded(self.is_degraded)
        self._notify(Notice("degraded" if self.is_degraded else "restored", ""))

    def _reject(self, entry: Entry, error: WarrenError) -> None:
        """An entry was refused for good."""
        error.ref = error.ref or entry.id
        if entry.kind == "REQUEST":
            return self._requests.refused(entry.id, error)
        self.outbox.settle(entry.id)
        self._wanted.pop(entry.id, None)
        self._receipts.refused(entry.id)
        if entry.kind == "JOIN":
            room = self.rooms.get(entry.room)
            if room is not None and room.is_implied:
                self._report(error)
            if room is not None:
                self.rooms.forget(room, error)
        entry.outcome.reject(error)
        return None

    def _forgotten(self, entry: Entry) -> None:
        """A message that nobody waits for is gone; it may have been accepted."""
        self._wanted.pop(entry.id, None)
        self._receipts.refused(entry.id)
        if entry.was_sent and not entry.echo and entry.kind == "message":
            self.rooms.remember(entry.id)

    def _down(self, why: WarrenError | None) -> None:
        """The connection is closed; with ``why``, for good."""
        self._requests.down(why)
        self.rooms.down(why)
        self._seen.down()
        self._timers.clear()
        if why is not None:
            self.outbox.close(why)
            self._wanted.clear()
            self.mailbox.end(why)
        else:
            self.outbox.disconnect()
        self._receipts.down(why is not None)

    def _became(self, state: State) -> None:
        self._notify(Notice("state", state))

    def _report(self, error: WarrenError) -> None:
        self._notify(Notice("error", error.code, error))

    def _notify(self, notice: Notice) -> None:
        for feed in self.notices:
            feed.put(notice)
