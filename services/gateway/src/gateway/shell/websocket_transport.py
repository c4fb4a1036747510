"""WebSocketTransport: one WebSocket's bytes. Whole frames go out while the transport takes them, whole
messages come in, and it ends in order.

After the upgrade it is the transport's protocol: aiohttp has let go of the socket. Nothing waits without
bound: what a peer sends ahead is not read any more beyond READ_AHEAD; what goes out waits in the transport's
buffer, then in the outbox; of a peer's pings only the last waits. However much has come, others have their
turn in between. How it ends is said by ``core/websocket/close.py``; a close has a deadline, which ``tick``
keeps. It knows nothing of sessions or of what messages mean.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from gateway.core.memory_budget import Holding, Standing
from gateway.core.outbox import Outbox, Put
from gateway.core.websocket import frames
from gateway.core.websocket.close import CloseHandshake, Event, State, Step, received_code
from gateway.core.websocket.deflate_negotiation import Deflate
from gateway.core.websocket.frame_parser import WebSocketViolation
from gateway.core.websocket.limited_reader import InboundLimits, LimitedReader
from gateway.shell import websocket_upgrade
from gateway.shell.event_loop_progress import EventLoopProgress
from gateway.shell.hijack import hijack
from gateway.shell.memory_limiter import MemoryLimiter
from gateway.shell.wakeup import Wakeup
from warren.errors import CloseCode

__all__ = ["TransportContext", "WebSocketTransport", "WebSocketViolation"]

MAX_WRITE_BYTES = 256 * 1024
# Beyond so many bytes that nobody has asked for, the peer is not read.
READ_AHEAD = 64 * 1024
# A read of the socket that brought so much may have left more behind, which has waited there for as long.
FULL_READ = 64 * 1024
# Beyond so many bytes that the socket does not take, the transport takes no more.
TRANSPORT_BYTES = 8 * 1024
# What a peer may still send once it is closed; who sends more is not read any more, though its answer to the
# close is not seen then.
LATE_BYTES = 256 * 1024
# Fewer bytes than these are not worth to be counted at once, nor to cut a connection for that was told why it
# ends.
SMALL_BYTES = 4 * 1024

_PING = frames.frame(b"", frames.PING)


@dataclass(frozen=True, slots=True)
class TransportContext:
    """What all WebSockets of a process share. ``now`` is monotonic; a close may take ``close_timeout_s``."""

    now: Callable[[], float]
    close_timeout_s: float
    progress: EventLoopProgress
    memory: MemoryLimiter


class WebSocketTransport(asyncio.Protocol):
    """One WebSocket."""

    __slots__ = (
        "_blocked",
        "_closing",
        "_cut",
        "_deaf",
        "_drained",
        "_extensions",
        "_flooded",
        "_floor",
        "_floor_ends",
        "_gone",
        "_holding",
        "_incoming",
        "_last",
        "_late",
        "_memory",
        "_now",
        "_pong",
        "_progress",
        "_reader",
        "_rest",
        "_transport",
        "bytes_out",
        "counted",
        "heard",
        "kept",
        "messages_out",
        "on_excess",
        "outbox",
    )  # fmt: skip

    def __init__(
        self, outbox: Outbox, context: TransportContext, limits: InboundLimits, deflate: Deflate | None
    ) -> None:
        """``deflate`` is the offer of it that was taken."""
        self.outbox = outbox
        self.bytes_out = self.messages_out = 0
        self.heard = True  # a sign of life has come since this was last set to False
        self.kept = 0  # bytes of messages that were read and wait elsewhere; ``keep`` sets it
        bits = deflate.client_bits if deflate else 0
        self._incoming = LimitedReader(limits, deflate=bool(deflate), window_bits=bits)
        self._extensions = deflate.answer if deflate else ""
        self._now = context.now
        self._closing = CloseHandshake(context.close_timeout_s)
        self._pong: bytes | None = None
        self._progress = context.progress
        self._memory = context.memory
        self.counted = False  # the memory's to write: it looks at what this one holds
        # ends the connection, for it holds too much
        self.on_excess: Callable[[CloseCode], None] | None = None
        self._floor: float | None = None  # what comes next may have waited since then
        self._floor_ends = 0.0  # unless the loop has had a whole turn since this
        self._reader = Wakeup()  # waits for bytes, or the end
        self._rest = Wakeup()  # waits for time to pass, or the end
        self._drained = Wakeup()  # waits for the transport, or the end
        self._blocked = False  # the transport takes no more
        self._last = b""  # the chunk that blocked it, which it keeps whole; others may hold the same one
        self._holding = False  # the peer is not read
        self._deaf = False  # what it sends is thrown away
        self._flooded = False  # it sent more than it may, and is not read while it closes
        self._late = 0  # how many bytes came after the close
        self._gone = self._cut = False
        self._transport: asyncio.Transport

    def open(self, request: web.Request, subprotocol: str) -> web.StreamResponse:
        """Answer the upgrade; return the response that the route gives back at once. Raises NoWebSocket,
        ConnectionError.
        """
        answer = websocket_upgrade.answer(request.headers, request.version, subprotocol, self._extensions)
        hijacked = hijack(request, self)
        self._transport, self._blocked = hijacked.transport, hijacked.blocked
        self._transport.set_write_buffer_limits(TRANSPORT_BYTES)
        self._transport.write(answer)
        if hijacked.rest:
            self._incoming.feed(hijacked.rest, self._progress.since)
        return hijacked.response

    @property
    def ended(self) -> bool:
        """Whether nothing more can be written."""
        return self._closing.state is not State.OPEN or self._transport.is_closing()

    @property
    def close_code(self) -> int:
        """The code of the first Close frame, whoever sent it; 1005 where it had none, 1006 where the
        connection ended without one.
        """
        return self._closing.code

    @property
    def bytes_in(self) -> int:
        """How many bytes of messages have come."""
        return self._incoming.parser.bytes

    @property
    def since(self) -> float:
        """When the message that was read last may have come at the earliest."""
        return self._incoming.since

    @property
    def resting(self) -> bool:
        """Whether the peer is left unread for a while, so that no sign of life can be seen."""
        return self._rest.waiting

    @property
    def quiet(self) -> bool:
        """Whether it is open and read."""
        return self._closing.deadline is None and not self._rest.waiting

    def worked(self, seconds: float) -> None:
        """Charge what handling the last message took of the processor; what is little costs nothing."""
        self._incoming.worked(seconds, self._now())

    def known(self) -> None:
        """Let the peer send as much as everyone: it is known who it is."""
        self._incoming.known()

    # ── the transport ───────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        """Handle received bytes. They are looked at when somebody reads."""
        self.heard = True
        if self._deaf:
            return
        if self._floor is not None and self._progress.since > self._floor_ends:
            self._floor = None  # the loop has asked the socket since, and nothing was there
        since = self._progress.since if self._floor is None else self._floor
        self._floor = None
        if len(data) >= FULL_READ:
            self._floor, self._floor_ends = since, self._now()
        incoming = self._incoming
        incoming.feed(data, since)
        if self._closing.state is not State.OPEN:
            self._late += len(data)
            if self._late > LATE_BYTES:
                self._flooded = True
                self.hold()
        if not self.counted and (not self._reader.waiting or len(data) > SMALL_BYTES):
            self._memory.register(self)
        self._memory.came(len(data))
        if self._reader.waiting:
            self._reader.wake()
        elif not self._holding and incoming.parser.waiting > READ_AHEAD:
            self.hold()

    def pause_writing(self) -> None:
        """Handle a full write buffer."""
        self._blocked = True
        self._memory.register(self)

    def resume_writing(self) -> None:
        """Handle a write buffer that has drained."""
        self._blocked, self._last = False, b""
        if not self.ended:
            self._write_some()
        if not self._blocked:
            self._drained.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle connection loss."""
        self._gone, self._last = True, b""
        for waiter in (self._reader, self._rest, self._drained):
            waiter.wake()

    # ── in ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def read(self) -> str | bytes | None:
        """Return the next message, None once the connection has ended. Raises WebSocketViolation. After
        ``close`` what comes is dropped.
        """
        incoming = self._incoming
        while True:
            if incoming.wait_s:
                wait_s, incoming.wait_s = incoming.wait_s, 0.0
                if self._closing.state is State.OPEN:
                    await self.rest(wait_s)
                # it is not waited for, and what it still sends is not worth what it costs
                elif not self._gone:
                    self._flooded = True
                    self.hold()
                    await self._reader.wait()
                    return None
            elif incoming.turn_is_over():
                await asyncio.sleep(0)
            item = incoming.next(self._now())
            if item is None:
                if self._gone:
                    self._closing.take(Event.LOST, self._now())
                    return None
                if not self.counted and (incoming.parser.held or incoming.parser.window):
                    self._memory.register(self)
                self._let()
                await self._reader.wait()
                incoming.new_turn()
                continue
            if not isinstance(item, str | bytes) and item.opcode == frames.CLOSE:
                self._peer_closes(item.payload)
                return None
            if self._closing.take(Event.PEER_DATA, 0.0) is Step.DELIVER:
                if isinstance(item, str | bytes):
                    return item
                if item.opcode == frames.PING:
                    self._answer_ping(item.payload)

    def check(self) -> None:
        """Raise WebSocketViolation where a peer that is not known has sent more than it may."""
        self._incoming.check()

    async def rest(self, seconds: float) -> None:
        """Leave the peer unread for a while, or until the connection ends."""
        if self.ended:
            return
        timer = asyncio.get_running_loop().call_later(seconds, self._rest.wake)
        try:
            await self._rest.wait()
        finally:
            timer.cancel()

    def end_rest(self) -> None:
        """End ``rest`` before its time."""
        self._rest.wake()

    def hold(self) -> None:
        """Read the peer no more until somebody asks for what it sends and there is nothing."""
        if not self._holding and not self._transport.is_closing():
            self._holding = True
            if self._floor is None:
                self._floor = self._progress.since
            self._floor_ends = math.inf
            self._transport.pause_reading()

    def _let(self) -> None:
        """Read the peer again, unless it is closing and has sent too much."""
        if self._flooded:
            self.hold()
        elif self._holding and not self._transport.is_closing():
            self._holding = False
            self._floor_ends = self._now()
            self._transport.resume_reading()

    # ── out ─────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, chunk: bytes) -> Put:
        """Put whole frames on the outbox that were made for this connection alone; ``flush`` writes them."""
        self._memory.spelled(len(chunk))
        return self.outbox.put(chunk)

    def flush(self) -> None:
        """Write what waits while the transport takes it; the rest goes when it does again. Each delivery goes
        through here.
        """
        if not self._blocked and not self.ended:
            self._write_some()

    def ping(self) -> None:
        """Send a ping."""
        if not self.ended:
            self._write(_PING)

    async def drained(self) -> None:
        """Return once nothing waits but in the transport, or the connection has ended. For one caller at a
        time.
        """
        if self._blocked and not self._gone:
            await self._drained.wait()

    def close(self, code: int, reason: str, *, last_words: bytes = b"") -> None:
        """Write what waits, ``last_words`` (whole frames) and the Close frame; the peer has until the
        deadline to answer it. Does nothing where a Close has gone already.
        """
        if self._closing.take(Event.CLOSE, self._now(), code) is Step.SEND_CLOSE:
            self._send_close(code, reason, last_words)

    async def fail(self, violation: WebSocketViolation) -> None:
        """After a WebSocketViolation: send a Close where ``close`` has sent none, and drop what the peer
        still sends until it has gone, so that it can read why. ``tick`` ends it. Who has sent too much is
        not read any more, or it would go on for as long as the close takes.
        """
        step = self._closing.take(Event.VIOLATION, self._now(), violation.code)
        if step is Step.FAIL:
            self._send_close(violation.code, str(violation))
        if step in (Step.FAIL, Step.HALF_CLOSE):
            self._flooded = self._flooded or violation.too_much
            self._deaf = True
            if self._transport.can_write_eof() and not self._transport.is_closing():
                self._transport.write_eof()
            self._let()
        while not self._gone:
            await self._reader.wait()

    def tick(self, now: float) -> None:
        """Cut the connection where its close has taken too long."""
        if self._closing.tick(now) is Step.ABORT_TCP:
            self.cut()

    def finished(self, now: float) -> bool:
        """Say whether a connection that ``finish`` has not ended at once has gone by now; it is cut where
        its time is up.
        """
        self.tick(now)
        return self._gone

    def over(self) -> None:
        """Note that nothing more will be read: from now on an end without a Close frame has its code."""
        self._closing.take(Event.READ_END, self._now())

    def cut(self) -> None:
        """End the connection at once."""
        self._cut = True
        if not self._gone:
            self._transport.abort()

    # ── what it holds ───────────────────────────────────────────────────────────────────────────────────────

    def keep(self, size: int) -> None:
        """Count so many bytes of messages that were read and wait until something is known."""
        self.kept = size
        if size and not self.counted:
            self._memory.register(self)

    def holding(self) -> Holding | None:
        """Return what is held for this connection; None: nothing."""
        if self._gone or self._cut:
            return None
        standing = Standing.UNKNOWN if self._incoming.is_unknown else Standing.KNOWN
        parser, last = self._incoming.parser, len(self._last)
        queue = self.outbox.overhead + max(0, self._transport.get_write_buffer_size() - last)
        sizes = (parser.held + self.kept, self.outbox.bytes + last, parser.window, queue)
        return Holding(Standing.ENDING if self.ended else standing, *sizes) if any(sizes) else None

    def chunks(self) -> list[bytes]:
        """Return the chunks that its client has not taken yet; other connections may hold the same ones."""
        return [self._last, *self.outbox.chunks()] if self._last else self.outbox.chunks()

    def spill(self) -> None:
        """Let go of what waits in either direction: the connection is about to be closed. Who was in the
        middle of a message is not heard any more, not even its answer to the close.
        """
        self.outbox.discard()
        self.kept = 0
        parser = self._incoming.parser
        if parser.held:
            self._deaf = True
        parser.drop()

    def cut_unless_small(self) -> None:
        """Cut the connection where its client is so far behind that it would not read why it ends."""
        if not self._gone and self._transport.get_write_buffer_size() > SMALL_BYTES + TRANSPORT_BYTES:
            self.cut()

    def finish(self) -> bool:
        """Close the socket after the last ``read``. False where something is still being written: then keep
        calling ``finished``.
        """
        self.outbox.discard()
        if self._closing.take(Event.READ_END, self._now()) is Step.CLOSE_TCP:
            self._deaf, self._flooded = True, False
            self._let()  # or its end would not be seen
            self._transport.close()
        return self._gone or not self._transport.get_write_buffer_size()

    def _write_some(self) -> None:
        if self._pong is not None:
            pong, self._pong = self._pong, None
            self._write(frames.frame(pong, frames.PONG))
        outbox = self.outbox
        while outbox.bytes and not self._blocked:
            before = outbox.count
            chunks = outbox.take(MAX_WRITE_BYTES)
            self.messages_out += before - outbox.count
            self._last = chunks[0] if len(chunks) == 1 else b""
            self._write(self._last or b"".join(chunks))
        if not self._blocked:
            self._last = b""

    def _write(self, data: bytes) -> None:
        self.bytes_out += len(data)
        self._transport.write(data)

    def _answer_ping(self, data: bytes) -> None:
        if not self.ended:
            self._pong = data
            self.flush()

    def _send_close(self, code: int, reason: str, last_words: bytes = b"") -> None:
        """Write what waits and the Close frame."""
        if not self._transport.is_closing():
            self.messages_out += self.outbox.count
            self._write(
                b"".join((*self.outbox.take(self.outbox.bytes), last_words, frames.close(code, reason)))
            )
        self.outbox.discard()
        self.end_rest()

    def _peer_closes(self, payload: bytes) -> None:
        """Handle the peer's Close frame."""
        code = received_code(payload)
        step = self._closing.take(Event.PEER_CLOSE, self._now(), code)
        if step is Step.ANSWER_CLOSE and not self._transport.is_closing():
            self._write(frames.close(code))
