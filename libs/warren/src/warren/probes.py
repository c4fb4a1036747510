"""Probes: ``/healthz``, ``/readyz`` and ``/metrics`` on the internal port.

Liveness asks "does the loop turn": an answer at all is the answer. Readiness asks every registered ping, so a
broker that is away takes a pod out of service but never restarts it. This port is never exposed to clients.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import orjson
from aiohttp import web

from warren.http_server import HttpLimits, HttpServer

KEEPALIVE_S = 75.0  # scrapers come back on the connection that they have

Ping = Callable[[], str | None]
Render = Callable[[str], tuple[bytes, str]]


class Readiness:
    """Whether this pod should be given work: while every ping returns None and it was not switched off."""

    def __init__(self) -> None:
        """Ready: there are no pings yet."""
        self._pings: dict[str, Ping] = {}
        self._off: str | None = None

    def register(self, name: str, ping: Ping) -> None:
        """Ask ``ping`` at each probe; it returns None or the reason why not, at once."""
        self._pings[name] = ping

    def drain(self, reason: str = "draining") -> None:
        """Switch readiness off for good: this pod is shutting down."""
        self._off = reason

    @property
    def draining(self) -> bool:
        """Whether it was switched off."""
        return self._off is not None

    def reasons(self) -> dict[str, str]:
        """Return why not, by name; empty where ready."""
        found = {} if self._off is None else {"pod": self._off}
        for name, ping in self._pings.items():
            try:
                reason = ping()
            except Exception as error:  # noqa: BLE001 - a ping that fails is a reason like any other
                reason = f"ping failed: {type(error).__name__}"
            if reason is not None:
                found[name] = reason
        return found


class Probes:
    """The internal port's server (a lifecycle part)."""

    def __init__(
        self,
        host: str,
        port: int,
        readiness: Readiness,
        render: Render,
        routes: Iterable[web.AbstractRouteDef] = (),
    ) -> None:
        """``render`` gives the metrics for an Accept header (``GatewayMetrics.render``); ``routes`` are the
        service's own on this port.
        """
        self._host = host
        self._wanted = port
        self._readiness = readiness
        self._render = render
        self._routes = tuple(routes)
        self._server: HttpServer | None = None
        self._began = time.monotonic()
        self.port = 0

    def app(self) -> web.Application:
        """Return the application, for a service that serves it elsewhere."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.add_routes(self._routes)
        return app

    async def start(self) -> None:
        """Listen. Raises OSError (with the address in its text) where the port can't be had."""
        # It does not wait for probes under way at the end: nobody needs their answers.
        self._server = HttpServer(self.app(), HttpLimits(KEEPALIVE_S, 1.0))
        self.port = await self._server.start(self._host, self._wanted)

    async def stop(self) -> None:
        """Stop listening."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    async def _healthz(self, _: web.Request) -> web.Response:
        asked = time.monotonic()
        await asyncio.sleep(0)
        now = time.monotonic()
        return _json(
            {
                "status": "ok",
                "uptime_s": round(now - self._began, 1),
                "turn_ms": round((now - asked) * 1000, 3),
            }
        )

    async def _readyz(self, _: web.Request) -> web.Response:
        reasons = self._readiness.reasons()
        return _json({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


def _json(content: object, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(content),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
