"""Wire: one WebSocket's bytes. Whole frames go out while the transport takes them, whole messages come in, and it ends in order.

aiohttp does the upgrade and reads frames; what it would answer by itself (pings, closes, its own close codes) is answered here.
Nothing waits without bound: the transport's buffer, then the outbox; of a peer's pings only the last waits. A close has a deadline,
which ``tick`` keeps. It knows nothing of sessions or messages. ``connection.py`` and ``echo.py`` read and write through it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from struct import Struct
from typing import Any

from aiohttp import WebSocketError, WSMsgType, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from gateway.core import frames
from gateway.core.outbox import Outbox
from gateway.shell.upgrade import DEFLATE
from warren.errors import CloseCode

MAX_WRITE_BYTES = 256 * 1024
# Pings and pongs that a peer may send in a second. They count in no other limit, an empty one has no size that would hold the reader
# back, and each ping costs a write: without a bound one client holds the event loop for a second at a time.
CONTROLS_PER_S = 100
# Codes that no close frame may carry (RFC 6455 section 7.4.1), or that are nobody's.
_NO_CODES = frozenset({1004, 1005, 1006, 1015})
_TOO_BIG = 1009
_NO_STATUS = 1005  # the peer's close frame had no code
_ABNORMAL = 1006  # there was no close frame
_POLL_S = 0.02

_PING = frames.frame(b"", frames.PING)
_pack_code = Struct("!H").pack


class Breach(Exception):
    """The peer broke the WebSocket protocol (or sent too much), so that nothing more can be read. Answer with ``shut``, then ``linger``."""

    def __init__(self, code: int, reason: str) -> None:
        """``code`` is the close code for it; ``too_large`` where the message was beyond the limit."""
        self.code = code
        self.too_large = code == _TOO_BIG
        self.too_fast = code == CloseCode.RATE_LIMITED
        super().__init__(reason)


class _Socket(web.WebSocketResponse):
    """aiohttp's end of it, which answers nothing by itself."""

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """Do nothing: Wire closes."""
        return False


class Wire:
    """One WebSocket."""

    __slots__ = (
        "_close_timeout_s",
        "_closing_at",
        "_controls",
        "_controls_since",
        "_deflate",
        "_drainer",
        "_limit",
        "_now",
        "_pong",
        "_protocol",
        "_socket",
        "_transport",
        "_writer",
        "bytes_in",
        "bytes_out",
        "close_code",
        "heard",
        "messages_out",
        "outbox",
    )

    def __init__(
        self, outbox: Outbox, *, max_bytes: int, deflate: bool, close_timeout_s: float, now: Callable[[], float]
    ) -> None:
        """``deflate``: the client offered it and is to have it. ``now`` is monotonic."""
        self.outbox = outbox
        self.bytes_in = self.bytes_out = self.messages_out = 0
        self.close_code = 0  # the code of the first close frame, whoever sent it; 1006 where there was none
        self.heard = True  # a sign of life has come since this was last set to False
        self._limit = max_bytes
        self._deflate = deflate
        self._close_timeout_s = close_timeout_s
        self._now = now
        self._closing_at: float | None = None  # when it is cut at the latest
        self._pong: bytes | None = None
        self._controls, self._controls_since = 0, now()
        self._drainer: asyncio.Task[None] | None = None
        self._socket: _Socket
        self._protocol: web.RequestHandler
        self._transport: asyncio.Transport
        self._writer: AbstractStreamWriter

    async def open(self, request: web.Request, subprotocol: str) -> web.StreamResponse:
        """Answer the upgrade; return the response that the route gives back when all is over. Raises HTTPException, ConnectionError."""
        # aiohttp refuses messages of its limit's size and beyond; ours may be as large as the limit.
        socket = _Socket(
            autoping=False,
            autoclose=False,
            compress=self._deflate,
            max_msg_size=self._limit + 1,
            protocols=(subprotocol,) if subprotocol else (),
        )
        self._writer = await socket.prepare(_clean(request, subprotocol, deflate=self._deflate))
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the peer has gone")
        self._socket, self._protocol, self._transport = socket, request.protocol, transport
        return socket

    @property
    def ended(self) -> bool:
        """Whether nothing more can be written."""
        return self._closing_at is not None or self._transport.is_closing()

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def read(self) -> str | bytes | None:
        """Return the next message, None once the connection has ended. Raises Breach. After ``shut`` what comes is dropped."""
        while True:
            frame = await self._socket.receive()
            match frame.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    self.heard = True
                    data: str | bytes = frame.data
                    size = self._size(data)
                    self.bytes_in += size
                    if self._closing_at is not None:
                        continue
                    if size > self._limit:
                        raise Breach(_TOO_BIG, f"more than {self._limit} bytes")
                    return data
                case WSMsgType.PING:
                    self.heard = True
                    self._count_control()
                    self._answer_ping(bytes(frame.data))
                case WSMsgType.PONG:
                    self.heard = True
                    self._count_control()
                case WSMsgType.CLOSE:
                    self._echo_close(int(frame.data or 0))
                    return None
                case WSMsgType.ERROR if isinstance(frame.data, WebSocketError):
                    raise Breach(frame.data.code, str(frame.data))
                case _:
                    return None

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def flush(self) -> None:
        """Write what waits while the transport takes it; the rest goes when it does again. Each delivery goes through here."""
        if self._drainer is not None or self.ended:
            return
        self._write_some()
        if self.outbox.bytes or self._pong is not None:
            self._drainer = asyncio.get_running_loop().create_task(self._drain())

    def ping(self) -> None:
        """Send a ping."""
        if not self.ended:
            self._write(_PING)

    async def drained(self) -> None:
        """Return once nothing waits but in the transport, or the connection has ended."""
        if self._drainer is not None:
            await asyncio.wait({self._drainer})

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
        transport = self._transport
        if transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()
        if self._controls > CONTROLS_PER_S:
            self._protocol.pause_reading()  # who floods us is not read any more, or it would go on for as long as the close takes
        else:
            self._protocol.resume_reading()
        while not transport.is_closing():  # noqa: ASYNC110 - a transport sets no event, and this is rare and bounded
            await asyncio.sleep(_POLL_S)

    def tick(self, now: float) -> None:
        """Cut the connection where its close has taken too long."""
        if self._closing_at is not None and now >= self._closing_at:
            self.cut()

    def finished(self, now: float) -> bool:
        """Say whether a wire that ``finish`` was not done with is gone by now; it is cut where its time is up."""
        self.tick(now)
        return self._transport.is_closing() and not self._transport.get_write_buffer_size()

    def over(self) -> None:
        """Take that nothing more will be read: an end without a close frame has its code from now on."""
        self.close_code = self.close_code or _ABNORMAL

    def cut(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    async def finish(self) -> bool:
        """Tidy up after the last ``read``. False where something is still being written: then keep calling ``tick``."""
        self.outbox.discard()
        self.over()
        drainer, self._drainer = self._drainer, None
        if drainer is not None:
            drainer.cancel()
            await asyncio.gather(drainer, return_exceptions=True)
        if self._closing_at is None:
            self._closing_at = self._now() + self._close_timeout_s
        return self._transport.is_closing() or not self._transport.get_write_buffer_size()

    def _write_some(self) -> None:
        if self._pong is not None and not self._protocol.writing_paused:
            pong, self._pong = self._pong, None
            self._write(frames.frame(pong, frames.PONG))
        outbox, protocol = self.outbox, self._protocol
        while outbox.bytes and not protocol.writing_paused:
            before = outbox.count
            chunks = outbox.take(MAX_WRITE_BYTES)
            self.messages_out += before - outbox.count
            self._write(chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def _write(self, data: bytes) -> None:
        self.bytes_out += len(data)
        self._transport.write(data)

    async def _drain(self) -> None:
        try:
            while not self.ended and (not self.outbox.idle or self._pong is not None):
                await self._writer.drain()
                if not self.ended:
                    self._write_some()
        except ConnectionError:
            return  # the reader is told too
        finally:
            self._drainer = None

    def _count_control(self) -> None:
        now = self._now()
        if now - self._controls_since >= 1.0:
            self._controls, self._controls_since = 0, now
        self._controls += 1
        if self._controls > CONTROLS_PER_S:
            raise Breach(CloseCode.RATE_LIMITED, f"More than {CONTROLS_PER_S} pings or pongs in a second")

    def _answer_ping(self, data: bytes) -> None:
        if not self.ended:
            self._pong = data
            self.flush()

    def _echo_close(self, code: int) -> None:
        """Answer the peer's close frame with its own code, unless ours went before."""
        valid = not code or (code not in _NO_CODES and (code < 1016 or code >= 3000))
        self.close_code = self.close_code or (code if valid else int(CloseCode.PROTOCOL_ERROR)) or _NO_STATUS
        if self._closing_at is None:
            self._closing_at = self._now() + self._close_timeout_s
            if not self._transport.is_closing():
                answer = b"" if not code else _pack_code(code if valid else CloseCode.PROTOCOL_ERROR)
                self._write(frames.frame(answer, frames.CLOSE))

    def _size(self, data: str | bytes) -> int:
        # A text's bytes are counted only where they could be too many: a character takes at most 4.
        if isinstance(data, bytes) or len(data) * 4 <= self._limit:
            return len(data)
        return len(data.encode())


_HANDSHAKE = (hdrs.HOST, hdrs.UPGRADE, hdrs.CONNECTION, hdrs.SEC_WEBSOCKET_VERSION, hdrs.SEC_WEBSOCKET_KEY)


def _clean(request: web.Request, subprotocol: str, *, deflate: bool) -> web.Request:
    """Return the request with just the handshake and what was chosen among its offers: aiohttp then chooses the same, logs no token, and
    does not stumble over other headers (a clone has to encode them, and a cookie need not be UTF-8).
    """
    headers: Any = CIMultiDict(
        (name, value) for name in _HANDSHAKE if (value := request.headers.get(name)) is not None and value.isascii()
    )
    if subprotocol:
        headers[hdrs.SEC_WEBSOCKET_PROTOCOL] = subprotocol
    if deflate:
        headers[hdrs.SEC_WEBSOCKET_EXTENSIONS] = DEFLATE
    return request.clone(headers=headers)
