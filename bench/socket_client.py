"""A WebSocket client with little overhead, so that the load generator is not what is measured.

It knows RFC 6455 and nothing of Warren's code: frames in, frames out, masked with a zero key (allowed by
section 5.3; it leaves the bytes unchanged). One asyncio protocol for each connection, no task, no queue. It
answers pings. It is for benchmarks only: no fragmentation, no extensions.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

OnText = Callable[["SocketClient", bytes], None]

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class SocketClient(asyncio.Protocol):
    """One connection; ``on_text`` gets each data frame's bytes."""

    def __init__(self, url: str, on_text: OnText, *, subprotocol: str = "warren.v1") -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._subprotocol = subprotocol
        self._on_text = on_text
        self._buffer = bytearray()
        self._upgraded = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.close_code = 1006
        self.transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, url: str, on_text: OnText, *, subprotocol: str = "warren.v1") -> SocketClient:
        """Connect and upgrade. Raises ConnectionError if the server refuses.

        Whoever gives up waiting leaves no connection behind.
        """
        client = cls(url, on_text, subprotocol=subprotocol)
        await asyncio.get_running_loop().create_connection(lambda: client, client.host, client.port)
        try:
            await client.opened
        except asyncio.CancelledError:
            client.close()
            raise
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast(
            "asyncio.Transport", transport
        )  # uvloop's transport does not inherit from it
        key = base64.b64encode(os.urandom(16)).decode()
        protocol = f"Sec-WebSocket-Protocol: {self._subprotocol}\r\n" if self._subprotocol else ""
        transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{protocol}\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if not self._upgraded:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            status = bytes(buffer[: buffer.find(b"\r\n")]).decode()
            if " 101 " not in status + " ":
                self._refuse(ConnectionError(status))
                return
            del buffer[: end + 4]
            self._upgraded = True
            if not self.opened.done():
                self.opened.set_result(None)
        position, size = 0, len(buffer)
        while size - position >= 2:
            length = buffer[position + 1] & 0x7F
            start = position + 2
            if length == 126:
                if size - position < 4:
                    break
                length = int.from_bytes(buffer[position + 2 : position + 4], "big")
                start = position + 4
            elif length == 127:
                if size - position < 10:
                    break
                length = int.from_bytes(buffer[position + 2 : position + 10], "big")
                start = position + 10
            if size - start < length:
                break
            opcode = buffer[position] & 0x0F
            payload = bytes(buffer[start : start + length])
            position = start + length
            if opcode in (TEXT, BINARY):
                self._on_text(self, payload)
            elif opcode == PING:
                self.send(payload, PONG)
            elif opcode == PONG:
                self.ponged(payload)
            elif opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
                if self.transport is not None:
                    self.transport.close()
        del buffer[:position]

    def connection_lost(self, exc: Exception | None) -> None:
        self._refuse(exc or ConnectionError("closed before the upgrade"))
        if not self.closed.done():
            self.closed.set_result(self.close_code)

    def _refuse(self, error: Exception) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)
        if self.transport is not None:
            self.transport.close()

    def ponged(self, payload: bytes) -> None:
        """Handle a pong. To be overridden by clients that send pings."""

    def send(self, payload: bytes, opcode: int = TEXT) -> None:
        """Send one frame."""
        assert self.transport is not None
        length = len(payload)
        if length < 126:
            head = bytes((0x80 | opcode, 0x80 | length))
        elif length < 65536:
            head = bytes((0x80 | opcode, 0x80 | 126)) + length.to_bytes(2, "big")
        else:
            head = bytes((0x80 | opcode, 0x80 | 127)) + length.to_bytes(8, "big")
        self.transport.write(head + b"\0\0\0\0" + payload)

    def close(self) -> None:
        """Close without a closing handshake."""
        if self.transport is not None:
            self.transport.close()
