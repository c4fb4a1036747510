"""The reference client as a program: on stdin and stdout (or, with an address, over a WebSocket to the kit), and
on real sockets. Faults are given as arguments.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.conformance_kit.memory_network import Refused, WireClosed
from tests.conformance_kit.reference_client import CAPABILITIES, ReferenceClient
from tests.conformance_kit.reference_link import World
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

READ = 65_536


class RealWire:
    """A WebSocket on TCP. Its queue is short, so that what is not taken stays in the network."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.subprotocol = socket.subprotocol or "warren.v1"

    async def send(self, data: str | bytes) -> None:
        try:
            await self._socket.send(data)
        except ConnectionClosed:
            return

    async def receive(self) -> str | bytes:
        try:
            return await self._socket.recv()
        except ConnectionClosed as closed:
            raise WireClosed(closed.rcvd.code if closed.rcvd else 1006) from None

    async def close(self, code: int) -> None:
        await self._socket.close(code)


async def dial(url: str, query: str, subprotocols: tuple[str, ...]) -> RealWire:
    offered = [Subprotocol(each) for each in subprotocols]
    try:
        socket = await connect(
            f"{url}?{query}", subprotocols=offered, max_size=4 << 20, max_queue=4, ping_interval=None, close_timeout=0.5,
            open_timeout=2.0, proxy=None,
        )  # fmt: skip
    except (OSError, TimeoutError, InvalidHandshake, EOFError) as error:
        raise Refused(str(error)) from None
    return RealWire(socket)


async def serve(
    lines: Callable[[], Awaitable[str | bytes]], say: Callable[[str], Awaitable[None]], faults: frozenset[str]
) -> None:
    """Be the adapter of one client, until the lines end."""
    said: asyncio.Queue[str] = asyncio.Queue()

    def tell(event: str, **fields: Any) -> None:
        said.put_nowait(json.dumps({"event": event, **fields}))

    async def speak() -> None:
        while True:
            await say(await said.get())

    client = ReferenceClient(World(dial, tell, time.time, random.Random(), faults))
    speaker = asyncio.create_task(speak())
    tell("ready", name="reference client", capabilities=CAPABILITIES)
    while line := await lines():
        client.command(json.loads(line))
    await client.stop()
    speaker.cancel()


async def by_stdin(faults: frozenset[str]) -> None:
    reader = asyncio.StreamReader(limit=32 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )

    async def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    await serve(reader.readline, say, faults)


async def by_socket(address: str, faults: frozenset[str]) -> None:
    """Serve one scenario after the other, until the kit is gone."""
    while True:
        try:
            async with connect(address, max_size=32 << 20, proxy=None) as socket:

                async def lines(socket: ClientConnection = socket) -> str | bytes:
                    try:
                        return await socket.recv()
                    except ConnectionClosed:
                        return ""

                async def say(line: str, socket: ClientConnection = socket) -> None:
                    try:
                        await socket.send(line)
                    except ConnectionClosed:
                        return

                await serve(lines, say, faults)
        except (OSError, InvalidHandshake, EOFError):
            return


if __name__ == "__main__":
    given = sys.argv[1:]
    if given and given[0].startswith("ws://"):
        asyncio.run(by_socket(given[0], frozenset(given[1:])))
    else:
        asyncio.run(by_stdin(frozenset(given)))
