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
    CancelRequest,
    Close,
    Consult,
    Exit,
    Hold,
    Join,
    Leave,
    Ping,
    Publish,
    Query,
    Seen,
    Send,
    Withdraw,
)
from gateway.core.client_limits import RateLimits
from gateway.core.client_messages import (
    Accepted,
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
    Response,
    Restored,
    Welcome,
    error,
    farewell,
    service_error,
)
from gateway.core.connection_deadlines import NOTHING, ConnectionDeadlines, Due
from gateway.core.control_payloads import (
    connect_grant_of,
    grant_of,
    page_of,
    seen_of,
    since_of,
    token_of,
)
from gateway.core.error_rate_limit import ErrorRateLimit
from gateway.core.hook_desk import Allowed, Denied, Undecided, Verdict
from gateway.core.hook_messages import Hook
from gateway.core.hook_rechecks import CONNECT
from gateway.core.hook_session import HookSession, says
from gateway.core.hook_waits import Held
from gateway.core.inputs import PresenceRead, Reply, RequestFailed, Responded
from gateway.core.open_requests import OpenRequests
from gateway.core.pending_requests import OPEN_MAX, PendingRequests, Question
from gateway.core.permissions import Identity
from gateway.core.presence_payloads import asked_of, watching_of
from gateway.core.session_presence import SessionPresence, TooFast, shown_by
from gateway.core.session_receipts import SessionReceipts, level_of
from gateway.core.sse.stream_entry import ENTERED, VISIT, StreamEntry, within
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
# The refs of a JOIN of the user's own room that the client is to hear nothing of, and of the question whether
# a connection may stay.
SILENT: Final = envelope.INTERNAL_ID + "@"
STAYS: Final = envelope.INTERNAL_ID + "!"


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
    calls_max: int = 8  # REQUESTs that wait for their answers
    connections_per_user: int = 0  # over all gateways; 0: any number
    replace_oldest: bool = True  # beyond that the user's oldest connection goes, else the new one


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
        "_auth_ref", "_codec", "_config", "_deadlines", "_default_room", "_degraded", "_enrolled",
        "_entering", "_entry", "_errors", "_grant", "_headers", "_hooks", "_limits", "_listens", "_manual",
        "_namespaces", "_now", "_pending", "_presence", "_published", "_receipts", "_requests", "_returns",
        "_why", "conn", "identity", "state", "void_s",
    )  # fmt: skip

    def __init__(
        self,
        connection_id: str,
        config: SessionConfig,
        namespaces: Namespaces,
        codec: Codec = codec_json,
        *,
        manual: bool = False,
        headers: tuple[tuple[str, str], ...] = (),
        grant: str = "",
    ) -> None:
        """``codec`` is the spelling that the client has chosen; ``manual``: it joins all its rooms by itself,
        none is joined at connect. Its user's own room it is in all the same, so that backends reach it: until
        it joins that by itself it is given nothing of what is said there. ``headers``: those of its upgrade
        that backends are shown; ``grant``: what it has shown beside them. Call ``open`` before anything else.
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
        self._requests: OpenRequests | None = None  # who asks no service needs none
        self._presence: SessionPresence | None = None  # who never speaks of presence needs none
        self._receipts: SessionReceipts | None = None  # who asks for none needs none
        self._now = 0.0  # when the message that is being handled came to be
        self._errors: ErrorRateLimit | None = None  # who is never refused anything needs none
        self._manual = manual
        self._default_room = ""
        self._auth_ref = ""
        self._published = 0
        self._degraded = False
        self._headers = headers
        self._grant = grant  # to connect, until the client is known
        self._hooks: HookSession | None = None  # who asks no backend needs none
        self._listens = not manual  # to its user's own room
        self._enrolled: frozenset[str] = frozenset()  # rooms that backends have put it into
        self._entering = 0  # the client's JOINs of its user's own room that the log has not answered
        self.void_s = 0  # what its user was granted before that is void, s; 0: nothing was revoked
        self._why = ""  # we closed it, as backends are told
        self._returns = True  # the client may come back once it is closed
        self._entry: StreamEntry | None = None  # who has a WebSocket says itself what it joins

    def streams(self, entry: StreamEntry) -> None:
        """The client has an event stream, and comes in by ``entry``; before ``open``."""
        self._entry = entry

    def visits(self, limits: RateLimits) -> None:
        """The client says one message and is in no room, not even in its user's own; ``limits`` are those of
        all that it says so. Before ``open``.
        """
        self._entry, self._limits = VISIT, limits

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

    def identify(self, identity: Identity, now: float, now_us: int, unsent: Iterable[str] = ()) -> Actions:
        """Let in a client whose token holds: WELCOME and the rooms joined at connect; who is known already
        lives longer, with the rights of this token. ``unsent``: rooms that it published to and whose messages
        still wait.
        """
        known = self.identity
        if self.state is State.CLOSED:
            return []
        if known is not None:
            identity = permissions.renewed(known, identity)
        if known is not None and known.user != identity.user:
            return self.end(CloseCode.UNAUTHORIZED, "The token is another user's", ref=self._auth_ref)
        if not self._deadlines.live_until(identity.expires_at, now, now_us):
            return self.end(CloseCode.UNAUTHORIZED, "The token has expired", ref=self._auth_ref)
        if known is None and self._namespaces.connect_hook and not identity.decided:
            return self._ask_to_connect(identity)
        self.identity = identity
        expires_at_ms = None if identity.expires_at is None else int(identity.expires_at * 1_000)
        if known is not None:
            left = self._leave_lost(identity)
            return [
                Send(Authenticated(expires_at_ms, self._auth_ref)),
                *left,
                *self._withdraw(unsent),
                *self._show_token(known, identity),
                *self._show_anew(known, identity),
            ]
        self.state = State.READY
        self._grant = ""
        self._deadlines.known()
        config = self._config
        rooms, entry = self._rooms_at_connect(identity), self._entry
        self._default_room = rooms[0] if rooms else ""
        joined = () if self._manual else (*rooms, user_room(identity.user))
        if entry is not None:
            joined = entry.unasked(joined)
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
            "" if self._hooks is None else self._hooks.grant(CONNECT),
            "" if entry is None else entry.post,
        )
        actions: Actions = [Send(welcome)]
        if self._degraded:
            actions.append(Send(Degraded()))
        if entry is VISIT:
            return actions
        if entry is not None and entry.resumes:
            self._listens = False  # until it has joined that room with its position
            actions.append(self._enter_own(now_us))
            return actions
        actions += [self._ask_to_join(identity, room, now_us) for room in joined]
        if self._manual:
            actions.append(self._enter_own(now_us))
        return actions

    def enter_rooms(self, now: float, now_us: int) -> list[Outcome]:
        """Join the rooms that the address of an event stream names, and those whose positions it shows, as if
        the client had sent a JOIN for each. Call it once, when the client has come in.
        """
        identity, entry = self.identity, self._entry
        if entry is None or entry is ENTERED or entry is VISIT or identity is None:
            return []
        joined = () if self._manual else (*self._rooms_at_connect(identity), user_room(identity.user))
        self._entry = ENTERED
        return [
            self._handle(join, join.type, join.room, now, now_us, "")
            for join in entry.joins(entry.unasked(joined))
            if not self._is_closed
        ]

    def _rooms_at_connect(self, identity: Identity) -> list[str]:
        config = self._config
        rooms = permissions.rooms_at_connect(identity, self._namespaces, config.rooms)[: config.rooms_max]
        return rooms if self._entry is None else within(rooms)

    def _enter_own(self, now_us: int = 0) -> Join:
        """Join the user's own room without a word to the client: to be there, and to be judged by the token
        that it has now.
        """
        join = envelope.Join(user_room(self.user), self.conn, self.user, SILENT)
        first = join.room not in self._pending.rooms
        self._pending.ask_silently(join, now_us)
        return self._to_shard(join, first=first)

    def _show_token(self, before: Identity, identity: Identity) -> Actions:
        """Have a fresh token judged: it may be one that was revoked."""
        same = (before.token_id, before.issued_s) == (identity.token_id, identity.issued_s)
        return [] if same else [self._enter_own()]

    def _leave_lost(self, identity: Identity) -> Actions:
        """Leave the rooms that a fresh token does not allow, also those whose JOIN is not answered yet."""
        self._default_room = permissions.default_room(
            identity, self._namespaces, self._config.rooms, self._default_room
        )
        actions: Actions = []
        rooms = [room for room in self.rooms if room not in self._enrolled]
        for room in permissions.lost(identity, self._namespaces, rooms):
            actions += self._put_down(room, "forbidden", "Your token does not allow this room any more")
        return actions

    def _put_down(
        self,
        room: str,
        reason: str,
        message: str,
        code: ErrorCode = ErrorCode.FORBIDDEN,
        retry_after_ms: int | None = None,
    ) -> Actions:
        """Leave a room that this connection must not be in; what the client has asked of it is refused."""
        refs = [ref for ref in map(_shown, self._pending.refs(room)) if ref]
        self._pending.leave(room)
        return [
            Exit(room),
            *self._unwatch(room),
            Leave(envelope.Leave((room,), self.conn, "", self.user), self._shard_of(room)),
            *(Send(error(code, message, ref, retry_after_ms)) for ref in refs),
            Send(Left(room, "", reason)),
        ]

    def _withdraw(self, rooms: Iterable[str]) -> Actions:
        """Take back what was published to rooms that a fresh token does not let the client publish to."""
        identity, held = self._known(), self._pending.rooms
        return [
            Withdraw(room)
            for room in rooms
            if not permissions.may_publish(identity, self._namespaces, room, room in held)
        ]

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
        name = message.type if is_reserved_type(message.type) else ""
        policy = self._namespaces.policy(room) if not name and is_room(room) else None
        if refused := self._over_limit(policy, message.id, now, since):
            return refused
        if self._hooks is not None and self._hooks.holds(name, room):
            self._hooks.waits.put(Held(message, name, room, now_us, trace))
            return Outcome(message.type, [])
        return self._handle(message, name, room, now, now_us, trace)

    def _handle(
        self, message: ClientMessage, name: str, room: str, now: float, now_us: int, trace: str
    ) -> Outcome:
        """Do what the table says of a message; ``name`` is what it has it under."""
        row = self._TABLE[self.state]
        handler = row.get(name) or row["?"]
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
        token, grant = token_of(message), connect_grant_of(message)
        self._auth_ref = message.id
        if self.identity is None:
            self._grant = grant
        return Outcome(message.type, [Authenticate(token)])

    def _join(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        identity = self._known()
        own, rooms = user_room(identity.user), self._pending.rooms
        if room != own:
            permissions.check_join(identity, self._namespaces, room)
        since, watching = since_of(message), watching_of(message)
        if room not in rooms and room != own and len(rooms) - (own in rooms) >= self._config.rooms_max:
            raise ProtocolError(ErrorCode.TOO_MANY_ROOMS, f"At most {self._config.rooms_max} rooms")
        if self._entry is not None and room not in rooms and not self._entry.has_place(rooms, room):
            raise ProtocolError(ErrorCode.TOO_MANY_ROOMS, "More rooms than the ids of an event stream hold")
        self._check_open()
        if room == own and self._entering >= OPEN_MAX:  # a LEAVE of it takes none of these back
            raise ProtocolError(ErrorCode.OVERLOADED, "Wait for the answers to what you asked for")
        policy = self._namespaces.policy(room)
        if room not in rooms and room != own and permissions.asks_to_join(identity, policy, room):
            held = Held(message, message.type, room, now_us, trace)
            asked = self._consult("join", policy, held, grant_of(message))
            if asked is not None:
                return asked
        self._listens = self._listens or room == own
        self._entering += room == own
        ref = message.id or self._pending.ref()
        before = [] if watching is None else self._presences().join(identity, room, ref, watching)
        join = self._ask_to_join(identity, room, now_us, ref, since)
        return Outcome(message.type, [*before, join], join.shard, join.envelope)

    def _ask_to_join(
        self, identity: Identity, room: str, now_us: int, ref: str = "", since: Position | None = None
    ) -> Join:
        join = envelope.Join(room, self.conn, identity.user, ref or self._pending.ref(), since)
        if self._hooks is not None and (info := self._hooks.joins(room, self._pending.rooms)):
            self._presences().infos[room] = info
        first = room not in self._pending.rooms
        self._pending.ask(join, now_us)
        return self._to_shard(join, first=first)

    def _to_shard(self, join: envelope.Join, *, first: bool = False) -> Join:
        """Return a JOIN on its way, with since when this connection is there, or may be (the ``first`` one:
        since that comes there), what the room shows of it, and in its user's own room how it came in.
        """
        came_us, identity, config = self._pending.since(join.room), self.identity, self._config
        if first:
            came_us = 0
        if identity is not None and join.room == user_room(identity.user):
            join = msgspec.structs.replace(
                join,
                came_us=came_us,
                token_id=identity.token_id,
                issued_s=identity.issued_s,
                limit=config.connections_per_user,
                replace=config.connections_per_user > 0 and config.replace_oldest,
            )
        elif came_us:
            join = msgspec.structs.replace(join, came_us=came_us)
        if identity is not None:
            join = shown_by(join, identity, self._namespaces, self._presence)
        return Join(join, self._shard_of(join.room), first)

    def _leave(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        if room == user_room(self.user):
            return self._leave_own(message, room)
        permissions.check_room(room)
        if not self._pending.leave(room):
            return Outcome(message.type, [Send(Left(room, message.id))])
        leave = envelope.Leave((room,), self.conn, message.id, self.user)
        actions: Actions = [Exit(room), *self._unwatch(room), Leave(leave, self._shard_of(room))]
        if not message.id:  # the router answers only where there is a ref
            actions.append(Send(Left(room)))
        return Outcome(message.type, actions)

    def _leave_own(self, message: ClientMessage, room: str) -> Outcome:
        """Give the client nothing more of what is said in its user's own room; it stays there."""
        if not self._listens:
            return Outcome(message.type, [Send(Left(room, message.id))])
        self._listens = False
        self._pending.forget(room)
        return Outcome(message.type, [Exit(room), Send(Left(room, message.id))])

    def _history(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        self._check_member(room, "ask for its history")
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

    def _saw(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        identity = self._known()
        self._check_member(room, "say what you have seen")
        if self._namespaces.policy(room).receipts != "seen":
            raise ProtocolError(ErrorCode.FORBIDDEN, "This room does not tell who has seen what")
        position = seen_of(message)
        if permissions.is_hidden(identity, room):
            return Outcome(message.type, [])
        shard = self._shard_of(room)
        seen = envelope.Seen(room, self.conn, position.epoch, position.seq)
        return Outcome(message.type, [Seen(seen, shard)], shard)

    def _check_member(self, room: str, purpose: str) -> None:
        """Raise where the client is not in a room, or not given what is said there."""
        own = room == user_room(self.user)
        if not own:
            permissions.check_room(room)
        if room not in self._pending.rooms or (own and not self._listens):
            raise ProtocolError(ErrorCode.NOT_JOINED, f"Join this room before you {purpose}")

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

    def _request(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        identity = self._known()
        if self._requests is None:
            self._requests = OpenRequests(self._config.calls_max)
        if message.id and message.id in self._requests:  # sent again: it has one answer
            return Outcome(message.type, [])
        asked = self._requests.ask(message, identity, self._namespaces.services)
        return Outcome(message.type, [asked])

    def _cancel(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        if not message.ref:
            raise ProtocolError(ErrorCode.INVALID_MESSAGE, "ref: is missing")
        if self._requests is None or not self._requests.close(message.ref):
            return Outcome(message.type, [])  # its answer is on its way, or was never asked for
        cancelled = error(ErrorCode.CANCELLED, "You have cancelled this", message.ref)
        return Outcome(message.type, [CancelRequest(message.ref), Send(cancelled)])

    def _ping(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        return Outcome(message.type, [Send(Pong(message.payload, message.binary, message.id))])

    def _publish(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Outcome:
        identity = self._known()
        policy = permissions.check_publish(identity, self._namespaces, room, room in self._pending.rooms)
        ephemeral = message.type in policy.ephemeral_types
        receipt = level_of(message, policy, ephemeral=ephemeral)
        if policy.check and (unfit := policy.problem(message.type, message.payload, message.binary)):
            raise ProtocolError(ErrorCode.INVALID_PAYLOAD, f"payload: {unfit}")
        if "publish" in policy.hooks:
            asked = self._consult("publish", policy, Held(message, "", room, now_us, trace))
            if asked is not None:
                return asked
        payload, binary = message.payload, message.binary
        if self._hooks is not None:
            payload, binary = self._hooks.publish(message, room)
        name = message.id
        if not name and not ephemeral:  # so that a repeat on the way is not a second message
            self._published += 1
            name = f"{envelope.INTERNAL_ID}{self.conn}.{self._published:x}"
        published = envelope.Publish(
            room,
            message.type,
            payload,
            now_us,
            self.conn,
            identity.user,
            name,
            binary,
            message.include_sender or policy.include_sender,
            ephemeral,
            message.key,
            0,
            trace,
            receipt,
        )
        if receipt:
            if self._receipts is None:
                self._receipts = SessionReceipts()
            self._receipts.ask(name, room, receipt, self._now)
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

    # ── what backends decide ────────────────────────────────────────────────────────────────────────────────

    @property
    def unread(self) -> bool:
        """Whether nothing more is to be read of the client until a backend has decided something."""
        return self._hooks is not None and self._hooks.unread

    @property
    def held_bytes(self) -> int:
        """What waits for backends' decisions, in bytes."""
        return 0 if self._hooks is None else self._hooks.waits.bytes

    @property
    def _is_closed(self) -> bool:
        return self.state is State.CLOSED

    def _ask_to_connect(self, identity: Identity) -> Actions:
        if self._hooks is None:
            self._hooks = HookSession(self.conn, self._headers)
        self._deadlines.known()  # its token has come; for an answer it waits no longer than that takes
        return [Consult(*self._hooks.connect(identity, self._grant))]

    def _consult(self, hook: Hook, policy: RoomPolicy, held: Held, grant: str = "") -> Outcome | None:
        """Have it decided whether a message may be handled; None: it may."""
        if self._hooks is None:
            self._hooks = HookSession(self.conn, self._headers)
        hooks = self._hooks
        if hooks.allowed is not None or (hook == "publish" and hooks.may_publish(held.room, held.at_us)):
            return None
        asked = hooks.ask(hook, self._known(), policy, held, grant, self.void_s)
        return Outcome(held.message.type, [Consult(*asked)])

    def decided(self, ticket: int, verdict: Verdict, now: float, now_us: int) -> list[Outcome]:
        """Go on with what a backend has decided, or nobody could, and with what has waited behind it. An
        answer to what is not asked (any more) changes nothing.
        """
        hooks = self._hooks
        if hooks is None or self._is_closed:
            return []
        if hooks.is_connect(ticket):
            return [Outcome(REFUSED, self._let_in(hooks, verdict, now, now_us))]
        if (room := hooks.rechecks.decided(ticket)) is not None:
            return [Outcome(REFUSED, self._rechecked(hooks, room, verdict))]
        held = hooks.waits.decided(ticket)
        if held is None:
            return []
        outcomes = [self._settle(hooks, held, verdict, now)]
        while not self._is_closed and (after := hooks.waits.following(held.room)) is not None:
            if isinstance(verdict, Undecided) and not after.name:
                # It was said behind what its sender will repeat, so it is for repeating too.
                outcomes.append(self._undecided(after, verdict))
            else:
                outcomes.append(
                    self._handle(after.message, after.name, after.room, now, after.at_us, after.trace)
                )
        return outcomes

    @staticmethod
    def _undecided(held: Held, verdict: Undecided) -> Outcome:
        told = error(verdict.code, says(verdict), held.message.id, verdict.retry_after_ms)
        return Outcome(REFUSED, [Send(told)])

    def _let_in(self, hooks: HookSession, verdict: Verdict, now: float, now_us: int) -> Actions:
        identity, hooks.connecting = hooks.connecting, None
        match verdict:
            case Allowed() if identity is not None:
                hooks.comes_in(verdict)
                return self.identify(permissions.decided(identity, verdict.answer), now, now_us)
            case Denied():
                return self.end(CloseCode.UNAUTHORIZED, verdict.reason, ref=self._auth_ref)
            case Undecided():
                return self.end(CloseCode.OVERLOADED, says(verdict), self._auth_ref, verdict.retry_after_ms)
        return []

    def _settle(self, hooks: HookSession, held: Held, verdict: Verdict, now: float) -> Outcome:
        message = held.message
        match verdict:
            case Denied():
                says_no = verdict.reason or "A backend does not allow this"
                return self._refused(ProtocolError(ErrorCode.FORBIDDEN, says_no), message.id, now)
            case Undecided():
                return self._undecided(held, verdict)
        # What else it needs is looked at again: it may have lost that meanwhile.
        hooks.allowed = verdict
        try:
            return self._handle(message, held.name, held.room, now, held.at_us, held.trace)
        finally:
            hooks.allowed = None

    def grants_revoked(self, void_s: int) -> Actions:
        """What this user was granted before ``void_s`` (s since the Unix epoch) is void, says the log: what
        this connection has by that is asked about anew, where it is news.
        """
        if void_s <= self.void_s or self._is_closed:
            return []
        self.void_s, hooks = void_s, self._hooks
        if hooks is None:
            return []
        hooks.revoke()
        hooks.rechecks.void(void_s)
        return self._ask_anew(hooks)

    def _ask_anew(self, hooks: HookSession) -> Actions:
        """Have backends asked about rooms that this connection is in by what is void, some at a time."""
        actions, policy = Actions(), self._namespaces.policy
        while (room := hooks.rechecks.next(self._pending.rooms)) is not None:
            actions.append(Consult(*hooks.ask_anew(self._known(), policy(room), room, self.void_s)))
        return actions

    def _rechecked(self, hooks: HookSession, room: str, verdict: Verdict) -> Actions:
        """Do what was decided about a room that this connection is in already, or about itself: closed by
        default.
        """
        actions = Actions()
        if room == CONNECT:
            actions = self._let_stay(hooks, verdict)
        elif room in self._pending.rooms and room not in self._enrolled:
            match verdict:
                case Allowed():
                    hooks.allowed = verdict
                    info = hooks.joins(room, self._pending.rooms)
                    hooks.allowed = None
                    actions = self._presences().told(self._known(), room, info) if info else actions
                case Denied():
                    says_no = verdict.reason or "A backend does not allow this"
                    actions = self._put_down(room, "forbidden", says_no)
                case Undecided():
                    retry_ms = verdict.retry_after_ms
                    actions = self._put_down(room, "unavailable", says(verdict), verdict.code, retry_ms)
        return actions if self._is_closed else [*actions, *self._ask_anew(hooks)]

    def _let_stay(self, hooks: HookSession, verdict: Verdict) -> Actions:
        """Go on as a backend says now that this connection may be here, or end it."""
        match verdict:
            case Denied():
                return self.end(CloseCode.UNAUTHORIZED, verdict.reason)
            case Undecided():
                return self.end(CloseCode.OVERLOADED, says(verdict), "", verdict.retry_after_ms)
        before = self._known()
        identity = permissions.decided(permissions.as_it_came(before), verdict.answer)
        if identity.user != before.user:  # a connection has one user for its whole life
            return self.end(CloseCode.UNAUTHORIZED, "You have another name now; connect again")
        self.identity = identity
        for room in self._pending.rooms:
            taken = room in before.rooms and room not in identity.rooms
            if taken and permissions.asks_to_join(identity, self._namespaces.policy(room), room):
                hooks.rechecks.doubt(room)
        actions = self._leave_lost(identity)
        if before.info != identity.info:
            actions += self._presences().renewed(before, identity, self.rooms)
        return actions

    # ── what the routers say ────────────────────────────────────────────────────────────────────────────────

    def answer(self, reply: Reply, now_us: int = 0) -> Actions:
        """Do what a router says to this connection, and tell the client of it where it still waits for
        that.
        """
        if self.state is State.CLOSED:
            return []
        match reply:
            case envelope.Ack():
                if reply.id[:1] == envelope.INTERNAL_ID:
                    return []
                return [Send(Acked(reply.id, reply.room, reply.epoch if reply.seq else "", reply.seq))]
            case envelope.Receipt():
                told = None if self._receipts is None else self._receipts.told(reply)
                return [] if told is None else [Send(told)]
            case envelope.Joined():
                return self._joined(reply)
            case envelope.HistoryPage():
                question, _ = self._pending.answered(reply.room, reply.ref)
                if question is None:
                    return []
                return [Send(History(reply.room, reply.messages, reply.more, _shown(reply.ref)))]
            case envelope.Left():
                # an answer to its own LEAVE, which took effect at once; it may have joined again since
                if reply.ref and not reply.reason:
                    return [Send(Left(reply.room, _shown(reply.ref)))]
                return self._put_out(reply)
            case envelope.Dismissed():
                return self._dismissed(reply)
            case envelope.TokensRevoked():
                self.void_s = max(self.void_s, now_us // 1_000_000 + 1)
                if self._hooks is not None:
                    self._hooks.revoke()
                identity = self._known()
                by_id = bool(reply.token_id) and reply.token_id == identity.token_id
                if not by_id and identity.issued_s >= reply.before_s:
                    return []
                return self._dismissed(
                    envelope.Dismissed(self.conn, CloseCode.UNAUTHORIZED, "The token was revoked")
                )
            case envelope.Enrolled():
                return self._enroll(reply.rooms, now_us)
            case envelope.Refused():
                if reply.ref == STAYS:
                    return []
                if self._receipts is not None:
                    self._receipts.refused(reply.ref)
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

    def _put_out(self, reply: envelope.Left) -> Actions:
        """A backend has taken this connection out of a room; what it has asked of that is answered too. Where
        it is not in, as far as it was told, it has left meanwhile: what it asks now comes later.
        """
        room, reason = reply.room, reply.reason
        asked = self._pending.open(room, reply.ref)[0] is not None
        if not (asked if reply.ref else self._pending.is_in(room)):
            return []
        refs = [ref for ref in map(_shown, self._pending.refs(room)) if ref]
        self._pending.leave(room)
        code = ErrorCode.BLOCKED if reason == "blocked" else ErrorCode.FORBIDDEN
        refusals = [Send(error(code, "A backend has taken you out of this room", ref)) for ref in refs]
        return [Exit(room), *refusals, *self._unwatch(room), Send(Left(room, "", reason))]

    def _dismissed(self, reply: envelope.Dismissed) -> Actions:
        """Close as the log wants it; a code that is not known here is a newer router's."""
        code = _CLOSES.get(reply.code, CloseCode.DISCONNECTED)
        self._why = _WHY.get(code, "")
        return self.end(code, reply.reason, reason=reply.reason)

    def _enroll(self, rooms: Iterable[str], now_us: int) -> Actions:
        """Join rooms as a backend wants it, whatever the token allows, as far as there is place."""
        identity, own, held = self._known(), user_room(self.user), self._pending.rooms
        wanted = [room for room in dict.fromkeys(rooms) if room not in held and room != own]
        place = max(0, self._config.rooms_max - len(held) + (own in held))
        taken = wanted[:place] if self._entry is None else within(wanted[:place], held)
        actions: Actions = [self._ask_to_join(identity, room, now_us) for room in taken]
        self._enrolled = frozenset(room for room in (*self._enrolled, *rooms) if room in held)
        if len(wanted) > len(taken):
            most = self._config.rooms_max if len(wanted) > place else len(held)
            says = f"At most {most} rooms: a backend wanted you in more"
            actions.append(Send(error(ErrorCode.TOO_MANY_ROOMS, says)))
        return actions

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
        grant = self._hooks.grant(room) if self._hooks is not None and reply.ref else ""
        joined = Joined(
            room,
            position.epoch,
            position.seq,
            reply.recovered,
            reply.missed,
            _shown(reply.ref),
            grant,
            watching,
        )
        return [Send(joined), *more]

    def presence(self, read: PresenceRead) -> Actions:
        """Tell the client what was read of the presence in a room, where it still waits for that."""
        if self.state is State.CLOSED or self._presence is None:
            return []
        return self._presence.read(read.room, read.ref, read.payload)

    def contact_refused(self, room: str) -> Actions:
        """Tell the client that it is not told of the user whose own room this is: there is no place."""
        if self.state is State.CLOSED or self._presence is None:
            return []
        return self._presence.refused(room)

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
        here = set(self.rooms_in(shard))
        actions += [self._to_shard(join) for join in self._pending.joins(here)]
        own = user_room(self.user)
        if own in here:
            self._entering = 0  # what was not answered is not known to be on its way
            actions += [] if self._listens else [self._enter_own()]
        if self.identity is not None and self._shard_of(self.conn) == shard:
            # It may have been dismissed by its own address meanwhile.
            stays = envelope.Join(self.conn, self.conn, self.user, STAYS, came_us=self._pending.since(own))
            actions.append(Join(stays, shard))
        return actions

    def entered(self, entered: envelope.Entered) -> bool | None:
        """Take note of since when this connection is in a room. Return whether it is to be given what is said
        there: None where not (no JOIN of that is open, or it is there silently), else whether it was asked
        by ourselves (``again``).
        """
        room, ref = entered.room, entered.ref
        question, quiet = self._pending.open(room, ref)
        # Of another room that was left meanwhile, and is joined anew, it says nothing.
        if question is not None or room == user_room(self.user):
            self._pending.came(room, entered.came_us)
        if ref == SILENT:
            self._pending.answered(room, ref)
            return None
        if room == user_room(self.user):
            self._entering = max(0, self._entering - 1)
        return quiet if isinstance(question, envelope.Join) else None

    def undelivered(self, ref: str, code: ErrorCode, message: str = "") -> Actions:
        """Say that what was sent under ``ref`` did not get through (UNAVAILABLE), did not fit (OVERLOADED) or
        was taken back (FORBIDDEN).
        """
        if self.state is State.CLOSED:
            return []
        if self._receipts is not None:
            self._receipts.refused(ref)
        return [Send(error(code, message or _UNDELIVERED.get(code, "Not delivered"), _shown(ref)))]

    # ── what services say ───────────────────────────────────────────────────────────────────────────────────

    def responded(self, said: Responded) -> Actions:
        """Tell the client what a service answers, where it still waits for that."""
        requests = self._requests
        if self.state is State.CLOSED or requests is None or said.ref not in requests:
            return []
        if not said.more:
            requests.close(said.ref)
        n = said.n if said.n > 1 or said.more else 0
        return [Send(Response(said.ref, said.payload, said.binary, n, said.more))]

    def request_accepted(self, ref: str) -> Actions:
        """Tell the client that its answer will come as a message."""
        if self._requests is None or not self._requests.close(ref) or self.state is State.CLOSED:
            return []
        return [Send(Accepted(ref))]

    def request_failed(self, said: RequestFailed) -> Actions:
        """Tell the client that there is no answer, or no whole one, where it still waits for that."""
        if self._requests is None or not self._requests.close(said.ref) or self.state is State.CLOSED:
            return []
        return [Send(service_error(said.code, said.says, said.ref, said.retry_after_ms))]

    def reads_too_slowly(self, ref: str) -> Actions:
        """So many parts of an answer wait for the client that the service is to stop."""
        if self._requests is None or not self._requests.close(ref) or self.state is State.CLOSED:
            return []
        says = "You read the parts of this answer too slowly"
        return [CancelRequest(ref), Send(error(ErrorCode.OVERLOADED, says, ref))]

    # ── time, the broker, the end ───────────────────────────────────────────────────────────────────────────

    def heard(self) -> None:
        """There was a sign of life of the client: a pong, a ping, a part of a frame."""
        self._deadlines.heard()

    def quiet(self, now: float) -> bool:
        """Say whether ``tick`` has nothing to do."""
        return not self._receipts and self._deadlines.quiet(now)

    def tick(self, now: float) -> Actions:
        """Do what is due. Call it several times in ``heartbeat_ms``; how punctual things are depends on how
        often.
        """
        if self.state is State.CLOSED:
            return []
        unknown: Actions = [] if self._receipts is None else [*map(Send, self._receipts.expire(now))]
        due = self._deadlines.due(now)
        if due is NOTHING:
            return unknown
        match due:
            case Due.PING:
                return [*unknown, Ping()]
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

    def end(
        self,
        code: CloseCode,
        message: str = "",
        ref: str = "",
        retry_after_ms: int | None = None,
        *,
        reason: str = "",
    ) -> Actions:
        """Close from our side: the ERROR that says why, where the code has one, then the close, with this
        ``reason`` (empty: the code's). Nothing comes out after it but what ``closed`` gives.
        """
        if self.state is State.CLOSED:
            return []
        self.state = State.CLOSED
        self._returns = code.reconnect == "yes"
        last, close = farewell(code, message, ref, retry_after_ms), Close(code, reason)
        return [close] if last is None else [Send(last), close]

    def closed(self) -> Actions:
        """Leave everything, once the WebSocket is closed or its socket gone: here, and at the routers by one
        LEAVE for each shard; with grace, unless we have closed it and said that it must not come back.
        """
        self.state = State.CLOSED
        self._hooks = None
        rooms = self._pending.clear()
        requests, self._requests = self._requests, None
        by_shard: dict[int, list[str]] = {}
        for room in rooms:
            by_shard.setdefault(self._shard_of(room), []).append(room)
        actions: Actions = [Exit(room) for room in rooms]
        if self._presence is not None:
            actions += self._presence.closed()
        actions += [
            Leave(envelope.Leave(tuple(group), self.conn, "", self.user, self._why), shard, self._returns)
            for shard, group in by_shard.items()
        ]
        if requests is not None:
            actions += map(CancelRequest, requests.refs())
        return actions

    # What a message does in a state: by its type, "" for ordinary ones, "?" for what the row has not.
    _KNOWN: ClassVar[Mapping[str, _Handler]] = {
        "": _publish,
        "AUTH": _authenticate,
        "CANCEL": _cancel,
        "HISTORY": _history,
        "JOIN": _join,
        "LEAVE": _leave,
        "PING": _ping,
        "REQUEST": _request,
        "SEEN": _saw,
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
    ErrorCode.FORBIDDEN: "Your token does not allow publishing to this room any more",
}
_CODES: Final = {str(code): code for code in ErrorCode}
_CLOSES: Final = {int(code): code for code in CloseCode}
# What backends are told of a connection that was closed with this code.
_WHY: Final = {
    CloseCode.UNAUTHORIZED: "revoked",
    CloseCode.DISCONNECTED: "disconnected",
    CloseCode.REPLACED: "replaced",
}
_NOTHING: Final = Outcome(REFUSED, [])


def _shown(ref: str) -> str:
    """Return a ref as the client may see it: an internal one is none of its own."""
    return "" if ref[:1] == envelope.INTERNAL_ID else ref
