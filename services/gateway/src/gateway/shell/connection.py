"""Connection: one client. It reads a message, asks the session, and does what the session said, in order.

It is the hub's member too: what the hub puts on its outbox it writes. It decides nothing about the protocol;
where a message can't be taken (no place, no broker) it tells the session so. While a shard's buffer is
crowded the connection that publishes to it is not read, nor is one that has read too much of histories, or
sends only what is refused. ``server.py`` makes one for each upgrade and runs it, the downlink brings answers,
``connections.py`` ticks it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gateway.core import actions, client_messages
from gateway.core.history_read_limit import HistoryReadLimit, ReadLimits, everyones
from gateway.core.hub import Hub, Member
from gateway.core.outbox import TOO_SLOW
from gateway.core.permissions import Identity
from gateway.core.session import Reply, Session, State
from gateway.core.websocket import frames
from gateway.core.work_rate_limit import WorkRateLimit
from gateway.shell.auth import Authenticator, Refusal
from gateway.shell.client_publisher import ClientPublisher
from gateway.shell.message_counters import kind_of, name_of
from gateway.shell.uplink import Uplink
from gateway.shell.websocket_transport import WebSocketTransport, WebSocketViolation
from warren import envelope
from warren.address import EVERYONE, shard_of
from warren.clock import Clock
from warren.errors import CloseCode, Overloaded, WarrenError, code_of
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.position import Position

_log = get_logger("gateway.connection")

# Who waits for its share of what all may read asks again so often: it may be there earlier than it was said
# to be.
LOOK_AGAIN_S = 1.0
# Longer than anybody rests who is woken by what it waits for.
LONG_S = 3_600.0


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """What all connections of a gateway share."""

    hub: Hub
    uplink: Uplink
    authenticator: Authenticator
    clock: Clock
    metrics: GatewayMetrics
    client_publisher: ClientPublisher
    shards: int
    history: Callable[[envelope.HistoryQuery], None]  # answers it, at once or later
    left: Callable[[str, str], None]  # (room, connection): it is no member any more
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
        "_around", "_awaits_reads", "_caller", "_hold_s", "_in", "_ip", "_last_words", "_reads", "_since",
        "_token", "held", "session", "wire",
    )  # fmt: skip

    def __init__(
        self,
        session: Session,
        wire: WebSocketTransport,
        variant: frames.Variant,
        caller: ClientInfo,
        around: GatewayContext,
    ) -> None:
        """``wire`` is open; its outbox is the one that the hub puts on."""
        super().__init__(session.conn, "", variant, wire.outbox)
        self.session = session
        self.wire = wire
        self.held = False  # not read at present, so no sign of life can be seen
        self._around = around
        self._caller: ClientInfo | None = caller  # until the client is known; it may hold a token
        self._ip = caller.ip
        self._token: str | None = None  # to be checked before anything more is read
        self._last_words = b""
        self._hold_s = 0.0  # for how long it is not to be read
        self._reads = HistoryReadLimit(around.reads, around.everyones_reads)
        self._awaits_reads = False
        self._since = around.clock.monotonic()
        self._in = 0
        self.outbox.notice = self._withheld
        # its time runs, whenever ``run`` has its turn
        self.do(session.open(None, self._since, around.clock.wall_us()))

    # ── the client ──────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Serve the client until the connection has ended."""
        try:
            await self._come_in()
            while await self._serve():
                pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this connection only
            event(_log, "connection_failed", level=logging.ERROR, connection=self.id, error=error)
            self.end(CloseCode.INTERNAL_ERROR)

    async def _come_in(self) -> None:
        caller, authenticator = self._caller, self._around.authenticator
        if caller is None:
            return
        if authenticator.anonymous:
            try:
                self._identify(authenticator.guest(caller.user))
            except Refusal as refusal:
                self._refuse(refusal)
        elif caller.token:
            try:
                self.wire.check()
            except WebSocketViolation as breach:
                await self._break_off(breach)
            else:
                await self._check(caller.token)

    async def _serve(self) -> bool:
        """Take one message, and hold the client back where it must be; False once the connection
        has ended.
        """
        data = await self._read()
        if data is None:
            return False
        room = self._take(data)
        del data  # or a client that is held back would hold its message too
        token, self._token = self._token, None
        if token is not None:
            await self._check(token)
        if room and self._around.uplink.crowded(room):
            await self._await_place(room)
        await self._hold_back()
        return True

    async def _await_place(self, room: str) -> None:
        """Leave the client unread until the shard of a room has place for what it sends, or until the
        connection ends.
        """
        place = asyncio.ensure_future(self._around.uplink.place(room))
        place.add_done_callback(lambda _: self.wire.end_rest())
        self.held = True
        try:
            while not (place.done() or self.wire.ended):
                await self.wire.rest(LONG_S)
        finally:
            self.held = False
            place.cancel()

    async def _hold_back(self) -> None:
        """Leave the client unread while it sends only what is refused, and until it may read more of
        histories.
        """
        hold_s, self._hold_s = self._hold_s, 0.0
        if hold_s:
            await self.wire.rest(hold_s)
        self._awaits_reads = True
        while (wait_s := self._reads.wait(self._around.clock.monotonic())) and not self.wire.ended:
            await self.wire.rest(min(wait_s, LOOK_AGAIN_S))
        self._awaits_reads = False

    async def _read(self) -> str | bytes | None:
        try:
            return await self.wire.read()
        except WebSocketViolation as breach:
            await self._break_off(breach)
            return None

    async def _break_off(self, breach: WebSocketViolation) -> None:
        """End a connection whose client broke the WebSocket protocol, or sent more than it may."""
        if breach.too_large:
            self.do(self.session.too_large(breach.limit))
        elif breach.too_much:
            known = breach.code == CloseCode.RATE_LIMITED
            self.end(CloseCode.RATE_LIMITED if known else CloseCode.UNAUTHORIZED, str(breach))
        else:
            self.wire.close(breach.code, str(breach))
            self._leave_all()
        await self.wire.fail(breach)

    def _take(self, data: str | bytes) -> str:
        """Take one message; return the room whose shard may be crowded, "" where it is to none."""
        clock = self._around.clock
        now, began = clock.monotonic(), clock.thread()
        self._in += 1
        asked = self.session.receive(data, now, clock.wall_us(), since=self.wire.since)
        first = asked[0] if asked else None
        self._around.metrics.messages_in(kind_of(first), len(data))
        if isinstance(first, actions.Join | actions.Query):
            self._reads.asked(first.envelope, now)
        self.do(asked)
        self.wire.worked(clock.thread() - began)  # not what others had meanwhile where the machine is busy
        return (
            first.envelope.room if isinstance(first, actions.Publish | actions.Join | actions.Query) else ""
        )

    async def _check(self, token: str) -> None:
        if self.session.identity is None:
            self.wire.hold()  # what a client that is not known sends ahead waits at its side
        try:
            self._identify(await self._around.authenticator.check(token))
        except Refusal as refusal:
            self._refuse(refusal)

    def _identify(self, identity: Identity) -> None:
        clock, known = self._around.clock, self.session.identity is not None
        asked = self.session.identify(identity, clock.monotonic(), clock.wall_us())
        if not known and self.session.state is State.READY:
            self.user = identity.user
            self.wire.known()
            self._around.hub.add(self)
            self._log_connect()
        self.do(asked)

    def _refuse(self, refusal: Refusal) -> None:
        self._around.metrics.auth_failures(refusal.reason)
        self.do(self.session.refuse(str(refusal)))

    # ── the routers, the ticker ─────────────────────────────────────────────────────────────────────────────

    def answer(self, reply: Reply) -> None:
        """Take what a router says to this connection."""
        now = self._around.clock.monotonic()
        if isinstance(reply, envelope.Joined | envelope.HistoryPage | envelope.Refused):
            self._reads.answered(reply.ref, now, "" if isinstance(reply, envelope.Refused) else reply.room)
            if self._awaits_reads:
                self.wire.end_rest()
        self.do(self.session.answer(reply, now))

    def caught_up(self, size: int) -> None:
        """Take that so many bytes of a room's history went to this client."""
        self._reads.came(size, self._around.clock.monotonic())

    def acknowledged(self, ack: envelope.Ack) -> None:
        """Take an ACK; whoever calls flushes."""
        self._carry_out(self.session.answer(ack, self._around.clock.monotonic()))

    def undelivered(self, ref: str, error: WarrenError) -> None:
        """Take that nobody knows whether what was sent under ``ref`` got through."""
        self.do(self.session.undelivered(ref, code_of(error)))

    def rejoin(self, shard: int) -> None:
        """Join again all rooms of a shard, each from where this member stands, and those whose JOIN was not
        answered.
        """
        shards, hub = self._around.shards, self._around.hub
        for room in hub.rooms_of(self.id):
            if shard_of(room, shards) == shard and (since := hub.standing(room, self.id)) is not None:
                self.do(self.session.again(room, since))
        self.do(self.session.renew(lambda room: shard_of(room, shards) == shard))

    def resynced(self, room: str, position: Position) -> None:
        """Take that what lies before ``position`` may be lost to this member of a room."""
        self.do(self.session.resynced(room, position))

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self.wire.heard or self.held or self.wire.resting:
            self.wire.heard = False
            self.session.heard(now)
        self.do(self.session.tick(now))
        self.wire.tick(now)
        if self.outbox.shed or self.outbox.replaced:
            self._count_withheld()

    def degraded(self, up: bool) -> None:
        """Take that the broker is away or back."""
        self.do(self.session.degraded(up))

    def drain(self, after_ms: int) -> None:
        """Ask the client to go elsewhere."""
        self.do(self.session.drain(after_ms))

    def end(self, code: CloseCode, message: str = "") -> None:
        """Close from our side."""
        self.do(self.session.end(code, message))

    def flush(self) -> None:
        """Write what waits."""
        self.wire.flush()

    def finish(self) -> None:
        """Leave everything and say so in the log; call it once, at the end."""
        self._reads.close(self._around.clock.monotonic())
        self._leave_all()
        self._count_withheld()
        wire = self.wire
        wire.over()
        self._around.metrics.closes(wire.close_code)
        event(
            _log,
            "ws_disconnect",
            connection=self.id,
            user=self.user or None,
            ip=self._ip,
            code=wire.close_code,
            duration_ms=round((self._around.clock.monotonic() - self._since) * 1_000),
            messages_in=self._in,
            messages_out=wire.messages_out,
            bytes_in=wire.bytes_in,
            bytes_out=wire.bytes_out,
        )

    # ── what the session asks for ───────────────────────────────────────────────────────────────────────────

    def do(self, asked: Iterable[actions.Action]) -> None:
        """Do what the session asked for, in order, and write what waits."""
        self._carry_out(asked)
        self.wire.flush()

    def _carry_out(self, asked: Iterable[actions.Action]) -> None:
        overloaded = False
        for action in asked:
            match action:
                case actions.Send():
                    self._send(action.message)
                case actions.Publish():
                    error = self._around.client_publisher.publish(action)
                    if error is not None:
                        self.undelivered(action.envelope.id, error)
                # else its room's leave went before it
                case actions.Join() if self.session.state is not State.CLOSED:
                    overloaded = overloaded or not self._around.uplink.join(
                        action.envelope, first=action.first
                    )
                    if overloaded and action.first:
                        self.session.untaken(action.envelope.room)
                case actions.Query():
                    self._around.history(action.envelope)
                case actions.Leave():
                    left = action.envelope
                    if not self._around.uplink.leave(left) and left.ref:
                        self._send(client_messages.Left(left.rooms[0], left.ref))
                case actions.Exit():
                    self._around.hub.leave(action.room, self.id)
                    self._around.left(action.room, self.id)
                case actions.Authenticate():
                    self._token = action.token
                case actions.Hold():
                    self._hold_s = action.seconds
                case actions.Ping():
                    self.wire.ping()
                case actions.Close():
                    self._close(action.code)
        if overloaded:
            self.end(CloseCode.OVERLOADED, str(Overloaded("too much waits for the broker")))

    def _send(self, message: client_messages.ServerMessage) -> None:
        metrics = self._around.metrics
        chunk = frames.message_frame(message, self.variant, self._around.clock.wall_us() // 1_000)
        metrics.messages_out(name_of(message))
        if isinstance(message, client_messages.Error):
            metrics.errors(message.code)
        elif isinstance(message, client_messages.History):
            self.caught_up(len(chunk))
        if self.outbox.lost:
            self._last_words += chunk
        elif self.wire.put(chunk) is TOO_SLOW:
            self.end(CloseCode.TOO_SLOW)

    def _withheld(self, room: str, count: int, seq: int) -> bytes:
        """Spell the notice that messages were withheld."""
        self._around.metrics.messages_out("DROPPED")
        told = client_messages.Dropped(room, count, seq)
        return frames.message_frame(told, self.variant, self._around.clock.wall_us() // 1_000)

    def _count_withheld(self) -> None:
        outbox, drops = self.outbox, self._around.metrics.drops
        drops("slow_oldest", outbox.shed)
        drops("slow_latest", outbox.replaced)
        outbox.shed = outbox.replaced = 0

    def _close(self, code: CloseCode) -> None:
        if code is CloseCode.HEARTBEAT_MISSED:
            self._around.metrics.heartbeats_missed()
        elif code is CloseCode.TOO_SLOW:
            self._around.metrics.slow_disconnects()
        self.wire.close(int(code), code.reason, last_words=self._last_words)
        self._leave_all()

    def _leave_all(self) -> None:
        """Take this connection out of every room, here and at the routers."""
        rooms = self.session.closed()
        self._around.hub.remove(self.id)
        for room in (*rooms, EVERYONE):
            self._around.left(room, self.id)
        for leave in actions.leaves(rooms, self.id, self.user, self._around.shards):
            self._around.uplink.leave(leave.envelope)

    def _log_connect(self) -> None:
        caller, self._caller = self._caller, None
        if caller is not None:
            event(
                _log,
                "ws_connect",
                connection=self.id,
                user=self.user,
                ip=caller.ip,
                origin=caller.origin or None,
                protocol=caller.protocol,
            )
