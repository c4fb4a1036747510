"""EventStreams: ``GET /sse``: the same session as by WebSocket, over an event stream (HTML, "Server-sent
events").

What can be refused before there is a stream is refused by its status where the page is at fault. Where it is
to come back, it gets a stream that says so and ends, since a browser never comes back to what was no stream.
It checks no token and keeps nothing of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from aiohttp import hdrs, web

from gateway.core import codec_json
from gateway.core.inputs import BrokerChanged, TokenRefused
from gateway.core.outbox import Outbox
from gateway.core.session import Session
from gateway.core.sse import events, position_vector, post_body
from gateway.core.sse.position_vector import VECTOR_BYTES, PositionVector, Shown
from gateway.core.sse.stream_entry import StreamEntry
from gateway.core.websocket.frames import EVENTS
from gateway.shell import event_stream_response, websocket_upgrade
from gateway.shell.admission import FULL_SAYS, GOING, RETRY_AFTER_S, Admission
from gateway.shell.auth import offered_grant, offered_token
from gateway.shell.connection import Connection, GatewayContext
from gateway.shell.connections import Connections
from gateway.shell.event_stream_response import Headers
from gateway.shell.event_stream_transport import EventStreamTransport, come_back_ms
from gateway.shell.server import SocketContext
from gateway.shell.websocket_transport import TransportContext
from warren.address import ROOM_RULE, is_room, is_user_room
from warren.errors import CloseCode

PATH = "/sse"
# A peer that has taken nothing for so many heartbeats is gone.
DEAD_HEARTBEATS = 2
_NO_TOKEN = "A token is needed: ?token=<token>, or Authorization: Bearer <token>"  # noqa: S105 - it is none


class EventStreams:
    """One gateway's."""

    def __init__(
        self,
        admission: Admission,
        connections: Connections,
        context: GatewayContext,
        sockets: SocketContext,
    ) -> None:
        """``context`` and ``sockets`` are those of the WebSockets too."""
        self._admission = admission
        self._connections = connections
        self._context = context
        self._sockets = sockets
        self._transport = TransportContext(
            context.clock.monotonic, sockets.close_timeout_s, sockets.progress, sockets.memory
        )

    @property
    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """What it serves."""
        if not self._admission.by_http:
            return ()
        return (web.get(PATH, self._open, allow_head=False), web.options(PATH, self._preflight))

    async def _preflight(self, request: web.Request) -> web.Response:
        shared = self._shared(request)
        return web.Response(status=204, headers=dict([*shared, *event_stream_response.preflight()]))

    def _shared(self, request: web.Request) -> Headers:
        origin = self._admission.check_origin(request)
        return event_stream_response.shared_with(origin, self._admission.origins)

    async def _open(self, request: web.Request) -> web.StreamResponse:
        shared, rooms = self._shared(request), self._rooms(request)
        if self._admission.draining:
            return self._turn_away("draining", CloseCode.DRAINING, GOING, shared)
        if not self._connections.reserve():
            return self._turn_away("full", CloseCode.OVERLOADED, FULL_SAYS, shared)
        transport: EventStreamTransport | None = None
        try:
            shown = _shown(request, rooms)
            secret = secrets.token_urlsafe()
            transport = EventStreamTransport(
                Outbox(self._sockets.outbox),
                self._transport,
                PositionVector(shown, rooms),
                self._context.session.message_bytes,
            )
            transport.post_digest = post_body.digest_of(secret)
            dead_ms = DEAD_HEARTBEATS * self._context.session.heartbeat_ms
            response = transport.open(request, shared, dead_ms)
            self._begin(request, transport, StreamEntry(rooms, shown, secret))
        except BaseException as error:
            self._connections.free()
            if transport is not None:
                transport.cut()
            if isinstance(error, ConnectionError):  # it has gone before the answer
                self._context.metrics.upgrades_refused("gone")
                raise web.HTTPBadRequest from None
            raise
        return response

    def _begin(self, request: web.Request, transport: EventStreamTransport, entry: StreamEntry) -> None:
        context = self._context
        session = Session(
            self._connections.next_id(),
            context.session,
            context.namespaces,
            codec_json,
            manual=request.query.get("join") == "manual",
            headers=websocket_upgrade.chosen_headers(request.headers, context.hook_headers),
            grant=offered_grant(request.query, ()),
        )
        session.streams(entry)
        token = offered_token(request.query, request.headers.get(hdrs.AUTHORIZATION, ""), ())
        client = self._admission.client(request, websocket_upgrade.JSON, token)
        connection = Connection(session, transport, EVENTS, client, context)
        connection.put(BrokerChanged(context.presence.is_up))
        if not token and not context.authenticator.anonymous:  # it can't send one later
            connection.put(TokenRefused("missing", _NO_TOKEN))
        self._admission.begin(connection.id, connection)

    def _rooms(self, request: web.Request) -> tuple[str, ...]:
        rooms = tuple(dict.fromkeys(request.query.getall("room", ())))
        if not all(is_room(room) or is_user_room(room) for room in rooms):
            raise self._admission.refusal("rooms", web.HTTPBadRequest, f"room: {ROOM_RULE}.")
        size = position_vector.size_of(rooms)
        if size > VECTOR_BYTES:
            says = (
                f"The ids of an event stream hold {VECTOR_BYTES} bytes of rooms, and these take {size}: name "
                "fewer, or use a WebSocket."
            )
            raise self._admission.refusal("rooms", web.HTTPBadRequest, says)
        return rooms

    def _turn_away(self, reason: str, code: CloseCode, says: str, shared: Headers) -> web.Response:
        """Answer with a stream that ends at once and says when to come back."""
        self._context.metrics.upgrades_refused(reason)
        after_ms = come_back_ms(code)
        if code == CloseCode.OVERLOADED:
            after_ms += RETRY_AFTER_S * 1_000
        return web.Response(
            body=events.close(code, says, after_ms),
            content_type="text/event-stream",
            headers={**dict(shared), hdrs.CACHE_CONTROL: "no-store"},
        )


def _shown(request: web.Request, rooms: Iterable[str]) -> Shown:
    """Return where the client says that it stands. A browser that comes back by itself says so by the header,
    which is then newer than what its page has put into the address.
    """
    if header := request.headers.get("Last-Event-ID", ""):
        return position_vector.read(header)
    return position_vector.read(request.query.get("last_event_id", "")).but(rooms)
