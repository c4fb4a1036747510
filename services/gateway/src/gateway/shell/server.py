"""Server: the port that clients connect to. Refuses at the upgrade what can be refused there, else makes a
connection and runs it.

``/ws`` speaks ``warren.v1``, ``/app/<key>`` the Pusher protocol, ``/ws/echo`` echoes, ``/websocket-stats``
counts. It checks no token (a browser could not see the close code of a refused upgrade) and keeps nothing of
its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import hdrs, web

from gateway.core.capacity import Capacity
from gateway.core.client_limits import OutboxLimits
from gateway.core.inputs import BrokerChanged
from gateway.core.outbox import Outbox
from gateway.core.pusher_closes import PusherClose
from gateway.core.pusher_session import Handshake, PusherSession
from gateway.core.session import Session
from gateway.core.websocket import frames
from gateway.core.websocket.deflate_negotiation import Deflate, negotiate
from gateway.core.websocket.limited_reader import InboundLimits, Unknown
from gateway.settings import ListenSettings
from gateway.shell import websocket_upgrade
from gateway.shell.admission import CLEAN_UP_S, FULL_SAYS, GOING, ORIGIN_REFUSED, RETRY_AFTER_S, Admission
from gateway.shell.auth import MAX_TOKEN_BYTES, offered_grant, offered_token
from gateway.shell.connection import ClientInfo, Connection, GatewayContext
from gateway.shell.connections import Connections
from gateway.shell.echo_endpoint import Echo
from gateway.shell.event_loop_progress import EventLoopProgress
from gateway.shell.memory_limiter import MemoryLimiter
from gateway.shell.pod_stats import PodStats
from gateway.shell.publish_endpoint import POSTS, post_max_bytes
from gateway.shell.pusher_connection import PusherConnection, PusherContext
from gateway.shell.websocket_transport import TransportContext, WebSocketTransport
from warren.http_server import BODY_MAX_BYTES, HttpLimits, HttpServer

# From this part of all sockets that it can have on the pod is not ready: clients go elsewhere before any is
# turned away.
FILES_FULL_PERCENT = 95
PUSHER_PATH = "/app/{key}"
PUSHER_BYTES = 64 * 1024  # of one message of a client of the Pusher protocol
PAGE_BODY_BYTES = 512 * 1024  # what the routes beside ours may be sent; a page has them, in a trial
REQUEST_TIMEOUT_S = 15.0  # how long a peer may take to send its request

# What one socket too many is told before it is closed.
FULL_TEXT = f"{FULL_SAYS}\n".encode()
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    b"Retry-After: %d\r\nContent-Length: %d\r\n\r\n%b" % (RETRY_AFTER_S, len(FULL_TEXT), FULL_TEXT)
)


@dataclass(frozen=True, slots=True)
class Offer:
    """What of an upgrade was taken."""

    subprotocol: str  # "": none was offered
    deflate: Deflate | None

    @property
    def window(self) -> frames.Window:
        """That of our frames."""
        return self.deflate.window if self.deflate else frames.PLAIN


@dataclass(frozen=True, slots=True)
class SocketContext:
    """What all WebSockets of a gateway share."""

    outbox: OutboxLimits
    unknown: Unknown
    close_timeout_s: float
    progress: EventLoopProgress
    memory: MemoryLimiter
    pusher: PusherContext | None = None  # None: that protocol is not served


class Server:
    """The external port."""

    def __init__(
        self,
        settings: ListenSettings,
        connections: Connections,
        admission: Admission,
        context: GatewayContext,
        sockets: SocketContext,
        stats: PodStats,
        routes: Iterable[web.AbstractRouteDef] = (),
    ) -> None:
        """``routes`` are served beside ours."""
        self._settings = settings
        self._connections = connections
        self._admission = admission
        self._context = context
        self._sockets = sockets
        self._transport = TransportContext(
            context.clock.monotonic, sockets.close_timeout_s, sockets.progress, sockets.memory
        )
        self._stats = stats
        self._routes = tuple(routes)
        self._pusher = sockets.pusher
        self._files = Capacity(connections.capacity.sockets, FILES_FULL_PERCENT)
        self._http: HttpServer | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises OSError (with the address in its text) where the port can't be had."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/ws", self._ws, allow_head=False),
                *([web.get("/ws/echo", self._echo, allow_head=False)] if self._settings.echo else []),
                *(
                    [web.get(PUSHER_PATH, self._app, allow_head=False)]
                    if self._pusher and self._pusher.apps
                    else []
                ),
                *(
                    [web.get("/websocket-stats", self._stats.show)]
                    if self._settings.stats == "external"
                    else []
                ),
                *self._routes,
            ]
        )
        self._http = HttpServer(
            app,
            HttpLimits(
                request_timeout_s=REQUEST_TIMEOUT_S,
                shutdown_timeout_s=CLEAN_UP_S,
                sockets_max=self._connections.capacity.sockets,
                full=FULL,
                body_max_bytes=PAGE_BODY_BYTES if self._routes else BODY_MAX_BYTES,
                posts=POSTS,
                post_max_bytes=post_max_bytes(self._context.session.message_bytes),
            ),
            one_request=True,
            refused=self._context.metrics.upgrades_refused,
            hint=f"A token may have at most {MAX_TOKEN_BYTES} bytes.",
        )
        self.port = await self._http.start(self._settings.host, self._settings.port)

    async def stop(self) -> None:
        """Listen no more, and end the connections: all of them were cut before."""
        http, self._http = self._http, None
        if http is not None:
            await http.stop()
        await self._admission.stop()

    @property
    def sockets(self) -> int:
        """How many sockets of clients are open, whether they have a place, only ask, or are ending."""
        return 0 if self._http is None else self._http.open

    def files_lacking(self) -> str | None:
        """Say why new clients had better go elsewhere; None where there are sockets enough for them."""
        return "nearly all are used" if self._files.full(self.sockets) else None

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        offer = self._check(request)
        with self._place(request, offer) as (transport, response):
            variant = frames.variant_of(offer.subprotocol == websocket_upgrade.MSGPACK, offer.window)
            session = Session(
                self._connections.next_id(),
                self._context.session,
                self._context.namespaces,
                frames.codec_of(variant),
                manual=request.query.get("join") == "manual",
                headers=websocket_upgrade.chosen_headers(request.headers, self._context.hook_headers),
                grant=offered_grant(request.query, _offers(request)),
            )
            client = self._client(request, offer)
            connection = Connection(session, transport, variant, client, self._context)
            connection.put(BrokerChanged(self._context.presence.is_up))
            self._admission.begin(connection.id, connection)
        return response

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        offer = self._check(request)
        with self._place(request, offer) as (transport, response):
            heartbeat_s = self._context.session.heartbeat_ms / 1_000
            now = self._context.clock.monotonic()
            echo = Echo(transport, window=offer.window, heartbeat_s=heartbeat_s, now=now)
            self._admission.begin(self._connections.next_id(), echo)
        return response

    async def _app(self, request: web.Request) -> web.StreamResponse:
        """Let in a client of the Pusher protocol. What it is refused for it is told by a close code, after
        the upgrade: of a refused upgrade its libraries know nothing but to try again.
        """
        pusher, key = self._pusher, request.match_info["key"]
        if pusher is None:
            raise web.HTTPNotFound
        app = pusher.apps.apps.by_key.get(key)
        origins = app.origins if app is not None and app.origins else self._settings.origins
        refused, says = None, ""
        if not self._admission.origin_allowed(request, origins):
            refused, says = PusherClose.UNAUTHORIZED, ORIGIN_REFUSED
        elif app is not None and app.connections and pusher.connections.get(app.id, 0) >= app.connections:
            refused = PusherClose.OVER_QUOTA
        offer = self._check(request, origin=False)
        with self._place(request, offer) as (transport, response):
            version = request.query.get("protocol", "")
            session = PusherSession(
                self._connections.next_id(),
                self._context.session,
                self._context.namespaces,
                pusher.apps,
                Handshake(key, version, refused, says),
            )
            variant = frames.pusher_variant(offer.window)
            client = self._client(request, offer)
            connection = PusherConnection(session, transport, variant, client, self._context, pusher)
            self._admission.begin(connection.id, connection)
        return response

    @contextmanager
    def _place(
        self, request: web.Request, offer: Offer
    ) -> Iterator[tuple[WebSocketTransport, web.StreamResponse]]:
        """Open the transport for what a guest is made of inside. Where that fails neither its place nor its
        socket is kept: aiohttp has let go of the socket, so nobody else would close it.
        """
        transport: WebSocketTransport | None = None
        try:
            transport, response = self._open(request, offer)
            yield transport, response
        except BaseException:
            self._connections.free()
            if transport is not None:
                transport.cut()
            raise

    def _open(self, request: web.Request, offer: Offer) -> tuple[WebSocketTransport, web.StreamResponse]:
        sockets, is_client = self._sockets, request.path != "/ws/echo"
        most = self._context.session.message_bytes
        limits = InboundLimits(
            most if request.path == "/ws" or not is_client else min(most, PUSHER_BYTES),
            sockets.unknown if is_client else None,
            paced=is_client,
        )
        transport = WebSocketTransport(Outbox(sockets.outbox), self._transport, limits, offer.deflate)
        try:
            return transport, transport.open(request, offer.subprotocol)
        except websocket_upgrade.NoWebSocket as problem:
            version = {str(hdrs.SEC_WEBSOCKET_VERSION): websocket_upgrade.VERSION}
            raise self._admission.refusal("no_websocket", web.HTTPBadRequest, str(problem), version) from None
        except ConnectionError:  # it has gone before the answer
            self._context.metrics.upgrades_refused("gone")
            raise web.HTTPBadRequest from None

    def _check(self, request: web.Request, *, origin: bool = True) -> Offer:
        """Return what of the upgrade is taken, and reserve a place; ``origin`` False: that is judged by the
        caller. Raises the refusal.
        """
        headers = request.headers
        admission = self._admission
        if admission.draining:
            raise admission.refusal("draining", web.HTTPServiceUnavailable, GOING)
        if origin:
            admission.check_origin(request)
        subprotocol = websocket_upgrade.choose_subprotocol(_offers(request)) if request.path == "/ws" else ""
        if subprotocol is None:
            spoken = ", ".join(websocket_upgrade.SPOKEN)
            raise admission.refusal("subprotocol", web.HTTPBadRequest, f"Subprotocols spoken here: {spoken}.")
        extensions = ",".join(headers.getall(hdrs.SEC_WEBSOCKET_EXTENSIONS, ()))
        deflate = negotiate(extensions) if self._settings.deflate else None
        if not self._connections.reserve():
            raise admission.refusal("full", web.HTTPServiceUnavailable, FULL_SAYS)
        return Offer(subprotocol, deflate)

    def _client(self, request: web.Request, offer: Offer) -> ClientInfo:
        headers = request.headers
        token = offered_token(request.query, headers.get(hdrs.AUTHORIZATION, ""), _offers(request))
        return self._admission.client(request, offer.subprotocol or websocket_upgrade.JSON, token)


def _offers(request: web.Request) -> list[str]:
    """Return what was offered as subprotocols."""
    return websocket_upgrade.parse_list(",".join(request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())))
