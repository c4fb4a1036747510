"""RabbitConnection's socket: frames are cut out of whatever pieces come, and go to their channel or to
aiormq.
"""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any

import pamqp.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from tests.support.amqp_server import AmqpServer
from tests.support.eventually import eventually

from warren.bus import Source
from warren.bus.rabbit.bus import ConnectionTimes, RabbitBus
from warren.bus.rabbit.channel import RabbitChannel
from warren.bus.rabbit.connection import OUT_BYTES, RabbitConnection, Socket, Writer
from warren.bus.rabbit.frames import MalformedFrame
from warren.topology import Topology


@dataclass
class Channel:
    """Takes content, and writes down what it was offered."""

    socket: Socket | None = None
    offered: list[tuple[int, bytes]] = field(default_factory=list)

    def take(self, kind: int, data: bytes, at: int, end: int) -> bool:
        self.offered.append((kind, data[at:end]))
        if self.socket is not None:
            self.socket.yield_turn()
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
    """However the bytes are cut, each frame is offered once and whole, and what is not taken goes on as it
    came.
    """
    channel = socket.sinks[1] = Channel()
    stream = OPEN + HEADER + BODY + OTHER + OPEN + BODY
    for at in range(0, len(stream), piece):
        socket.data_received(stream[at : at + piece])
    assert channel.offered == [
        (kind, frame[7:-1]) for kind, frame in ((1, OPEN), (2, HEADER), (3, BODY), (1, OPEN), (3, BODY))
    ]
    assert passed.data.replace(HEARTBEAT, b"") == OPEN + OTHER + OPEN


class Transport(asyncio.Transport):
    """One that is only ever ended."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def write(self, data: Any) -> None:
        pass


HUGE = b"\x03\x00\x01\x7f\xff\xff\xff"


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (BODY[:-1] + b"\x00", "a frame of 4 bytes without its end"),
        (b"\x05" + BODY[1:], "a frame of type 5 with 4 bytes; at most 131072 were agreed"),
        (HUGE, "a frame of type 3 with 2147483647 bytes; at most 131072 were agreed"),
        (b"AMQP\x00\x01\x00\x00", "the broker speaks another version of AMQP than 0-9-1"),
        (b"HTTP/1.1 400 Bad Request\r\n", "a frame of type 72 with"),
        (b"\x01\x00\x02\x00\x00\x00\x02\x00\x14\xce", "a frame of type 1 can't be decoded: "),
    ],
)
async def test_what_is_no_frame_ends_the_connection(
    socket: Socket, passed: Passed, stream: bytes, why: str
) -> None:
    """It is offered to nobody, the reason is told in words, and what comes after it is not kept."""
    channel = socket.sinks[1] = Channel()
    socket.transport = transport = Transport()
    socket.data_received(BODY + stream)
    socket.data_received(BODY * 1_000)
    assert channel.offered == [(3, BODY[7:-1])]
    assert transport.aborted
    error = passed.exception()
    assert isinstance(error, MalformedFrame)
    assert str(error).startswith(why)


async def test_a_frame_that_is_too_large_is_refused_by_its_head(socket: Socket, passed: Passed) -> None:
    """Nothing of it is kept; the agreed size counts."""
    socket.transport = Transport()
    socket.frame_bytes = 4_096
    socket.data_received(pamqp.frame.marshal(ContentBody(b"x" * 4_088), 1))
    assert passed.exception() is None
    socket.data_received(pamqp.frame.marshal(ContentBody(b"x" * 4_089), 1)[:7])
    assert isinstance(passed.exception(), MalformedFrame)


CONTENT = (
    pamqp.frame.marshal(spec.Basic.Deliver("ctag", 7, False, "exchange", "key"), 1) + HEADER + BODY,
    pamqp.frame.marshal(spec.Basic.Return(312, "NO_ROUTE", "exchange", "key"), 1) + HEADER + BODY,
    pamqp.frame.marshal(spec.Basic.Ack(3, True), 1),
    pamqp.frame.marshal(spec.Basic.Nack(3, False), 1),
    pamqp.frame.marshal(spec.Channel.Close(404, "NOT_FOUND", 60, 40), 1),
    pamqp.frame.marshal(spec.Queue.DeclareOk("q", 1, 1), 1),
)
FRAMES = [
    frame
    for stream in CONTENT
    for frame in re.findall(rb"(?s)[\x01-\x03]\x00\x01.*?\xce(?=[\x01-\x03]\x00\x01|$)", stream)
]
# A frame, how much of its payload is left, and a bit that is turned.
GARBLED = st.tuples(st.sampled_from(FRAMES), st.integers(0, 60), st.integers(0, 8 * 60))


def garbled(frame: bytes, left: int, bit: int) -> bytes:
    """Return a frame that is shorter, but whole in itself, with one bit turned."""
    payload = bytearray(frame[7:-1][:left])
    if bit < 8 * len(payload):
        payload[bit // 8] ^= 1 << bit % 8
    return frame[:3] + len(payload).to_bytes(4, "big") + bytes(payload) + frame[-1:]


async def takes(streams: list[bytes]) -> None:
    async with AmqpServer() as server:
        connection = RabbitConnection(server.url)
        await connection.connect()
        for stream in streams:
            channel = await RabbitChannel.opened(connection)
            reader = Passed()
            socket = Socket(reader, asyncio.get_running_loop())
            socket.transport = Transport()
            socket.sinks[1] = channel
            socket.data_received(stream)
            assert reader.exception() is None or isinstance(reader.exception(), MalformedFrame)
        await connection.close()


@given(st.lists(st.lists(GARBLED, min_size=1, max_size=5), min_size=1, max_size=20))
@settings(max_examples=30)
def test_whatever_is_cut_short_or_garbled_nothing_but_the_named_error_comes_out(
    cases: list[list[tuple[bytes, int, int]]],
) -> None:
    """In any order and combination, and frames that are whole among them."""
    asyncio.run(takes([b"".join(garbled(*each) for each in case) for case in cases]))


@given(st.sampled_from(CONTENT), st.integers(0, 200), st.binary(max_size=64))
@settings(max_examples=60)
def test_any_bytes_are_taken_or_refused(stream: bytes, at: int, more: bytes) -> None:
    """A stream that turns into something else anywhere."""
    asyncio.run(takes([stream[:at] + more + stream[at:]]))


async def test_a_malformed_frame_is_one_line_and_another_connection(
    server: AmqpServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The bus says what was wrong, without a traceback, and goes on with a new connection."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    topology = Topology(shards=1)
    bus = RabbitBus([server.url], topology, name="unit", times=ConnectionTimes(first_pause_s=0.01))
    await bus.start()
    await bus.subscribe(lambda: Source(topology.notify_queue()), lambda _: None, prefetch=1)
    told: list[bool] = []
    bus.watch(told.append)
    before = server.connections
    # a basic.deliver that ends in its first field
    server.raw(b"\x01\x00\x01\x00\x00\x00\x05\x00\x3c\x00\x3c\xff\xce")
    await eventually(lambda: server.connections == before + 1)
    await eventually(lambda: told[-1:] == [True])
    lines = [record.getMessage() for record in caplog.records if "is gone" in record.getMessage()]
    assert len(lines) == 1
    assert "MalformedFrame: a frame ends in the middle of a field" in lines[0]
    assert not any(record.exc_info for record in caplog.records)
    assert faults == []
    await bus.close()


async def test_a_rest_leaves_the_loop_its_turn_and_loses_nothing(socket: Socket) -> None:
    """After ``rest`` the next frame is taken in a later turn, also where more comes meanwhile."""
    channel = socket.sinks[1] = Channel(socket)
    socket.data_received(BODY * 2)
    assert len(channel.offered) == 1
    socket.data_received(BODY)
    assert len(channel.offered) == 1
    await eventually(lambda: len(channel.offered) == 3)


@pytest.mark.parametrize("end", ["eof_received", "connection_lost"])
async def test_the_end_waits_for_no_rest(socket: Socket, passed: Passed, end: str) -> None:
    """What had come before the socket's end is given out before it: aiormq may be told there why, and takes
    nothing after it.
    """
    channel = socket.sinks[1] = Channel(socket)
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
    socket.sinks[1] = Channel()
    socket.data_received(BODY * 50)
    socket.data_received(BODY * 50)
    assert passed.data == HEARTBEAT


async def test_deliveries_alone_keep_a_connection(server: AmqpServer) -> None:
    """A broker that sends nothing but deliveries for longer than its heartbeats would allow is
    not given up.
    """
    server.heartbeat = 1
    connection = RabbitConnection(server.url + "?heartbeat=1")
    await connection.connect()
    await connection.connected.wait()
    connection.socket.sinks[1] = Channel()
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
    assert socket.drained().done()
    socket.pause_writing()
    waiting = socket.drained()
    assert (socket.writable, waiting.done()) == (False, False)
    socket.resume_writing()
    await waiting
    socket.pause_writing()
    last = socket.drained()
    connection.abort()
    async with asyncio.timeout(5):
        await last
    assert not socket.writable
    await connection.close()


class Written(asyncio.Transport):
    """A transport that writes down what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.ended = ""

    def write(self, data: bytes) -> None:
        assert not self.ended
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def write_eof(self) -> None:
        self.ended = "eof"


@pytest.fixture
def written(socket: Socket) -> Written:
    transport = Written()
    socket.connection_made(transport)
    return transport


async def test_what_is_written_in_one_turn_of_the_loop_goes_in_one_write(
    socket: Socket, written: Written
) -> None:
    """Together, in their order, at its end; the next turn begins again."""
    for turn in range(2):
        del written.writes[:]
        for each in (b"a", b"b", b"c", b"d"):
            socket.write(each)
        assert written.writes == [], turn
        await asyncio.sleep(0)
        assert written.writes == [b"abcd"], turn
    await asyncio.sleep(0)
    assert written.writes == [b"abcd"]


async def test_much_does_not_wait_for_the_end_of_a_turn(socket: Socket, written: Written) -> None:
    """So what waits is bounded, and the transport can say that it is full."""
    chunk = b"x" * (OUT_BYTES // 4)
    for _ in range(9):
        socket.write(chunk)
    assert list(map(len, written.writes)) == [OUT_BYTES, OUT_BYTES]
    socket.write(b"y")
    await asyncio.sleep(0)
    assert list(map(len, written.writes)) == [OUT_BYTES, OUT_BYTES, len(chunk) + 1]


async def test_what_aiormq_writes_goes_behind_what_was_written_before(
    socket: Socket, written: Written, passed: Passed
) -> None:
    """A frame that ends a channel must not overtake a publish on it; an end of the connection loses nothing
    that was written.
    """
    writer = Writer(socket, passed, asyncio.get_running_loop())
    for each in (b"1", b"2"):
        socket.write(each)
    writer.write(b"close")
    socket.write(b"3")
    writer.writelines([b"4", b"5"])
    socket.write(b"6")
    assert b"".join(written.writes) == b"12close345"
    writer.close()
    assert b"".join(written.writes) == b"12close3456"
    await asyncio.sleep(0)
    assert written.ended == "closed"


async def test_what_waits_for_a_socket_that_has_gone_is_dropped(socket: Socket, written: Written) -> None:
    """Its channels say that nothing was confirmed."""
    socket.write(b"1")
    await asyncio.sleep(0)
    socket.write(b"2")
    written.close()
    await asyncio.sleep(0)
    assert written.writes == [b"1"]


async def test_the_end_of_what_we_send_comes_last(socket: Socket, written: Written, passed: Passed) -> None:
    """What waits goes before it."""
    writer = Writer(socket, passed, asyncio.get_running_loop())
    socket.write(b"1")
    socket.write(b"2")
    writer.write_eof()
    assert (written.writes, written.ended) == ([b"12"], "eof")
    await asyncio.sleep(0)
