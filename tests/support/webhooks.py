"""A backend that is told by webhooks: it keeps what came, and answers as a test says."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from tests.support.ports import free_port
from tests.support.pusher import SECRET, sign


class WebhookBackend:
    """Listens on a port of its own; use it by ``async with``."""

    def __init__(self) -> None:
        self.port = free_port()
        self.status = 200
        self.requests: list[tuple[dict[str, str], str]] = []
        self.events: list[dict[str, Any]] = []  # of requests that were taken
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it is told."""
        return f"http://127.0.0.1:{self.port}/pusher"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._told)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _told(self, request: web.Request) -> web.Response:
        text = await request.text()
        assert request.headers["X-Pusher-Signature"] == sign(text, SECRET)
        self.requests.append((dict(request.headers), text))
        if self.status == 302:
            return web.Response(status=302, headers={"Location": f"http://127.0.0.1:{self.port}/elsewhere"})
        if self.status == 200:
            self.events += json.loads(text)["events"]
        return web.Response(status=self.status)

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the events of this name that were taken."""
        return [event for event in self.events if event["name"] == name]
