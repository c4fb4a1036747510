"""Accepting: no more sockets than allowed, each counted until it is closed, and one too many is told so."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.eventually import eventually
from tests.support.gateways import logged

from warren.accept_limit import Acceptor
from warren.listen_sockets import open_sockets

REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Port:
    """A port that echoes, and how many it has refused."""

    def __init__(self, most: int = 0) -> None:
        self.sockets = open_sockets("127.0.0.1", 0)
        self.number = int(self.sockets[0].getsockname()[1])
        self.refused = 0
        self.acceptor = Acceptor(self.sockets, Echo, most=most, refusal=REFUSAL, refused=self._count)

    def _count(self) -> None:
        self.refused += 1

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.number)

    async def echoed(self) -> asyncio.StreamWriter:
        reader, writer = await self.connect()
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        return writer


@asynccontextmanager
async def port(most: int = 0) -> AsyncIterator[Port]:
    made = Port(most)
    made.acceptor.start(128)
    yield made
    made.acceptor.close()
    await eventually(lambda: made.acceptor.open == 0)


async def test_each_socket_is_counted_until_it_is_closed() -> None:
    """Whoever closes it, and in whatever way."""
    async with port() as there:
        writers = [await there.echoed() for _ in range(4)]
        assert there.acceptor.open == 4
        writers[0].close()
        writers[1].write_eof()
        writers[2].transport.abort()
        await eventually(lambda: there.acceptor.open == 1)
        writers[3].close()
        for writer in writers:
            writer.close()


async def test_one_too_many_is_answered_and_closed_and_the_next_finds_its_place() -> None:
    """Those who are there do not notice, and each refusal is counted."""
    async with port(most=3) as there:
        writers = [await there.echoed() for _ in range(3)]
        for _ in range(20):
            reader, writer = await there.connect()
            assert await reader.read() == REFUSAL
            writer.close()
        assert (there.acceptor.open, there.refused) == (3, 20)
        writers.pop().close()
        await eventually(lambda: there.acceptor.open == 2)
        writers.append(await there.echoed())
        for writer in writers:
            writer.close()


async def test_it_is_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """Not for each of those who come: that many lines would be an attack of their own."""
    caplog.set_level(logging.WARNING)
    async with port(most=1) as there:
        writer = await there.echoed()
        for _ in range(20):
            reader, other = await there.connect()
            await reader.read()
            other.close()
        writer.close()
    (line,) = logged(caplog.records, "no_more_connections")
    assert line["sockets"] == 1
    assert "ulimit" in line["hint"]


class Exhausted:
    """A listening socket of a process that has no file left, until it has."""

    def __init__(self, inner: socket.socket, times: int) -> None:
        self.inner = inner
        self.times = times

    def accept(self) -> tuple[socket.socket, object]:
        if self.times:
            self.times -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self.inner.accept()

    def fileno(self) -> int:
        return self.inner.fileno()

    def setblocking(self, flag: bool) -> None:
        self.inner.setblocking(flag)

    def listen(self, backlog: int) -> None:
        self.inner.listen(backlog)

    def close(self) -> None:
        self.inner.close()


async def test_without_a_file_it_rests_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """A port that can't accept does not spin, says so, and serves those who waited as soon as it can."""
    caplog.set_level(logging.WARNING)
    (real,) = open_sockets("127.0.0.1", 0)
    number = int(real.getsockname()[1])
    acceptor = Acceptor([Exhausted(real, 2)], Echo)  # type: ignore[list-item]
    acceptor.start(16)
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    writer.write(b"x")
    assert await reader.readexactly(1) == b"x"
    (line,) = logged(caplog.records, "no_file_for_a_connection")
    assert line["reason"] == "Too many open files"
    writer.close()
    await eventually(lambda: acceptor.open == 0)
    acceptor.close()


async def test_it_ends_while_it_rests() -> None:
    """Nothing is left behind."""
    (real,) = open_sockets("127.0.0.1", 0)
    number = int(real.getsockname()[1])
    exhausted = Exhausted(real, 1_000)
    acceptor = Acceptor([exhausted], Echo)  # type: ignore[list-item]
    acceptor.start(16)
    _, writer = await asyncio.open_connection("127.0.0.1", number)
    await eventually(lambda: exhausted.times < 1_000)
    acceptor.close()
    writer.close()


async def test_a_protocol_that_cannot_be_made_ends_its_socket_alone() -> None:
    """As when the server has just stopped."""

    def stopped() -> asyncio.Protocol:
        raise ConnectionAbortedError("the server has stopped")

    (real,) = open_sockets("127.0.0.1", 0)
    number = int(real.getsockname()[1])
    acceptor = Acceptor([real], stopped)
    acceptor.start(16)
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    assert await reader.read() == b""
    writer.close()
    assert acceptor.open == 0
    acceptor.close()
