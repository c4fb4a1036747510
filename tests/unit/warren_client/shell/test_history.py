"""What was said in a room before, page by page."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.client_stub import Stub
from tests.support.eventually import eventually

import warren_client


async def test_a_wait_for_a_page_may_be_cancelled(server: Stub) -> None:
    """The next one asks for it again, and nothing is left out."""
    for number in range(4):
        await server.publish("r", number)
    async with warren_client.connect(server.url) as client, client.room("r") as room:
        history = room.history(page=2)
        assert [(await anext(history)).payload for _ in range(2)] == [3, 2]
        server.ignored = {"HISTORY"}
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(history)
        server.ignored = set()
        assert [message.payload async for message in history] == [1, 0]
        await eventually(lambda: client.waiting <= 1)


async def test_an_empty_room_has_none(server: Stub) -> None:
    """The loop ends at once."""
    async with warren_client.connect(server.url) as client, client.room("r") as room:
        assert [message async for message in room.history()] == []


async def test_a_page_that_is_refused_raises(server: Stub) -> None:
    """As the server says."""
    server.ignored = {"HISTORY"}
    async with warren_client.connect(server.url) as client, client.room("r") as room:
        asking = asyncio.ensure_future(room.history_page())
        await eventually(lambda: server.of("HISTORY"))
        ref = server.of("HISTORY")[0]["id"]
        await server.say({"type": "ERROR", "ref": ref, "payload": {"code": "forbidden", "message": "no"}})
        with pytest.raises(warren_client.RefusedError, match="no"):
            await asking
