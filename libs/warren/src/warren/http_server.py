"""HTTP server: one port of a service, with the bounds and answers that aiohttp leaves to its users where
anybody may connect.

What is no HTTP, or too long, is answered in one plain sentence and logged in one line at most every
LOG_EVERY_S, without what was sent (it may hold a token). No answer tells a version. Peers that have not sent
a request yet are bounded in time, in number and in bytes; the oldest goes first. It knows no routes and
decides nothing about a request that can be read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import (
    BadHttpMethod,
    BadStatusLine,
    ContentLengthError,
    HttpProcessingError,
    InvalidHeader,
    InvalidURLError,
    LineTooLong,
    TransferEncodingError,
)

from warren import logs
from warren.accept_limit import Acceptor
from warren.listen_sockets import open_sockets

NAME = "warren"  # the header Server
# The request line, and each header: a token of 16 KiB may stand in either.
LINE_MAX_BYTES = 20 * 1024
# All of them together.
HEAD_MAX_BYTES = 32 * 1024
# What may follow a head on a port that serves one request: no route but those of a page has a body, and one
# in many small pieces costs a parser far more than its bytes.
BODY_MAX_BYTES = 16 * 1024
# Peers that have not sent their request yet, and what they have sent of it. A storm of clients that come back
# is let in by the backlog, some thousands at a time, and has sent its requests a moment later.
WAITING_MAX = 4_096
WAITING_MAX_BYTES = 8 * 1024 * 1024
# What a peer still sends behind a refused request is read for so long, and for so many at a time, so that it
# can read why.
LINGER_S = 1.0
LINGERING_MAX = 256
BACKLOG = 1_024
LOG_EVERY_S = 10.0

# What was wrong, where aiohttp tells; its own text repeats what was sent.
_SENTENCES: dict[type, str] = {
    BadHttpMethod: "The request does not begin with a method of HTTP/1.1; TLS and other protocols end "
    "before this port.",
    BadStatusLine: "The request line is none of HTTP/1.1.",
    InvalidURLError: "The address in the request line can't be read.",
    InvalidHeader: "A header can't be read.",
    ContentLengthError: "The body's length can't be read.",
    TransferEncodingError: "The body's encoding can't be read.",
}
_UNREADABLE = "This is no HTTP/1.1 request that can be read: a header is malformed, or Host is missing."

_END = b"\r\n\r\n"
# So many bytes of a request tell which one it is, as far as its body goes.
BEGINS = 32

_log = logs.get_logger(__name__)

Answering = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def nobody(reason: str) -> None:
    """Count nothing."""


def plainly(status: int, sentence: str) -> tuple[bytes, str]:
    """Return the body and the content type of an answer that says what was wrong in a sentence."""
    return f"{sentence}\n".encode(), "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How long a peer may take to send a request, and we to shut down; how many sockets may be open (0: any
    number), and what is written to one too many, as it is; and what may follow the head of a request where a
    connection has one; of those that begin with ``posts`` (not empty) another number of bytes.
    """

    request_timeout_s: float
    shutdown_timeout_s: float
    sockets_max: int = 0
    full: bytes = b""
    body_max_bytes: int = BODY_MAX_BYTES
    posts: bytes = b""
    post_max_bytes: int = 0


class HttpServer:
    """One listening port."""

    def __init__(
        self,
        app: web.Application | Answering,
        limits: HttpLimits,
        *,
        one_request: bool = False,
        refused: Callable[[str], None] = nobody,
        hint: str = "",
        spoken: Callable[[int, str], tuple[bytes, str]] = plainly,
    ) -> None:
        """``app`` answers requests: an application with routes, or one function, which costs less for each.
        ``one_request``: a connection ends with its first answer. ``refused`` counts, by reason, who got no
        further than this; ``hint`` follows where something was too long. ``spoken`` gives the body and the
        content type of what is answered without a request that could be read, from a status and a sentence.
        """
        self.refused = refused
        self.hint = hint
        self.spoken = spoken
        self.waiting = _Waiting(self)
        self._app = app
        self._limits = limits
        self._one_request = one_request
        self._runner: web.BaseRunner | None = None
        self._acceptor: Acceptor | None = None
        self._lingering: set[_Lingering] = set()
        self._logged_at: float | None = None
        self._unlogged = 0

    @property
    def open(self) -> int:
        """How many sockets are open, whether a request has come, is awaited, or was answered and its socket
        is ending.
        """
        return 0 if self._acceptor is None else self._acceptor.open

    async def start(self, host: str, port: int) -> int:
        """Listen on all addresses of ``host``; return the port (a free one for 0). Raises OSError, with the
        address in its text, where it can't be had.
        """
        self._runner = self._made()
        await self._runner.setup()
        sockets = await asyncio.to_thread(open_sockets, host, port)  # a name may have to be asked for
        chosen = int(sockets[0].getsockname()[1])
        acceptor = self._acceptor = Acceptor(
            sockets,
            self._protocol,
            most=self._limits.sockets_max,
            refusal=self._limits.full,
            refused=lambda: self.refused("open_files"),
        )
        try:
            acceptor.start(BACKLOG)
        except BaseException:
            await self.stop()
            raise
        return chosen

    def _made(self) -> web.BaseRunner:
        app, timeout_s = self._app, self._limits.shutdown_timeout_s
        if isinstance(app, web.Application):
            app.on_response_prepare.append(self._prepared)
            return web.AppRunner(app, access_log=None, shutdown_timeout=timeout_s)

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            response = await app(request)
            self._finish(request, response)
            return response

        return web.ServerRunner(web.Server(answer), shutdown_timeout=timeout_s)

    def _protocol(self) -> asyncio.Protocol:
        """Return the protocol of one accepted socket."""
        server = None if self._runner is None else self._runner.server
        if server is None:
            raise ConnectionAbortedError("the server has stopped")
        return _Protocol(self, server, asyncio.get_running_loop(), self._limits.request_timeout_s)

    async def stop(self) -> None:
        """Listen no more, and end what is under way."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            acceptor.close()
        if self._runner is not None:
            await self._runner.cleanup()
        for lingering in list(self._lingering):
            lingering.transport.abort()

    def misread(self, kind: str, ip: str | None) -> None:
        """Log that something came which is no HTTP, or too much of it, unless one such line was written a
        moment ago.
        """
        now = asyncio.get_running_loop().time()
        if self._logged_at is not None and now - self._logged_at < LOG_EVERY_S:
            self._unlogged += 1
            return
        more, self._unlogged, self._logged_at = self._unlogged, 0, now
        logs.event(_log, "http_malformed", level=logging.WARNING, kind=kind, ip=ip, more=more or None)

    def linger(self, transport: asyncio.Transport) -> None:
        """End a connection whose answer was written when its peer has read that."""
        if len(self._lingering) >= LINGERING_MAX or not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        lingering = _Lingering(transport, self._lingering.discard)
        self._lingering.add(lingering)
        transport.set_protocol(lingering)

    def body_max_bytes(self, begins: bytes) -> int | None:
        """What may follow the head of a request that begins so; None: there may be more requests."""
        limits = self._limits
        if not self._one_request:
            return None
        is_post = limits.posts and begins.startswith(limits.posts)
        return limits.post_max_bytes if is_post else limits.body_max_bytes

    async def _prepared(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        self._finish(request, response)

    def _finish(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Give each answer what all have in common, whoever made it."""
        response.headers[hdrs.SERVER] = NAME
        if self._one_request:
            if isinstance(request.protocol, _Protocol):
                request.protocol.answered = True
            response.force_close()
            response.headers[hdrs.CONNECTION] = "close"


class _Waiting:
    """The peers that have not sent their request yet, the oldest first, and how many bytes of it each has
    sent.
    """

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._peers: dict[_Protocol, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._peers)

    def add(self, peer: _Protocol) -> None:
        self._peers[peer] = 0
        self._make_room()

    def grow(self, peer: _Protocol, size: int) -> None:
        if peer in self._peers:
            self._peers[peer] += size
            self._bytes += size
            self._make_room()

    def remove(self, peer: _Protocol) -> None:
        self._bytes -= self._peers.pop(peer, 0)

    def _make_room(self) -> None:
        while len(self._peers) > WAITING_MAX or self._bytes > WAITING_MAX_BYTES:
            oldest = next(iter(self._peers))
            self.remove(oldest)
            self._server.refused("too_many_waiting")
            oldest.force_close()


class Head:
    """How much has come of a request's head (its line and headers), in whatever pieces."""

    __slots__ = ("_tail", "begins", "line", "line_whole", "size", "whole")

    def __init__(self) -> None:
        """Nothing has come."""
        self.size = 0  # without the empty line that ends it
        self.whole = False
        self.line = 0  # how much of it is the request line
        self.line_whole = False
        self.begins = b""  # its first bytes
        self._tail = b""  # the last bytes, in which an end may have begun

    def feed(self, data: bytes) -> bytes:
        """Take what has come; return it without empty lines before the request, which count as nothing (RFC
        9112 section 2.2).
        """
        if not self.size:
            data = data.lstrip(b"\r\n")
        if len(self.begins) < BEGINS:
            self.begins += data[: BEGINS - len(self.begins)]
        seen, before = self._tail + data, self.size - len(self._tail)
        if not self.line_whole:
            at = seen.find(b"\r\n")
            self.line_whole = at >= 0
            self.line = before + (at if at >= 0 else len(seen))
        end = seen.find(_END)
        self.whole = end >= 0
        self.size = before + (end if end >= 0 else len(seen))
        self._tail = seen[-3:]
        return data


class _Protocol(web.RequestHandler):
    """One connection, until aiohttp lets go of it."""

    __slots__ = ("_body", "_head", "_later", "_parsed", "_server", "answered")

    def __init__(
        self,
        server: HttpServer,
        manager: web.Server,
        loop: asyncio.AbstractEventLoop,
        request_timeout_s: float,
    ) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=request_timeout_s,
            max_line_size=LINE_MAX_BYTES,
            max_field_size=LINE_MAX_BYTES,
            lingering_time=LINGER_S,
        )
        self._server = server
        self._head = Head()
        self._body = 0  # how many bytes have come behind the head
        self._parsed = 0  # requests whose heads are whole
        self._later = 0  # how much has come of the head of a request behind the first
        self.answered = False  # what still comes is not looked at: there is no second request

    async def start(self) -> None:
        """Serve, unless the connection was ended before this had its first turn, as it is where what came
        with it can't be read.
        """
        if self._manager is not None:
            await super().start()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.waiting.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.waiting.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.answered:
            return
        head, waiting = self._head, self._server.waiting
        known = head.whole
        if not known:
            before = head.size
            data = head.feed(data)
            if head.size > HEAD_MAX_BYTES:
                waiting.remove(self)
                self._too_long(f"Request line and headers together are longer than {HEAD_MAX_BYTES} bytes.")
                return
            if head.whole:
                waiting.remove(self)
            else:
                waiting.grow(self, head.size - before)
        most = self._server.body_max_bytes(head.begins)
        if head.whole and most is not None:
            self._body += len(data) if known else len(data) - (head.size + len(_END) - before)
            if self._body > most:
                self._server.refused("too_long")
                self._refuse(413, f"A request may have at most {most} bytes behind its headers.")
                return
        super().data_received(data)
        if known and most is None and data:  # aiohttp calls itself without any to go on with what it has
            self._count_later(len(data))

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on, if reading had stopped. aiohttp asks for it behind each body, and would run the parser
        once more for nothing.
        """
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _count_later(self, size: int) -> None:
        """Bound the heads of the requests behind the first, as that of the first is."""
        if self._request_count != self._parsed or self._in_body():
            self._parsed, self._later = self._request_count, 0
            return
        self._later += size
        if self._later > HEAD_MAX_BYTES:
            self._too_long(f"Request line and headers together are longer than {HEAD_MAX_BYTES} bytes.")

    def _in_body(self) -> bool:
        """Say whether the body of a request is still to come."""
        request = self._current_request
        if request is not None and not request.content.is_eof():
            return True
        return any(not payload.is_eof() for _, payload in self._messages)

    def _too_long(self, text: str) -> None:
        """Answer before there is a request to answer."""
        self._server.refused("too_long")
        peer = None if self.transport is None else self.transport.get_extra_info("peername")
        self._server.misread("too_long", str(peer[0]) if peer else None)
        self._refuse(431, self._sentence(text))

    def _sentence(self, text: str) -> str:
        return " ".join(part for part in (text, self._server.hint) if part)

    def _refuse(self, status: int, text: str) -> None:
        """Write an answer and take the socket away from aiohttp, which would close it at once: a peer that
        still sends would not see the answer.
        """
        transport, self.transport = self.transport, None
        if transport is not None and not transport.is_closing():
            body, kind = self._server.spoken(status, text)
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: {NAME}\r\nContent-Type: {kind}\r\n"
            )
            transport.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            self._server.linger(transport)
        self.connection_lost(None)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what could not be read, or to a request whose route has failed."""
        if not isinstance(exc, HttpProcessingError):
            logs.event(_log, "request_failed", level=logging.ERROR, error=exc, path=request.path)
            if request.writer.output_size > 0:
                raise ConnectionError("an answer has begun already")
            body, kind = self._server.spoken(status, "Internal error.")
            response = web.Response(
                status=status, body=body, headers={hdrs.CONTENT_TYPE: kind, hdrs.SERVER: NAME}
            )
            response.force_close()
            return response
        if isinstance(exc, LineTooLong):
            what = "The request line" if self._head.line > LINE_MAX_BYTES else "A header"
            self._too_long(f"{what} is longer than {LINE_MAX_BYTES} bytes.")
        else:
            self._server.refused("malformed")
            self._server.misread(type(exc).__name__, request.remote)
            self._refuse(400, _SENTENCES.get(type(exc), _UNREADABLE))
        return _Answered()

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log what aiohttp could not deal with: one line where the peer has sent what can't be read, such as
        a broken body.
        """
        error = kw.get("exc_info")
        if isinstance(error, web.RequestPayloadError | HttpProcessingError | ConnectionError):
            self._server.refused("malformed")
            self._server.misread(type(error).__name__, None)
        else:
            known = error if isinstance(error, BaseException) else None
            logs.event(_log, "request_failed", level=logging.ERROR, error=known)


class _Answered(web.StreamResponse):
    """The response of a request whose answer was written already."""

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        pass


class _Lingering(asyncio.Protocol):
    """Throws away what a peer still sends after its answer."""

    def __init__(self, transport: asyncio.Transport, ended: Callable[[_Lingering], None]) -> None:
        self.transport = transport
        self._ended = ended
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._ended(self)
