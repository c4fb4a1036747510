"""RabbitConnection: aiormq's connection, past which the busy frames go straight to their channel.

Deliveries, returned messages and confirms come by the thousand, and aiormq decodes each frame into an
object and wakes two tasks for it. Here the socket's protocol cuts the stream into frames, offers each to
the channel that it is for, in the turn in which it came, and passes on what that does not take, byte for
byte, to the stream that aiormq reads. It keeps no frame but an unfinished one, and decides nothing about
them. What can't be read ends the connection, with MalformedFrame as the reason.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from math import inf
from struct import Struct
from typing import Any, Protocol, cast

from aiormq.exceptions import AMQPConnectionError
from yarl import URL

from warren.bus.rabbit import frames as frames
from warren.bus.rabbit.aiormq_internals import HookedConnection, Streams
from warren.bus.rabbit.frames import MalformedFrame

READ_BYTES = 1024 * 1024  # what of aiormq's own frames is read ahead
OUT_BYTES = 64 * 1024  # so much does not wait for the end of a turn of the loop
ALIVE_S = 1.0  # how often aiormq hears that frames have come which it did not see
_HEAD = Struct(">BHI")  # type, channel, size (AMQP 0-9-1, 4.2.3)
_HEAD_BYTES = 7
_END = 0xCE
_KINDS = (frames.METHOD, frames.HEADER, frames.BODY, 8)  # the last: heartbeats
_PROTOCOL = b"AMQP"  # what a broker says instead of a frame where it speaks another version
FRAME_BYTES = 131_072  # the largest frame until another size is agreed; RabbitMQ's own
_HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"


class FrameSink(Protocol):
    """What a channel's frames are offered to."""

    def take(self, kind: int, data: bytes, at: int, end: int) -> bool:
        """Handle the frame of type ``kind`` whose payload is ``data[at:end]``; False where it is aiormq's to
        deal with. Raises MalformedFrame, and nothing else.
        """
        ...


class Socket(asyncio.StreamReaderProtocol):
    """The protocol of one connection's socket."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        """``reader`` is what aiormq reads."""
        super().__init__(reader, loop=loop)
        self.sinks: dict[int, FrameSink] = {}
        self.writable = True  # the transport takes more
        self.frame_bytes = FRAME_BYTES  # the largest frame, with its head and end
        self.transport: asyncio.Transport
        self._loop = loop
        self._reader = reader
        self._broken = False
        self._buffer = b""
        self._yielding = False
        self._ending = False  # nothing more comes, and nothing rests
        self._told_at = 0.0
        self._waiting: list[asyncio.Future[None]] = []
        self._out: list[bytes] = []  # what goes at the end of this turn of the loop
        self._out_bytes = 0

    # ── in ──────────────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Handle received bytes."""
        if self._broken:
            return
        self._buffer = self._buffer + data if self._buffer else data
        if not self._yielding:
            self._cut()

    def eof_received(self) -> bool | None:
        """Handle the end of what is received."""
        self._finish()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle connection loss."""
        self._finish()
        super().connection_lost(exc)
        self.writable = False
        self._wake()

    def yield_turn(self) -> None:
        """Give the event loop a turn before the next frame: the last one took long."""
        if not self._yielding and not self._ending:
            self._yielding = True
            self._loop.call_soon(self._go_on)

    def _finish(self) -> None:
        """Give out all that is left: aiormq takes nothing behind the end."""
        self._ending, self._yielding = True, False
        self._cut()

    def _go_on(self) -> None:
        self._yielding = False
        self._cut()

    def _cut(self) -> None:
        """Give out the whole frames of what has come, until one has taken long."""
        try:
            self._give_out()
        except MalformedFrame as error:  # where the next frame begins is not known: nothing more can be read
            self._broken, self._buffer = True, b""
            self._reader.set_exception(error)
            self.transport.abort()

    def _give_out(self) -> None:
        buffer, at, taken = self._buffer, 0, False
        length = len(buffer)
        while length - at >= _HEAD_BYTES and not self._yielding:
            kind, channel, size = _HEAD.unpack_from(buffer, at)
            if kind not in _KINDS or size + _HEAD_BYTES + 1 > self.frame_bytes:
                raise MalformedFrame(_no_head(buffer[at : at + _HEAD_BYTES], self.frame_bytes))
            begin = at + _HEAD_BYTES
            end = begin + size
            if end >= length:
                break
            if buffer[end] != _END:
                raise MalformedFrame(f"a frame of {size} bytes without its end")
            sink = self.sinks.get(channel)
            if sink is not None and sink.take(kind, buffer, begin, end):
                taken = True
            else:
                frames.check(buffer[at : end + 1])
                super().data_received(buffer[at : end + 1])
            at = end + 1
        self._buffer = buffer[at:] if at else buffer
        if taken:
            self._tell_alive()

    def _tell_alive(self) -> None:
        """Show aiormq, which counts the seconds since the last frame, that one has come: the broker sends
        no heartbeats while it sends other frames.
        """
        now = self._loop.time()
        if now - self._told_at >= ALIVE_S:
            self._told_at = now
            super().data_received(_HEARTBEAT)

    # ── out ─────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, data: bytes) -> None:
        """Write what comes in one turn of the loop together, at its end: each write is a system call, and
        wakes the broker.
        """
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(data)
        self._out_bytes += len(data)
        if self._out_bytes >= OUT_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits for the end of the turn."""
        out, self._out, self._out_bytes = self._out, [], 0
        if out and not self.transport.is_closing():
            self.transport.write(b"".join(out))

    def pause_writing(self) -> None:
        """Handle a full write buffer."""
        super().pause_writing()
        self.writable = False

    def resume_writing(self) -> None:
        """Handle a write buffer that has drained."""
        super().resume_writing()
        self.writable = True
        self._wake()

    def drained(self) -> asyncio.Future[None]:
        """Return a future that is done once the transport takes more, or the socket has gone."""
        future = self._loop.create_future()
        if self.writable or self.transport.is_closing():
            future.set_result(None)
        else:
            self._waiting.append(future)
        return future

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class Writer(asyncio.StreamWriter):
    """Writes aiormq's own frames, behind what was written before them."""

    def __init__(self, socket: Socket, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        """``socket`` is connected, and ``reader`` is what aiormq reads."""
        super().__init__(socket.transport, socket, reader, loop)
        self._socket = socket

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write a frame."""
        self._socket.flush()
        super().write(data)

    def writelines(self, data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Write frames."""
        self._socket.flush()
        super().writelines(data)

    def write_eof(self) -> None:
        """Say that nothing more comes."""
        self._socket.flush()
        super().write_eof()

    def close(self) -> None:
        """Close the socket once all is written."""
        self._socket.flush()
        super().close()


def _no_head(head: bytes, most: int) -> str:
    if head.startswith(_PROTOCOL):
        return "the broker speaks another version of AMQP than 0-9-1"
    kind, _, size = _HEAD.unpack(head)
    return f"a frame of type {kind} with {size} bytes; at most {most} were agreed"


class RabbitConnection(HookedConnection):
    """One connection, not connected yet. ``connect`` raises what aiormq does."""

    def __init__(self, url: URL | str) -> None:
        """``url`` is ``amqp://`` or ``amqps://``, with aiormq's options."""
        self._socket: Socket | None = None
        self._number = 0  # of the channel that was opened last
        self.confirmed_at = -inf  # when the broker has answered a publish last, by the loop's clock
        super().__init__(url, self._open_socket)

    async def _open_socket(self, url: URL, tls: ssl.SSLContext | None) -> Streams:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_BYTES, loop=loop)
        socket = Socket(reader, loop)
        await loop.create_connection(lambda: socket, host=url.host or "", port=url.port or 0, ssl=tls)
        self._socket = socket
        return reader, Writer(socket, reader, loop)

    async def connect(self, client_properties: dict[str, Any] | None = None) -> bool:
        """Connect, and hold the broker to the size of frames that was agreed."""
        made: bool = await super().connect(client_properties)
        self.socket.frame_bytes = self.frame_bytes
        return made

    @property
    def socket(self) -> Socket:
        """The socket. Raises AMQPConnectionError where there was none yet."""
        if self._socket is None:
            raise AMQPConnectionError("not connected")
        return self._socket

    def free_number(self) -> int:
        """Return the number for the next channel: one that none has had for as long as can be, so that
        nothing which the broker still says on a former one meets another channel. Raises AMQPConnectionError
        where none is free.
        """
        self._number = self.next_number(self._number)
        return self._number

    def abort(self) -> None:
        """End it at once, though the peer does not answer."""
        if self._socket is not None:
            self._socket.transport.abort()
