"""RabbitConnection's socket: frames are cut out of whatever pieces come, and go to their channel or to aiormq."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pamqp.frame
import pytest
import pytest_asyncio
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from tests.support.amqp_server import AmqpServer
from tests.support.eventually import eventually

from warren.bus.rabbit_connection import RabbitConnection, Socket


@pytest_asyncio.fixture
async def server() -> AsyncIterator[AmqpServer]:
    async with AmqpServer() as server:
        yield server


@dataclass
class Channel:
    """Takes content, and writes down what it was offered."""

    socket: Socket | None = None
    offered: list[tuple[int, bytes]] = field(default_factory=list)

    def take(self, kind: int, data: bytes, at: int, end: int) -> bool:
        self.offered.append((kind, data[at:end]))
        if self.socket is not None:
            self.socket.rest()
        return kind != 1


class Passed(asyncio.StreamReader):
    """What aiormq would read."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def feed_data(self, data: bytes) -> None:
        assert not self._eof
        self.data += data


@pytest.fixture
async def passed() -> Passed:
    return Passed()


@pytest.fixture
async def socket(passed: Passed) -> Socket:
    return Socket(passed, asyncio.get_running_loop())


OPEN = pamqp.frame.marshal(spec.Channel.OpenOk(), 1)
BODY = pamqp.frame.marshal(ContentBody(b"body"), 1)
HEADER = pamqp.frame.marshal(ContentHeader(0, 4, spec.Basic.Properties()), 1)
OTHER = pamqp.frame.marshal(ContentBody(b"other"), 2)
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"


@pytest.mark.parametrize("piece", [1, 3, 7, 8, 9, 20, 1_000])
async def test_frames_come_in_any_pieces(socket: Socket, passed: Passed, piece: int) -> None:
    """However the bytes are cut, each frame is offered once and whole, and what is not taken goes on as it came."""
    channel = socket.takers[1] = Channel()
    stream = OPEN + HEADER + BODY + OTHER + OPEN + BODY
    for at in range(0, len(stream), piece):
        socket.data_received(stream[at : at + piece])
    assert channel.offered == [
        (kind, frame[7:-1]) for kind, frame in ((1, OPEN), (2, HEADER), (3, BODY), (1, OPEN), (3, BODY))
    ]
    assert passed.data.replace(HEARTBEAT, b"") == OPEN + OTHER + OPEN


async def test_what_is_no_frame_is_for_aiormq(socket: Socket, passed: Passed) -> None:
    """A frame without its end octet is not offered: aiormq says what is wrong, and ends the connection."""
    channel = socket.takers[1] = Channel()
    broken = BODY[:-1] + b"\x00"
    socket.data_received(broken)
    assert (channel.offered, passed.data) == ([], broken)


async def test_a_rest_leaves_the_loop_its_turn_and_loses_nothing(socket: Socket) -> None:
    """After ``rest`` the next frame is taken in a later turn, also where more comes meanwhile."""
    channel = socket.takers[1] = Channel(socket)
    socket.data_received(BODY * 2)
    assert len(channel.offered) == 1
    socket.data_received(BODY)
    assert len(channel.offered) == 1
    await eventually(lambda: len(channel.offered) == 3)


@pytest.mark.parametrize("end", ["eof_received", "connection_lost"])
async def test_the_end_waits_for_no_rest(socket: Socket, passed: Passed, end: str) -> None:
    """What had come before the socket's end is given out before it: aiormq may be told there why, and takes nothing after it."""
    channel = socket.takers[1] = Channel(socket)
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    socket.data_received(BODY * 3 + OPEN)
    assert len(channel.offered) == 1
    if end == "eof_received":
        socket.eof_received()
    else:
        socket.connection_lost(None)
    assert len(channel.offered) == 4
    assert passed.data == HEARTBEAT + OPEN
    await asyncio.sleep(0.01)
    assert faults == []


async def test_aiormq_sees_that_the_broker_lives(socket: Socket, passed: Passed) -> None:
    """Frames that go past aiormq count as signs of life, told as heartbeats, not more than one a second."""
    socket.takers[1] = Channel()
    socket.data_received(BODY * 50)
    socket.data_received(BODY * 50)
    assert passed.data == HEARTBEAT


async def test_deliveries_alone_keep_a_connection(server: AmqpServer) -> None:
    """A broker that sends nothing but deliveries for longer than its heartbeats would allow is not given up."""
    server.heartbeat = 1
    connection = RabbitConnection(server.url + "?heartbeat=1")
    await connection.connect()
    await connection.connected.wait()
    connection.socket.takers[1] = Channel()
    until = asyncio.get_running_loop().time() + 6
    while asyncio.get_running_loop().time() < until:
        server.send(1, ContentBody(b"x"))
        await asyncio.sleep(0.05)
        assert not connection.is_closed
    await connection.close()


async def test_who_waits_for_place_is_woken(server: AmqpServer) -> None:
    """``place`` is done when the transport takes more, and when the socket goes."""
    connection = RabbitConnection(server.url)
    await connection.connect()
    socket = connection.socket
    assert socket.place().done()
    socket.pause_writing()
    waiting = socket.place()
    assert (socket.writable, waiting.done()) == (False, False)
    socket.resume_writing()
    await waiting
    socket.pause_writing()
    last = socket.place()
    connection.abort()
    async with asyncio.timeout(5):
        await last
    assert not socket.writable
    await connection.close()
