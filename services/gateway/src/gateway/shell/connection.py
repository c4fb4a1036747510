"""Connection: one client. All that concerns it is an input; it asks the session what comes of each, one after
the other, and does what the session says, in order.

It is the hub's member too: what the hub puts on its outbox it writes. It decides nothing about the protocol.
What can't be done (no place, no broker, an outbox that is full) is one more input behind the others, so that
no input is handled in the middle of another. While a shard's buffer is crowded the client that sends to it is
not read, nor is one that has read too much of histories, or sends only what is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from gateway.core import actions, client_messages, inputs
from gateway.core.broker_presence import BrokerPresence
from gateway.core.history_read_limit import HistoryReadLimit, ReadLimits, everyones
from gateway.core.hub import Hub, Member
from gateway.core.outbox import TOO_SLOW
from gateway.core.part_window import PartWindow
from gateway.core.permissions import Identity
from gateway.core.session import NO_SHARD, Outcome, Session, SessionConfig, State
from gateway.core.websocket import frames
from gateway.core.websocket.frame_parser import WebSocketViolation
from gateway.core.work_rate_limit import WorkRateLimit
from gateway.shell.auth import Authenticator, Refusal
from gateway.shell.client_publisher import ClientPublisher
from gateway.shell.client_requests import ClientRequests
from gateway.shell.client_transport import ClientTransport
from gateway.shell.hooks import UNDECIDED, Hooks
from gateway.shell.leaving import Leaving
from gateway.shell.room_presence import RoomPresence
from gateway.shell.room_reads import RoomReads
from gateway.shell.uplink import Uplink
from warren import envelope
from warren.address import EVERYONE
from warren.clock import Clock
from warren.errors import CloseCode, ErrorCode, code_of
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.namespaces import Namespaces
from warren.position import Position

_log = get_logger("gateway.connection")

# Who waits for its share of what all may read asks again so often: it may be there earlier than it was said
# to be.
LOOK_AGAIN_S: Final = 1.0
# Longer than anybody rests who is woken by what it waits for.
LONG_S: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """What all connections of a gateway share."""

    hub: Hub
    uplink: Uplink
    client_publisher: ClientPublisher
    client_requests: ClientRequests
    room_reads: RoomReads
    room_presence: RoomPresence
    leaving: Leaving
    presence: BrokerPresence
    authenticator: Authenticator
    clock: Clock
    metrics: GatewayMetrics
    session: SessionConfig
    namespaces: Namespaces
    hooks: Hooks | None = None  # None: no backend decides about anything
    hook_headers: tuple[str, ...] = ()  # those of an upgrade that backends are shown
    reads: ReadLimits = ReadLimits()
    everyones_reads: WorkRateLimit = field(default_factory=lambda: everyones(16 * 1024 * 1024))


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """What the upgrade said of the client."""

    ip: str
    origin: str
    protocol: str
    token: str
    user: str  # the name an anonymous client chose


class Connection(Member):
    """One client."""

    __slots__ = (
        "_awaits_decision", "_awaits_reads", "_client", "_context", "_hold_s", "_inputs", "_ip",
        "_last_words", "_parts", "_reads", "_received", "_shard", "_since", "_token", "held", "session",
        "transport",
    )  # fmt: skip

    def __init__(
        self,
        session: Session,
        transport: ClientTransport,
        variant: frames.Variant,
        client: ClientInfo,
        context: GatewayContext,
    ) -> None:
        """``transport`` is open; its outbox is the one that the hub puts on."""
        super().__init__(session.conn, "", variant, transport.outbox)
        self.session = session
        self.transport = transport
        self.held = False  # not read at present, so no sign of life can be seen
        self._context = context
        self._client: ClientInfo | None = client  # until the client is known; it may hold a token
        self._ip = client.ip
        # The first is being handled. A list and not a deque, which takes 0.7 kB where nothing waits.
        self._inputs: list[inputs.Input] = []
        self._last_words = b""
        self._reads = HistoryReadLimit(context.reads, context.everyones_reads)
        self._awaits_reads = self._awaits_decision = False
        self._parts: PartWindow | None = None  # of answers of services that come in parts
        self._since = context.clock.monotonic()
        self._received = 0
        # What the message that was handled last asks of whoever reads the next one:
        self._token: str | None = None  # it is checked before
        self._hold_s = 0.0  # for how long the client is left unread
        self._shard = NO_SHARD  # whose buffer may be crowded
        self.outbox.notice = self._withheld
        # its time runs, whenever ``run`` has its turn
        session.open(None, self._since, context.clock.wall_us())

    # ── the client ──────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Serve the client until the connection has ended."""
        try:
            await self._come_in()
            await self._await_decision()
            while await self._serve():
                pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this connection only
            self._failed(error)

    async def _come_in(self) -> None:
        client, authenticator = self._client, self._context.authenticator
        if client is None:
            return
        if authenticator.anonymous:
            try:
                self.put(inputs.TokenAccepted(authenticator.guest(client.user)))
            except Refusal as refusal:
                self.put(inputs.TokenRefused(refusal.reason, str(refusal)))
        elif client.token:
            try:
                self.transport.check()
            except WebSocketViolation as violation:
                await self._break_off(violation)
            else:
                await self._check(client.token)

    async def _serve(self) -> bool:
        """Handle one message, and hold the client back where it must be; False once it has ended."""
        data = await self._read()
        if data is None:
            return False
        self._take(data)
        del data  # or a client that is held back would hold its message too
        token, self._token = self._token, None
        if token is not None:
            await self._check(token)
        await self._await_decision()
        shard, self._shard = self._shard, NO_SHARD
        if shard != NO_SHARD and self._context.uplink.crowded(shard):
            await self._await_place(shard)
        await self._hold_back()
        return True

    def _take(self, data: str | bytes) -> None:
        """Handle one message, and whatever it brings about at once; its client is charged for the time."""
        clock = self._context.clock
        began = clock.thread()  # not what others had meanwhile where the machine is busy
        self._received += 1
        self.put(data)
        self.transport.worked(clock.thread() - began)

    async def _await_place(self, shard: int) -> None:
        """Leave the client unread until a shard has place for what it sends, or until the connection ends."""
        place = asyncio.ensure_future(self._context.uplink.place(shard))
        place.add_done_callback(lambda _: self.transport.end_rest())
        self.held = True
        try:
            while not (place.done() or self.transport.ended):
                await self.transport.rest(LONG_S)
        finally:
            self.held = False
            place.cancel()

    async def _await_decision(self) -> None:
        """Leave the client unread while it may not come in yet, or too much of it waits for backends."""
        while self.session.unread and not self.transport.ended:
            self.held = self._awaits_decision = True
            if self.session.identity is None:
                self.transport.hold()  # what it sends ahead waits at its side
            await self.transport.rest(LONG_S)
            self.held = self._awaits_decision = False

    async def _hold_back(self) -> None:
        """Leave the client unread while it sends only what is refused, and until it may read more of
        histories.
        """
        hold_s, self._hold_s = self._hold_s, 0.0
        if hold_s:
            await self.transport.rest(hold_s)
        self._awaits_reads = True
        while (wait_s := self._reads.wait(self._context.clock.monotonic())) and not self.transport.ended:
            await self.transport.rest(min(wait_s, LOOK_AGAIN_S))
        self._awaits_reads = False

    async def _read(self) -> str | bytes | None:
        try:
            return await self.transport.read()
        except WebSocketViolation as violation:
            await self._break_off(violation)
            return None

    async def _break_off(self, violation: WebSocketViolation) -> None:
        """End a connection whose client broke the WebSocket protocol, or sent more than it may."""
        if violation.too_large:
            self.put(inputs.MessageTooLarge(violation.limit))
        elif violation.too_much:
            known = violation.code == CloseCode.RATE_LIMITED
            code = CloseCode.RATE_LIMITED if known else CloseCode.UNAUTHORIZED
            self.put(inputs.EndRequested(code, str(violation)))
        else:
            self.transport.close(violation.code, str(violation))
            self.put(inputs.SocketLost())
        await self.transport.fail(violation)

    async def _check(self, token: str) -> None:
        if self.session.identity is None:
            self.transport.hold()  # what a client that is not known sends ahead waits at its side
        try:
            identity = await self._context.authenticator.check(token)
        except Refusal as refusal:
            self.put(inputs.TokenRefused(refusal.reason, str(refusal)))
        else:
            self.put(inputs.TokenAccepted(identity))

    # ── inputs ──────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, item: inputs.Input, *, write: bool = True) -> None:
        """Handle an input behind those that are being handled, and ``write`` what comes of it. A fault of
        ours ends this connection and nothing else.
        """
        queue = self._inputs
        queue.append(item)
        if len(queue) > 1:
            return
        handlers, fault = self._HANDLERS, None
        try:
            for each in queue:  # those too that are put meanwhile
                handlers[type(each)](self, each)
        except Exception as error:  # noqa: BLE001 - as said
            fault = error
        finally:
            queue.clear()
        if fault is not None:
            self._failed(fault)
        if write:
            self.transport.flush()

    def tick(self, now: float) -> None:
        """Do what is due. Nearly always that is nothing, and as everyone is asked again and again, it has to
        cost next to nothing: it is most of what an idle connection costs.
        """
        outbox = self.outbox
        idle = not (outbox.bytes or outbox.shed or outbox.replaced or self.held)
        if not (idle and self.transport.quiet and self.session.quiet(now)):
            self.put(inputs.Tick(now))

    def end(self, code: CloseCode) -> None:
        """Close from our side."""
        self.put(inputs.EndRequested(code))

    def charge(self, size: int) -> None:
        """Charge so many bytes of a room's history to the client that they go to."""
        self._reads.came(size, self._context.clock.monotonic())

    def entered(self, item: envelope.Entered) -> bool | None:
        """Take note of where it has entered; return whether it is to be given what is said there."""
        given = self.session.entered(item)
        if item.void_s:
            self.put(inputs.GrantsRevoked(item.void_s))
        return given

    def flush(self) -> None:
        """Write what waits."""
        self.transport.flush()

    @property
    def _spoken(self) -> str:
        return "sse" if self.variant == frames.EVENTS else "websocket"

    def finish(self) -> None:
        """Leave everything and say so in the log; call it once, at the end."""
        self._reads.close(self._context.clock.monotonic())
        self.put(inputs.SocketLost())
        self._count_withheld()
        transport = self.transport
        transport.over()
        self._context.metrics.closes(transport.close_code)
        event(
            _log,
            "ws_disconnect",
            connection=self.id,
            user=self.user or None,
            ip=self._ip,
            transport=self._spoken,
            code=transport.close_code,
            duration_ms=round((self._context.clock.monotonic() - self._since) * 1_000),
            messages_in=self._received,
            messages_out=transport.messages_out,
            bytes_in=transport.bytes_in,
            bytes_out=transport.bytes_out,
        )

    def _message(self, data: str | bytes) -> None:
        context = self._context
        now = context.clock.monotonic()
        outcome = self.session.receive(data, now, context.clock.wall_us(), since=self.transport.since)
        context.metrics.messages_in(outcome.kind, len(data))
        self._follow(outcome, now)

    def _follow(self, outcome: Outcome, now: float) -> None:
        if outcome.question is not None:
            self._reads.asked(outcome.question, now)
        if outcome.shard != NO_SHARD:
            self._shard = outcome.shard
        self._do(outcome.actions)
        if (held := self.session.held_bytes) != self.transport.kept:
            self.transport.keep(held)

    def _decided(self, said: inputs.HookDecided) -> None:
        clock, known = self._context.clock, self.session.identity is not None
        now = clock.monotonic()
        for outcome in self.session.decided(said.ticket, said.verdict, now, clock.wall_us()):
            self._enter(known)
            self._follow(outcome, now)
        if not known:
            self._enter_rooms(now)
        if self._awaits_decision:
            self.transport.end_rest()

    def _answered(self, reply: envelope.Joined | envelope.HistoryPage | envelope.Refused) -> None:
        now = self._context.clock.monotonic()
        self._reads.answered(reply.ref, now, "" if isinstance(reply, envelope.Refused) else reply.room)
        if self._awaits_reads:
            self.transport.end_rest()
        self._do(self.session.answer(reply))

    def _presence_read(self, read: inputs.PresenceRead) -> None:
        self._reads.answered(read.ref, self._context.clock.monotonic(), read.room)
        if self._awaits_reads:
            self.transport.end_rest()
        self._do(self.session.presence(read))

    def _contact_refused(self, said: inputs.ContactRefused) -> None:
        self._do(self.session.contact_refused(said.room))

    def _told(
        self,
        reply: envelope.Ack | envelope.Left | envelope.Dismissed | envelope.Enrolled | envelope.Receipt,
    ) -> None:
        self._do(self.session.answer(reply, self._context.clock.wall_us()))

    def _revoked(self, said: envelope.TokensRevoked) -> None:
        if self._context.hooks is not None:
            self._context.hooks.revoked(said.user)
        self._do(self.session.answer(said, self._context.clock.wall_us()))

    def _grants_revoked(self, said: inputs.GrantsRevoked) -> None:
        self._do(self.session.grants_revoked(said.void_s))

    def _token_accepted(self, said: inputs.TokenAccepted) -> None:
        identity: Identity = said.identity
        clock, known = self._context.clock, self.session.identity is not None
        unsent = self._context.uplink.unsent(self.id) if known else ()
        asked = self.session.identify(identity, clock.monotonic(), clock.wall_us(), unsent)
        self._enter(known)
        self._do(asked)
        if not known:
            self._enter_rooms(clock.monotonic())

    def _enter_rooms(self, now: float) -> None:
        """Join what an event stream has named, where the client is known now."""
        for outcome in self.session.enter_rooms(now, self._context.clock.wall_us()):
            self._follow(outcome, now)

    def _enter(self, known: bool) -> None:
        """Let the client in where it is known now and was not before."""
        if known or self.session.state is not State.READY or self.user:
            return
        self.user = self.session.user
        self.transport.known()
        self._context.hub.add(self)
        self._log_connect()

    def _token_refused(self, said: inputs.TokenRefused) -> None:
        self._context.metrics.auth_failures(said.reason)
        self._do(self.session.refuse(said.says))

    def _ticked(self, tick: inputs.Tick) -> None:
        transport, now = self.transport, tick.now
        if transport.heard or self.held or transport.resting:
            transport.heard = False
            self.session.heard()
        self._do(self.session.tick(now))
        transport.tick(now)
        if self.outbox.shed or self.outbox.replaced:
            self._count_withheld()

    def _undelivered(self, said: inputs.Undelivered) -> None:
        self._do(self.session.undelivered(said.ref, said.code))

    def _responded(self, said: inputs.Responded) -> None:
        """Pass an answer on; an answer of whose parts too many wait for the client ends."""
        transport, outbox = self.transport, self.outbox
        if not said.more:
            self._do(self.session.responded(said))
            return
        if self._parts is None:
            self._parts = PartWindow()
        if outbox.pressed or not self._parts.admits(transport.messages_out, outbox.count):
            self._do(self.session.reads_too_slowly(said.ref))
            return
        self._do(self.session.responded(said))
        self._parts.put(transport.messages_out + outbox.count)

    def _request_accepted(self, said: inputs.RequestAccepted) -> None:
        self._do(self.session.request_accepted(said.ref))

    def _request_failed(self, said: inputs.RequestFailed) -> None:
        self._do(self.session.request_failed(said))

    def _joins_refused(self, said: inputs.JoinsRefused) -> None:
        self._do(self.session.joins_refused(said.rooms))

    def _rejoin(self, said: inputs.Rejoin) -> None:
        hub, standing = self._context.hub, dict[str, Position]()
        for room in self.session.rooms_in(said.shard):
            since = hub.standing(room, self.id)
            if since is not None:
                standing[room] = since
        self._do(self.session.rejoin(said.shard, standing))

    def _resynced(self, said: inputs.Resynced) -> None:
        self._do(self.session.resynced(said.room, said.position))

    def _broker_changed(self, said: inputs.BrokerChanged) -> None:
        self._do(self.session.degraded(said.up))

    def _drain(self, said: inputs.DrainRequested) -> None:
        self._do(self.session.drain(said.after_ms))

    def _too_large(self, said: inputs.MessageTooLarge) -> None:
        self._do(self.session.too_large(said.limit))

    def _end(self, said: inputs.EndRequested) -> None:
        self._do(self.session.end(said.code, said.message))

    def _leave_all(self, _: inputs.SocketLost) -> None:
        """Take this connection out of every room, here and at the routers."""
        self._context.hub.remove(self.id)
        if self._context.hooks is not None:
            self._context.hooks.gone(self.id)
        self._context.room_reads.left(EVERYONE, self.id)
        self._do(self.session.closed())

    _HANDLERS: ClassVar[Mapping[type, Callable[[Connection, Any], None]]] = {
        str: _message,
        bytes: _message,
        envelope.Ack: _told,
        envelope.Joined: _answered,
        envelope.HistoryPage: _answered,
        envelope.Refused: _answered,
        envelope.Left: _told,
        envelope.Dismissed: _told,
        envelope.Enrolled: _told,
        envelope.TokensRevoked: _revoked,
        envelope.Receipt: _told,
        inputs.TokenAccepted: _token_accepted,
        inputs.TokenRefused: _token_refused,
        inputs.PresenceRead: _presence_read,
        inputs.ContactRefused: _contact_refused,
        inputs.Tick: _ticked,
        inputs.Undelivered: _undelivered,
        inputs.Responded: _responded,
        inputs.RequestAccepted: _request_accepted,
        inputs.RequestFailed: _request_failed,
        inputs.JoinsRefused: _joins_refused,
        inputs.Rejoin: _rejoin,
        inputs.Resynced: _resynced,
        inputs.BrokerChanged: _broker_changed,
        inputs.DrainRequested: _drain,
        inputs.MessageTooLarge: _too_large,
        inputs.EndRequested: _end,
        inputs.GrantsRevoked: _grants_revoked,
        inputs.HookDecided: _decided,
        inputs.SocketLost: _leave_all,
    }

    # ── what the session asks for ───────────────────────────────────────────────────────────────────────────

    def _do(self, asked: Iterable[actions.Action]) -> None:
        """Do what the session asked for, in order."""
        refused: list[str] | None = None
        for action in asked:
            match action:
                case actions.Send():
                    self._send(action.message)
                case actions.SendText():
                    self._context.metrics.messages_out(action.kind)
                    self._write(frames.text_frame(action.text, self.variant))
                case actions.Publish():
                    error = self._context.client_publisher.publish(action)
                    if error is not None:
                        self.put(inputs.Undelivered(action.envelope.id, code_of(error)))
                case actions.Withdraw():
                    for ref in self._context.uplink.withdraw(self.id, action.room):
                        self.put(inputs.Undelivered(ref, ErrorCode.FORBIDDEN))
                case actions.Join():
                    taken = refused is None and self._context.uplink.join(
                        action.envelope, action.shard, first=action.first
                    )
                    if not taken:
                        refused = refused or []
                        if action.first:
                            refused.append(action.envelope.room)
                case actions.Query():
                    self._context.room_reads.history(action.envelope, action.shard)
                case actions.Seen():
                    self._context.room_presence.saw(action.envelope, action.shard)
                case actions.Watch() | actions.Inform() | actions.ReadPresence():
                    self._do_presence(action)
                case actions.Follow() | actions.TellWebhooks():
                    self._do_pusher(action)
                case actions.Leave(grace=True):
                    self._context.leaving.leave(action.envelope, action.shard)
                case actions.Leave():
                    left = action.envelope
                    if not self._context.uplink.leave(left, action.shard) and left.ref:
                        self._send(client_messages.Left(left.rooms[0], left.ref))
                case actions.Request():
                    self._context.client_requests.ask(self.id, action, self.put)
                case actions.CancelRequest():
                    self._context.client_requests.cancel(self.id, action.ref)
                case actions.Exit():
                    self._context.hub.leave(action.room, self.id)
                    self._context.room_reads.left(action.room, self.id)
                    self._context.room_presence.left(action.room, self.id)
                case actions.Authenticate():
                    self._token = action.token
                case actions.Consult():
                    self._consult(action)
                case actions.Hold():
                    self._hold_s = action.seconds
                case actions.Ping():
                    self.transport.ping()
                case actions.Close():
                    self._close(action.code, action.reason or action.code.reason)
        if refused is not None:  # together: what was never joined must not be left when the first one ends it
            self.put(inputs.JoinsRefused(tuple(refused)))

    def _consult(self, asked: actions.Consult) -> None:
        hooks = self._context.hooks
        if hooks is None:  # closed by default
            self.put(inputs.HookDecided(asked.ticket, UNDECIDED))
        else:
            hooks.consult(self, asked)

    def _do_presence(self, action: actions.Watch | actions.Inform | actions.ReadPresence) -> None:
        presence, taken = self._context.room_presence, True
        match action:
            case actions.Watch(on=True, contact=True):
                if not presence.watch(action.room, action.shard, self.id, contact=True):
                    self.put(inputs.ContactRefused(action.room))
            case actions.Watch(on=True):
                taken = presence.watch(action.room, action.shard, self.id, contact=False)
            case actions.Watch():
                presence.unwatch(action.room, self.id, contact=action.contact)
            case actions.Inform():
                taken = presence.inform(action.envelope, action.shard)
            case actions.ReadPresence():
                if action.query.limit > 1:
                    self._reads.asked(action.query, self._context.clock.monotonic())
                presence.ask(action.query, action.shard, action.digest)
        if not taken:
            self.put(inputs.EndRequested(CloseCode.OVERLOADED, "no place for what it watches"))

    def _send(self, message: client_messages.ServerMessage) -> None:
        metrics = self._context.metrics
        chunk = frames.message_frame(message, self.variant, self._context.clock.wall_us() // 1_000)
        metrics.messages_out(client_messages.type_of(message))
        if isinstance(message, client_messages.Error):
            metrics.errors(message.code if isinstance(message.code, ErrorCode) else "service")
        elif isinstance(message, client_messages.History | client_messages.Presence):
            self.charge(len(chunk))
        self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        """Put frames behind what waits for the client."""
        if self.outbox.lost:
            if self.session.state is State.CLOSED:
                self._last_words += chunk
        elif self.transport.put(chunk) is TOO_SLOW:
            self.put(inputs.EndRequested(CloseCode.TOO_SLOW))

    def _withheld(self, room: str, count: int, seq: int) -> bytes:
        """Spell the notice that messages were withheld."""
        self._context.metrics.messages_out("DROPPED")
        told = client_messages.Dropped(room, count, seq)
        return frames.message_frame(told, self.variant, self._context.clock.wall_us() // 1_000)

    def _count_withheld(self) -> None:
        outbox, drops = self.outbox, self._context.metrics.drops
        drops("slow_oldest", outbox.shed)
        drops("slow_latest", outbox.replaced)
        outbox.shed = outbox.replaced = 0

    def _close(self, code: CloseCode, reason: str) -> None:
        if code is CloseCode.HEARTBEAT_MISSED:
            self._context.metrics.heartbeats_missed()
        elif code is CloseCode.TOO_SLOW:
            self._context.metrics.slow_disconnects()
        self.transport.close(self._code(code), reason, last_words=self._last_words)
        self.put(inputs.SocketLost())

    def _code(self, code: CloseCode) -> int:
        """Return the code that the client is closed with."""
        return int(code)

    def _do_pusher(self, action: actions.Follow | actions.TellWebhooks) -> None:
        """Do what only a session of the Pusher protocol asks for."""
        raise NotImplementedError

    def _failed(self, error: Exception) -> None:
        """End this connection for a fault of ours; what can't be closed in order is cut."""
        event(_log, "connection_failed", level=logging.ERROR, connection=self.id, error=error)
        self.put(inputs.EndRequested(CloseCode.INTERNAL_ERROR))
        if not self.transport.ended:
            self.transport.cut()

    def _log_connect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            event(
                _log,
                "ws_connect",
                connection=self.id,
                user=self.user,
                ip=client.ip,
                origin=client.origin or None,
                protocol=client.protocol,
                transport=self._spoken,
            )
