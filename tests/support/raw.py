"""Raw sockets: a client that sends what no library would, and one in a thread of its own, which goes on while
the loop under test stands still.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterable

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


async def ask(port: int, data: bytes) -> str:
    """Send a request, and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        async with asyncio.timeout(5):
            return (await reader.read()).decode()
    finally:
        writer.close()


def masked(payload: bytes, opcode: int = 1, *, fin: bool = True, bits: int = 0) -> bytes:
    """Return a client's frame, masked with zeros."""
    size, first = len(payload), bytes([0x80 * fin | bits | opcode])
    if size < 126:
        return first + bytes([0x80 | size]) + bytes(4) + payload
    if size < 65_536:
        return first + struct.pack("!BH", 0x80 | 126, size) + bytes(4) + payload
    return first + struct.pack("!BQ", 0x80 | 127, size) + bytes(4) + payload


def close_of(data: bytes) -> int:
    """Return the code of the close frame in what a server sent, which consists of whole frames; 0: there is
    none.
    """
    at = data.index(b"\r\n\r\n") + 4 if data.startswith(b"HTTP/") else 0
    while at + 2 <= len(data):
        size, begin = data[at + 1], at + 2
        if size == 126:
            size, begin = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, begin = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        if data[at] == 0x88:
            return int.from_bytes(data[begin : begin + 2], "big")
        at = begin + size
    return 0


class Pacer(threading.Thread):
    """A client in a thread that sends frames at a pace; ``code`` is that of the close frame it could read, 0:
    none.
    """

    def __init__(self, port: int, frames: Iterable[bytes], every_s: float, path: str = "/ws") -> None:
        super().__init__(daemon=True)
        self._frames = list(frames)
        self._every_s = every_s
        self._path = path
        self._port = port
        self.code = 0
        self.received = b""

    def run(self) -> None:
        """Send all of them, read what comes until then, and end."""
        with socket.create_connection(("127.0.0.1", self._port)) as one:
            one.sendall(UPGRADE.format(path=self._path, more="").encode())
            one.settimeout(10)
            try:
                self.received += one.recv(65_536)
                began = time.monotonic()
                for number, frame in enumerate(self._frames):
                    time.sleep(max(0.0, began + number * self._every_s - time.monotonic()))
                    one.sendall(frame)
                one.settimeout(0.5)
                while data := one.recv(65_536):
                    self.received += data
            except OSError:  # nothing more comes, or the other end has cut it
                pass
        self.code = close_of(self.received)
