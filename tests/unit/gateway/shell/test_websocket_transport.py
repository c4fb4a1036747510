"""One WebSocket's bytes, against raw sockets."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.eventually import MS, eventually

from gateway.core.client_limits import OutboxLimits
from gateway.core.hub import Hub
from gateway.core.memory_budget import MemoryBudget, Standing
from gateway.core.outbox import Outbox
from gateway.core.websocket import frames
from gateway.core.websocket.limited_reader import CONTROLS_PER_S, InboundLimits
from gateway.shell.event_loop_progress import EventLoopProgress
from gateway.shell.memory_limiter import MemoryLimiter
from gateway.shell.websocket_transport import (
    LATE_BYTES,
    READ_AHEAD,
    TransportContext,
    WebSocketTransport,
    WebSocketViolation,
)
from warren.clock import SystemClock
from warren.metrics import GatewayMetrics

LIMIT = 1_000


class Host:
    """A server whose route keeps its websocket and what it read."""

    def __init__(self) -> None:
        self.websocket: WebSocketTransport
        self.read: list[str | bytes | None] = []
        self.violation: WebSocketViolation | None = None
        self.tidy: bool | None = None
        self.port = 0
        self._here = asyncio.Event()
        self.reads = asyncio.Event()  # cleared: it does something else at present
        self.reads.set()
        self.memory = MemoryLimiter(MemoryBudget(1 << 30), SystemClock(), GatewayMetrics(), Hub())
        self.progress = EventLoopProgress(SystemClock(), self.memory)
        self.over = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        outbox = Outbox(OutboxLimits(10_000, 64 * 1024 * 1024, 64 * 1024 * 1024))
        self.websocket = WebSocketTransport(
            outbox,
            TransportContext(loop.time, 300 * MS, self.progress, self.memory),
            InboundLimits(LIMIT),
            None,
        )
        response = self.websocket.open(request, "")
        self._here.set()
        try:
            while True:
                await self.reads.wait()
                self.read.append(await self.websocket.read())
                if self.read[-1] is None:
                    break
        except WebSocketViolation as violation:
            self.violation = violation
            self.websocket.close(violation.code, str(violation))
            await self.websocket.fail(violation)
        finally:
            self.tidy = self.websocket.finish()
            self.over.set()
        return response

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.wait_for(self._here.wait(), 5)
        return reader, writer


@pytest_asyncio.fixture
async def host() -> AsyncIterator[Host]:
    made = Host()
    app = web.Application()
    app.router.add_get("/ws", made.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    if hasattr(made, "websocket"):
        made.websocket.cut()
        await asyncio.wait_for(made.over.wait(), 5)
    await runner.cleanup()


UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(payload: bytes, opcode: int = frames.TEXT) -> bytes:
    """Return a client's frame (masked with zeros)."""
    size = len(payload)
    head = (
        bytes([0x80 | opcode, 0x80 | size])
        if size < 126
        else struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    )
    return head + b"\0\0\0\0" + payload


async def test_messages_come_in_and_frames_go_out(host: Host):
    """Text comes as str, binary as bytes, and what is on the outbox goes out whole and in order; both are
    counted.
    """
    reader, writer = await host.dial()
    writer.write(masked(b"hello") + masked(b"\xff", frames.BINARY))
    await eventually(lambda: host.read == ["hello", b"\xff"])
    one, two = frames.frame(b"one", frames.TEXT), frames.frame(b"two", frames.TEXT)
    host.websocket.outbox.put(one)
    host.websocket.outbox.put(two + two, count=2)
    host.websocket.flush()
    assert await reader.readexactly(len(one + two + two)) == one + two + two
    assert (host.websocket.bytes_in, host.websocket.messages_out, host.websocket.bytes_out) == (
        6,
        3,
        len(one + two + two),
    )
    writer.close()


async def test_pings_are_answered_and_pongs_are_a_sign_of_life(host: Host):
    """A ping gets a pong with its payload; pings, pongs and messages all set ``heard``."""
    reader, writer = await host.dial()
    for frame in (masked(b"abc", frames.PING), masked(b"", frames.PONG), masked(b"x")):
        host.websocket.heard = False
        writer.write(frame)
        await eventually(lambda: host.websocket.heard)
    assert await reader.readexactly(5) == frames.frame(b"abc", frames.PONG)
    host.websocket.ping()
    assert await reader.readexactly(2) == b"\x89\x00"
    writer.close()


async def test_a_ping_flood_of_a_reader_that_stands_still_is_bounded(host: Host):
    """While the peer reads nothing only its last ping waits for its pong; the rest is not kept."""
    reader, writer = await host.dial()
    reader._transport.pause_reading()
    host.websocket.outbox.put(frames.frame(b"x" * 20_000_000, frames.BINARY))
    host.websocket.flush()
    for number in range(CONTROLS_PER_S):
        writer.write(masked(b"%d" % number, frames.PING))
    writer.write(masked(b"end"))
    await eventually(lambda: host.read == ["end"])
    reader._transport.resume_reading()
    await reader.readexactly(20_000_010)
    assert await reader.readexactly(4) == frames.frame(b"%d" % (CONTROLS_PER_S - 1), frames.PONG)
    writer.close()


@pytest.mark.parametrize(
    ("first", "frame"),
    [
        (b"", masked(b"", frames.PING)),
        (b"", masked(b"", frames.PONG)),
        (b"\x01\x80\0\0\0\0", b"\x00\x80\0\0\0\0"),
    ],
    ids=["pings", "pongs", "empty parts of a message"],
)
async def test_a_flood_of_frames_without_a_byte_ends_the_connection(host: Host, first: bytes, frame: bytes):
    """They are limited like messages, and who floods is not read while its close is on its way."""
    reader, writer = await host.dial()
    writer.write(first + frame * 10 * CONTROLS_PER_S)
    answer = await asyncio.wait_for(reader.read(), 5)
    assert int.from_bytes(answer[answer.index(b"\x88") + 2 :][:2], "big") == 4002
    host.websocket.cut()  # as the deadline of the close would
    writer.close()
    await asyncio.wait_for(host.over.wait(), 5)
    assert host.violation is not None
    assert host.violation.too_much


async def test_what_the_transport_does_not_take_waits_in_the_outbox(host: Host):
    """Beyond the transport's buffer frames stay in the outbox, where its limits count; they follow when the
    peer reads.
    """
    reader, writer = await host.dial()
    reader._transport.pause_reading()
    chunk = frames.frame(b"x" * 100_000, frames.BINARY)
    for _ in range(200):
        host.websocket.outbox.put(chunk)
        host.websocket.flush()
    assert host.websocket.outbox.count > 50
    drained = asyncio.create_task(host.websocket.drained())
    await asyncio.sleep(0)
    assert not drained.done()
    reader._transport.resume_reading()
    assert await reader.readexactly(200 * len(chunk)) == 200 * chunk
    await asyncio.wait_for(drained, 5)
    assert host.websocket.messages_out == 200
    writer.close()


async def test_close_sends_what_waits_then_the_last_words_then_the_close(host: Host):
    """The close frame comes last, after it nothing is written or read, and the peer's answer ends the
    connection.
    """
    reader, writer = await host.dial()
    waiting, last = frames.frame(b"waiting", frames.TEXT), frames.frame(b"last", frames.TEXT)
    host.websocket.outbox.put(waiting)
    host.websocket.close(4005, "Too slow", last_words=last)
    host.websocket.close(4001, "Unauthorized")
    host.websocket.outbox.put(waiting)
    host.websocket.flush()
    host.websocket.ping()
    close = b"\x88\x0a" + struct.pack("!H", 4005) + b"Too slow"
    assert await reader.readexactly(len(waiting + last + close)) == waiting + last + close
    writer.write(masked(b"dropped") + masked(struct.pack("!H", 4005), frames.CLOSE))
    await asyncio.wait_for(host.over.wait(), 5)
    assert host.read == [None]
    assert await reader.read() == b""
    assert (host.websocket.close_code, host.tidy) == (4005, True)
    writer.close()


async def test_it_is_quiet_while_it_is_open_and_read(host: Host):
    """Who rests can't be heard, and who closes has a deadline."""
    _, writer = await host.dial()
    assert host.websocket.quiet
    resting = asyncio.create_task(host.websocket.rest(60.0))
    await eventually(lambda: host.websocket.resting)
    assert not host.websocket.quiet
    host.websocket.end_rest()
    await resting
    assert host.websocket.quiet
    host.websocket.close(1012, "Draining")
    assert not host.websocket.quiet
    writer.close()


async def test_a_close_that_is_not_answered_is_cut(host: Host):
    """When the deadline of the close has passed ``tick`` cuts the socket; before it does not."""
    reader, writer = await host.dial()
    host.websocket.close(1012, "Draining")
    now = asyncio.get_running_loop().time()
    host.websocket.tick(now)
    assert not host.over.is_set()
    host.websocket.tick(now + 1_000)
    await asyncio.wait_for(host.over.wait(), 5)
    assert host.websocket.close_code == 1012
    writer.close()
    assert reader is not None


@pytest.mark.parametrize(
    ("code", "answer", "counted"),
    [
        (b"", b"\x88\x00", 1005),
        (b"\x0f\xa1", b"\x88\x02\x0f\xa1", 4001),
        (b"\x03\xee", b"\x88\x02\x03\xea", 1002),
    ],
)
async def test_the_peers_close_is_answered(host: Host, code: bytes, answer: bytes, counted: int):
    """A close frame is answered with its own code, none with none, and one that nobody may send with 1002."""
    reader, writer = await host.dial()
    writer.write(masked(code, frames.CLOSE))
    assert await reader.read() == answer
    await asyncio.wait_for(host.over.wait(), 5)
    assert host.websocket.close_code == counted
    writer.close()


async def test_a_peer_that_vanishes_counts_as_1006(host: Host):
    """A connection that ends without a close frame has the code 1006."""
    _, writer = await host.dial()
    writer.transport.abort()
    await asyncio.wait_for(host.over.wait(), 5)
    assert (host.read, host.websocket.close_code) == ([None], 1006)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (masked(b"x" * (LIMIT + 1)), 1009),
        (b"\x81\xfe" + struct.pack("!H", 60_000) + b"\0\0\0\0", 1009),
        (
            b"\x01\xfe"
            + struct.pack("!H", 600)
            + b"\0\0\0\0"
            + b"x" * 600
            + b"\x80\xfe"
            + struct.pack("!H", 600),
            1009,
        ),
        (masked("é".encode()[:1]), 1007),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x81\x05hello", 1002),
    ],
)
async def test_a_violation_names_its_code(host: Host, sent: bytes, code: int):
    """What breaks the protocol or the limit is a WebSocketViolation with its code as soon as it can be known,
    and the peer can read it.
    """
    reader, writer = await host.dial()
    writer.write(masked(b"x" * LIMIT) + sent)
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer[0] == 0x88
    assert int.from_bytes(answer[2:4], "big") == code
    writer.close()
    await asyncio.wait_for(host.over.wait(), 5)
    assert host.violation is not None
    assert (host.violation.code, host.violation.too_large) == (code, code == 1009)
    assert host.read == ["x" * LIMIT]


async def test_what_comes_with_the_upgrade_is_not_lost(host: Host):
    """A client may send its first frames without waiting for the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.write(UPGRADE + masked(b"early") + masked(b"later")[:3])
    await reader.readuntil(b"\r\n\r\n")
    writer.write(masked(b"later")[3:])
    await eventually(lambda: host.read == ["early", "later"])
    writer.close()


async def test_a_client_that_sends_ahead_is_read_no_more(host: Host):
    """While nobody asks for messages at most what is read ahead is kept, whatever the frames are like;
    afterwards all of them come.
    """
    _, writer = await host.dial()
    host.reads.clear()
    writer.write(masked(b"first"))
    await eventually(lambda: host.read == ["first"])  # the next one is not asked for
    count = 200_000
    writer.write(masked(b"") * count)
    transport = host.websocket._transport
    await eventually(lambda: not transport.is_reading())
    # and what one call of the socket brings
    assert host.websocket._incoming.parser.waiting <= READ_AHEAD + 256 * 1024
    host.reads.set()
    await eventually(lambda: len(host.read) == count + 1, timeout_s=30)
    assert transport.is_reading()
    writer.close()


async def test_any_byte_is_a_sign_of_life(host: Host):
    """A large message that comes slowly keeps its connection alive before it is whole."""
    _, writer = await host.dial()
    host.websocket.heard = False
    writer.write(masked(b"x" * 500)[:20])
    await eventually(lambda: host.websocket.heard)
    assert host.read == []
    writer.close()


async def test_finish_closes_the_socket_behind_what_waits(host: Host):
    """After the last read the peer still gets what the transport holds, then the end; until then the websocket is
    not finished.
    """
    reader, writer = await host.dial()
    reader._transport.pause_reading()
    host.websocket.outbox.put(frames.frame(b"x" * 20_000_000, frames.BINARY))
    host.websocket.flush()
    writer.write(masked(b"\x03\xe8", frames.CLOSE))
    await asyncio.wait_for(host.over.wait(), 5)
    assert host.tidy is False
    assert not host.websocket.finished(0.0)
    reader._transport.resume_reading()
    data = await asyncio.wait_for(reader.read(), 10)
    assert len(data) == 20_000_010 + 4
    await eventually(lambda: host.websocket.finished(0.0))
    writer.close()


async def test_what_a_websocket_holds_is_counted_while_it_holds_it(host: Host):
    """A part of a message, and what the peer does not take; once both are gone, nothing."""
    reader, writer = await host.dial()
    whole = masked(b"x" * 900)
    writer.write(whole[:700])
    await eventually(lambda: len(host.memory) == 1)
    held = host.websocket.holding()
    assert held is not None
    assert (held.standing, held.receiving, held.sending, held.window) == (Standing.KNOWN, 700, 0, 0)
    reader._transport.pause_reading()
    host.websocket.outbox.put(frames.frame(b"x" * 20_000_000, frames.BINARY))
    host.websocket.flush()
    host.websocket.outbox.put(b"y" * 1_000)
    held = host.websocket.holding()
    assert held is not None
    assert held.sending == 20_001_010
    writer.write(whole[700:])
    reader._transport.resume_reading()
    await reader.readexactly(20_001_010)
    await eventually(lambda: host.websocket.holding() is None)
    host.memory.check()
    assert len(host.memory) == 0
    host.websocket.close(1013, "Overloaded")
    writer.close()


async def test_the_chunk_that_blocks_the_transport_is_held_as_itself(host: Host):
    """Others may hold the same object; it is named with what waits behind it until the transport
    takes more.
    """
    reader, writer = await host.dial()
    reader._transport.pause_reading()
    first, second = frames.frame(b"x" * 20_000_000, frames.BINARY), frames.frame(b"y", frames.BINARY)
    host.websocket.outbox.put(first)
    host.websocket.flush()
    host.websocket.outbox.put(second)
    assert [id(chunk) for chunk in host.websocket.chunks()] == [id(first), id(second)]
    held = host.websocket.holding()
    assert held is not None
    assert held.sending == len(first) + len(second)
    assert held.queue == host.websocket.outbox.overhead > 0
    reader._transport.resume_reading()
    await reader.readexactly(len(first) + len(second))
    await eventually(lambda: not host.websocket._blocked)
    assert list(host.websocket.chunks()) == []
    writer.close()


async def test_a_websocket_that_has_to_go_lets_go_of_everything(host: Host):
    """Half a message and what waits are gone at once; the close is still read by a peer that was not far
    behind.
    """
    reader, writer = await host.dial()
    writer.write(masked(b"x" * 900)[:700])
    await eventually(lambda: host.websocket.holding() is not None)
    host.websocket._blocked = True
    host.websocket.outbox.put(b"y" * 1_000)
    host.websocket.spill()
    assert host.websocket.holding() is None
    host.websocket.close(1013, "Overloaded")
    host.websocket.cut_unless_small()
    writer.write(b"x" * 100)
    assert await reader.readexactly(14) == b"\x88\x0c\x03\xf5Overloaded"
    host.websocket.cut()
    writer.close()


async def test_a_peer_that_is_far_behind_is_cut(host: Host):
    """It would not read why it ends, and what waits for it is what has to go."""
    reader, writer = await host.dial()
    reader._transport.pause_reading()
    host.websocket.outbox.put(frames.frame(b"x" * 20_000_000, frames.BINARY))
    host.websocket.flush()
    host.websocket.spill()
    host.websocket.close(4005, "Too slow")
    host.websocket.cut_unless_small()
    assert host.websocket.holding() is None
    await asyncio.wait_for(host.over.wait(), 5)
    assert host.websocket.close_code == 4005
    reader._transport.resume_reading()
    writer.close()


async def test_others_have_their_turn_while_one_has_sent_very_much(host: Host):
    """Between any sixty-odd frames of one peer the loop turns, whatever they are."""
    _, writer = await host.dial()
    host.reads.clear()
    writer.write(masked(b"first"))
    await eventually(lambda: host.read == ["first"])
    writer.write(masked(b"") * 10_000)
    await eventually(
        lambda: (
            not host.websocket._transport.is_reading() or host.websocket._incoming.parser.waiting == 60_000
        )
    )
    steps: list[int] = []
    turning = asyncio.get_running_loop().call_soon

    def turn() -> None:
        steps.append(len(host.read))
        if len(host.read) < 10_001:
            turning(turn)

    host.reads.set()
    turn()
    await eventually(lambda: len(host.read) == 10_001, timeout_s=20)
    assert max(after - before for before, after in pairwise(steps)) <= 65
    writer.close()


async def test_who_goes_on_sending_after_its_close_is_read_no_more(host: Host):
    """Its answer to the close is waited for within some bytes; what comes beyond them is left in the socket
    until it is cut.
    """
    reader, writer = await host.dial()
    host.websocket.close(4002, "Rate limit exceeded")
    frame = masked(b"x" * 100) * 1_000
    transport = host.websocket._transport
    for _ in range(200):
        writer.write(frame)
    await eventually(lambda: host.websocket._late > LATE_BYTES and not transport.is_reading())
    assert host.websocket._late <= LATE_BYTES + 256 * 1024
    await eventually(lambda: host.websocket._reader.waiting)  # all that was read is dropped, and it stays so
    assert not transport.is_reading()
    host.websocket.cut()
    writer.close()
    await asyncio.wait_for(host.over.wait(), 5)
    assert reader is not None


class FakeSocket:
    """An asyncio transport that keeps what is written, and tells its protocol of the end in a later turn."""

    def __init__(self) -> None:
        self.written = b""
        self.protocol: WebSocketTransport
        self.closing = False

    def write(self, data: bytes) -> None:
        assert not self.closing
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    pause_reading = resume_reading = write_eof


def opcodes(data: bytes) -> list[int]:
    """Return the opcodes of a server's frames, all of them short."""
    found, at = [], 0
    while at < len(data):
        found.append(data[at] & 0x0F)
        at += 2 + data[at + 1]
    assert at == len(data)
    return found


async def walk(moves: list[str]) -> tuple[FakeSocket, WebSocketTransport, list[str | bytes | None]]:
    """Serve one connection as a route does, and have these moves happen to it, some in one turn of the
    loop.
    """
    socket, read, clock = FakeSocket(), [], [0.0]
    memory = MemoryLimiter(MemoryBudget(1 << 30), SystemClock(), GatewayMetrics(), Hub())
    context = TransportContext(lambda: clock[0], 3.0, EventLoopProgress(SystemClock(), memory), memory)
    websocket = WebSocketTransport(Outbox(), context, InboundLimits(LIMIT), None)
    websocket._transport = socket
    socket.protocol = websocket

    async def serve() -> None:
        try:
            while read[-1:] != [None]:
                read.append(await websocket.read())
        except WebSocketViolation as violation:
            if violation.code != 1009:
                websocket.close(violation.code, str(violation))
            await websocket.fail(violation)
        finally:
            await asyncio.sleep(0)  # a route has other things to do first
            await asyncio.sleep(0)
            websocket.finish()

    def put() -> None:
        websocket.put(frames.frame(b"out", frames.TEXT))
        websocket.flush()

    sent = {
        "message": masked(b"in"),
        "ping": masked(b"p", frames.PING),
        "close": masked(b"\x03\xe8", frames.CLOSE),
        "close without a code": masked(b"", frames.CLOSE),
        "violation": b"\x81\x01x",
        "too large": masked(b"x" * (LIMIT + 1)),
    }
    done = {
        "put": put,
        "our ping": websocket.ping,
        "our close": lambda: websocket.close(1012, "Draining", last_words=frames.frame(b"last", frames.TEXT)),
        "blocked": websocket.pause_writing,
        "free": websocket.resume_writing,
        "late": lambda: clock.append(clock.pop() + 2.0) or websocket.tick(clock[0]),
        "lost": socket.close,
    }
    serving = asyncio.get_running_loop().create_task(serve())
    for move in moves:
        if move == "turn":
            await asyncio.sleep(0)
        elif move in sent:
            if not socket.closing:
                websocket.data_received(sent[move])
        else:
            done[move]()
    for _ in range(20):
        await asyncio.sleep(0)
    websocket.cut()
    await asyncio.wait_for(serving, 5)
    return socket, websocket, read


MOVES = (
    *("turn", "message", "ping", "close", "close without a code", "violation", "too large"),
    *("put", "our ping", "our close", "blocked", "free", "late", "lost"),
)


@settings(deadline=None, max_examples=300)
@given(moves=st.lists(st.sampled_from(MOVES), max_size=14))
def test_whatever_happens_one_close_goes_out_and_nothing_behind_it(moves: list[str]):
    """However closes, data, violations, a blocked socket, time-outs and its end follow each other: there is
    at most one Close frame, nothing is written behind it, and no message is handed over after our own.
    """
    socket, websocket, read = asyncio.run(walk(moves))
    written = opcodes(socket.written)
    assert frames.CLOSE not in written[:-1]
    assert websocket.close_code != 0
    if written[-1:] == [frames.CLOSE] and read:
        assert websocket.close_code != 1006
    heard = [move for move in moves if move == "message"]
    assert len([item for item in read if item is not None]) <= len(heard)


@pytest.mark.parametrize(
    ("moves", "written", "read", "code"),
    [
        (["message", "close"], [frames.CLOSE], ["in", None], 1000),
        (["close", "turn", "turn", "our close"], [frames.CLOSE], [None], 1000),
        (["our close", "message", "ping", "close"], [frames.TEXT, frames.CLOSE], [None], 1012),
        (["our close", "turn", "violation", "turn", "late", "late"], [frames.TEXT, frames.CLOSE], [], 1012),
        (["put", "our ping", "violation"], [frames.TEXT, frames.PING, frames.CLOSE], [], 1002),
        (["too large"], [frames.CLOSE], [], 1009),
        (["message", "lost"], [], ["in", None], 1006),
        (["message", "close", "lost"], [], ["in", None], 1000),
        (["our close", "late", "late", "our ping"], [frames.TEXT, frames.CLOSE], [None], 1012),
    ],
)
def test_the_socket_gets_what_the_table_says(
    moves: list[str], written: list[int], read: list[str | bytes | None], code: int
):
    """What was written, what was handed over and the code that counts, for the ways that a connection ends."""
    socket, websocket, items = asyncio.run(walk(moves))
    assert (opcodes(socket.written), items, websocket.close_code) == (written, read, code)


async def test_what_was_read_and_waits_elsewhere_is_counted(host: Host):
    """Until it waits no more, or the connection has to go."""
    _, writer = await host.dial()
    host.websocket.keep(50_000)
    held = host.websocket.holding()
    assert held is not None
    assert (held.receiving, len(host.memory)) == (50_000, 1)
    host.websocket.keep(0)
    assert host.websocket.holding() is None
    host.websocket.keep(50_000)
    host.websocket.spill()
    assert host.websocket.holding() is None
    host.websocket.cut()
    writer.close()
