"""Three Python clients of others; ``clients/README.md`` says what each does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import websocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

TEXT = ("warren " * 15_000)[:100_000]
Seen = dict[str, Any]
Next = Callable[[], Awaitable[str]]
Send = Callable[[str], Awaitable[None]]


class Scenario:
    """What comes, counted."""

    def __init__(self, extensions: str, subprotocol: str | None) -> None:
        self.seen: Seen = {
            "extensions": extensions,
            "subprotocol": subprotocol,
            "ack": 0,
            "chat": 0,
            "pong": "",
        }
        self.seen |= {"control": None, "code": 0}

    def take(self, text: str) -> str:
        """Count a message; return its type."""
        message = json.loads(text)
        match message["type"]:
            case "ACK":
                self.seen["ack"] += 1
            case "PONG":
                self.seen["pong"] = message["ref"]
            case "CHAT" if message["payload"] == TEXT:
                self.seen["chat"] += 1
        return str(message["type"])

    async def run(self, send: Send, receive: Next, ping: Callable[[], Awaitable[None]]) -> None:
        """Do all but the last step."""

        async def until(*types: str) -> None:
            missing = set(types)
            while missing:
                missing.discard(self.take(await receive()))

        await until("WELCOME")
        await send(json.dumps({"type": "JOIN", "room": "matrix", "id": "j"}))
        await until("JOINED")
        for name in ("c1", "c2"):
            chat = {"type": "CHAT", "room": "matrix", "id": name, "payload": TEXT, "include_sender": True}
            await send(json.dumps(chat))
            await until("ACK", "CHAT")
        await ping()
        await send(json.dumps({"type": "PING", "id": "p"}))
        await until("PONG")
        await send("x" * 300_000)


async def by_websockets(url: str) -> Seen:
    """Return what the library ``websockets`` sees."""
    async with connect(url, proxy=None, subprotocols=["warren.v1"], compression="deflate") as socket:  # type: ignore[list-item]
        headers = socket.response.headers if socket.response else {}
        scenario = Scenario(headers.get("Sec-WebSocket-Extensions", ""), socket.subprotocol)

        async def receive() -> str:
            return str(await socket.recv())

        async def ping() -> None:
            await (await socket.ping())
            scenario.seen["control"] = True

        await scenario.run(socket.send, receive, ping)
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            scenario.seen["code"] = closed.rcvd.code if closed.rcvd else 0
        return scenario.seen


async def by_aiohttp(url: str) -> Seen:
    """Return what aiohttp's client sees. It answers pings by itself, and shows no pongs but to who asks for
    them.
    """
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=["warren.v1"], compress=15, autoping=False) as socket,
    ):
        scenario = Scenario(socket._response.headers.get("Sec-WebSocket-Extensions", ""), socket.protocol)

        async def receive() -> str:
            while (message := await socket.receive()).type is not aiohttp.WSMsgType.TEXT:
                if message.type is aiohttp.WSMsgType.PONG:
                    scenario.seen["control"] = message.data == b"hello"
            return str(message.data)

        await scenario.run(socket.send_str, receive, lambda: socket.ping(b"hello"))
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        scenario.seen["code"] = message.data
        return scenario.seen


async def by_websocket_client(url: str) -> Seen:
    """Return what the library ``websocket-client`` sees; it knows no compression, and blocks."""
    socket = await asyncio.to_thread(websocket.create_connection, url, subprotocols=["warren.v1"], timeout=20)
    scenario = Scenario(socket.getheaders().get("sec-websocket-extensions", ""), socket.getsubprotocol())

    def blocking_receive() -> str:
        while True:
            opcode, frame = socket.recv_data_frame(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_TEXT:
                return bytes(frame.data).decode()
            if opcode == websocket.ABNF.OPCODE_PONG:
                scenario.seen["control"] = frame.data == b"hello"
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                scenario.seen["code"] = int.from_bytes(frame.data[:2], "big")
                raise EOFError

    async def receive() -> str:
        return await asyncio.to_thread(blocking_receive)

    async def send(text: str) -> None:
        await asyncio.to_thread(socket.send, text)

    async def ping() -> None:
        await asyncio.to_thread(socket.ping, "hello")

    await scenario.run(send, receive, ping)
    try:
        while True:
            await receive()
    except EOFError:
        pass
    finally:
        socket.close()
    return scenario.seen
