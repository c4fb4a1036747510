"""Session: one connection's state machine. A message, an answer or a tick goes in, actions come out.

    new ──AUTH, identify──▶ ready ──drain──▶ draining      any of them ──end, or closed by the peer──▶ closed

Which message does what in which state is the table ``_TABLE``; what it has not is answered with an ERROR. A
session owns no socket, task or clock, calls nobody, and does not know of shards or other sessions. It never
raises for what a client sends. ``shell/connection.py`` feeds it and does its actions in order;
``shell/downlink.py`` hands it the routers' answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from gateway.core import codec_json, permissions
from gateway.core.actions import Authenticate, Exit, Hold, Join, Leave, Publish, Query, Send
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
    Welcome,
    error,
)
from gateway.core.connection_deadlines import Actions, ConnectionDeadlines, SessionConfig, State
from gateway.core.control_payloads import page_of, since_of, token_of
from gateway.core.error_rate_limit import ErrorRateLimit
from gateway.core.pending_requests import PendingRequests
from gateway.core.permissions import Identity
from warren import envelope
from warren.address import EVERYONE, is_room, user_room
from warren.errors import CloseCode, ErrorCode, ProtocolError
from warren.message_rules import is_reserved_type
from warren.namespaces import Namespaces, RoomPolicy
from warren.position import Position

__all__ = ["Actions", "Identity", "Session", "SessionConfig", "State"]

Reply = envelope.Joined | envelope.Left | envelope.Ack | envelope.Refused | envelope.HistoryPage
_Handler = Callable[["Session", ClientMessage, str, int, str], Actions]


class Session(ConnectionDeadlines):
    """One connection."""

    __slots__ = (
        "_auth_ref", "_codec", "_default_room", "_limits", "_manual", "_membership", "_namespaces",
        "_patience", "_published", "conn",
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
        super().__init__(config)
        self.conn = connection_id
        self._namespaces = namespaces
        self._codec = codec
        self._limits = RateLimits(config.rate)
        self._membership = PendingRequests()
        self._patience: ErrorRateLimit | None = None  # who is never refused anything needs none
        self._manual = manual
        self._default_room = ""
        self._auth_ref = ""
        self._published = 0

    @property
    def rooms(self) -> tuple[str, ...]:
        """The rooms that a router may hold this connection in: joined, or asked for."""
        return tuple(self._membership.rooms)

    # ── the client comes in ─────────────────────────────────────────────────────────────────────────────────

    def open(self, identity: Identity | None, now: float, now_us: int) -> Actions:
        """Begin. ``identity`` None: the client is not known yet and has ``auth_timeout_ms`` to send AUTH.

        ``now`` is monotonic seconds everywhere, ``now_us`` the wall clock in µs since the Unix epoch.
        """
        self._begin(now)
        return [] if identity is None else self.identify(identity, now, now_us)

    def identify(self, identity: Identity, now: float, now_us: int) -> Actions:
        """Take the outcome of a token that holds: WELCOME and the rooms joined at connect, or a
        longer life.
        """
        known = self.identity
        if self.state is State.CLOSED:
            return []
        if known is not None and known.user != identity.user:
            return self.end(CloseCode.UNAUTHORIZED, "The token is another user's", ref=self._auth_ref)
        if not self._live_until(identity.expires_at, now, now_us):
            return self.end(CloseCode.UNAUTHORIZED, "The token has expired", ref=self._auth_ref)
        self.identity = identity
        expires_at_ms = None if identity.expires_at is None else int(identity.expires_at * 1_000)
        if known is not None:
            return [Send(Authenticated(expires_at_ms, self._auth_ref)), *self._leave_lost(identity)]
        self.state = State.READY
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
            refs = [ref for ref in map(_shown, self._membership.refs(room)) if ref]
            self._membership.leave(room)
            actions += [Exit(room), Leave(envelope.Leave((room,), self.conn, "", identity.user))]
            actions += [
                Send(error(ErrorCode.FORBIDDEN, "Your token does not allow this room any more", ref))
                for ref in refs
            ]
            actions.append(Send(Left(room)))
        return actions

    def refuse(self, reason: str = "") -> Actions:
        """Take the outcome of a token that does not hold; ``reason`` is for the client and never repeats the
        token.
        """
        return self.end(CloseCode.UNAUTHORIZED, reason, ref=self._auth_ref)

    # ── what the client says ────────────────────────────────────────────────────────────────────────────────

    def receive(
        self, data: str | bytes, now: float, now_us: int, trace: str = "", since: float | None = None
    ) -> Actions:
        """Take one data frame: text as str, binary as bytes. ``trace`` is put into the envelope of what is
        published; ``since`` is when it came at the earliest (None: now), for it counts in rate limits when it
        came.
        """
        if self.state is State.CLOSED:
            return []
        self._alive = True
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

    def _refused(self, refusal: ProtocolError, ref: str, now: float, wait_ms: int = 0) -> Actions:
        """Say that a message is refused; who sends hardly anything else is held back, and closed where that
        goes on.
        """
        if self._patience is None:
            self._patience = ErrorRateLimit()
        hold_s = self._patience.refused(now, wait_ms / 1_000)
        if hold_s is None:
            return self.end(
                CloseCode.RATE_LIMITED, f"Too much that is refused; the last: {refusal.message}", ref
            )
        answer: Actions = [Send(error(refusal.code, refusal.message, ref, wait_ms or None))]
        return [*answer, Hold(hold_s)] if hold_s else answer

    def _over_limit(self, policy: RoomPolicy | None, ref: str, now: float, since: float | None) -> Actions:
        """Return what happens to a message that comes too fast; nothing where it does not."""
        excess = self._limits.take(policy, now, since)
        if excess is None:
            return []
        if excess.limit.policy == "reject":
            return self._refused(ProtocolError(ErrorCode.RATE_LIMITED, excess.says), ref, now, excess.wait_ms)
        return self.end(CloseCode.RATE_LIMITED, excess.says, ref)

    def _authenticate(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Actions:
        token = token_of(message)
        self._auth_ref = message.id
        return [Authenticate(token)]

    def _join(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Actions:
        identity = self._known()
        own, rooms = user_room(identity.user), self._membership.rooms
        if room != own:
            permissions.check_join(identity, self._namespaces, room)
        since = since_of(message)
        if room not in rooms and room != own and len(rooms) - (own in rooms) >= self._config.rooms_max:
            raise ProtocolError(ErrorCode.TOO_MANY_ROOMS, f"At most {self._config.rooms_max} rooms")
        self._check_open()
        return [self._ask_to_join(identity, room, message.id, since)]

    def _ask_to_join(
        self, identity: Identity, room: str, ref: str = "", since: Position | None = None
    ) -> Join:
        join = envelope.Join(room, self.conn, identity.user, ref or self._membership.ref(), since)
        first = room not in self._membership.rooms
        self._membership.ask(join)
        return Join(join, first)

    def _leave(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Actions:
        permissions.check_room(room)
        if not self._membership.leave(room):
            return [Send(Left(room, message.id))]
        actions: Actions = [Exit(room), Leave(envelope.Leave((room,), self.conn, message.id, self.user))]
        if not message.id:  # the router answers only where there is a ref
            actions.append(Send(Left(room)))
        return actions

    def _history(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Actions:
        if room != user_room(self.user):
            permissions.check_room(room)
        if room not in self._membership.rooms:
            raise ProtocolError(ErrorCode.NOT_JOINED, "Join this room before you ask for its history")
        before, limit = page_of(message)
        self._check_open()
        ref = message.id or self._membership.ref()
        query = envelope.HistoryQuery(room, self.conn, ref, before, limit)
        self._membership.ask(query)
        return [Query(query)]

    def _check_open(self) -> None:
        if self._membership.is_full(self._config.rooms_max):
            raise ProtocolError(ErrorCode.OVERLOADED, "Wait for the answers to what you asked for")

    def _ping(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Actions:
        return [Send(Pong(message.payload, message.binary, message.id))]

    def _publish(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Actions:
        identity = self._known()
        policy = permissions.check_publish(identity, self._namespaces, room, room in self._membership.rooms)
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
        return [Publish(published, message.traceparent)]

    def _not_known(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Actions:
        return self.end(CloseCode.UNAUTHORIZED, "Send AUTH first", ref=message.id)

    def _unknown_type(self, message: ClientMessage, room: str, now_us: int, trace: str) -> Actions:
        raise ProtocolError(ErrorCode.UNKNOWN_TYPE, f"{message.type} is reserved and not a client's to send")

    def _known(self) -> Identity:
        identity = self.identity
        if identity is None:  # the table lets only known clients come here
            raise ProtocolError(ErrorCode.UNAUTHORIZED, "Send AUTH first")
        return identity

    # ── what the routers say ────────────────────────────────────────────────────────────────────────────────

    def answer(self, reply: Reply, now: float) -> Actions:
        """Take what a router says to this connection."""
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
                question, _ = self._membership.answered(reply.room, reply.ref)
                if question is None:
                    return []
                return [Send(History(reply.room, reply.messages, reply.more, _shown(reply.ref)))]
            case envelope.Left():
                # an answer to its own LEAVE, which took effect at once; it may have joined again since
                if reply.ref:
                    return [Send(Left(reply.room, _shown(reply.ref)))]
                if not self._membership.leave(reply.room):
                    return []
                return [Exit(reply.room), Send(Left(reply.room))]
            case envelope.Refused():
                _, quiet = self._membership.refused(reply.ref)
                if quiet:
                    return []
                # A code that is not known here is a newer router's.
                code = _CODES.get(reply.code, ErrorCode.INTERNAL)
                return [Send(error(code, reply.message, _shown(reply.ref)))]

    def _joined(self, reply: envelope.Joined) -> Actions:
        """Each JOIN is answered to the client once, however often it had to be asked."""
        room, position = reply.room, reply.position
        if room not in self._membership.rooms:  # it has left in the meantime
            return []
        question, quiet = self._membership.answered(room, reply.ref)
        if reply.ref and (question is None or (quiet and reply.recovered)):
            return []
        return [
            Send(Joined(room, position.epoch, position.seq, reply.recovered, reply.missed, _shown(reply.ref)))
        ]

    def resynced(self, room: str, position: Position) -> Actions:
        """Take that this member stands at ``position`` now, and that what lies before it may be
        lost to it.
        """
        if self.state is State.CLOSED or (room not in self._membership.rooms and room != EVERYONE):
            return []
        return [Send(Joined(room, position.epoch, position.seq, recovered=False))]

    def again(self, room: str, since: Position) -> Actions:
        """Ask for what this member of ``room`` lacks after ``since``."""
        if self.state is State.CLOSED:
            return []
        join = self._membership.again(room, self.conn, self.user, since)
        return [] if join is None else [Join(join)]

    def renew(self, concerns: Callable[[str], bool]) -> Actions:
        """Ask again for the client's JOINs that were not answered, in the rooms that ``concerns`` picks: the
        answers may never come.
        """
        if self.state is State.CLOSED:
            return []
        return [Join(join) for join in self._membership.joins(concerns)]

    def awaits_join(self, room: str, ref: str) -> bool | None:
        """Say whether a JOIN of this room is open under ``ref``: None where it is not, else whether it was
        asked by ourselves (``again``).
        """
        question, quiet = self._membership.open(room, ref)
        return quiet if isinstance(question, envelope.Join) else None

    def undelivered(self, ref: str, code: ErrorCode, message: str = "") -> Actions:
        """Say that what was sent under ``ref`` did not get through (UNAVAILABLE) or did not fit
        (OVERLOADED).
        """
        if self.state is State.CLOSED:
            return []
        return [Send(error(code, message or _UNDELIVERED.get(code, "Not delivered"), _shown(ref)))]

    def untaken(self, room: str) -> None:
        """Take that the first JOIN of a room was not sent: no router holds this connection in it, and none
        has to be told that it left.
        """
        self._membership.leave(room)

    def closed(self) -> tuple[str, ...]:
        """Take that the socket is gone. Return the rooms that the routers have to be told it left (``leaves``
        makes the envelopes).
        """
        self.state = State.CLOSED
        return self._membership.clear()

    # What a message does in a state: by its type, "" for ordinary ones, "?" for what the row has not.
    _KNOWN: ClassVar[Mapping[str, _Handler]] = {
        "": _publish,
        "AUTH": _authenticate,
        "HISTORY": _history,
        "JOIN": _join,
        "LEAVE": _leave,
        "PING": _ping,
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


def _shown(ref: str) -> str:
    """Return a ref as the client may see it: an internal one is none of its own."""
    return "" if ref[:1] == envelope.INTERNAL_ID else ref
