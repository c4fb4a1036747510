"""One WebSocket: what it says of a server that refuses, breaks off or takes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.client_stub import Stub
from tests.support.eventually import eventually
from websockets.asyncio.server import ServerConnection, serve

from warren_client.core.effects import Dial
from warren_client.options import Options
from warren_client.shell.socket import Socket


def socket(url: str, options: Options | None = None, **websocket_options: Any) -> Socket:
    return Socket(Dial(1, url, ("warren.v1", "grant.g"), "t"), options or Options(), websocket_options)


async def read(one: Socket) -> list[str | bytes]:
    return [frame async for frame in one.frames(lambda: None)]


async def test_it_shows_the_token_the_protocols_and_what_the_application_adds(server: Stub) -> None:
    """And hears frames until it is closed."""
    one = socket(server.url, additional_headers={"X-Trace": "1"}, proxy=None)
    assert await one.open() is None
    reading = asyncio.ensure_future(read(one))
    await eventually(lambda: server.connections)
    await server.cut(4006, "by a backend")
    assert len(await reading) == 2
    assert one.closed_with == (4006, "by a backend")
    headers = server.requests[0].headers
    assert (headers["Authorization"], headers["X-Trace"]) == ("Bearer t", "1")
    assert headers["Sec-WebSocket-Protocol"] == "warren.v1, grant.g"
    await one.end()


@pytest.mark.parametrize(
    ("status", "retry", "after", "after_ms"),
    [(503, True, "7", 7_000), (403, False, "", 0), (429, True, "soon", 0), (500, True, "9999999", 0)],
)
async def test_a_refused_upgrade_says_whether_to_try_again_and_when(
    server: Stub, status: int, retry: bool, after: str, after_ms: float
) -> None:
    """With the server's own words."""
    server.refusal = (status, "because", {"Retry-After": after} if after else {})
    failure = await socket(server.url).open()
    assert failure is not None
    assert (failure.error.status, failure.error.retry, failure.after_ms) == (status, retry, after_ms)
    assert "because" in str(failure.error)


async def test_a_broken_connection_is_an_abnormal_close(server: Stub) -> None:
    """1006, as browsers call it."""
    one = socket(server.url)
    await one.open()
    reading = asyncio.ensure_future(read(one))
    await eventually(lambda: server.connections)
    await server.cut()
    await reading
    assert one.closed_with[0] == 1006
    await one.end()


async def test_a_frame_that_is_too_large_ends_the_connection_with_the_reason(server: Stub) -> None:
    """It may come back."""
    one = socket(server.url, Options(max_frame_bytes=500))
    await one.open()
    reading = asyncio.ensure_future(read(one))
    await eventually(lambda: server.connections)
    await server.say({"type": "CHAT", "payload": "x" * 600})
    await reading
    code, reason = one.closed_with
    assert code == 1006
    assert "limit" in reason or "size" in reason
    await one.end()


async def test_what_waits_is_written_before_it_is_closed(server: Stub) -> None:
    """In order."""
    one = socket(server.url)
    await one.open()
    reading = asyncio.ensure_future(read(one))
    for number in range(40):
        one.write(f'{{"type": "X", "n": {number}}}')
    assert one.is_congested
    one.hang_up(1000, "Bye")
    await reading
    await eventually(lambda: [frame["n"] for frame in server.frames] == list(range(40)))
    await one.end()


async def test_a_peer_that_takes_nothing_is_left_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever still waits to be written."""
    monkeypatch.setattr("warren_client.shell.socket._LAST_WORDS_S", 0.1)

    async def deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with serve(deaf, "127.0.0.1", 0, ping_interval=None, close_timeout=0.1) as server:
        one = socket(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws")
        await one.open()
        reading = asyncio.ensure_future(read(one))
        for _ in range(40):
            one.write("x" * 1_000_000)
        await asyncio.sleep(0.05)
        one.hang_up(4000, "No answer")
        await reading
        await one.end()
        for connection in list(server.connections):
            connection.transport.abort()


async def test_one_that_is_given_up_while_it_opens_is_not_opened() -> None:
    """Whatever hangs there."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        one = socket(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws")
        opening = asyncio.ensure_future(one.open())
        await asyncio.sleep(0.05)
        one.hang_up(4000, "No answer")
        failure = await opening
        assert failure is not None
        await one.end()
        again = socket("ws://127.0.0.1:9/ws")
        again.hang_up(1000, "Bye")
        assert await again.open() is not None
        await again.end()
