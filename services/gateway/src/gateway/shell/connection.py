"""Connection: one client. It reads a message, asks the session, and does what the session said, in order.

It is the hub's member too: what the hub puts on its outbox it writes. It decides nothing about the protocol; where a message can't be
taken (no place, no broker) it tells the session so. While a shard's buffer is crowded the connection that publishes to it is
not read. ``server.py`` makes one for each upgrade and runs it, the downlink brings answers, the lobby ticks it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.core import actions, frames, messages
from gateway.core.hub import Hub, Member
from gateway.core.rights import Identity
from gateway.core.session import Session, State
from gateway.shell.auth import Authenticator, Refusal
from gateway.shell.entrance import Entrance
from gateway.shell.tallies import kind_of, name_of
from gateway.shell.uplink import Uplink
from gateway.shell.wire import Breach, Wire
from warren import envelope
from warren.address import shard_of
from warren.clock import Clock
from warren.errors import CloseCode, Overloaded, WarrenError, code_of
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics

_log = get_logger("gateway.connection")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all connections of a gateway share."""

    hub: Hub
    uplink: Uplink
    authenticator: Authenticator
    clock: Clock
    metrics: GatewayMetrics
    entrance: Entrance
    shards: int


@dataclass(frozen=True, slots=True)
class Caller:
    """What the upgrade said of the client."""

    ip: str
    origin: str
    protocol: str
    token: str
    user: str  # the name an anonymous client chose


class Connection(Member):
    """One client."""

    __slots__ = ("_around", "_caller", "_in", "_joining", "_last_words", "_since", "_token", "held", "session", "wire")

    def __init__(
        self, session: Session, wire: Wire, variant: frames.Variant, caller: Caller, around: Surroundings
    ) -> None:
        """``wire`` is open; its outbox is the one that the hub puts on."""
        super().__init__(session.conn, "", variant, wire.outbox)
        self.session = session
        self.wire = wire
        self.held = False  # not read at present, so no sign of life can be seen
        self._around = around
        self._caller = caller
        self._joining: dict[str, envelope.Join] = {}  # asked for, and not answered yet
        self._token: str | None = None  # to be checked before anything more is read
        self._last_words = b""
        self._since = around.clock.monotonic()
        self._in = 0

    # ── the client ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Serve the client until the connection has ended."""
        try:
            await self._come_in()
            while (data := await self._read()) is not None:
                await self._take(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this connection only
            event(_log, "connection_failed", level=logging.ERROR, connection=self.id, error=error)
            self.end(CloseCode.INTERNAL_ERROR)

    async def _come_in(self) -> None:
        caller, authenticator = self._caller, self._around.authenticator
        clock = self._around.clock
        self.do(self.session.open(None, clock.monotonic(), clock.wall_us()))
        if authenticator.anonymous:
            try:
                self._identify(authenticator.guest(caller.user))
            except Refusal as refusal:
                self._refuse(refusal)
        elif caller.token:
            await self._check(caller.token)

    async def _read(self) -> str | bytes | None:
        try:
            return await self.wire.read()
        except Breach as breach:
            if breach.too_large:
                self.do(self.session.too_large())
            else:
                self.wire.shut(breach.code, str(breach))
                self._leave_all()
            await self.wire.linger()
            return None

    async def _take(self, data: str | bytes) -> None:
        """Take one message, and hold the client back where it must be."""
        clock = self._around.clock
        self._in += 1
        asked = self.session.receive(data, clock.monotonic(), clock.wall_us())
        first = asked[0] if asked else None
        room = first.envelope.room if isinstance(first, actions.Publish | actions.Join) else ""
        self._around.metrics.messages_in(kind_of(first), len(data))
        self.do(asked)
        token, self._token = self._token, None
        if token is not None:
            await self._check(token)
        if room and self._around.uplink.crowded(room):
            self.held = True
            try:
                await self._around.uplink.place(room)
            finally:
                self.held = False

    async def _check(self, token: str) -> None:
        try:
            self._identify(await self._around.authenticator.check(token))
        except Refusal as refusal:
            self._refuse(refusal)

    def _identify(self, identity: Identity) -> None:
        clock, known = self._around.clock, self.session.identity is not None
        asked = self.session.identify(identity, clock.monotonic(), clock.wall_us())
        if not known and self.session.state is State.READY:
            self.user = identity.user
            self._around.hub.add(self)
            self._log_connect()
        self.do(asked)

    def _refuse(self, refusal: Refusal) -> None:
        self._around.metrics.auth_failures(refusal.reason)
        self.do(self.session.refuse(str(refusal)))

    # ── the routers, the lobby ───────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, reply: envelope.Joined | envelope.Left | envelope.Ack | envelope.Refused) -> None:
        """Take what a router says to this connection."""
        if isinstance(reply, envelope.Joined):
            self._joining.pop(reply.room, None)
        elif isinstance(reply, envelope.Refused):
            for room in [room for room, join in self._joining.items() if reply.ref and join.ref == reply.ref]:
                del self._joining[room]
        self.do(self.session.answer(reply, self._around.clock.monotonic()))

    def undelivered(self, ref: str, error: WarrenError) -> None:
        """Take that nobody knows whether what was sent under ``ref`` got through."""
        self.do(self.session.undelivered(ref, code_of(error)))

    def renew(self, shard: int | None) -> None:
        """Ask again for the rooms of a shard (None: all) whose joins were not answered: the answers may never come."""
        for room, join in list(self._joining.items()):
            if shard is None or shard_of(room, self._around.shards) == shard:
                self._join(join)

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self.wire.heard or self.held:
            self.wire.heard = False
            self.session.heard(now)
        self.do(self.session.tick(now))
        self.wire.tick(now)

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
        self._leave_all()
        wire = self.wire
        self._around.metrics.closes(wire.close_code)
        event(
            _log,
            "ws_disconnect",
            connection=self.id,
            user=self.user or None,
            ip=self._caller.ip,
            code=wire.close_code,
            duration_ms=round((self._around.clock.monotonic() - self._since) * 1_000),
            messages_in=self._in,
            messages_out=wire.messages_out,
            bytes_in=wire.bytes_in,
            bytes_out=wire.bytes_out,
        )

    # ── what the session asks for ────────────────────────────────────────────────────────────────────────────────────────

    def do(self, asked: Iterable[actions.Action]) -> None:
        """Do what the session asked for, in order."""
        for action in asked:
            match action:
                case actions.Send():
                    self._send(action.message)
                case actions.Publish():
                    error = self._around.entrance.publish(action)
                    if error is not None:
                        self.undelivered(action.envelope.id, error)
                case actions.Join():
                    self._joining[action.envelope.room] = action.envelope
                    self._join(action.envelope)
                case actions.Leave():
                    self._around.uplink.leave(action.envelope)
                case actions.Enter():
                    self._around.hub.join(action.room, self.id, action.position)
                case actions.Exit():
                    self._joining.pop(action.room, None)
                    self._around.hub.leave(action.room, self.id)
                case actions.Authenticate():
                    self._token = action.token
                case actions.Ping():
                    self.wire.ping()
                case actions.Close():
                    self._close(action.code)
        self.wire.flush()

    def _send(self, message: messages.ServerMessage) -> None:
        metrics = self._around.metrics
        chunk = frames.message_frame(message, self.variant, self._around.clock.wall_us() // 1_000)
        metrics.messages_out(name_of(message))
        if isinstance(message, messages.Error):
            metrics.errors(message.code)
        if self.outbox.lost:
            self._last_words += chunk
        elif self.outbox.put(chunk).value == "too_slow":
            self.end(CloseCode.TOO_SLOW)

    def _join(self, join: envelope.Join) -> None:
        if not self._around.uplink.join(join):
            self.end(CloseCode.OVERLOADED, str(Overloaded("too much waits for the broker")))

    def _close(self, code: CloseCode) -> None:
        if code is CloseCode.HEARTBEAT_MISSED:
            self._around.metrics.heartbeats_missed()
        elif code is CloseCode.TOO_SLOW:
            self._around.metrics.slow_disconnects()
        self.wire.shut(int(code), code.reason, last_words=self._last_words)
        self._leave_all()

    def _leave_all(self) -> None:
        """Take this connection out of every room, here and at the routers."""
        rooms = self.session.closed()
        self._around.hub.remove(self.id)
        self._joining.clear()
        for leave in actions.leaves(rooms, self.id, self._around.shards):
            self._around.uplink.leave(leave.envelope)

    def _log_connect(self) -> None:
        caller = self._caller
        event(
            _log,
            "ws_connect",
            connection=self.id,
            user=self.user,
            ip=caller.ip,
            origin=caller.origin or None,
            protocol=caller.protocol,
        )
