"""Admission: who may come in on the clients' port, by whatever transport, and the tasks that serve those who
are in.

It knows origins, places and whether the pod goes; not what a client speaks. A refusal is counted by its
reason, and tells in one sentence what mends it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from aiohttp import hdrs, web

from gateway.core.log_rate_limit import LogRateLimit
from gateway.settings import ListenSettings
from gateway.shell import websocket_upgrade
from gateway.shell.connection import ClientInfo, Connection
from gateway.shell.connections import Connections
from gateway.shell.echo_endpoint import Echo
from warren.clock import Clock
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.origins import origin_allowed
from warren.probes import Readiness
from warren.supervision import cancel_and_wait

# When to try again: where this pod is full the others may be as well; where it goes they are not concerned.
RETRY_AFTER_S = 5
GOING_RETRY_AFTER_S = 1
CLEAN_UP_S = 1.0  # by then everyone was drained or cut
# A refused origin is logged so often, and so many of them: anybody can make them up.
LOG_EVERY_S = 60.0
ORIGINS_MAX = 16
ORIGIN_MAX = 256
ORIGIN_REFUSED = "Pages of this origin may not connect; the operator allows them by WARREN_GATEWAY_ORIGINS."
GOING = "This pod is going; connect again."
FULL_SAYS = "This pod is full; connect again."

_log = get_logger("gateway.server")


class Admission:
    """One port's."""

    def __init__(
        self,
        settings: ListenSettings,
        connections: Connections,
        readiness: Readiness,
        clock: Clock,
        metrics: GatewayMetrics,
    ) -> None:
        """``connections`` has the places."""
        self.origins = settings.origins
        self.by_http = settings.sse  # event streams and what is posted are served
        self._trusted_proxies = settings.trusted_proxies
        self._connections = connections
        self._readiness = readiness
        self._clock = clock
        self._metrics = metrics
        self._serving: set[asyncio.Task[None] | None] = set()
        self._origins_logged = LogRateLimit(LOG_EVERY_S, ORIGINS_MAX)

    @property
    def draining(self) -> bool:
        """Whether the pod goes."""
        return self._readiness.draining

    # ── before there is a connection ────────────────────────────────────────────────────────────────────────

    def refusal(
        self, reason: str, kind: type[web.HTTPException], text: str, headers: Mapping[str, str] | None = None
    ) -> web.HTTPException:
        """Count a refusal, and return it."""
        self._metrics.upgrades_refused(reason)
        added = dict(headers or {})
        if kind is web.HTTPServiceUnavailable:
            added[hdrs.RETRY_AFTER] = str(GOING_RETRY_AFTER_S if self.draining else RETRY_AFTER_S)
        return kind(text=text + "\n", headers=added)

    def check_origin(self, request: web.Request) -> str:
        """Return the origin of the page that asks ("": none said). Raises the refusal of one that may not
        connect.
        """
        if not self.origin_allowed(request, self.origins):
            raise self.refusal("origin", web.HTTPForbidden, ORIGIN_REFUSED)
        return _origin(request)

    def origin_allowed(self, request: web.Request, origins: Iterable[str]) -> bool:
        """Say whether the page that asks is of these origins, or of our own; log it where it is not."""
        origin = _origin(request)
        if origin_allowed(origin, request.headers.get(hdrs.HOST, ""), origins):
            return True
        self._log_origin(request, origin)
        return False

    def client(self, request: web.Request, protocol: str, token: str) -> ClientInfo:
        """Return what a request says of its client, who has brought this token."""
        headers = request.headers
        return ClientInfo(
            ip=websocket_upgrade.client_address(
                request.remote or "", headers.getall("X-Forwarded-For", ()), self._trusted_proxies
            ),
            origin=headers.get(hdrs.ORIGIN, "")[:256],
            protocol=protocol,
            token=token,
            user=request.query.get("user", ""),
        )

    def _log_origin(self, request: web.Request, origin: str) -> None:
        """Say which page was refused and what mends it: its developer sees nothing but a connection that
        fails.
        """
        shown = origin[:ORIGIN_MAX]
        unlogged = self._origins_logged.due(shown, self._clock.monotonic())
        if unlogged is None:
            return
        event(
            _log,
            "upgrade_refused",
            level=logging.WARNING,
            reason="origin",
            origin=shown,
            host=request.headers.get(hdrs.HOST, "")[:ORIGIN_MAX],
            hint="if pages of this origin are yours, add it to WARREN_GATEWAY_ORIGINS",
            unlogged=unlogged or None,
        )

    # ── those who are in ────────────────────────────────────────────────────────────────────────────────────

    def begin(self, name: str, guest: Connection | Echo) -> None:
        """Let a guest in who has a place and an open transport, and serve it in a task of its own."""
        guest.transport.on_excess = guest.end
        self._connections.enter(name, guest)
        self._serving.add(asyncio.get_running_loop().create_task(self._serve(name, guest)))

    async def stop(self) -> None:
        """End those who are still here: all of them were cut before."""
        serving = [task for task in self._serving if task is not None]
        if serving:
            await asyncio.wait(serving, timeout=CLEAN_UP_S)
            await cancel_and_wait(*serving)

    async def _serve(self, name: str, guest: Connection | Echo) -> None:
        try:
            await guest.run()
        finally:
            if isinstance(guest, Connection):
                guest.finish()
            self._connections.leave(name)
            self._connections.free()
            self._serving.discard(asyncio.current_task())


def _origin(request: web.Request) -> str:
    return ", ".join(request.headers.getall(hdrs.ORIGIN, ()))
