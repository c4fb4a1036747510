"""A network in memory: listeners and sockets as the kit wants them, and the client's end of each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from warren_conformance.codec import SUBPROTOCOLS
from warren_conformance.sockets import Asked, Incoming

LATENCY_S = 0.001
WINDOW = 64  # messages on their way to a client that does not read


class Refused(Exception):
    """No connection: nobody listens, or the upgrade was answered with another status."""


class WireClosed(Exception):
    """The connection has ended."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class MemorySocket:
    """The server's end."""

    def __init__(self, subprotocol: str, faults: frozenset[str]) -> None:
        self.subprotocol = subprotocol
        self.compressed = True
        self.frozen = False
        self.to_server: asyncio.Queue[Incoming] = asyncio.Queue()
        self.to_client: asyncio.Queue[str | bytes | WireClosed] = asyncio.Queue()
        self.taken = asyncio.Event()
        self.ended = False
        self._faults = faults

    async def receive(self) -> Incoming:
        event = await self.to_server.get()
        if self.frozen:
            await asyncio.Future()
        return event

    async def send(self, data: str | bytes) -> None:
        while self.to_client.qsize() >= WINDOW and not self.ended:
            self.taken.clear()
            await self.taken.wait()
        if not self.ended and not self.frozen:
            self.to_client.put_nowait(data)

    async def send_fragments(self, parts: Sequence[bytes], *, text: bool, ping: bytes | None = None) -> None:
        if "fragments_are_messages" in self._faults:
            for part in parts:
                await self.send(part.decode(errors="replace") if text else part)
        else:
            whole = b"".join(parts)
            await self.send(whole.decode() if text else whole)
        if ping is not None:
            await self.ping(ping)

    async def ping(self, data: bytes) -> None:
        if "no_pongs" not in self._faults:
            self.to_server.put_nowait(Incoming("pong", data))

    async def close(self, code: int, reason: str) -> None:
        self.end(code, code)

    def cut(self) -> None:
        self.end(1006, 1006)

    def freeze(self) -> None:
        self.frozen = True

    def end(self, for_client: int, for_server: int) -> None:
        if not self.ended:
            self.ended = True
            self.taken.set()
            self.to_client.put_nowait(WireClosed(for_client))
            self.to_server.put_nowait(Incoming("closed", code=for_server))


class MemoryWire:
    """The client's end."""

    def __init__(self, socket: MemorySocket) -> None:
        self._socket = socket
        self.subprotocol = socket.subprotocol

    async def send(self, data: str | bytes) -> None:
        if not self._socket.ended:
            self._socket.to_server.put_nowait(Incoming("message", data))

    async def receive(self) -> str | bytes:
        found = await self._socket.to_client.get()
        await asyncio.sleep(LATENCY_S)
        self._socket.taken.set()
        if isinstance(found, WireClosed):
            raise found
        return found

    async def close(self, code: int) -> None:
        self._socket.end(code, code)


class MemoryUpgrade:
    """A client that asks for a WebSocket."""

    def __init__(self, asked: Asked, faults: frozenset[str]) -> None:
        self.asked = asked
        self.answer: asyncio.Future[MemoryWire] = asyncio.get_running_loop().create_future()
        self._faults = faults

    async def accept(self) -> MemorySocket:
        known = [each for each in self.asked.subprotocols if each in SUBPROTOCOLS]
        socket = MemorySocket(known[0] if known else SUBPROTOCOLS[0], self._faults)
        if not self.answer.done():
            self.answer.set_result(MemoryWire(socket))
        return socket

    async def refuse(self, status: int, reason: str, retry_after_s: int | None = None) -> None:
        if not self.answer.done():
            self.answer.set_exception(Refused(f"{status} {reason}"))


class MemoryNetwork:
    """All listeners of a run, by address."""

    def __init__(self, faults: frozenset[str]) -> None:
        self.faults = faults
        self.listeners: dict[str, MemoryListener] = {}

    def listener(self) -> MemoryListener:
        found = MemoryListener(self, f"memory://{len(self.listeners)}/ws")
        self.listeners[found.url] = found
        return found

    async def dial(self, url: str, query: str, subprotocols: tuple[str, ...]) -> MemoryWire:
        await asyncio.sleep(0.001)
        listener = self.listeners[url]
        if not listener.listening:
            raise Refused("nobody listens there")
        upgrade = MemoryUpgrade(Asked(f"/ws?{query}", subprotocols), self.faults)
        listener.upgrades.put_nowait(upgrade)
        return await upgrade.answer


class MemoryListener:
    """Where one client connects to."""

    def __init__(self, network: MemoryNetwork, url: str) -> None:
        self.url = url
        self.listening = False
        self.upgrades: asyncio.Queue[MemoryUpgrade] = asyncio.Queue()
        self._network = network

    async def upgrade(self) -> MemoryUpgrade:
        return await self.upgrades.get()

    async def stop_listening(self) -> None:
        self.listening = False

    async def listen(self) -> None:
        self.listening = True

    async def close(self) -> None:
        self.listening = False
