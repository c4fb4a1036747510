"""A TCP proxy that misbehaves on demand, to stand between a service and its broker or a client and its
gateway.

The test itself watches the far end on a connection of its own, so that what it sees is not what it disturbs.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Self

_CHUNK = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on a loopback port of its own (which it keeps when cut) and forwards to a target. Use it by
    ``async with``.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        """Nothing listens before ``start``."""
        self.target_host = target_host
        self.target_port = target_port
        self.host = "127.0.0.1"
        self.port = 0
        self.accepted = 0  # connections since the start
        self.forwarded_bytes = 0  # both directions, since the start
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._bytes_per_s: float | None = None
        self._delay_s = 0.0

    @property
    def connections(self) -> int:
        """How many connections are open through it now."""
        return len(self._links)

    async def start(self) -> None:
        """Listen; the first time on a free port, later on the same one."""
        if self._server is None:
            self._server = await asyncio.start_server(self._link, self.host, self.port, reuse_address=True)
            self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Reset all connections and refuse new ones until ``restore``."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()
        # whoever calls has it in black and white: nothing is open any more
        await asyncio.gather(*self._links, return_exceptions=True)

    async def restore(self) -> None:
        """Accept again on the same port, at full speed."""
        self.slow()
        await self.start()

    def reset(self) -> None:
        """Reset all connections (RST, as when a peer's machine goes); new ones are still accepted."""
        for task, writers in list(self._links.items()):
            for writer in writers:
                _reset(writer)
            task.cancel()

    def stall(self) -> None:
        """Keep and accept connections but forward nothing, as a dead network does; ``slow()`` or ``restore``
        ends it.
        """
        self._flowing.clear()

    def slow(self, bytes_per_s: float | None = None, delay_s: float = 0.0) -> None:
        """Limit each direction of each connection, and hold each chunk back for ``delay_s``; no argument:
        full speed.
        """
        self._bytes_per_s = bytes_per_s
        self._delay_s = delay_s
        self._flowing.set()

    async def close(self) -> None:
        """Cut for good."""
        await self.cut()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        writers = self._links[task] = [writer]
        try:
            try:
                far_reader, far_writer = await asyncio.open_connection(self.target_host, self.target_port)
            except OSError:
                return
            writers.append(far_writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, far_writer))
                pumps.create_task(self._pump(far_reader, writer))
        except* (OSError, asyncio.CancelledError):
            pass  # a side that breaks is what a proxy sees every day
        finally:
            for each in writers:
                _reset(each)
            del self._links[task]

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await self._flowing.wait()
            limit = self._bytes_per_s
            data = await reader.read(_CHUNK if limit is None else max(1, min(_CHUNK, int(limit / 20))))
            await self._flowing.wait()
            if pause_s := self._delay_s + (len(data) / self._bytes_per_s if self._bytes_per_s else 0.0):
                await asyncio.sleep(pause_s)
            if not data:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            writer.write(data)
            self.forwarded_bytes += len(data)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
