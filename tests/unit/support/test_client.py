"""The tests' own client, against a scripted server of the stock ``websockets`` package."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.support.client import MSGPACK, Client, connect
from tests.support.eventually import MS
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol


class Script:
    """A server that welcomes, echoes to PING, and sends what the test puts into it."""

    def __init__(self) -> None:
        self.url = ""
        self.heard: list[Any] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.sockets: list[ServerConnection] = []

    async def serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.sockets.append(socket)
        self.paths.append(socket.request.path)
        self.headers.append(dict(socket.request.headers.raw_items()))
        await self.say(socket, {"type": "WELCOME", "payload": {"connection": "g~1", "user": "ann"}})
        async for frame in socket:
            if isinstance(frame, str) and not frame.startswith("{"):
                self.heard.append(frame)
                continue
            message = json.loads(frame) if isinstance(frame, str) else msgspec.msgpack.decode(frame)
            self.heard.append(message)
            if message["type"] == "PING":
                await self.say(socket, {"type": "PONG", "ref": message["id"]})

    async def say(self, socket: ServerConnection, message: dict[str, Any]) -> None:
        packed = socket.subprotocol == MSGPACK
        await socket.send(msgspec.msgpack.encode(message) if packed else json.dumps(message))


def choose(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return offered[0] if offered else None


@asynccontextmanager
async def scripted() -> AsyncIterator[Script]:
    script = Script()
    async with serve(script.serve, "127.0.0.1", 0, select_subprotocol=choose, ping_interval=None) as server:
        script.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        yield script


@asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[tuple[Script, Client]]:
    async with scripted() as script, await connect(script.url, **options) as client:
        yield script, client


async def test_expect_skips_others_and_claims_each_message_once() -> None:
    """A message that is passed over can be expected later, one that was returned can't; all stay recorded."""
    async with connected() as (script, client):
        for n in (1, 2, 3):
            await script.say(script.sockets[0], {"type": "CHAT", "room": "r", "payload": {"n": n}})
        assert (await client.expect("CHAT", payload__n=2))["payload"] == {"n": 2}
        assert (await client.expect("CHAT", room="r"))["payload"] == {"n": 1}
        with pytest.raises(AssertionError, match=r"no CHAT \{'payload__n': 2\}; unclaimed: .*'n': 3"):
            await client.expect("CHAT", timeout_s=0.02, payload__n=2)
        assert [message["payload"]["n"] for message in client.of_type("CHAT")] == [1, 2, 3]
        assert (client.id, client.user) == ("g~1", "ann")


@pytest.mark.parametrize("subprotocol", ["warren.v1", MSGPACK, None])
async def test_speaks_each_subprotocol(subprotocol: str | None) -> None:
    """Messages go out and come in by the negotiated encoding; None fields are left out."""
    async with connected(subprotocol=subprotocol) as (script, client):
        await client.send("CHAT", "r", {"text": "hi"}, include_sender=True)
        await client.settle()
        assert script.heard[0] == {
            "type": "CHAT",
            "room": "r",
            "payload": {"text": "hi"},
            "include_sender": True,
        }
        assert client.msgpack == (subprotocol == MSGPACK)


async def test_the_token_goes_where_it_is_asked_to() -> None:
    """Query, header and subprotocol each carry the token; the user's name goes into the query."""
    async with scripted() as script:
        for token_in in ("query", "header", "subprotocol"):
            async with await connect(script.url, token="t.o.k", token_in=token_in, user="ann b"):
                pass
        assert script.paths == ["/ws?user=ann%20b&token=t.o.k", "/ws?user=ann%20b", "/ws?user=ann%20b"]
        assert script.headers[1]["Authorization"] == "Bearer t.o.k"
        assert script.headers[2]["Sec-WebSocket-Protocol"] == "warren.v1, bearer.t.o.k"


async def test_a_close_is_reported_and_ends_waiting() -> None:
    """The close code and reason are told, and a pending expect fails at once instead of waiting
    its time out.
    """
    async with connected() as (script, client):
        waiting = asyncio.create_task(client.expect("CHAT", timeout_s=60))
        await script.sockets[0].close(4001, "Unauthorized")
        assert await client.closed() == (4001, "Unauthorized")
        with pytest.raises(AssertionError, match="closed with 4001 'Unauthorized'"):
            await waiting


async def test_a_mute_client_never_answers_pings() -> None:
    """pongs=False leaves the server's pings unanswered, and everything else works."""
    async with connected(pongs=False) as (script, client):
        pong = asyncio.ensure_future(await script.sockets[0].ping())
        await client.settle()
        assert not pong.done()
    async with connected() as (script, client):
        latency = await script.sockets[0].ping()
        await client.settle()
        assert await latency >= 0


async def test_a_client_that_stops_reading_holds_the_server_up() -> None:
    """While reading is stopped nothing is taken from the socket, so the server's writes come to a halt; then
    all arrives.
    """
    async with connected() as (script, client):
        client.stop_reading()
        sending = asyncio.create_task(_flood(script, count=1_000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(200 * MS):
                await asyncio.shield(sending)
        client.go_on_reading()
        await client.expect("CHAT", payload__n=999)
        await sending


async def _flood(script: Script, count: int) -> None:
    for n in range(count):
        await script.say(script.sockets[0], {"type": "CHAT", "payload": {"n": n, "fill": "x" * 20_000}})


async def test_raw_frames_and_the_listener() -> None:
    """A frame that is no message goes out as it is, and the listener is given all that comes."""
    heard: list[str] = []
    async with connected(listener=lambda message: heard.append(message["type"])) as (script, client):
        await client.send_raw("no json")
        await client.settle()
        assert script.heard[0] == "no json"
    assert heard == ["WELCOME", "PONG"]
