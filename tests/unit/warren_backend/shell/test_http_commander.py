"""Commands over HTTP, against a server that answers as a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from tests.support.ports import free_port

from warren_backend.core.errors import CommandFailed, CommandUnanswered, Stopped
from warren_backend.shell.http_commander import HttpCommander


class Api:
    """Answers one after the other."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, await request.json(), dict(request.headers)))
        status, body = self.answers.pop(0)
        if isinstance(body, str):
            return web.Response(status=status, text=body)
        return web.json_response(body, status=status)


@pytest_asyncio.fixture
async def api() -> AsyncIterator[Api]:
    found = Api(free_port())
    app = web.Application()
    app.router.add_post("/{path:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(found.url.rpartition(":")[2])).start()
    yield found
    await runner.cleanup()


async def test_a_command_is_a_post_with_its_key_and_id(api: Api) -> None:
    """The address stands in the body."""
    api.answers = [(200, {"id": "i"}), (200, {"users": 1})]
    async with HttpCommander(api.url + "/v1/", "secret") as commander:
        fields = {"user": "ann", "reason": None}
        assert await commander("remove", fields, address="room.a", ident="i", timeout_s=5) == {"id": "i"}
        await commander("status", {"users": ["ann"]}, address=None, ident=None, timeout_s=5)
    (path, body, headers), (other, asked, _) = api.asked
    assert (path, body) == ("/v1/remove", {"user": "ann", "address": "room.a"})
    assert (headers["Authorization"], headers["Idempotency-Key"]) == ("Bearer secret", "i")
    assert (other, asked) == ("/v1/status", {"users": ["ann"]})


async def test_what_may_pass_is_tried_again(api: Api) -> None:
    """A problem that says so, and whatever a proxy says with a 5xx."""
    api.answers = [
        (503, {"code": "overloaded", "retry": True, "retry_after_ms": 1}),
        (502, "<html>bad gateway</html>"),
        (200, {"users": 1}),
    ]
    async with HttpCommander(api.url, "k") as commander:
        assert await commander("count", {}, address="room.a", ident=None, timeout_s=10) == {"users": 1}


async def test_what_stays_is_raised(api: Api) -> None:
    """A problem, and an answer that is not Warren's."""
    api.answers = [(403, {"code": "forbidden", "detail": "no scope", "status": 403}), (404, "nothing here")]
    async with HttpCommander(api.url, "k") as commander:
        with pytest.raises(CommandFailed, match="forbidden: no scope"):
            await commander("count", {}, address="room.a", ident=None, timeout_s=5)
        with pytest.raises(CommandFailed, match="answered with 404"):
            await commander("count", {}, address="room.a", ident=None, timeout_s=5)


async def test_nobody_there_is_told_with_the_address() -> None:
    """When the time is over; and one that was not begun says how."""
    url = f"http://127.0.0.1:{free_port()}"
    async with HttpCommander(url, "k") as commander:
        with pytest.raises(CommandUnanswered, match=url):
            await commander("count", {}, address="room.a", ident=None, timeout_s=0.3)
    with pytest.raises(Stopped, match="async with"):
        await commander("count", {}, address="room.a", ident=None, timeout_s=0.3)
