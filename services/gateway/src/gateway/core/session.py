"""Session: one connection's state machine. An input goes in, actions come out.

    new ──AUTH, identify──▶ ready ──drain──▶ draining      any of them ──end, or closed by the peer──▶ closed

Which message does what in which state is the table ``_TABLE``; what it has not is answered with an ERROR. A
session owns no socket, task or clock, calls nobody, and does not know of other sessions. It is the one place
where a room's shard is worked out: what goes to a shard carries its number from here on. It never raises for
what a client sends.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec

from gateway.core import codec_json, permissions
from gateway.core.actions import (
    Actions,
    Authenticate,
    Close,
    Exit,
    Hold,
    Join,
    Leave,
    Ping,
    Publish,
    Query,
    Send,
)
from gateway.core.client_limits import RateLimits
from gateway.core.client_messages import (
    Acked,
    Authenticated,
    ClientMessage,
    Codec,
    Degraded,
    History,
    Joined,
    Left,
    Pong,
    Reconnect,
    Restored,
    Welcome,
    error,
    farewell,
)
from gateway.core.connection_deadlines import NOTHING, ConnectionDeadlines, Due
from gateway.core.control_payloads import page_of, since_of, token_of
from gateway.core.error_rate_limit import ErrorRateLimit
from gateway.core.inputs import PresenceRead, Reply
from gateway.core.pending_requests import PendingRequests, Question
from gateway.core.permissions import Identity
from gateway.core.presence_payloads import asked_of, watching_of
from gateway.core.session_presence import SessionPresence, TooFast, shown_by
from warren import envelope
from warren.address import EVERYONE, is_room, shard_of, user_room
from warren.errors import CloseCode, ErrorCode, ProtocolError
from warren.message_rules import is_reserved_type
from warren.namespaces import Namespaces, RateLimit, RoomPolicy
from warren.position import Position

__all__ = ["Actions", "Identity", "Outcome", "Reply", "Session", "SessionConfig", "State"]

# An Outcome's shard where a message goes to none.
NO_SHARD: Final = -1
# What a message counts as that has not done what its type says, or could not be read at all.
REFUSED: Final = "refused"
UNREADABLE: Final = "unreadable"


class State(enum.Enum):
    """Where a session is in its life."""

    NEW = "new"  # the client is not known yet
    READY = "ready"
    DRAINING = "draining"  # it was told to go elsewhere; everything still works
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What all sessions of a gateway have in common."""

    heartbeat_ms: int = 30_000
    auth_timeout_ms: int = 10_000
    message_bytes: int = 1024 * 1024
    rate: RateLimit | None = RateLimit(count=5, per_ms=1_000, policy="close")  # None: no limit
    rooms_max: int = 100  # those a client joins and those joined at connect, without its own @user
    # joined at connect, where the client may; the first is the default room
    rooms: tuple[str, ...] = ("default",)
    shards: int = 1  # of the installation


class Outcome(msgspec.Struct, frozen=True):
    """What comes of one message of the client. ``kind`` is what it counts as: its type, REFUSED or
    UNREADABLE.

    ``shard`` is the one that it goes to, which may be crowded (NO_SHARD: it goes to none); ``question`` is
    what it asks of a room's history, or may ask.
    """

    kind: str
    actions: Actions
    shard: int = NO_SHARD
    question: Question | None = None


_Handler = Callable[["Session", ClientMessage, str, int, str], Outcome]


class Session:
    """One connection."""

    __slots__ = (
        "_auth_ref", "_codec", "_config", "_deadlines", "_default_room", "_degraded", "_errors", "_limits",
        "_manual", "_namespaces", "_now", "_pending", "_presence", "_published", "_returns", "conn",
        "identity", "state",
    )  # fmt: skip

    def __init__(
        self,
        connection_id: str,
        config: SessionConfig,
        namespaces: Namespaces,
        codec: Codec = codec_json,
        *,
        manual: bool = False,
    ) -> None:
        """``codec`` is the spelling that the client has chosen; ``manual``: it joins all its rooms by itself,
        none is joined at connect. Call ``open`` before anything else.
        """
        self.conn = connection_id
        self.identity: Identity | None = None
        self.state = State.NEW
        self._config = config
        self._namespaces = namespaces
        self._codec = codec
        self._limits = RateLimits(config.rate)
        self._deadlines = ConnectionDeadlines(config.heartbeat_ms / 1_000)
        self._pending = PendingRequests()
        self._presence: SessionPresence | None = None  # who never speaks of presence needs none
        self._now = 0.0  # when the message that is being handled came to be
        self._errors: ErrorRateLimit | None = None  # who is never refused anything needs none
        self._manual = manual
        self._default_room = ""
        self._auth_ref = ""
        self._published = 0
        self._degraded = False
        self._returns = True  # the client may come back once it is closed

    @property
    def user(self) -> str:
        """The user's name; empty while the client is not known."""
        return "" if self.identity is None else self.identity.user

    @property
    def rooms(self) -> tuple[str, ...]:
        """The rooms that a router may hold this connection in: joined, or asked for."""
        return tuple(self._pending.rooms)

    def rooms_in(self, shard: int) -> tuple[str, ...]:
        """Return those of ``rooms`` that are in a shard."""
        return tuple(room for room in self._pending.rooms if self._shard_of(room) == shard)

    def _shard_of(self, room: str) -> int:
        return shard_of(room, self._config.shards)

    # ── the client comes in ─────────────────────────────────────────────────────────────────────────────────

    def open(self, identity: Identity | None, now: float, now_us: int) -> Actions:
        """Begin. ``identity`` None: the client is not known yet and has ``auth_timeout_ms`` to send AUTH.

        ``now`` is monotonic seconds everywhere, ``now_us`` the wall clock in µs since the Unix epoch.
        """
        self._deadlines.begin(now, self._config.auth_timeout_ms / 1_000)
        return [] if identity is None else self.identify(identity, now, now_us)

    def identify(self, identity: Identity, now: float, now_us: int) -> Actions:
        """Let in a client whose token holds: WELCOME and the rooms joined at connect; who is known already
        lives longer.
        """
        known = self.identity
        if self.state is State.CLOSED:
            return []
        if known is not None and known.user != identity.user:
            return self.end(CloseCode.UNAUTHORIZED, "The token is another user's", ref=self._auth_ref)
        if not self._deadlines.live_until(identity.expires_at, now, now_us):
            return self.end(CloseCode.UNAUTHORIZED, "The token has expired", ref=self._auth_ref)
        self.identity = identity
        expires_at_ms = None if identity.expires_at is None else int(identity.expires_at * 1_000)
        if known is not None:
            return [
                Send(Authenticated(expires_at_ms, self._auth_ref)),
                *self._leave_lost(identity),
                *self._show_anew(known, identity),
            ]
        self.state = State.READY
        self._deadlines.known()
        config = self._config
        # What the operator lets everyone join at connect still has to be within what this token allows.
        rooms = [
            room
            for room in config.rooms
            if permissions.may_join(identity, self._namespaces.policy(room), room)
        ]
        rooms = rooms[: config.rooms_max]
        self._default_room = rooms[0] if rooms else ""
        joined = () if self._manual else (*rooms, user_room(identity.user))
        welcome = Welcome(
            self.conn,
            identity.user,
            config.heartbeat_ms,
            joined,
            config.message_bytes,
            config.rate.count if config.rate else 0,
            config.rate.per_ms if config.rate else 0,
            config.rooms_max,
            expires_at_ms,
        )
        actions: Actions = [Send(welcome)]
        if self._degraded:
            actions.append(Send(Degraded()))
        actions += [self._ask_to_join(identity, room) for room in joined]
        return actions

    def _leave_lost(self, identity: Identity) -> Actions:
        """Leave the rooms that a fresh token does not allow, also those whose JOIN is not answered yet."""
        self._default_room = permissions.default_room(
            identity, self._namespaces, self._config.rooms, self._default_room
        )
        actions: Actions = []
        for room in permissions.lost(identity, self._namespaces, self.rooms):
            refs = [ref for ref in map(_shown, self._pending.refs(room)) if ref]
            self._pending.leave(room)
            actions += [
                Exit(room),
                *self._unwatch(room),
                Leave(envelope.Leave((room,), self.conn, "", identity.user), self._shard_of(room)),
            ]
            actions += [
                Send(error(ErrorCode.FORBIDDEN, "Your token does not allow this room any more", ref))
                for ref in refs
            ]
            actions.append(Send(Left(room)))
        return actions

    def refuse(self, reason: str = "") -> Actions:
        """Close a client whose token does not hold; ``reason`` is for the client and never repeats the
        token.
        """
        return self.end(CloseCode.UNAUTHORIZED, reason, ref=self._auth_ref)

    # ── what the client says ────────────────────────────────────────────────────────────────────────────────

    def receive(
        self, data: str | bytes, now: float, now_us: int, trace: str = "", since: float | None = None
    ) -> Outcome:
        """Handle one data frame: text as str, binary as bytes. ``trace`` is put into the envelope of what is
        published; ``since`` is when it came at the earliest (None: now), for it counts in rate limits when it
        came.
        """
        if self.state is State.CLOSED:
            return _NOTHING
        self._deadlines.heard()
        self._now = now
        try:
            message = self._codec.decode(data)
        except ProtocolError as refusal:
            ref = refusal.ref or ""
            return self._over_limit(None, ref, now, since) or self._refused(refusal, ref, now)
        room = message.room or self._default_room
        ordinary = not is_reserved_type(message.type)
        policy = self._namespaces.policy(room) if ordinary and is_room(room) else None
        if refused := self._over_limit(policy, message.id, now, since):
            return refused
        row = self._TABLE[self.state]
        handler = row.get("" if ordinary else message.type) or row["?"]
        try:
            return handler(self, message, room, now_us, trace)
        except ProtocolError as refusal:
            return self._refused(refusal, message.id, now)

    def _refused(self, refusal: ProtocolError, ref: str, now: float, wait_ms: int = 0) -> Outcome:
        """Say that a message is refused; who sends hardly anything else is held back, and closed where that
        goes on.
        """
        kind = UNREADABLE if refusal.code is ErrorCode.INVALID_FORMAT else REFUSED
        if self._errors is None:
            self._errors = ErrorRateLimit()
        hold_s = self._errors.refused(now, wait_ms / 1_000)
        if hold_s is None:
            says = f"Too much that is refused; the last: {refusal.message}"
            return Outcome(REFUSED, self.end(CloseCode.RATE_LIMITED, says, ref))
        answer: Actions = [Send(error(refusal.code, refusal.message, ref, wait_ms or None))]
        return Outcome(kind, [*answer, Hold(hold_s)] if hold_s else answer)

    def _over_limit(
        self, policy: RoomPolicy | None, ref: str, now: float, since: float | None
    ) -> Outcome | None:
        """Return what comes of a message that comes too fast; None where it does not."""
        excess = self._limits.take(policy, now, since)
        if excess is None:
            return None
        if excess.limit.policy == "reject":
            return self._refused(ProtocolError(ErrorCode.RATE_LIMITED, excess.says), ref, now, excess.wait_ms)
        return Outcome(REFUSED, self.end(CloseCode.RATE_LIMITED, excess.says, ref))

    def _authenticate(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        token = token_of(message)
        self._auth_ref = message.id
        return Outcome(message.type, [Authenticate(token)])

    def _join(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        identity = self._known()
        own, rooms = user_room(identity.user), self._pending.rooms
        if room != own:
            permissions.check_join(identity, self._namespaces, room)
        since, watching = since_of(message), watching_of(message)
        if room not in rooms and room != own and len(rooms) - (own in rooms) >= self._config.rooms_max:
            raise ProtocolError(ErrorCode.TOO_MANY_ROOMS, f"At most {self._config.rooms_max} rooms")
        self._check_open()
        ref = message.id or self._pending.ref()
        before = [] if watching is None else self._presences().join(identity, room, ref, watching)
        join = self._ask_to_join(identity, room, ref, since)
        return Outcome(message.type, [*before, join], join.shard, join.envelope)

    def _ask_to_join(
        self, identity: Identity, room: str, ref: str = "", since: Position | None = None
    ) -> Join:
        join = envelope.Join(room, self.conn, identity.user, ref or self._pending.ref(), since)
        first = room not in self._pending.rooms
        self._pending.ask(join)
        return self._to_shard(join, first=first)

    def _to_shard(self, join: envelope.Join, *, first: bool = False) -> Join:
        """Return a JOIN on its way, with what its room shows of this client."""
        if self.identity is not None:
            join = shown_by(join, self.identity, self._namespaces, self._presence)
        return Join(join, self._shard_of(join.room), first)

    def _leave(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        permissions.check_room(room)
        if not self._pending.leave(room):
            return Outcome(message.type, [Send(Left(room, message.id))])
        leave = envelope.Leave((room,), self.conn, message.id, self.user)
        actions: Actions = [Exit(room), *self._unwatch(room), Leave(leave, self._shard_of(room))]
        if not message.id:  # the router answers only where there is a ref
            actions.append(Send(Left(room)))
        return Outcome(message.type, actions)

    def _history(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        if room != user_room(self.user):
            permissions.check_room(room)
        if room not in self._pending.rooms:
            raise ProtocolError(ErrorCode.NOT_JOINED, "Join this room before you ask for its history")
        before, limit = page_of(message)
        self._check_open()
        ref = message.id or self._pending.ref()
        query = envelope.HistoryQuery(room, self.conn, ref, before, limit)
        self._pending.ask(query)
        shard = self._shard_of(room)
        return Outcome(message.type, [Query(query, shard)], shard, query)

    def _ask_presence(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        asked, ref = asked_of(message), message.id or self._pending.ref()
        try:
            actions = self._presences().ask(
                self._known(), room, room in self._pending.rooms, ref, asked, self._now
            )
        except TooFast as excess:
            refusal = ProtocolError(ErrorCode.RATE_LIMITED, "More changes of presence than a client may make")
            return self._refused(refusal, message.id, self._now, excess.wait_ms)
        return Outcome(message.type, actions)

    def _presences(self) -> SessionPresence:
        if self._presence is None:
            self._presence = SessionPresence(self.conn, self._namespaces, self._config.shards)
        return self._presence

    def _unwatch(self, room: str) -> Actions:
        """Be told no more of a room that is left."""
        return [] if self._presence is None else self._presence.left(room)

    def _show_anew(self, before: Identity, identity: Identity) -> Actions:
        """Do what a fresh token changes in presence."""
        if self._presence is None and before.infos == identity.infos:
            return []
        return self._presences().renewed(before, identity, self.rooms)

    def _check_open(self) -> None:
        if self._pending.is_full(self._config.rooms_max):
            raise ProtocolError(ErrorCode.OVERLOADED, "Wait for the answers to what you asked for")

    def _ping(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        return Outcome(message.type, [Send(Pong(message.payload, message.binary, message.id))])

    def _publish(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        identity = self._known()
        policy = permissions.check_publish(identity, self._namespaces, room, room in self._pending.rooms)
        ephemeral = message.type in policy.ephemeral_types
        name = message.id
        if not name and not ephemeral:  # so that a repeat on the way is not a second message
            self._published += 1
            name = f"{envelope.INTERNAL_ID}{self.conn}.{self._published:x}"
        published = envelope.Publish(
            room,
            message.type,
            message.payload,
            now_us,
            self.conn,
            identity.user,
            name,
            message.binary,
            message.include_sender or policy.include_sender,
            ephemeral,
            message.key,
            0,
            trace,
        )
        shard = self._shard_of(room)
        return Outcome(message.type, [Publish(published, shard, message.traceparent)], shard)

    def _not_known(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        return Outcome(REFUSED, self.end(CloseCode.UNAUTHORIZED, "Send AUTH first", ref=message.id))

    def _unknown_type(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        raise ProtocolError(ErrorCode.UNKNOWN_TYPE, f"{message.type} is reserved and not a client's to send")

    def _known(self) -> Identity:
        identity = self.identity
        if identity is None:  # the table lets only known clients come here
            raise ProtocolError(ErrorCode.UNAUTHORIZED, "Send AUTH first")
        return identity

    # ── what the routers say ────────────────────────────────────────────────────────────────────────────────

    def answer(self, reply: Reply) -> Actions:
        """Tell the client what a router says to it, where it still waits for that."""
        if self.state is State.CLOSED:
            return []
        match reply:
            case envelope.Ack():
                if reply.id[:1] == envelope.INTERNAL_ID:
                    return []
                return [Send(Acked(reply.id, reply.room, reply.epoch if reply.seq else "", reply.seq))]
            case envelope.Joined():
                return self._joined(reply)
            case envelope.HistoryPage():
                question, _ = self._pending.answered(reply.room, reply.ref)
                if question is None:
                    return []
                return [Send(History(reply.room, reply.messages, reply.more, _shown(reply.ref)))]
            case envelope.Left():
                # an answer to its own LEAVE, which took effect at once; it may have joined again since
                if reply.ref:
                    return [Send(Left(reply.room, _shown(reply.ref)))]
                if not self._pending.leave(reply.room):
                    return []
                return [Exit(reply.room), *self._unwatch(reply.room), Send(Left(reply.room))]
            case envelope.Refused():
                question, quiet = self._pending.refused(reply.ref)
                if quiet:
                    return []
                # A code that is not known here is a newer router's.
                code = _CODES.get(reply.code, ErrorCode.INTERNAL)
                unjoined = question is not None and question.room not in self._pending.rooms
                return [
                    Send(error(code, reply.message, _shown(reply.ref))),
                    *(self._unwatch(question.room) if question is not None and unjoined else ()),
                ]

    def _joined(self, reply: envelope.Joined) -> Actions:
        """Each JOIN is answered to the client once, however often it had to be asked."""
        room, position = reply.room, reply.position
        if room not in self._pending.rooms:  # it has left in the meantime
            return []
        question, quiet = self._pending.answered(room, reply.ref)
        if reply.ref and (question is None or (quiet and reply.recovered)):
            return []
        watching, more = None, Actions()
        if self._presence is not None:
            watching, more = self._presence.joined(room, reply.ref, self._pending.ref())
        joined = Joined(
            room, position.epoch, position.seq, reply.recovered, reply.missed, _shown(reply.ref), watching
        )
        return [Send(joined), *more]

    def presence(self, read: PresenceRead) -> Actions:
        """Tell the client what was read of the presence in a room, where it still waits for that."""
        if self.state is State.CLOSED or self._presence is None:
            return []
        return self._presence.read(read.room, read.ref, read.payload)

    def resynced(self, room: str, position: Position) -> Actions:
        """Tell the client that it stands at ``position`` in a room now, and that what lies before that may be
        lost to it.
        """
        if self.state is State.CLOSED or (room not in self._pending.rooms and room != EVERYONE):
            return []
        return [Send(Joined(room, position.epoch, position.seq, recovered=False))]

    def rejoin(self, shard: int, standing: Mapping[str, Position]) -> Actions:
        """Join again what this connection is in, or has asked for, in a shard: rooms that it is a member of
        from where it stands there (``standing``), and the client's JOINs that were not answered as they were,
        for their answers may never come.
        """
        if self.state is State.CLOSED:
            return []
        actions: Actions = []
        for room, since in standing.items():
            join = self._pending.again(room, self.conn, self.user, since)
            if join is not None:
                actions.append(self._to_shard(join))
        actions += [self._to_shard(join) for join in self._pending.joins(set(self.rooms_in(shard)))]
        return actions

    def awaits_join(self, room: str, ref: str) -> bool | None:
        """Say whether a JOIN of this room is open under ``ref``: None where it is not, else whether it was
        asked by ourselves (``again``).
        """
        question, quiet = self._pending.open(room, ref)
        return quiet if isinstance(question, envelope.Join) else None

    def undelivered(self, ref: str, code: ErrorCode, message: str = "") -> Actions:
        """Say that what was sent under ``ref`` did not get through (UNAVAILABLE) or did not fit
        (OVERLOADED).
        """
        if self.state is State.CLOSED:
            return []
        return [Send(error(code, message or _UNDELIVERED.get(code, "Not delivered"), _shown(ref)))]

    # ── time, the broker, the end ───────────────────────────────────────────────────────────────────────────

    def heard(self) -> None:
        """There was a sign of life of the client: a pong, a ping, a part of a frame."""
        self._deadlines.heard()

    def tick(self, now: float) -> Actions:
        """Do what is due. Call it several times in ``heartbeat_ms``; how punctual things are depends on how
        often.
        """
        if self.state is State.CLOSED:
            return []
        due = self._deadlines.due(now)
        if due is NOTHING:  # nearly always
            return []
        match due:
            case Due.PING:
                return [Ping()]
            case Due.NO_TOKEN:
                return self.end(CloseCode.UNAUTHORIZED, "No token came in time")
            case Due.TOKEN_EXPIRED:
                return self.end(CloseCode.UNAUTHORIZED, "The token has expired")
        return self.end(CloseCode.HEARTBEAT_MISSED)

    def degraded(self, up: bool) -> Actions:
        """Say that the broker is back (``up``) or away, where that is news; a client that is not known yet
        hears of it with its WELCOME.
        """
        changed = self._degraded == up
        self._degraded = not up
        if not changed or self.state in (State.NEW, State.CLOSED):
            return []
        return [Send(Restored() if up else Degraded())]

    def drain(self, after_ms: int) -> Actions:
        """Ask the client to connect again after ``after_ms``. Who is not known yet has nothing to lose and is
        closed at once.
        """
        if self.state is State.NEW:
            return self.end(CloseCode.DRAINING)
        if self.state is not State.READY:
            return []
        self.state = State.DRAINING
        return [Send(Reconnect(after_ms))]

    def joins_refused(self, rooms: Iterable[str]) -> Actions:
        """Close a client whose JOINs found no place on their way. Nobody holds it in ``rooms``, so they are
        not left either.
        """
        for room in rooms:
            self._pending.leave(room)
        return self.end(CloseCode.OVERLOADED, "too much waits for the broker")

    def too_large(self, limit: int = 0) -> Actions:
        """Close a client whose message was refused for its size before it was read whole; ``limit`` is the
        one that it broke (0: the one for everyone).
        """
        before = " before the token was checked" if self.state is State.NEW else ""
        return self.end(
            CloseCode.MESSAGE_TOO_LARGE, f"More than {limit or self._config.message_bytes} bytes{before}"
        )

    def end(self, code: CloseCode, message: str = "", ref: str = "") -> Actions:
        """Close from our side: the ERROR that says why, where the code has one, then the close. Nothing comes
        out after it but what ``closed`` gives.
        """
        if self.state is State.CLOSED:
            return []
        self.state = State.CLOSED
        self._returns = code.reconnect == "yes"
        reason = farewell(code, message, ref)
        return [Close(code)] if reason is None else [Send(reason), Close(code)]

    def closed(self) -> Actions:
        """Leave everything, once the WebSocket is closed or its socket gone: here, and at the routers by one
        LEAVE for each shard; with grace, unless we have closed it and said that it must not come back.
        """
        self.state = State.CLOSED
        rooms = self._pending.clear()
        by_shard: dict[int, list[str]] = {}
        for room in rooms:
            by_shard.setdefault(self._shard_of(room), []).append(room)
        actions: Actions = [Exit(room) for room in rooms]
        if self._presence is not None:
            actions += self._presence.closed()
        actions += [
            Leave(envelope.Leave(tuple(group), self.conn, "", self.user), shard, self._returns)
            for shard, group in by_shard.items()
        ]
        return actions

    # What a message does in a state: by its type, "" for ordinary ones, "?" for what the row has not.
    _KNOWN: ClassVar[Mapping[str, _Handler]] = {
        "": _publish,
        "AUTH": _authenticate,
        "HISTORY": _history,
        "JOIN": _join,
        "LEAVE": _leave,
        "PING": _ping,
        "PRESENCE": _ask_presence,
        "?": _unknown_type,
    }
    _TABLE: ClassVar[Mapping[State, Mapping[str, _Handler]]] = {
        State.NEW: {"AUTH": _authenticate, "?": _not_known},
        State.READY: _KNOWN,
        State.DRAINING: _KNOWN,
    }


_UNDELIVERED: Final = {
    ErrorCode.UNAVAILABLE: "The broker is away, or the message's fate is not known; send it again with the "
    "same id",
    ErrorCode.OVERLOADED: "Too much waits; send it again later with the same id",
}
_CODES: Final = {str(code): code for code in ErrorCode}
_NOTHING: Final = Outcome(REFUSED, [])


def _shown(ref: str) -> str:
    """Return a ref as the client may see it: an internal one is none of its own."""
    return "" if ref[:1] == envelope.INTERNAL_ID else ref
