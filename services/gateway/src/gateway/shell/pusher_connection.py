"""PusherConnection: one client that speaks the Pusher protocol. All that concerns it is an input, as of any
connection; its session (``core/pusher_session.py``) answers in the protocol's own frames and codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from gateway.core import actions, inputs
from gateway.core.pusher_session import PusherSession
from gateway.core.websocket import frames
from gateway.shell.connection import ClientInfo, Connection, GatewayContext
from gateway.shell.pusher_events import PusherEvents
from gateway.shell.pusher_presence import PusherPresence
from gateway.shell.websocket_transport import WebSocketTransport
from warren import envelope
from warren.errors import CloseCode
from warren.pusher_apps import PusherAppsFile


@dataclass(frozen=True, slots=True)
class PusherContext:
    """What all connections of the protocol share on a gateway."""

    apps: PusherAppsFile
    presence: PusherPresence
    events: PusherEvents
    connections: dict[str, int] = field(default_factory=dict)  # by app


class PusherConnection(Connection):
    """One client."""

    __slots__ = ("_counted", "_pusher")

    def __init__(
        self,
        session: PusherSession,
        transport: WebSocketTransport,
        variant: frames.Variant,
        client: ClientInfo,
        context: GatewayContext,
        pusher: PusherContext,
    ) -> None:
        """``transport`` is open; its outbox is the one that the hub puts on."""
        super().__init__(session, transport, variant, client, context)
        self._pusher = pusher
        self._counted = ""  # the app that it counts for

    @property
    def own(self) -> PusherSession:
        """The session, as what it is."""
        return cast("PusherSession", self.session)

    async def _come_in(self) -> None:
        self.put(inputs.TokenAccepted(self.own.guest))

    def _enter(self, known: bool) -> None:
        super()._enter(known)
        app = self.own.app
        if app is not None and not self._counted:
            self._counted = app.id
            self._pusher.connections[app.id] = self._pusher.connections.get(app.id, 0) + 1

    def finish(self) -> None:
        """Leave everything; call it once, at the end."""
        super().finish()
        if self._counted:
            left = self._pusher.connections[self._counted] - 1
            self._pusher.connections[self._counted] = left
            if not left:
                del self._pusher.connections[self._counted]

    def _message(self, data: str | bytes) -> None:
        super()._message(data)
        if self.user:
            self.user = self.session.user  # it may have signed in

    def _cached(self, page: envelope.HistoryPage) -> None:
        self._reads.answered(page.ref, self._context.clock.monotonic(), page.room)
        if self._awaits_reads:
            self.transport.end_rest()
        standing = self._context.hub.standing(page.room, self.id)
        self._do(self.own.cached(page, standing))

    def _listed(self, said: inputs.MembersListed) -> None:
        self._do(self.own.listed(said.room, said.data))

    def _do_pusher(self, action: actions.Follow | actions.TellWebhooks) -> None:
        match action:
            case actions.Follow():
                self._pusher.presence.follow(self.id, self.own.channel_of(action.room), action)
            case actions.TellWebhooks():
                self._pusher.events.put(action.event)

    def _code(self, code: CloseCode) -> int:
        return self.own.close_code or super()._code(code)

    _HANDLERS: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        **Connection._HANDLERS,  # noqa: SLF001 - its own, of its parent
        str: _message,
        bytes: _message,
        envelope.HistoryPage: _cached,
        inputs.MembersListed: _listed,
    }
