"""The whole protocol of one client, without I/O. It is told the time, what arrives and what the application
wants, and says what is to be done (``effects``) and what has happened (inboxes, outcomes, notices).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from warren_client.core.encode import Draft, Question, check_page, check_room, control_text, message_text
from warren_client.core.entry import Entry, Urgent
from warren_client.core.feed import Feed, Inbox
from warren_client.core.incoming import Incoming
from warren_client.core.outcome import Outcome
from warren_client.core.receipts import Wanted
from warren_client.core.requests import PARTS, Asked, Part
from warren_client.core.room_position import RoomPosition
from warren_client.core.rooms import RoomState
from warren_client.core.roster import Roster, RosterOwner
from warren_client.errors import ClosedError, InvalidError, OutboxFullError, RefusedError, WarrenError
from warren_client.messages import Notice, Overflow, Position

_NOTICES = 256


class Session(Incoming):
    """One client."""

    # ── time and connection ─────────────────────────────────────────────────────────────────────────────────

    @property
    def deadline(self) -> float | None:
        """When the time must be told next, in ms, if nothing else happens."""
        return self._clock.deadline

    def tell(self, now: float, wall: int) -> None:
        """It is this late: ``now`` is monotonic, ``wall`` since the Unix epoch, both in ms. Do what is
        due.
        """
        self._clock.tell(now, wall)

    def close(self) -> None:
        """End everything; what waits is told so."""
        self._seen.closing()
        self.link.close()
        self.mailbox.end()
        for feed in self.notices:
            feed.end()

    def fail(self, why: WarrenError) -> None:
        """End everything because of a fault."""
        self.link.fail(why)

    def token(self, life: int, token: str) -> None:
        """The application has given a token."""
        if self.link.has_token(life, token):
            id = self.new_id()
            try:
                text = control_text("AUTH", None, {"token": token}, id, self._clock.wall)
            except WarrenError as fault:
                return self._report(fault)
            self.outbox.first(Urgent(id, lambda: text))
        return None

    # ── what the application wants ──────────────────────────────────────────────────────────────────────────

    def send(self, draft: Draft) -> tuple[Entry, Wanted | None]:
        """Send a message once, over all connections. Raises WarrenError if that can't be begun."""
        id = draft.id if draft.id is not None else self.new_id()
        text = message_text(replace(draft, id=id), self._clock.wall)
        before = self.outbox.get(id)
        if before is not None and before.kind == "message":
            before.is_abandoned = False
            return before, self._wanted.get(id)  # already in flight
        if before is not None and before.kind != "RECEIPT":
            raise InvalidError(
                "already_open", f"the id {id} is that of another frame that waits for its answer", ref=id
            )
        self._check(id)
        wanted: Wanted | None = None
        build: Callable[[], str] = lambda: text  # noqa: E731
        if draft.receipt is not None:
            wanted, build = self._receipts.want(id, draft.room, draft.receipt, text)
            self._wanted[id] = wanted
        entry = Entry(id, "message", build, draft.room, echo=draft.include_sender)
        return self.outbox.add(entry), wanted

    def send_ephemeral(self, draft: Draft) -> bool:
        """Send a message now or never; return whether it was sent."""
        return self.outbox.ephemeral(message_text(draft, self._clock.wall))

    def withdraw(self, entry: Entry) -> None:
        """Nobody waits for what becomes of this message any more."""
        self.outbox.abandon(entry)

    def room(self, name: str, since: Position | None, overflow: Overflow, limit: int) -> RoomState:
        """Return a room that can be joined. Raises InvalidError if it can't be one, or is open already."""
        check_room(name)
        self._check(None, is_counted=False)
        self._check_open(name)
        return RoomState(name, Inbox(name, limit, overflow, self._options.queue_bytes), RoomPosition(since))

    def join(self, room: RoomState) -> None:
        """Join a room, and stay in it over all connections."""
        self._check(None, is_counted=False)
        self._check_open(room.name)
        self._not_wanted.discard(room.name)
        self.rooms.enter(room)

    def leave(self, name: str) -> Entry | None:
        """Leave a room that the server has joined for us, for good. Return the LEAVE, if one is sent."""
        if not name.startswith("@"):
            check_room(name)
        self._not_wanted.add(name)
        room = self.rooms.get(name)
        return self.rooms.leave(room) if room is not None else None

    def listen(self) -> Feed[Notice]:
        """Return a queue of what happens to the client from now on. If it is full, the oldest are dropped."""
        feed: Feed[Notice] = Feed(_NOTICES)
        if self.is_closed:
            feed.end()
        self.notices.append(feed)
        return feed

    def watch(self, room: RoomState, info: Any, says_info: bool) -> Roster:
        """Keep a roster of a room that is about to be joined."""
        name = room.name

        def later(ms: float | None, then: Callable[[], None]) -> None:
            self._timers.cancel(name) if ms is None else self._timers.after(name, ms, then)

        def ask(payload: dict[str, Any]) -> Outcome[Any]:
            return self._presence(name, payload, once=True)

        has = self._timers.has
        owner = RosterOwner(self._clock.random, lambda: self.user, later, lambda: has(name), ask)
        roster = room.roster = Roster(owner)
        roster.info, roster.says_info = info, says_info
        return roster

    def update(self, room: RoomState, info: Any) -> Outcome[Any]:
        """Have the room show ``info`` with this client from now on."""
        self._check(None)
        outcome = self._presence(room.name, {"update": info}, once=False)
        if room.roster is not None:
            room.roster.info, room.roster.says_info = info, True
        return outcome

    def saw(self, room: RoomState, position: Position) -> None:
        """The user has seen the room up to here. What is of another epoch is no news."""
        at = room.position.position
        if at is not None and position.seq > 0 and position.epoch == at.epoch:
            self._seen.saw(room.name, position)

    def history(self, room: str, before: int | None, limit: int) -> Entry:
        """Ask for a page of older messages."""
        check_page(before, limit)
        self._check(None)
        payload = {"limit": limit} | ({} if before is None else {"before": before})
        return self._ask("HISTORY", room, payload)

    def request(self, question: Question) -> Asked:
        """Ask a service. Raises WarrenError if that can't be begun."""
        return self._request(question, None)

    def stream(self, question: Question) -> tuple[Asked, Feed[Part]]:
        """Ask a service whose answer is read in parts."""
        parts: Feed[Part] = Feed(PARTS + 1)
        return self._request(question, parts), parts

    def cancel(self, asked: Asked) -> None:
        """Nobody waits for the answer any more: the service is told."""
        self._requests.give_up(
            asked, RefusedError("cancelled", "the request was cancelled", ref=asked.entry.id)
        )

    def watch_contacts(self, users: Iterable[str]) -> None:
        """Watch these users and no others."""
        self._check(None, is_counted=False)
        asked = self.contacts.set(users)
        if asked and self.link.state == "open":
            self._presence(None, asked, once=True)

    # ── outgoing ────────────────────────────────────────────────────────────────────────────────────────────

    def _check_open(self, name: str) -> None:
        room = self.rooms.get(name)
        if room is not None and not room.is_implied:
            raise InvalidError("already_open", f"{name} is open already: share the Room")

    def _request(self, question: Question, parts: Feed[Part] | None) -> Asked:
        if self._requests.get(question.id) is not None or self.outbox.get(question.id) is not None:
            raise _is_taken(question.id)
        self._check(question.id)
        if self._requests.is_full:
            raise OutboxFullError(self._options.outbox_limit)
        return self._requests.ask(question, parts)

    def _check(self, ref: str | None, *, is_counted: bool = True) -> None:
        if self.is_closed:
            raise ClosedError("the client is closed")
        if is_counted and self.outbox.is_full:
            error = OutboxFullError(self._options.outbox_limit)
            error.ref = ref
            raise error


def _is_taken(id: str) -> InvalidError:
    return InvalidError("already_open", f"the id {id} is that of a frame that waits for its answer", ref=id)
