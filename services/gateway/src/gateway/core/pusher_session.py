"""PusherSession: the state machine of one connection that speaks the Pusher protocol. Its inputs and actions
are those of every session; what differs is the table of what a client may say, and how it is answered.

    new ──the app is known──▶ ready ──drain──▶ draining     any of them ──end, or closed by the peer──▶ closed

A channel is a room (``warren/pusher/channels.py``); to subscribe is to JOIN it, as the user that the channel
knows: nobody in particular, or the member whom its app has signed. The client has no use for a room's
position, so it is told nothing of it. It owns no socket, task or clock, and never raises for what a client
sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

import msgspec

from gateway.core import permissions, pusher_closes, pusher_frames
from gateway.core.actions import (
    Actions,
    Close,
    Exit,
    Follow,
    Hold,
    Join,
    Leave,
    Publish,
    Query,
    SendText,
    TellWebhooks,
)  # fmt: skip
from gateway.core.client_limits import TokenBucket
from gateway.core.codec_pusher import encode_delivery
from gateway.core.inputs import Reply
from gateway.core.permissions import Identity
from gateway.core.pusher_client_events import ClientEvent, published_of
from gateway.core.pusher_closes import PusherClose
from gateway.core.pusher_frames import Said
from gateway.core.pusher_subscriptions import Subscription, subscription_of
from gateway.core.session import REFUSED, STAYS, UNREADABLE, Outcome, Session, SessionConfig, State
from warren import envelope
from warren.address import user_room
from warren.errors import CloseCode, ErrorCode, ProtocolError
from warren.log_entries import PRESENCE_OFF, PRESENCE_USERS
from warren.namespaces import Namespaces
from warren.position import Position
from warren.pusher import channels, gateway_events, messages, signatures
from warren.pusher.apps import App, Apps
from warren.pusher.gateway_events import GatewayEvent

VERSIONS: Final = frozenset({"5", "6", "7"})
# After so long without a message clients send a ping; ours, of the WebSocket, are more frequent.
ACTIVITY_S: Final = 120
# Frames besides client events that are handled at once, and in how many ms as many more are; a client that
# sends more is not read for a while.
FRAMES: Final = 200
FRAMES_PER_MS: Final = 10_000
# Of the last events of a cache channel so many are looked at for one that is no client's.
CACHED: Final = 16


class AppSource(Protocol):
    """Whoever knows the apps that count now."""

    @property
    def apps(self) -> Apps:
        """They may change at any time."""
        ...


@dataclass(frozen=True, slots=True)
class Handshake:
    """What the upgrade said. ``refused`` is why the connection is to end at once."""

    key: str
    version: str
    refused: PusherClose | None = None
    says: str = ""


_Handler = Callable[["PusherSession", Said, int], Outcome]


class PusherSession(Session):
    """One connection."""

    __slots__ = (
        "_events", "_frames", "_handshake", "_leave_at", "_number", "_seen", "_source", "_subscriptions",
        "_ticked", "app", "close_code",
    )  # fmt: skip

    def __init__(
        self,
        connection_id: str,
        config: SessionConfig,
        namespaces: Namespaces,
        source: AppSource,
        handshake: Handshake,
    ) -> None:
        """``source`` has the apps, now and later. Call ``open`` before anything else."""
        super().__init__(connection_id, config, namespaces)
        self.app: App | None = None
        self.close_code = 0  # that of the protocol, where it is not the one of a CloseCode
        self._source = source
        self._handshake = handshake
        self._seen = source.apps  # as of which ``app`` is
        self._subscriptions: dict[str, Subscription] = {}  # by their rooms
        self._frames = TokenBucket(FRAMES, FRAMES_PER_MS)
        self._events: TokenBucket | None = None  # who publishes nothing needs none
        self._ticked = 0.0
        self._number = 0  # of what webhooks were told
        self._leave_at: float | None = None  # when it is to connect elsewhere

    # ── the client comes in ─────────────────────────────────────────────────────────────────────────────────

    @property
    def guest(self) -> Identity:
        """Return who the client is before it signs in."""
        app = self._source.apps.by_key.get(self._handshake.key)
        return Identity(user=channels.nobody(app.id if app else ""), anonymous=True)

    def identify(self, identity: Identity, now: float, now_us: int, unsent: Iterable[str] = ()) -> Actions:
        """Let the client in where its app is known: it is told its ``socket_id``."""
        if self.state is not State.NEW:
            return []
        handshake, self._seen = self._handshake, self._source.apps
        app = self._seen.by_key.get(handshake.key)
        if app is None:
            return self._end_with(PusherClose.NO_APP)
        if not app.enabled:
            return self._end_with(PusherClose.DISABLED)
        if not handshake.version:
            return self._end_with(PusherClose.NO_VERSION)
        if handshake.version not in VERSIONS:
            return self._end_with(PusherClose.WRONG_VERSION)
        if handshake.refused is not None:
            return self._end_with(handshake.refused, handshake.says)
        self.app, self.identity, self.state = app, identity, State.READY
        self._deadlines.known()
        return [SendText("established", pusher_frames.established(self.socket, ACTIVITY_S))]

    @property
    def socket(self) -> str:
        """The connection's ``socket_id``."""
        return channels.socket_of(self.conn)

    # ── what the client says ────────────────────────────────────────────────────────────────────────────────

    def receive(
        self, data: str | bytes, now: float, now_us: int, trace: str = "", since: float | None = None
    ) -> Outcome:
        """Handle one data frame."""
        if self.state not in (State.READY, State.DRAINING):
            return Outcome(REFUSED, [])
        self._deadlines.heard()
        self._now = now
        try:
            said = pusher_frames.decode(data)
        except ProtocolError as refusal:
            return self._refused(refusal, "", now)
        if said.event.startswith(messages.CLIENT):
            return self._publish_event(said, now, now_us, since)
        wait_ms = self._frames.take(now, since)
        handler = self._SAID.get(said.event)
        try:
            if handler is None:
                name = said.event[:64]
                raise ProtocolError(
                    ErrorCode.UNKNOWN_TYPE,
                    f"{name}: clients send pusher: events of the protocol, and events named client-…",
                )
            outcome = handler(self, said, now_us)
        except ProtocolError as refusal:
            outcome = self._refused(refusal, "", now)
        if wait_ms:
            return msgspec.structs.replace(outcome, actions=[*outcome.actions, Hold(wait_ms / 1_000)])
        return outcome

    def _refused(self, refusal: ProtocolError, ref: str, now: float, wait_ms: int = 0) -> Outcome:
        """Say that something is refused; who sends hardly anything else is held back, and closed in the
        end.
        """
        told = SendText("error", pusher_frames.error(refusal.message))
        kind = UNREADABLE if refusal.code is ErrorCode.INVALID_FORMAT else REFUSED
        return Outcome(kind, self._answered([told], now, wait_ms))

    def _answered(self, told: Actions, now: float, wait_ms: int = 0) -> Actions:
        """Return an answer that refuses, and what it costs who is refused."""
        outcome = super()._refused(ProtocolError(ErrorCode.FORBIDDEN, "refused"), "", now, wait_ms)
        if self.state is State.CLOSED:
            return outcome.actions
        return [*told, *(each for each in outcome.actions if isinstance(each, Hold))]

    def _ping_said(self, said: Said, now_us: int) -> Outcome:
        return Outcome(said.event, [SendText("pong", pusher_frames.pong())])

    def _pong_said(self, said: Said, now_us: int) -> Outcome:
        return Outcome(said.event, [])

    def _subscribe(self, said: Said, now_us: int) -> Outcome:
        wanted = pusher_frames.data_of(said, pusher_frames.Subscribe)
        channel = wanted.channel
        try:
            pusher_frames.check_channel(channel)
            room, subscription = self._subscription(wanted)
        except ProtocolError as refusal:
            kind, status = ("AuthError", 401) if refusal.code is ErrorCode.FORBIDDEN else ("Error", 400)
            if refusal.code is ErrorCode.TOO_MANY_ROOMS:
                kind, status = "LimitReached", 4004
            told = pusher_frames.not_subscribed(channel[:256], kind, refusal.message, status)
            return Outcome(REFUSED, self._answered([SendText("subscription_error", told)], self._now))
        if room in self._subscriptions:
            raise ProtocolError(ErrorCode.INVALID_MESSAGE, f"Existing subscription to channel {channel}")
        self._subscriptions[room] = subscription
        ref = self._pending.ref()
        own = room == user_room(self.user)
        self._entering += own
        self._listens = self._listens or own
        join = envelope.Join(room, self.conn, subscription.user, ref)
        first = room not in self._pending.rooms
        self._pending.ask(join, now_us)
        action = self._to_shard(join, first=first)
        return Outcome(said.event, [action], action.shard, action.envelope)

    def _subscription(self, wanted: pusher_frames.Subscribe) -> tuple[str, Subscription]:
        """Return the room of a channel and as whom to be there. Raises where the client may not."""
        app = self._app()
        if len(self._subscriptions) >= app.channels or self._pending.is_full(app.channels):
            raise ProtocolError(ErrorCode.TOO_MANY_ROOMS, f"At most {app.channels} channels a connection")
        return subscription_of(app, self.socket, self.user if self._is_signed_in else "", wanted)

    def _unsubscribe(self, said: Said, now_us: int) -> Outcome:
        channel = pusher_frames.data_of(said, pusher_frames.Unsubscribe).channel
        pusher_frames.check_channel(channel)
        room = self._room_of(channel)
        if room not in self._subscriptions:
            return Outcome(said.event, [])
        return Outcome(said.event, self._part(room))

    def _room_of(self, channel: str) -> str:
        if channel.startswith(channels.USER_CHANNEL):
            return user_room(self.user)
        return self._app().room(channel)

    def _part(self, room: str) -> Actions:
        """Be subscribed to a channel no more; in the user's own room the connection stays."""
        subscription = self._subscriptions.pop(room)
        if room == user_room(self.user):
            self._listens = False
            self._pending.forget(room)
            return [Exit(room)]
        self._pending.leave(room)
        shard = self._shard_of(room)
        leave = envelope.Leave((room,), self.conn, "", self.user)
        followed = [Follow(room, shard, on=False)] if subscription.followed else []
        return [Exit(room), *followed, Leave(leave, shard)]

    def _sign_in(self, said: Said, now_us: int) -> Outcome:
        wanted, app = pusher_frames.data_of(said, pusher_frames.SignIn), self._app()
        text = signatures.of_user(self.socket, wanted.user_data)
        user = None
        if app.has_granted(text, wanted.auth):
            user = app.user(pusher_frames.user_of(wanted.user_data))
        if user is None or (self._is_signed_in and user != self.user):
            return Outcome(REFUSED, self._end_with(PusherClose.UNAUTHORIZED, "Sign-in was refused"))
        answer = SendText("signin_success", pusher_frames.signed_in(wanted.user_data))
        if self._is_signed_in:
            return Outcome(said.event, [answer])
        self.identity = Identity(user=user, anonymous=False)
        self._listens = False
        return Outcome(said.event, [answer, self._enter_own(now_us)])

    @property
    def _is_signed_in(self) -> bool:
        return self.identity is not None and not self.identity.anonymous

    # ── client events ───────────────────────────────────────────────────────────────────────────────────────

    def _publish_event(self, said: Said, now: float, now_us: int, since: float | None) -> Outcome:
        app = self._app()
        if self._events is None:
            self._events = TokenBucket(app.rate, 1_000)
        wait_ms = self._events.take(now, since)
        if wait_ms:
            says = f"More than {app.rate} client events a second"
            refused: Actions = [SendText("error", pusher_frames.error(says, PusherClose.EVENT_REFUSED))]
            return Outcome(REFUSED, self._answered(refused, now))
        try:
            return self._event(app, said, now_us)
        except ProtocolError as refusal:
            refused = [SendText("error", pusher_frames.error(refusal.message, PusherClose.EVENT_REFUSED))]
            return Outcome(REFUSED, self._answered(refused, now))

    def _event(self, app: App, said: Said, now_us: int) -> Outcome:
        channel, data = said.channel or "", pusher_frames.text_of(said)
        room = app.room(channel) if channels.is_channel(channel) else ""
        subscription = self._subscriptions.get(room)
        if subscription is not None and subscription.stood is None:
            subscription = None  # no router has taken it in yet
        self._published += 1
        name = f"{envelope.INTERNAL_ID}{self.conn}.{self._published:x}"
        event = ClientEvent(said.event, channel, data)
        published = published_of(app, event, room, subscription, (self.conn, name, now_us))
        shard = self._shard_of(room)
        actions: Actions = [Publish(published, shard)]
        if gateway_events.is_wanted(app, gateway_events.CLIENT_EVENT, channel):
            kind = gateway_events.CLIENT_EVENT
            actions.append(self._told(kind, channel, said.event, data, published.user))
        return Outcome("client-event", actions, shard)

    def _told(self, kind: str, channel: str, name: str = "", data: str = "", user: str = "") -> TellWebhooks:
        """Return what webhooks are to be told."""
        self._number += 1
        return TellWebhooks(
            GatewayEvent(
                f"{self.conn}.{self._number:x}",
                kind,
                self._app().id,
                channel,
                name,
                data,
                self.socket if name else "",
                channels.id_of(user) if channels.is_presence(channel) else "",
            )
        )

    # ── what the routers say ────────────────────────────────────────────────────────────────────────────────

    def answer(self, reply: Reply, now_us: int = 0) -> Actions:
        """Do what a router says to this connection."""
        if self.state is State.CLOSED:
            return []
        match reply:
            case envelope.Joined():
                return self._subscribed(reply)
            case envelope.Left() if reply.reason:
                return self._expelled(reply)
            case envelope.Dismissed():
                return self._dismissed(reply)
            case envelope.TokensRevoked():
                if not reply.before_s:
                    return []  # nobody signs in by a token here
                return self.end(CloseCode.UNAUTHORIZED, "Sign in again")
            case envelope.Refused():
                return self._not_joined(reply)
            case _:
                return []

    def _subscribed(self, reply: envelope.Joined) -> Actions:
        room, subscription = reply.room, self._subscriptions.get(reply.room)
        self._pending.answered(room, reply.ref)
        if subscription is None or subscription.stood is not None:
            return []
        subscription.stood = reply.position
        channel, shard = subscription.channel, self._shard_of(room)
        if subscription.followed:
            limit = self._app().members
            told: Actions = [Follow(room, shard, True, subscription.user, subscription.info, limit)]
        else:
            told = [SendText("subscribed", pusher_frames.subscribed(channel))]
        if channels.is_cache(channel):
            query = envelope.HistoryQuery(room, self.conn, self._pending.ref(), 0, CACHED)
            self._pending.ask(query)
            told.append(Query(query, shard))
        return told

    def listed(self, room: str, data: str) -> Actions:
        """Tell the client who is in a presence channel (JSON); empty: there is no place for it there."""
        subscription = self._subscriptions.get(room)
        if self.state is State.CLOSED or subscription is None:
            return []
        channel = subscription.channel
        if data:
            return [SendText("subscribed", pusher_frames.subscribed(channel, data))]
        says = f"At most {self._app().members} members in a presence channel"
        refused = pusher_frames.not_subscribed(channel, "LimitReached", says, 4004)
        return [*self._part(room), SendText("subscription_error", refused)]

    def cached(self, page: envelope.HistoryPage, standing: Position | None) -> Actions:
        """Give the client the last event of a cache channel, unless it has been given a later one meanwhile:
        then it stands (``standing``) elsewhere than when it came in.
        """
        question, _ = self._pending.answered(page.room, page.ref)
        subscription = self._subscriptions.get(page.room)
        if question is None or subscription is None or standing != subscription.stood:
            return []
        for message in reversed(page.messages):
            if message.type.startswith(messages.CLIENT):
                continue
            text = encode_delivery(message)
            if text:
                return [SendText("cached", text)]
        channel = subscription.channel
        missed: Actions = [SendText("cache_miss", pusher_frames.cache_miss(channel))]
        if gateway_events.is_wanted(self._app(), gateway_events.CACHE_MISS, channel):
            missed.append(self._told(gateway_events.CACHE_MISS, channel))
        return missed

    def _expelled(self, reply: envelope.Left) -> Actions:
        """A backend has taken this connection out of a channel."""
        room, subscription = reply.room, self._subscriptions.get(reply.room)
        if subscription is None:
            return []
        says = f"A backend has taken you out of this channel: {reply.reason}"
        refused = pusher_frames.not_subscribed(subscription.channel, "AuthError", says, 403)
        left = self._part(room)
        return [
            *(each for each in left if not isinstance(each, Leave)),
            SendText("subscription_error", refused),
        ]

    def _not_joined(self, reply: envelope.Refused) -> Actions:
        """A router has refused what was asked."""
        if reply.ref == STAYS:
            return []
        question, quiet = self._pending.refused(reply.ref)
        if quiet:
            return []
        subscription = None
        if isinstance(question, envelope.Join) and question.room not in self._pending.rooms:
            subscription = self._subscriptions.pop(question.room, None)
        if subscription is None:
            return [SendText("error", pusher_frames.error(reply.message))]
        refused = pusher_frames.not_subscribed(subscription.channel, "AuthError", reply.message, 403)
        return [SendText("subscription_error", refused)]

    def resynced(self, room: str, position: Position) -> Actions:
        """Say nothing: the protocol has no positions, and the room goes on."""
        return []

    def rejoin(self, shard: int, standing: Mapping[str, Position]) -> Actions:
        """Join again what this connection is in, or has asked for, in a shard."""
        if self.state is State.CLOSED:
            return []
        actions: Actions = []
        for room, since in standing.items():
            subscription = self._subscriptions.get(room)
            join = self._pending.again(room, self.conn, subscription.user if subscription else "", since)
            if join is not None and subscription is not None:
                actions.append(self._to_shard(join))
        here = set(self.rooms_in(shard))
        actions += [self._to_shard(join) for join in self._pending.joins(here)]
        own = user_room(self.user)
        if own in here:
            self._entering = 0
            actions += [] if self._listens else [self._enter_own()]
        if self._is_signed_in and self._shard_of(self.conn) == shard:
            stays = envelope.Join(self.conn, self.conn, self.user, STAYS, came_us=self._pending.since(own))
            actions.append(Join(stays, shard))
        return actions

    def _to_shard(self, join: envelope.Join, *, first: bool = False) -> Join:
        """Return a JOIN on its way, with since when the connection is there and what the room shows of it."""
        shard, room = self._shard_of(join.room), join.room
        came_us = 0 if first else self._pending.since(room)
        subscription = self._subscriptions.get(room)
        presence, info = PRESENCE_OFF, b""
        if room == user_room(self.user) and self.identity is not None:
            presence, info = permissions.shown(self.identity, self._namespaces.policy(room), room)
        elif subscription is not None:
            info = subscription.info
            presence = PRESENCE_USERS if info or subscription.followed else PRESENCE_OFF
        return Join(
            msgspec.structs.replace(join, came_us=came_us, presence=presence, info=info), shard, first
        )

    def undelivered(self, ref: str, code: ErrorCode, message: str = "") -> Actions:
        """Say that a client event did not get through."""
        if self.state is State.CLOSED:
            return []
        says = message or "The event did not get through, or nobody knows; publish it again later"
        return [SendText("error", pusher_frames.error(says))]

    def channel_of(self, room: str) -> str:
        """Return the channel that a room is to this client; empty where it is not subscribed to it."""
        subscription = self._subscriptions.get(room)
        return "" if subscription is None else subscription.channel

    # ── time, the broker, the end ───────────────────────────────────────────────────────────────────────────

    def quiet(self, now: float) -> bool:
        """Say no: an app may have changed."""
        return False

    def tick(self, now: float) -> Actions:
        """Do what is due; a connection whose app is gone, or is another one now, ends."""
        if self.state is State.CLOSED:
            return []
        self._ticked = now
        if self._leave_at is not None and now >= self._leave_at:
            return self.end(CloseCode.DRAINING)
        if self.app is not None and self._source.apps is not self._seen:
            self._seen = self._source.apps
            app = self._seen.by_key.get(self._handshake.key)
            if app is None or app.id != self.app.id or app.users != self.app.users:
                return self._end_with(PusherClose.NO_APP)
            if not app.enabled:
                return self._end_with(PusherClose.DISABLED)
            self.app = app
            self._events = None
        return super().tick(now)

    def degraded(self, up: bool) -> Actions:
        """Say nothing: what is sent waits, and the protocol has no word for it."""
        return []

    def drain(self, after_ms: int) -> Actions:
        """Close the connection after ``after_ms``: its client connects again at once."""
        if self.state is State.NEW:
            return self.end(CloseCode.DRAINING)
        if self.state is State.READY:
            self.state = State.DRAINING
            self._leave_at = self._ticked + after_ms / 1_000
        return []

    def end(
        self,
        code: CloseCode,
        message: str = "",
        ref: str = "",
        retry_after_ms: int | None = None,
        *,
        reason: str = "",
    ) -> Actions:
        """Close from our side, with a code of the protocol."""
        if self.state is State.CLOSED:
            return []
        self.state = State.CLOSED
        self._returns = code.reconnect == "yes"
        self.close_code = pusher_closes.of(code)
        says = message or reason or code.reason
        return [
            SendText("error", pusher_frames.error(says, self.close_code)),
            Close(code, reason or says),
        ]

    def _end_with(self, code: PusherClose, says: str = "") -> Actions:
        """Close with one of the protocol's own codes."""
        actions = self.end(CloseCode.UNAUTHORIZED, says or code.reason, reason=says or code.reason)
        self.close_code = int(code)
        return [SendText("error", pusher_frames.error(says or code.reason, int(code))), *actions[1:]]

    def closed(self) -> Actions:
        """Leave everything."""
        followed = [
            Follow(room, self._shard_of(room), on=False)
            for room, subscription in self._subscriptions.items()
            if subscription.followed
        ]
        self._subscriptions = {}
        return [*followed, *super().closed()]

    def _app(self) -> App:
        if self.app is None:  # nothing is handled before it is known
            raise ProtocolError(ErrorCode.UNAUTHORIZED, "There is no app")
        return self.app

    _SAID: ClassVar[Mapping[str, _Handler]] = {
        pusher_frames.PING: _ping_said,
        pusher_frames.PONG: _pong_said,
        pusher_frames.SUBSCRIBE: _subscribe,
        pusher_frames.UNSUBSCRIBE: _unsubscribe,
        pusher_frames.SIGN_IN: _sign_in,
    }
