"""PublishEndpoint: ``POST /publish``: what clients say who have no WebSocket.

With ``?connection=`` it is what the client of an event stream posts, wherever that stream is. A body is read
only as far as it may be taken, and before a secret is known to be right, no more than a stranger's. Secrets
are never logged, and nothing is kept behind the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from gateway.core.sse import post_body
from gateway.shell import event_stream_response
from gateway.shell.admission import Admission
from gateway.shell.stream_posts import TAKEN, Outcome, StreamPosts
from warren.metrics import GatewayMetrics

PATH: Final = "/publish"
# By which the port knows that a request may have a body.
POSTS: Final = b"POST /publish"
# Of a body beside one message of the largest size: the frames around it.
AROUND_BYTES: Final = 64 * 1024
# A body of no more than this is passed on to another gateway, which finds out there whether the secret is
# right; for a larger one it is asked first.
SMALL_BYTES: Final = 64 * 1024
# How long a body may take, and the bytes of all bodies that are being read.
BODY_S: Final = 10.0
BODIES_BYTES: Final = 64 * 1024 * 1024
RETRY_AFTER_S: Final = 1

_TOO_MANY: Final = Outcome(HTTPStatus.SERVICE_UNAVAILABLE, "Too much is being posted; send this again.")
_NO_LENGTH: Final = Outcome(HTTPStatus.LENGTH_REQUIRED, "A post says by Content-Length how long it is.")
_TOO_SLOW: Final = Outcome(HTTPStatus.REQUEST_TIMEOUT, "The body did not come in time.")
_NO_SECRET: Final = Outcome(
    HTTPStatus.UNAUTHORIZED,
    "Show the secret from this connection's WELCOME: Authorization: Bearer <secret>, or ?post=<secret>.",
)
_BROKEN_OFF: Final = Outcome(HTTPStatus.BAD_REQUEST, "The body ended before its length.")


class Refused(Exception):
    """A request that is answered with ``outcome``."""

    def __init__(self, outcome: Outcome) -> None:
        """``outcome`` says why."""
        self.outcome = outcome
        super().__init__(outcome.says)


def post_max_bytes(message_bytes: int) -> int:
    """Return how long a body may be where a message may have ``message_bytes``."""
    return message_bytes + AROUND_BYTES


class PublishEndpoint:
    """One gateway's."""

    def __init__(
        self, admission: Admission, posts: StreamPosts, metrics: GatewayMetrics, message_bytes: int
    ) -> None:
        """A message may have ``message_bytes``."""
        self._admission = admission
        self._posts = posts
        self._metrics = metrics
        self._most = post_max_bytes(message_bytes)
        self._reading = 0  # bytes of the bodies that are being read

    @property
    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """What it serves."""
        return (web.post(PATH, self._post), web.options(PATH, self._preflight))

    async def _preflight(self, request: web.Request) -> web.Response:
        origin = self._admission.check_origin(request)
        shared = event_stream_response.shared_with(origin, self._admission.origins)
        return web.Response(status=204, headers=dict([*shared, *event_stream_response.preflight()]))

    async def _post(self, request: web.Request) -> web.Response:
        origin = self._admission.check_origin(request)
        try:
            outcome = await self._stream_post(request, request.query.get("connection", ""))
        except Refused as refused:
            outcome = refused.outcome
            self._metrics.posts(outcome.status)
        headers = dict(event_stream_response.shared_with(origin, self._admission.origins))
        headers[hdrs.CACHE_CONTROL] = "no-store"
        if outcome.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER_S)
        return web.Response(status=outcome.status, text=outcome.says and f"{outcome.says}\n", headers=headers)

    async def _stream_post(self, request: web.Request, conn: str) -> Outcome:
        digest = post_body.digest_of(_secret(request))
        size = self._size(request)
        if size > SMALL_BYTES or self._posts.is_here(conn):
            allowed = await self._posts.post(conn, digest, b"")
            if allowed is not TAKEN:
                return allowed
        return await self._posts.post(conn, digest, await self._body(request, size))

    def _size(self, request: web.Request) -> int:
        size = request.content_length
        if size is None:
            raise Refused(_NO_LENGTH)
        if size > self._most:
            says = f"A post may have at most {self._most} bytes."
            raise Refused(Outcome(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, says))
        return size

    async def _body(self, request: web.Request, size: int) -> bytes:
        if self._reading + size > BODIES_BYTES:
            raise Refused(_TOO_MANY)
        self._reading += size
        try:
            async with asyncio.timeout(BODY_S):
                return await request.content.readexactly(size)
        except asyncio.IncompleteReadError:
            raise Refused(_BROKEN_OFF) from None
        except TimeoutError:
            raise Refused(_TOO_SLOW) from None
        finally:
            self._reading -= size


def _secret(request: web.Request) -> str:
    """Return the secret that a post shows. Raises Refused where it shows none."""
    scheme, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    secret = value.strip() if scheme.lower() == "bearer" else request.query.get("post", "")
    if not secret:
        raise Refused(_NO_SECRET)
    return secret
