"""The parts of an answer, whatever becomes of their reader."""

from __future__ import annotations

import asyncio
import gc

import pytest
from tests.support.client_stub import Stub, stub
from tests.support.eventually import eventually

import warren_client


async def test_parts_come_in_order_and_an_answer_in_one_piece_is_one() -> None:
    """The last word ends the loop."""
    async with stub() as server, warren_client.connect(server.url) as client:
        assert [part async for part in client.stream("parts")] == [1, 2, 3]
        assert [part async for part in client.stream("one", "piece")] == ["piece"]
        assert server.of("CANCEL") == []


@pytest.mark.parametrize("how", ["break", "close", "with"])
async def test_a_stream_that_is_left_early_tells_the_service(server: Stub, how: str) -> None:
    """Also if nobody closes it."""
    server.ignored = {"REQUEST"}
    async with warren_client.connect(server.url) as client:
        stream = client.stream("slow", id="q1")
        await eventually(lambda: server.of("REQUEST"))
        await server.say({"type": "RESPONSE", "ref": "q1", "payload": 1, "n": 1, "more": True})
        if how == "with":
            async with stream:
                await anext(stream)
        elif how == "close":
            await anext(stream)
            await stream.aclose()
            await stream.aclose()
        else:
            async for _ in stream:
                break
            del stream, _
            gc.collect()
        await eventually(lambda: [frame["ref"] for frame in server.of("CANCEL")] == ["q1"])


async def test_a_wait_for_a_part_may_be_cancelled(server: Stub) -> None:
    """The next one waits for the same part."""
    server.ignored = {"REQUEST"}
    async with warren_client.connect(server.url) as client:
        stream = client.stream("slow", id="q1")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(stream)
        await eventually(lambda: server.of("REQUEST"))
        await server.say({"type": "RESPONSE", "ref": "q1", "payload": 1, "n": 1, "more": True})
        await server.say({"type": "RESPONSE", "ref": "q1", "payload": 2, "n": 2})
        assert [part async for part in stream] == [1, 2]


async def test_an_error_ends_it(server: Stub) -> None:
    """After the parts that came before."""
    server.ignored = {"REQUEST"}
    async with warren_client.connect(server.url) as client:
        stream = client.stream("slow", id="q1")
        await eventually(lambda: server.of("REQUEST"))
        await server.say({"type": "RESPONSE", "ref": "q1", "payload": 1, "n": 1, "more": True})
        await server.say(
            {"type": "ERROR", "ref": "q1", "payload": {"code": "unavailable", "message": "lost"}}
        )
        assert await anext(stream) == 1
        with pytest.raises(warren_client.RefusedError, match="lost"):
            await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
