"""The driver does what the core says, in order, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading

from tests.support.client_stub import Stub
from tests.support.eventually import eventually

import warren_client
from warren_client import Options
from warren_client.core.outcome import Outcome
from warren_client.errors import WarrenError


async def test_a_token_that_blocks_holds_up_nothing(server: Stub) -> None:
    """A plain function runs in a thread, and there is one call at a time."""
    go, calls = threading.Event(), []

    def token() -> str:
        calls.append(threading.current_thread() is threading.main_thread())
        go.wait(5)
        return "t"

    options = Options(backoff=0.01, backoff_cap=0.01, welcome_timeout=0.05)
    client = warren_client.connect(server.url, token=token, options=options)
    opening = asyncio.ensure_future(client.open())
    await eventually(lambda: client.state == "waiting" or len(calls) > 1)
    assert server.connections == []
    go.set()
    await opening
    await client.close()
    assert calls == [False]


async def test_who_does_not_wait_any_more_is_not_told(server: Stub) -> None:
    """An outcome that comes later is nobody's."""
    async with warren_client.connect(server.url) as client:
        outcome: Outcome[int] = Outcome()
        waiting = asyncio.ensure_future(client._driver.settled(outcome))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        outcome.reject(WarrenError("x", "y"))
        assert waiting.cancelled()


async def test_closing_twice_and_at_once_is_closing(server: Stub) -> None:
    """Whoever is cancelled meanwhile."""
    client = warren_client.connect(server.url)
    await client.open()
    closing = [asyncio.ensure_future(client.close()) for _ in range(2)]
    await asyncio.sleep(0)
    closing[0].cancel()
    await asyncio.wait(closing)
    await client.close()
    assert client.state == "closed"


async def test_a_move_to_another_pod_keeps_everything(server: Stub) -> None:
    """RECONNECT at once: the old socket is closed, the room goes on."""
    async with warren_client.connect(server.url) as client, client.room("r") as room:
        await server.say({"type": "RECONNECT", "payload": {"after_ms": 10}})
        await eventually(lambda: len(server.requests) == 2)
        await eventually(lambda: client.state == "open")
        await room.send("CHAT", 1)
        await eventually(lambda: len(server.connections) == 1)
