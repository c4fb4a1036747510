"""A scripted AMQP 0-9-1 server on a loopback port: says yes to everything unless the test says otherwise, and
writes down what it got.

It routes nothing and keeps nothing. With it a test sees the very frames of a client, and can answer as no
real broker would on demand.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pamqp.frame
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

_CAPABILITIES = {
    "basic.nack": True,
    "publisher_confirms": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
}
_HEADER_BYTES = 7


@dataclass
class Published:
    """One basic.publish with its content."""

    writer: asyncio.StreamWriter
    channel: int
    tag: int
    method: spec.Basic.Publish
    properties: spec.Basic.Properties
    body: bytes


@dataclass
class AmqpServer:
    """Use it by ``async with``. ``refuse`` maps a method's class to what is answered in the place of yes
    (None: nothing).
    """

    frame_max: int = 131_072
    heartbeat: int = 0
    port: int = 0
    frames: list[tuple[int, Any]] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    refuse: dict[type, Callable[[Any], Any]] = field(default_factory=dict)
    standing: set[str] = field(default_factory=set)  # queues that are there for who only asks
    on_publish: Callable[[Published], None] | None = None
    connections: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _tags: dict[tuple[asyncio.StreamWriter, int], int] = field(default_factory=dict)
    _ended: set[tuple[asyncio.StreamWriter, int]] = field(
        default_factory=set
    )  # channels whose end the client has not confirmed

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def of(self, kind: type) -> list[Any]:
        """Return the methods of one kind that came."""
        return [frame for _, frame in self.frames if isinstance(frame, kind)]

    def declared(self) -> list[spec.Queue.Declare]:
        """Return the declarations of queues that came; who only asked for one did not declare it."""
        return [frame for frame in self.of(spec.Queue.Declare) if not frame.passive]

    def send(self, channel: int, *frames: Any) -> None:
        """Send frames on the newest connection."""
        self._write(self._writers[-1], channel, *frames)

    def raw(self, data: bytes) -> None:
        """Send bytes on the newest connection, whatever they are."""
        self._writers[-1].write(data)

    def answer(self, published: Published, *frames: Any) -> None:
        """Send frames on the channel of a publish."""
        self._write(published.writer, published.channel, *frames)

    def deliver(self, channel: int, tag: int, body: bytes, **properties: Any) -> None:
        """Send one delivery to the channel's consumer."""
        consumer = next(
            frame.consumer_tag
            for number, frame in reversed(self.frames)
            if number == channel and isinstance(frame, spec.Basic.Consume)
        )
        header = ContentHeader(body_size=len(body), properties=spec.Basic.Properties(**properties))
        method = spec.Basic.Deliver(
            consumer_tag=consumer, delivery_tag=tag, redelivered=False, exchange="ex", routing_key="key"
        )
        self.send(channel, method, header, *([ContentBody(body)] if body else []))

    def give_back(self, published: Published) -> None:
        """Return a mandatory message and confirm it, as a broker does."""
        method = spec.Basic.Return(
            312, "NO_ROUTE", published.method.exchange or "", published.method.routing_key or ""
        )
        header = ContentHeader(body_size=len(published.body), properties=published.properties)
        body = [ContentBody(published.body)] if published.body else []
        self.answer(published, method, header, *body, spec.Basic.Ack(published.tag))

    def drop(self) -> None:
        """Break every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.append(writer)
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readexactly(8)
            self._write(
                writer, 0, spec.Connection.Start(0, 9, {"capabilities": _CAPABILITIES}, "PLAIN", "en_US")
            )
            while True:
                head = await reader.readexactly(_HEADER_BYTES)
                rest = await reader.readexactly(int.from_bytes(head[3:7]) + 1)
                _, channel, frame = pamqp.frame.unmarshal(head + rest)
                if isinstance(frame, spec.Basic.Publish):
                    await self._take(reader, writer, channel, frame)
                elif not isinstance(frame, Heartbeat):
                    self.frames.append((channel, frame))
                    if isinstance(frame, spec.Channel.Open):
                        self._tags.pop((writer, channel), None)  # each life of a channel counts from 1
                    self._say(writer, channel, frame)
        writer.transport.abort()

    def _say(self, writer: asyncio.StreamWriter, channel: int, frame: Any) -> None:
        """Answer as a broker does: nothing to who does not wait for it, and nothing behind the end of a
        channel until that is confirmed.
        """
        if isinstance(frame, spec.Channel.CloseOk):
            self._ended.discard((writer, channel))
        answer = None if (writer, channel) in self._ended else self._answer(frame)
        ends = isinstance(answer, spec.Channel.Close)
        if answer is not None and (ends or not getattr(frame, "nowait", False)):
            self._write(writer, channel, answer)
        if ends:
            self._ended.add((writer, channel))

    async def _take(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        channel: int,
        method: spec.Basic.Publish,
    ) -> None:
        parts: list[Any] = []
        body = b""
        while not parts or len(body) < parts[0].body_size:
            head = await reader.readexactly(_HEADER_BYTES)
            size = int.from_bytes(head[3:7])
            assert size + 8 <= (self.frame_max or size + 8), "a frame is larger than was agreed"
            frame = pamqp.frame.unmarshal(head + await reader.readexactly(size + 1))[2]
            if parts:
                body += frame.value
            else:
                parts.append(frame)
        tag = self._tags[writer, channel] = self._tags.get((writer, channel), 0) + 1
        published = Published(writer, channel, tag, method, parts[0].properties, body)
        self.published.append(published)
        if self.on_publish is None:
            self.answer(published, spec.Basic.Ack(published.tag))
        else:
            self.on_publish(published)

    def _answer(self, frame: Any) -> Any:
        if isinstance(frame, spec.Queue.Declare) and frame.passive and frame.queue not in self.standing:
            return spec.Channel.Close(404, "NOT_FOUND - no queue", 50, 10)
        if type(frame) in self.refuse:
            return self.refuse[type(frame)](frame)
        match frame:
            case spec.Connection.StartOk():
                return spec.Connection.Tune(2047, self.frame_max, self.heartbeat)
            case spec.Connection.Open():
                return spec.Connection.OpenOk()
            case spec.Connection.Close():
                return spec.Connection.CloseOk()
            case spec.Channel.Open():
                return spec.Channel.OpenOk()
            case spec.Channel.Close():
                return spec.Channel.CloseOk()
            case spec.Confirm.Select():
                return spec.Confirm.SelectOk()
            case spec.Exchange.Declare():
                return spec.Exchange.DeclareOk()
            case spec.Exchange.Bind():
                return spec.Exchange.BindOk()
            case spec.Exchange.Delete():
                return spec.Exchange.DeleteOk()
            case spec.Queue.Declare(queue=queue):
                return spec.Queue.DeclareOk(queue or "", 0, 0)
            case spec.Queue.Bind():
                return spec.Queue.BindOk()
            case spec.Basic.Qos():
                return spec.Basic.QosOk()
            case spec.Basic.Consume(consumer_tag=tag):
                return spec.Basic.ConsumeOk(tag or "")
            case _:
                return None

    @staticmethod
    def _write(writer: asyncio.StreamWriter, channel: int, *frames: Any) -> None:
        writer.write(b"".join(pamqp.frame.marshal(frame, channel) for frame in frames))
