"""Wire: one WebSocket's bytes. Whole frames go out while the transport takes them, whole messages come in, and it ends in order.

After the upgrade it is the transport's protocol: aiohttp has let go of the socket. Nothing waits without bound: what a peer sends ahead is not read
any more beyond READ_AHEAD; what goes out waits in the transport's buffer, then in the outbox; of a peer's pings only the last waits. A close
has a deadline, which ``tick`` keeps. It knows nothing of sessions or messages. ``connection.py`` and ``echo.py`` read and write through it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from struct import Struct

from aiohttp import web

from gateway.core import frames
from gateway.core.assembly import Assembly, Breach, code_of
from gateway.core.deflate import Deflate
from gateway.core.outbox import Outbox
from gateway.shell import upgrade
from gateway.shell.parting import part
from warren.errors import CloseCode

__all__ = ["CONTROLS_PER_S", "Breach", "Wire"]

MAX_WRITE_BYTES = 256 * 1024
# Beyond so many bytes that nobody has asked for, the peer is not read.
READ_AHEAD = 64 * 1024
# Pings, pongs and empty parts of messages that a peer may send in a second. They count in no other limit, have no size that would hold the reader
# back, and each ping costs a write: without a bound one client holds the event loop for a second at a time.
CONTROLS_PER_S = 100
_NO_STATUS = 1005  # the peer's close frame had no code
_ABNORMAL = 1006  # there was no close frame

_PING = frames.frame(b"", frames.PING)
_pack_code = Struct("!H").pack


class Wire(asyncio.Protocol):
    """One WebSocket."""

    __slots__ = (
        "_assembly",
        "_blocked",
        "_close_timeout_s",
        "_closing_at",
        "_controls",
        "_controls_since",
        "_deaf",
        "_drained",
        "_extensions",
        "_gone",
        "_holding",
        "_now",
        "_pong",
        "_reader",
        "_transport",
        "bytes_out",
        "close_code",
        "heard",
        "messages_out",
        "outbox",
    )

    def __init__(
        self,
        outbox: Outbox,
        *,
        max_bytes: int,
        deflate: Deflate | None,
        close_timeout_s: float,
        now: Callable[[], float],
    ) -> None:
        """``deflate`` is the offer of it that was taken. ``now`` is monotonic."""
        self.outbox = outbox
        self.bytes_out = self.messages_out = 0
        self.close_code = 0  # the code of the first close frame, whoever sent it; 1006 where there was none
        self.heard = True  # a sign of life has come since this was last set to False
        self._assembly = Assembly(max_bytes, deflate=bool(deflate), window_bits=deflate.client_bits if deflate else 0)
        self._extensions = deflate.answer if deflate else ""
        self._close_timeout_s = close_timeout_s
        self._now = now
        self._closing_at: float | None = None  # when it is cut at the latest
        self._pong: bytes | None = None
        self._controls, self._controls_since = 0, now()
        self._reader: asyncio.Future[None] | None = None  # waits for bytes, or the end
        self._drained: asyncio.Future[None] | None = None
        self._blocked = False  # the transport takes no more
        self._holding = False  # the peer is not read
        self._deaf = False  # what it sends is thrown away
        self._gone = False
        self._transport: asyncio.Transport

    def open(self, request: web.Request, subprotocol: str) -> web.StreamResponse:
        """Answer the upgrade; return the response that the route gives back at once. Raises NoWebSocket, ConnectionError."""
        answer = upgrade.answer(request.headers, request.version, subprotocol, self._extensions)
        parted = part(request, self)
        self._transport, self._blocked = parted.transport, parted.blocked
        self._transport.write(answer)
        self._assembly.feed(parted.rest)
        return parted.response

    @property
    def ended(self) -> bool:
        """Whether nothing more can be written."""
        return self._closing_at is not None or self._transport.is_closing()

    @property
    def bytes_in(self) -> int:
        """How many bytes of messages have come."""
        return self._assembly.bytes

    # ── the transport ────────────────────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        """Take what has come. It is looked at when somebody reads."""
        self.heard = True
        if self._deaf:
            return
        self._assembly.feed(data)
        if self._reader is not None:
            self._wake()
        elif not self._holding and self._assembly.waiting > READ_AHEAD:
            self._hold()

    def pause_writing(self) -> None:
        """Take that the transport's buffer is full."""
        self._blocked = True

    def resume_writing(self) -> None:
        """Take that it has place again."""
        self._blocked = False
        if not self.ended:
            self._write_some()
        if not self._blocked:
            self._release()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take that the socket is gone."""
        self._gone = True
        self._wake()
        self._release()

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def read(self) -> str | bytes | None:
        """Return the next message, None once the connection has ended. Raises Breach. After ``shut`` what comes is dropped."""
        while True:
            item = self._assembly.next()
            if item is None:
                if self._gone:
                    return None
                self._let()
                await self._wait()
            elif isinstance(item, str | bytes):
                if self._closing_at is None:
                    return item
            elif item.opcode == frames.CLOSE:
                self._echo_close(item.payload)
                return None
            else:
                self._count_control()
                if item.opcode == frames.PING:
                    self._answer_ping(item.payload)

    async def _wait(self) -> None:
        """Wait until something has come, or the end."""
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _wake(self) -> None:
        waiter, self._reader = self._reader, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _hold(self) -> None:
        """Read the peer no more."""
        if not self._transport.is_closing():
            self._holding = True
            self._transport.pause_reading()

    def _let(self) -> None:
        """Read the peer again."""
        if self._holding and not self._transport.is_closing():
            self._holding = False
            self._transport.resume_reading()

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def flush(self) -> None:
        """Write what waits while the transport takes it; the rest goes when it does again. Each delivery goes through here."""
        if not self._blocked and not self.ended:
            self._write_some()

    def ping(self) -> None:
        """Send a ping."""
        if not self.ended:
            self._write(_PING)

    async def drained(self) -> None:
        """Return once nothing waits but in the transport, or the connection has ended. For one caller at a time."""
        if self._blocked and not self._gone:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def shut(self, code: int, reason: str, *, last_words: bytes = b"") -> None:
        """Write what waits, ``last_words`` (whole frames) and the close frame; the peer has until the deadline to answer it."""
        if self._closing_at is not None:
            return
        self._closing_at = self._now() + self._close_timeout_s
        self.close_code = self.close_code or code
        if not self._transport.is_closing():
            close = frames.frame(_pack_code(code) + reason.encode()[:123], frames.CLOSE)
            self.messages_out += self.outbox.count
            self._write(b"".join((*self.outbox.take(self.outbox.bytes), last_words, close)))
        self.outbox.discard()

    async def linger(self) -> None:
        """After a Breach and ``shut``: drop what the peer still sends until it has gone, so that it can read why. ``tick`` ends it."""
        self._deaf = True
        transport = self._transport
        if transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()
        if self._controls > CONTROLS_PER_S:
            self._hold()  # who floods us is not read any more, or it would go on for as long as the close takes
        else:
            self._let()
        while not self._gone:
            await self._wait()

    def tick(self, now: float) -> None:
        """Cut the connection where its close has taken too long."""
        if self._closing_at is not None and now >= self._closing_at:
            self.cut()

    def finished(self, now: float) -> bool:
        """Say whether a wire that ``finish`` was not done with is gone by now; it is cut where its time is up."""
        self.tick(now)
        return self._gone

    def over(self) -> None:
        """Take that nothing more will be read: an end without a close frame has its code from now on."""
        self.close_code = self.close_code or _ABNORMAL

    def cut(self) -> None:
        """End the connection at once."""
        if not self._gone:
            self._transport.abort()

    def finish(self) -> bool:
        """Close the socket after the last ``read``. False where something is still being written: then keep calling ``finished``."""
        self.outbox.discard()
        self.over()
        if self._closing_at is None:
            self._closing_at = self._now() + self._close_timeout_s
        self._deaf = True
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
            self._write(chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def _write(self, data: bytes) -> None:
        self.bytes_out += len(data)
        self._transport.write(data)

    def _release(self) -> None:
        waiter, self._drained = self._drained, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _count_control(self) -> None:
        now = self._now()
        if now - self._controls_since >= 1.0:
            self._controls, self._controls_since = 0, now
        self._controls += 1
        if self._controls > CONTROLS_PER_S:
            raise Breach(CloseCode.RATE_LIMITED, f"More than {CONTROLS_PER_S} pings, pongs or empty frames in a second")

    def _answer_ping(self, data: bytes) -> None:
        if not self.ended:
            self._pong = data
            self.flush()

    def _echo_close(self, payload: bytes) -> None:
        """Answer the peer's close frame with its own code, unless ours went before."""
        code = code_of(payload)
        self.close_code = self.close_code or code or _NO_STATUS
        if self._closing_at is None:
            self._closing_at = self._now() + self._close_timeout_s
            if not self._transport.is_closing():
                self._write(frames.frame(_pack_code(code) if code else b"", frames.CLOSE))
