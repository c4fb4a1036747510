"""PublishEndpoint: ``POST /publish``: what clients say who have no WebSocket.

With ``?connection=`` it is what the client of an event stream posts, wherever that stream is; without, it is
one message with a token, whose answer is the response. A body is read only as far as it may be taken, and
before a secret or a token is known to be right, no more than a stranger's. Secrets are never logged, and
nothing is kept behind the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from gateway.core import codec_json
from gateway.core.client_messages import Acked, Error
from gateway.core.one_message import status_of
from gateway.core.sse import post_body
from gateway.shell import event_stream_response, websocket_upgrade
from gateway.shell.admission import Admission
from gateway.shell.auth import offered_token
from gateway.shell.connection import GatewayContext
from gateway.shell.one_messages import OneMessages
from gateway.shell.stream_posts import TAKEN, UNREADABLE, Outcome, StreamPosts

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
BODIES_BYTES: Final = 32 * 1024 * 1024
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
        self, admission: Admission, posts: StreamPosts, one_messages: OneMessages, context: GatewayContext
    ) -> None:
        """``context`` is that of the connections too."""
        self._admission = admission
        self._posts = posts
        self._one_messages = one_messages
        self._context = context
        self._metrics = context.metrics
        self._message_bytes = context.session.message_bytes
        self._reading = 0  # bytes of the bodies that are being read

    @property
    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """What it serves."""
        if not self._admission.by_http:
            return ()
        return (web.post(PATH, self._post), web.options(PATH, self._preflight))

    async def _preflight(self, request: web.Request) -> web.Response:
        origin = self._admission.check_origin(request)
        shared = event_stream_response.shared_with(origin, self._admission.origins)
        return web.Response(status=204, headers=dict([*shared, *event_stream_response.preflight()]))

    async def _post(self, request: web.Request) -> web.Response:
        origin = self._admission.check_origin(request)
        headers = dict(event_stream_response.shared_with(origin, self._admission.origins))
        headers[hdrs.CACHE_CONTROL] = "no-store"
        try:
            if "connection" in request.query:
                outcome = await self._stream_post(request, request.query["connection"])
                text, kind = outcome.says and f"{outcome.says}\n", "text/plain"
            else:
                outcome = await self._one_message(request)
                text, kind = outcome.says, "application/json"
        except Refused as refused:
            outcome = refused.outcome
            text, kind = f"{outcome.says}\n", "text/plain"
            self._metrics.posts(outcome.status)
        if outcome.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER_S)
        elif outcome.status == HTTPStatus.UNAUTHORIZED:
            headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
        return web.Response(status=outcome.status, text=text, content_type=kind, headers=headers)

    async def _one_message(self, request: web.Request) -> Outcome:
        """Have one message taken; its answer is a frame."""
        token = offered_token(request.query, request.headers.get(hdrs.AUTHORIZATION, ""), ())
        client = self._admission.client(request, websocket_upgrade.JSON, token)
        identity = await self._one_messages.identify(client)
        if isinstance(identity, Error):
            answer: Acked | Error = identity
        else:
            size = self._size(request, self._message_bytes)
            shown = websocket_upgrade.chosen_headers(request.headers, self._context.hook_headers)
            body = await self._body(request, size)
            answer = await self._one_messages.say(client, identity, shown, body)
        status = status_of(answer)
        self._metrics.posts(status)
        text = codec_json.encode(answer, self._context.clock.wall_us() // 1_000)
        return Outcome(status, text.decode())

    async def _stream_post(self, request: web.Request, conn: str) -> Outcome:
        digest = post_body.digest_of(_secret(request))
        size = self._size(request, post_max_bytes(self._message_bytes))
        if not size:
            raise Refused(UNREADABLE)
        if size > SMALL_BYTES or self._posts.is_here(conn):
            allowed = await self._posts.post(conn, digest, b"")
            if allowed is not TAKEN:
                return allowed
        return await self._posts.post(conn, digest, await self._body(request, size))

    @staticmethod
    def _size(request: web.Request, most: int) -> int:
        size = request.content_length
        if size is None:
            raise Refused(_NO_LENGTH)
        if size > most:
            says = f"A post may have at most {most} bytes."
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
