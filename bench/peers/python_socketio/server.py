"""The peer python-socketio: one node on aiohttp and uvloop, with AsyncAioPikaManager and its defaults, and
WebSocket as the only transport.

It accepts the events "join" (acknowledged) and "say", and sends "said" to the whole room, including the
sender. It runs in its own environment (requirements.lock beside it), never in Warren's, and imports nothing
of Warren.
"""

from __future__ import annotations

import argparse
from typing import Any

import socketio  # type: ignore[import-not-found,unused-ignore]
import uvloop
from aiohttp import web


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--amqp", required=True)
    arguments = parser.parse_args()
    server: Any = socketio.AsyncServer(
        async_mode="aiohttp",
        client_manager=socketio.AsyncAioPikaManager(arguments.amqp),
        transports=["websocket"],
    )

    async def join(sid: str, room: str) -> str:
        await server.enter_room(sid, room)
        return "joined"

    async def say(_: str, room: str, body: str) -> None:
        await server.emit("said", body, room=room)

    server.on("join", join)
    server.on("say", say)
    application = web.Application()
    server.attach(application)
    uvloop.install()
    web.run_app(application, host="127.0.0.1", port=arguments.port, print=None)


if __name__ == "__main__":
    main()
