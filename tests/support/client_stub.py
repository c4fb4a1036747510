"""A server for the shell of the Python client: one process, one loop, rooms with a log, and whatever a test wants to go
wrong. It knows as much of the protocol as a client can notice.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Frame = dict[str, Any]


class Stub:
    """``frames`` are those that clients sent; ``connections`` are open ones, in the order in which they came."""

    def __init__(self) -> None:
        self.url = ""
        self.frames: list[Frame] = []
        self.requests: list[Request] = []
        self.connections: list[ServerConnection] = []
        self.logs: dict[str, list[Frame]] = defaultdict(list)
        self.ids: dict[str, int] = {}
        self.members: dict[str, set[ServerConnection]] = defaultdict(set)
        self.welcome: Frame = {}
        self.refusal: tuple[int, str, dict[str, str]] | None = None
        self.ignored: set[str] = set()  # types of frames that get no answer
        self.parts = 3  # of an answer

    def of(self, kind: str) -> list[Frame]:
        return [frame for frame in self.frames if frame["type"] == kind]

    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.requests[-1].path).query)

    async def say(self, frame: Frame) -> None:
        """Say something on every connection."""
        for connection in list(self.connections):
            await connection.send(json.dumps(frame))

    async def publish(self, room: str, payload: Any, sender: str = "bob", **more: Any) -> int:
        """Put a message into a room's log, and tell its members."""
        log = self.logs[room]
        frame = {"type": "CHAT", "room": room, "sender": sender, "payload": payload, "epoch": "e1"}
        frame |= {"seq": len(log) + 1} | more
        log.append(frame)
        for connection in list(self.members[room]):
            if sender == "bob":
                await connection.send(json.dumps(frame))
        return len(log)

    async def cut(self, code: int | None = None, reason: str = "") -> None:
        """Close all connections, or break them."""
        for connection in list(self.connections):
            if code is None:
                connection.transport.abort()
            else:
                await connection.close(code, reason)

    async def serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        payload = {
            "connection": f"g1~{len(self.requests)}",
            "user": "ann",
            "heartbeat_ms": 30_000,
            "rooms": [],
        }
        payload |= {"limits": {}, "expires_at": None} | self.welcome
        is_manual = "join" in self.query()
        if not is_manual:
            payload["rooms"] = ["@ann"]
            self.members["@ann"].add(connection)
        try:
            if "WELCOME" not in self.ignored:
                await connection.send(json.dumps({"type": "WELCOME", "payload": payload}))
                if not is_manual:
                    at = {"epoch": "e1", "seq": len(self.logs["@ann"]), "recovered": False, "missed": 0}
                    await connection.send(json.dumps({"type": "JOINED", "room": "@ann", "payload": at}))
            async for text in connection:
                frame = json.loads(text)
                self.frames.append(frame)
                if frame["type"] not in self.ignored:
                    await self.answer(connection, frame)
        except ConnectionClosed:
            pass
        finally:
            self.connections.remove(connection)
            for members in self.members.values():
                members.discard(connection)

    async def answer(self, connection: ServerConnection, frame: Frame) -> None:
        room = frame.get("room")
        about = {"ref": frame.get("id"), "room": room}

        async def reply(kind: str, payload: Any, **more: Any) -> None:
            await connection.send(json.dumps({"type": kind, "payload": payload} | about | more))

        match frame["type"]:
            case "JOIN":
                log = self.logs[room]
                since = (frame.get("payload") or {}).get("since")
                at = since["seq"] if since else len(log)
                self.members[room].add(connection)
                joined = {"epoch": "e1", "seq": at, "recovered": since is not None, "missed": len(log) - at}
                if "presence" in (frame.get("payload") or {}):
                    joined["presence"] = {"watching": True}
                await reply("JOINED", joined)
                for each in log[at:]:
                    await connection.send(json.dumps(each))
                if "presence" in joined:
                    told = {"version": 1, "count": {"users": 1, "connections": 1}, "digest": "0" * 15 + "1"}
                    page = {"page": True, "after": "", "joined": [{"user": "ann", "proof": "0" * 15 + "1"}]}
                    await connection.send(
                        json.dumps({"type": "PRESENCE", "room": room, "payload": told | page})
                    )
            case "LEAVE":
                self.members[room].discard(connection)
                await reply("LEFT", None)
            case "HISTORY":
                before = frame["payload"].get("before") or len(self.logs[room]) + 1
                older = self.logs[room][: before - 1]
                page = older[-frame["payload"]["limit"] :]
                await reply("HISTORY", {"messages": page, "more": len(older) > len(page)})
            case "PRESENCE":
                await reply("PRESENCE", {})
            case "REQUEST" if frame["service"] == "parts":
                for n in range(1, self.parts + 1):
                    await reply("RESPONSE", n, n=n, more=n < self.parts)
            case "REQUEST":
                await reply("RESPONSE", frame["payload"])
            case "PING":
                await reply("PONG", None)
            case "AUTH":
                await reply("AUTHENTICATED", {"expires_at": None})
            case "CHAT":
                seq = self.ids.get(frame["id"]) or await self.publish(room, frame["payload"], "ann")
                self.ids[frame["id"]] = seq
                await reply("ACK", {"seq": seq, "epoch": "e1"})

    def judge(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if self.refusal is None:
            return None
        status, body, headers = self.refusal
        response = connection.respond(HTTPStatus(status), body)
        response.headers.update(headers)
        return response


@asynccontextmanager
async def stub() -> AsyncIterator[Stub]:
    """Run one on a port of its own."""
    made = Stub()
    async with serve(
        made.serve,
        "127.0.0.1",
        0,
        process_request=made.judge,
        select_subprotocol=lambda _, offered: offered[0] if offered else None,
        ping_interval=None,
        close_timeout=1,
    ) as server:
        made.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        yield made
        for connection in made.connections:
            connection.transport.abort()
        await asyncio.sleep(0)
