"""Server: the sockets of the kit on real TCP, by the sans-I/O protocol of the package websockets.

That gives what a server for applications hides: fragments, control frames between them, silence on an open
connection, ends without a close frame. It decides nothing about Warren.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from warren_conformance.codec import SUBPROTOCOLS
from warren_conformance.sockets import Asked, Incoming

_READ: Final = 65_536
_MESSAGE_MAX: Final = 16 << 20
_CLOSING_S: Final = 2.0
_quiet = logging.getLogger("warren_conformance.websockets")
_quiet.setLevel(logging.CRITICAL)


class TcpSocket:
    """One WebSocket on TCP."""

    def __init__(
        self, protocol: ServerProtocol, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._protocol = protocol
        self._reader = reader
        self._writer = writer
        self._events: list[Incoming] = []
        self._parts: list[bytes] = []
        self._is_text = False
        self._frozen = asyncio.Event()
        self._ended = False
        self.subprotocol: str = protocol.subprotocol or SUBPROTOCOLS[0]
        self.compressed = bool(protocol.extensions)

    async def receive(self) -> Incoming:
        """Return what came next."""
        while not self._events:
            if self._frozen.is_set() or self._ended:
                await asyncio.Future()  # nothing comes any more
            try:
                data = await self._reader.read(_READ)
            except OSError:
                data = b""
            if self._frozen.is_set():
                continue
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            for event in self._protocol.events_received():
                self._take(event)
            await self._flush()
            if self._protocol.parser_exc is not None and not isinstance(self._protocol.parser_exc, EOFError):
                self._end(Incoming("closed", code=1002, fault=str(self._protocol.parser_exc)))
            elif not data:
                self._end(Incoming("closed", code=1006))
        return self._events.pop(0)

    async def send(self, data: str | bytes) -> None:
        """Send one message."""
        if self._is_over:
            return
        if isinstance(data, str):
            self._protocol.send_text(data.encode("utf-8", "surrogatepass"))
        else:
            self._protocol.send_binary(data)
        await self._flush()

    async def send_fragments(self, parts: Sequence[bytes], *, text: bool, ping: bytes | None = None) -> None:
        """Send one message in several frames."""
        if self._is_over:
            return
        for index, data in enumerate(parts):
            last = index == len(parts) - 1
            if index:
                self._protocol.send_continuation(data, fin=last)
            elif text:
                self._protocol.send_text(data, fin=last)
            else:
                self._protocol.send_binary(data, fin=last)
            if ping is not None and not last:
                self._protocol.send_ping(ping)
            await self._flush()

    async def ping(self, data: bytes) -> None:
        """Send a WebSocket ping."""
        if not self._is_over:
            self._protocol.send_ping(data)
            await self._flush()

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame; a client that does not answer it is cut off after a while."""
        if self._is_over:
            return
        self._protocol.send_close(code, reason)
        await self._flush()
        asyncio.get_running_loop().call_later(_CLOSING_S, self.cut)

    def cut(self) -> None:
        """End the connection without a close frame."""
        with contextlib.suppress(Exception):
            self._writer.transport.abort()

    def freeze(self) -> None:
        """Read and answer nothing more."""
        self._frozen.set()
        with contextlib.suppress(RuntimeError):
            self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    @property
    def _is_over(self) -> bool:
        return self._ended or self._frozen.is_set() or self._protocol.state.name != "OPEN"

    def _take(self, event: object) -> None:
        if not isinstance(event, Frame):
            return
        if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if event.opcode is not Opcode.CONT:
                self._is_text = event.opcode is Opcode.TEXT
            self._parts.append(bytes(event.data))
            if event.fin:
                self._message()
        elif event.opcode is Opcode.PING:
            self._events.append(Incoming("ping", bytes(event.data)))
        elif event.opcode is Opcode.PONG:
            self._events.append(Incoming("pong", bytes(event.data)))
        elif event.opcode is Opcode.CLOSE:
            received = self._protocol.close_rcvd
            self._end(Incoming("closed", code=received.code if received else 1005))

    def _message(self) -> None:
        data = b"".join(self._parts)
        self._parts = []
        if not self._is_text:
            self._events.append(Incoming("message", data))
            return
        try:
            self._events.append(Incoming("message", data.decode()))
        except UnicodeDecodeError:
            self._end(Incoming("closed", code=1007, fault="a text frame that is not UTF-8"))

    def _end(self, event: Incoming) -> None:
        if not self._ended:
            self._ended = True
            self._events.append(event)

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            with contextlib.suppress(OSError, RuntimeError):
                if data:
                    self._writer.write(data)
                elif self._writer.can_write_eof():
                    self._writer.write_eof()
        with contextlib.suppress(OSError):
            await self._writer.drain()


class TcpUpgrade:
    """A client that asks for a WebSocket on TCP."""

    def __init__(
        self,
        protocol: ServerProtocol,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._protocol = protocol
        self._request = request
        self._reader = reader
        self._writer = writer
        headers = request.headers
        offered = ",".join(headers.get_all("Sec-WebSocket-Protocol")).split(",")
        self.asked = Asked(
            request.path,
            tuple(each.strip() for each in offered if each.strip()),
            ", ".join(headers.get_all("Sec-WebSocket-Extensions")),
            headers.get("Authorization", ""),
        )

    async def accept(self) -> TcpSocket:
        """Switch protocols."""
        response = self._protocol.accept(self._request)
        self._protocol.send_response(response)
        await self._write()
        socket = TcpSocket(self._protocol, self._reader, self._writer)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            fault = (
                f"an upgrade that was refused with {response.status_code}: {bytes(response.body or b'')!r}"
            )
            socket._end(Incoming("closed", code=1006, fault=fault))  # noqa: SLF001
        return socket

    async def refuse(self, status: int, reason: str, retry_after_s: int | None = None) -> None:
        """Answer with an error."""
        response = self._protocol.reject(HTTPStatus(status), reason)
        if retry_after_s is not None:
            response.headers["Retry-After"] = str(retry_after_s)
        self._protocol.send_response(response)
        await self._write()
        with contextlib.suppress(OSError):
            self._writer.close()

    async def _write(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)
        with contextlib.suppress(OSError):
            await self._writer.drain()


class TcpListener:
    """A port of its own for one client under test."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self._port = 0
        self._server: asyncio.Server | None = None
        self._upgrades: asyncio.Queue[TcpUpgrade] = asyncio.Queue()
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""

    async def upgrade(self) -> TcpUpgrade:
        """Return the next client that asks for a WebSocket."""
        return await self._upgrades.get()

    async def listen(self) -> None:
        """Accept TCP connections."""
        self._server = await asyncio.start_server(self._opened, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://{self._host}:{self._port}/ws"

    async def stop_listening(self) -> None:
        """Refuse TCP connections from now on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def close(self) -> None:
        """End all connections."""
        await self.stop_listening()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        protocol = ServerProtocol(
            extensions=[ServerPerMessageDeflateFactory(server_no_context_takeover=True)],
            subprotocols=[Subprotocol(each) for each in SUBPROTOCOLS],
            select_subprotocol=_select,
            max_size=_MESSAGE_MAX,
            logger=_quiet,
        )
        try:
            while not (events := protocol.events_received()):
                data = await reader.read(_READ)
                if not data or protocol.handshake_exc is not None:
                    writer.transport.abort()
                    return
                protocol.receive_data(data)
        except OSError:
            return
        request = events[0]
        if isinstance(request, Request):
            self._upgrades.put_nowait(TcpUpgrade(protocol, request, reader, writer))


def _select(_protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Choose the first that the server knows; who offers none gets none."""
    return next((each for each in offered if each in SUBPROTOCOLS), None)
