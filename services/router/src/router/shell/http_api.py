"""HttpApi: commands over HTTP: one port of a router for backends, with keys.

A request is known (its key), checked, allowed and done, in this order, and each refusal is a problem document
under a real status. What it may cost is bounded before anything is built from it: sockets, the bytes of all
bodies under way, the time that a body takes, how much of all one key may have open. No key is ever logged.
What a command means is ``core/control.py``'s, and doing it ``control.py``'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import msgspec
from aiohttp import hdrs, web

from router.core import openapi_page
from router.core.api_keys import ApiKey, ApiKeys
from router.core.attempt_limits import Failures, KeyUse
from router.core.control import Command, Given, max_body, parse_command, parse_query
from router.core.control_problems import Problem, ProblemCode
from router.core.openapi import document
from router.core.pusher_api import max_body as max_pusher_body
from router.core.verbs import VERBS, Verb
from router.shell.admin_page import AdminPage
from router.shell.audit import Audit
from router.shell.control import Answer, Control
from router.shell.http_problems import BUSY, HEADERS, full, not_allowed, refusal, trace_of, unread
from router.shell.pusher_api import PusherApi
from router.shell.router_context import RouterContext
from warren import __version__
from warren.contract.application_schemas import ApplicationSchemas
from warren.contract.asyncapi import asyncapi
from warren.http_server import NAME, HttpLimits, HttpServer
from warren.http_success import HttpSuccess
from warren.logs import event, get_logger
from warren.namespaces import Namespaces

# A connection may be silent for so long between two requests.
KEEPALIVE_S: Final = 75.0
BODY_S: Final = 10.0
STOP_S: Final = 2.0
# All bodies that are being read or worked on.
BODIES_BYTES: Final = 64 * 1024 * 1024
JSON: Final = "application/json"
_PAGE_HEADERS: Final = {
    **HEADERS,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_BY_STATUS: Final = {
    404: ProblemCode.NOT_FOUND,
    405: ProblemCode.METHOD_NOT_ALLOWED,
    413: ProblemCode.MESSAGE_TOO_LARGE,
    417: ProblemCode.EXPECTATION_FAILED,
}

_logger = get_logger("router.http_api")
_encoder: Final = msgspec.json.Encoder()
# What requests of the Pusher API count under; no key may be called so.
PUSHER: Final = "/apps"
_BY_PATH: Final = {f"/v1/{name}": verb for name, verb in VERBS.items()}


class KeySource(Protocol):
    """Whoever knows the keys that count now."""

    @property
    def keys(self) -> ApiKeys:
        """They may change at any time."""
        ...

    async def start(self) -> None:
        """Begin to know them."""

    async def stop(self) -> None:
        """End that."""


@dataclass(frozen=True, slots=True)
class HttpApiLimits:
    """Where it listens (port 0: nowhere), how many connections may be open, how large a payload may be, and
    whether the admin page is served.
    """

    host: str
    port: int
    connections: int = 1_024
    max_payload: int = 1024 * 1024
    admin: bool = True


ASYNCAPI_PATH: Final = "/v1/asyncapi.json"
KEY_PATH: Final = "/v1/key"
_NO_NAMESPACES: Final = Namespaces()


class HttpApi:
    """One router's."""

    def __init__(
        self,
        context: RouterContext,
        control: Control,
        keys: KeySource,
        limits: HttpApiLimits,
        namespaces: Namespaces = _NO_NAMESPACES,
        pusher: PusherApi | None = None,
    ) -> None:
        """It listens from ``start`` on; until then ``keys`` may be replaced by others. The schemas of
        ``namespaces`` are part of the AsyncAPI document; ``pusher`` is served beside it.
        """
        self._pusher = pusher
        self.port = 0
        self._clock = context.clock
        self._metrics = context.metrics
        self._control = control
        self._audit = Audit(context.metrics, "http")
        self.keys = keys
        self._limits = limits
        self._use = KeyUse()
        self._failures = Failures()
        self._open: Counter[str] = Counter()  # requests by the name of their key
        self._bytes = 0  # of bodies
        self._document = msgspec.json.encode(document(__version__))
        self._page = openapi_page.page(document(__version__)).encode()
        self._admin = AdminPage() if limits.admin else None
        self._topology = context.topology
        self._namespaces = namespaces
        self._asyncapi = b""
        self._server: HttpServer | None = None
        self._success = HttpSuccess(NAME, JSON, HEADERS)
        context.metrics.waiting_from("http_api", lambda: self._open.total())

    async def start(self) -> None:
        """Listen. Raises OSError (with the address in its text) where the port can't be had."""
        if not self._limits.port:
            return
        await self.keys.start()
        application = ApplicationSchemas.of(self._namespaces)
        self._asyncapi = msgspec.json.encode(asyncapi(self._topology, __version__, application))
        limits = HttpLimits(KEEPALIVE_S, STOP_S, self._limits.connections, full())
        self._server = HttpServer(self._spoken, limits, refused=self._refused, spoken=unread)
        self.port = await self._server.start(self._limits.host, self._limits.port)
        event(_logger, "http_api_listens", host=self._limits.host, port=self.port)

    async def stop(self) -> None:
        """Listen no more, and end what is under way."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()
            await self.keys.stop()

    def _refused(self, reason: str) -> None:
        self._metrics.rejected(f"http_api_{reason}")

    # ── one request ─────────────────────────────────────────────────────────────────────────────────────────

    async def _spoken(self, request: web.BaseRequest) -> web.StreamResponse:
        """Whatever goes wrong is said as a problem."""
        try:
            if request.headers.get(hdrs.EXPECT):
                refused = await _expected(request)
                if refused is not None:
                    return refused
            return await self._answer(request)
        except web.HTTPException as error:  # aiohttp's own
            code = _BY_STATUS.get(error.status, ProblemCode.INVALID_FORMAT)
            return refusal(Problem(code, error.reason or "It can't be served."), request)
        except web.RequestPayloadError:
            problem = Problem(ProblemCode.INVALID_FORMAT, "The body can't be read.")
            return refusal(problem, request, close=True)
        except Exception as error:  # noqa: BLE001 - ours
            event(_logger, "http_api_failed", level=logging.ERROR, error=error, trace_id=trace_of(request))
            return refusal(Problem(ProblemCode.INTERNAL, "Our fault; the log has the trace id."), request)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        reads = request.method in ("GET", "HEAD")
        verb = _BY_PATH.get(path)
        if verb is None and self._pusher is not None and self._pusher.takes(path):
            return await self._bounded(request, PUSHER, max_pusher_body(path), self._pusher.answer)
        if verb is None:
            return self._told(request, path, reads=reads)
        if request.method != "POST" and not (reads and verb.reads):
            return not_allowed("POST, GET, HEAD" if verb.reads else "POST", request)
        key = self._known(request)
        if isinstance(key, Problem):
            self._metrics.command_problems(key.code.value)
            return refusal(key, request)
        if self._open[key.name] >= max(1, self._limits.connections // 2):
            return refusal(BUSY, request)
        self._open[key.name] += 1
        try:
            return await self._done(request, verb, key)
        finally:
            self._open[key.name] -= 1
            if not self._open[key.name]:
                del self._open[key.name]

    async def _bounded(
        self,
        request: web.BaseRequest,
        name: str,
        most: int,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Have a request answered that has a protocol of its own, within the bounds of all."""
        length = request.content_length
        room = most if length is None else min(most, length)
        if self._open[name] >= max(1, self._limits.connections // 2) or self._bytes + room > BODIES_BYTES:
            return refusal(BUSY, request, close=True)
        self._open[name] += 1
        self._bytes += room
        try:
            return await answer(request)
        finally:
            self._bytes -= room
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]

    async def _done(self, request: web.BaseRequest, verb: Verb, key: ApiKey) -> web.StreamResponse:
        began = self._clock.monotonic()
        late_ms = self._use.take(key.name, key.rate, 1, began)
        if late_ms:
            problem = Problem(ProblemCode.RATE_LIMITED, "The key's rate is used up.", (), late_ms)
            self._metrics.command_problems(problem.code.value)
            return refusal(problem, request)
        given = self._given(request)
        if not given.id and "Idempotency-Key" in request.headers:
            return refusal(
                Problem(ProblemCode.INVALID_MESSAGE, "The header Idempotency-Key is empty."), request
            )
        if request.method != "POST":
            command = parse_query(verb, request.rel_url.query.items(), given)
            return await self._run(request, verb, command, key, began)
        most, length = max_body(verb, self._limits.max_payload), request.content_length
        room = most if length is None else min(most, length)
        if self._bytes + room > BODIES_BYTES:
            return refusal(BUSY, request, close=True)
        self._bytes += room
        try:
            body = await _body(request, most)
            if isinstance(body, Problem):
                return refusal(body, request, close=body.code is ProblemCode.REQUEST_TIMEOUT)
            return await self._run(request, verb, parse_command(verb, body, given), key, began)
        finally:
            self._bytes -= room

    async def _run(
        self, request: web.BaseRequest, verb: Verb, command: Command | Problem, key: ApiKey, began: float
    ) -> web.StreamResponse:
        answer: Answer
        if isinstance(command, Problem):
            answer = command
        else:
            if len(command.messages) > 1:
                self._use.take(key.name, key.rate, len(command.messages) - 1, began)
            answer = await self._control.do(command, key.scopes)
        self._audit.done(verb, command, answer, by=key.name, trace_id=partial(trace_of, request))
        self._metrics.hop_seconds("http_api", self._clock.monotonic() - began)
        if isinstance(answer, Problem):
            return refusal(answer, request)
        now_s = self._clock.wall_us() // 1_000_000
        return self._success.response(request, _encoder.encode(answer), now_s)

    def _told(self, request: web.BaseRequest, path: str, *, reads: bool) -> web.StreamResponse:
        """Return what is served besides commands."""
        shown, keyed = path in ("/v1/", "/v1/openapi.json", "/v1"), path in (ASYNCAPI_PATH, KEY_PATH)
        admin = None if self._admin is None else self._admin.file(path)
        if not shown and not keyed and admin is None:
            more = "" if self._admin is None else ", and /admin/ is a page to look at the installation"
            detail = f"There is no such path; /v1/ lists them{more}."
            return refusal(Problem(ProblemCode.NOT_FOUND, detail), request)
        if not reads:
            return not_allowed("GET, HEAD", request)
        if admin is not None:
            return admin.answer(request)
        return self._shown(path) if shown else self._described(request, path)

    def _shown(self, path: str) -> web.StreamResponse:
        if path == "/v1":
            return web.Response(status=308, headers={**HEADERS, hdrs.LOCATION: "/v1/"})
        if path == "/v1/":
            return web.Response(
                body=self._page, content_type="text/html", charset="utf-8", headers=_PAGE_HEADERS
            )
        return web.Response(body=self._document, content_type=JSON, headers=HEADERS)

    def _described(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """Show to whoever has a key what it may do, and the AsyncAPI document: an application's schemas are
        not everybody's.
        """
        key = self._known(request)
        if isinstance(key, Problem):
            self._metrics.command_problems(key.code.value)
            return refusal(key, request)
        body = self._asyncapi if path == ASYNCAPI_PATH else _encoder.encode(key.rights())
        return web.Response(body=body, content_type=JSON, headers=HEADERS)

    def _known(self, request: web.BaseRequest) -> ApiKey | Problem:
        """Return whose key it is. A right key is let in whatever others at its address do."""
        scheme, _, text = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        given = text.strip().encode("utf-8", "surrogateescape")
        key = self.keys.keys.find(given) if scheme.lower() == "bearer" and given else None
        if key is not None and not key.expired(self._clock.wall_us()):
            return key
        if key is not None:
            event(_logger, "api_key_expired", level=logging.WARNING, by=key.name)
            return Problem(ProblemCode.UNAUTHORIZED, f"The key {key.name} has expired.")
        self._metrics.rejected("http_api_key")
        late_ms = self._failures.failed(request.remote or "", self._clock.monotonic())
        if late_ms:
            return Problem(ProblemCode.RATE_LIMITED, "Too many wrong keys from here.", (), late_ms)
        event(_logger, "api_key_refused", level=logging.WARNING, ip=request.remote, missing=not given)
        return Problem(
            ProblemCode.UNAUTHORIZED,
            "The key is not known." if given else "A key is needed: Authorization: Bearer KEY.",
        )

    def _given(self, request: web.BaseRequest) -> Given:
        return Given(
            now_us=self._clock.wall_us(),
            max_bytes=self._limits.max_payload,
            id=request.headers.get("Idempotency-Key", ""),
            traceparent=request.headers.get("traceparent", ""),
        )


async def _expected(request: web.BaseRequest) -> web.StreamResponse | None:
    """Ask for the body where its sender waits for that (RFC 9110 section 10.1.1)."""
    if request.headers.get(hdrs.EXPECT, "").strip().lower() != "100-continue":
        problem = Problem(ProblemCode.EXPECTATION_FAILED, "Expect: 100-continue, or none.")
        return refusal(problem, request)
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer has not begun
    return None


async def _body(request: web.BaseRequest, most: int) -> bytes | Problem:
    """Return a request's body, or why it is not read."""
    headers, content = request.headers, request.content
    if headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower() != "identity":
        return Problem(ProblemCode.UNSUPPORTED_MEDIA_TYPE, "The body must not be compressed.")
    kind = headers.get(hdrs.CONTENT_TYPE, "")
    if kind != JSON and kind.partition(";")[0].strip().lower() != JSON:
        return Problem(ProblemCode.UNSUPPORTED_MEDIA_TYPE, f"The Content-Type must be {JSON}.")
    if (request.content_length or 0) > most:
        return _large(most)
    if content.is_eof():  # it is here already, as nearly always
        whole = content.read_nowait()
        return whole if len(whole) <= most else _large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while chunk := await content.readany():
                body += chunk
                if len(body) > most:
                    return _large(most)
    except TimeoutError:
        return Problem(ProblemCode.REQUEST_TIMEOUT, f"The body did not come within {BODY_S:g} s.")
    return bytes(body)


def _large(most: int) -> Problem:
    return Problem(ProblemCode.MESSAGE_TOO_LARGE, f"The body may have at most {most} bytes.")
