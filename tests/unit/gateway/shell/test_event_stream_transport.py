"""One event stream's bytes, against raw sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from tests.support.event_stream import Response
from tests.support.eventually import MS, eventually

from gateway.core.client_limits import OutboxLimits
from gateway.core.hub import Hub
from gateway.core.memory_budget import MemoryBudget, Standing
from gateway.core.outbox import Outbox
from gateway.core.sse.position_vector import PositionVector
from gateway.core.websocket.frame_parser import WebSocketViolation
from gateway.settings import TimeSettings
from gateway.shell.event_loop_progress import EventLoopProgress
from gateway.shell.event_stream_transport import (
    ABNORMAL,
    LATE_BYTES,
    NO_CODE,
    EventStreamTransport,
    come_back_ms,
)
from gateway.shell.memory_limiter import MemoryLimiter
from gateway.shell.websocket_transport import TransportContext
from warren.clock import SystemClock
from warren.errors import CloseCode
from warren.metrics import GatewayMetrics

LIMIT = 1_000


class Host:
    """A server whose route keeps its stream and what it read."""

    def __init__(self) -> None:
        self.stream: EventStreamTransport
        self.read: list[str | bytes | None] = []
        self.violation: WebSocketViolation | None = None
        self.port = 0
        self.here = asyncio.Event()
        self.reads = asyncio.Event()  # cleared: it does something else at present
        self.reads.set()
        self.memory = MemoryLimiter(MemoryBudget(1 << 30), SystemClock(), GatewayMetrics(), Hub())
        self.task: asyncio.Task[None] | None = None
        self.responses: list[Response] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        progress = EventLoopProgress(SystemClock(), self.memory)
        now = asyncio.get_running_loop().time
        self.stream = EventStreamTransport(
            Outbox(OutboxLimits(10_000, 64 * 1024 * 1024, 64 * 1024 * 1024)),
            TransportContext(now, 300 * MS, progress, self.memory),
            PositionVector(),
            LIMIT,
        )
        response = self.stream.open(request, (), 5_000)
        self.task = asyncio.create_task(self._run())
        self.here.set()
        return response

    async def _run(self) -> None:
        try:
            while True:
                await self.reads.wait()
                self.read.append(await self.stream.read())
                if self.read[-1] is None:
                    break
        except WebSocketViolation as violation:
            self.violation = violation
            self.stream.close(4003, "too large")
            await self.stream.fail(violation)
        finally:
            self.stream.finish()

    async def dial(self, version: str = "HTTP/1.1") -> Response:
        response = await Response.of(f"http://127.0.0.1:{self.port}/sse", version=version)
        self.responses.append(response)  # its socket would be closed with it
        await asyncio.wait_for(self.here.wait(), 5)
        return response


@pytest_asyncio.fixture
async def host() -> AsyncIterator[Host]:
    made = Host()
    app = web.Application()
    app.router.add_get("/sse", made.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    if made.task is not None:
        made.stream.cut()
        await asyncio.wait_for(made.task, 5)
    await runner.cleanup()


async def everything(response: Response) -> bytes:
    """Return the rest of a body."""
    found = b""
    async with asyncio.timeout(5):
        while data := await response.read():
            found += data
    return found


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
async def test_it_ends_with_a_reason_and_whole(host: Host, version: str):
    """What waits goes first, then the last words and the event; nothing comes behind that."""
    response = await host.dial(version)
    host.stream.put(b"data: 1\n\n")
    host.stream.close(1012, "Draining", last_words=b"data: 2\n\n")
    host.stream.close(4006, "again")
    host.stream.ping()
    host.stream.flush()
    body = await everything(response)
    assert body.index(b"data: 1") < body.index(b"data: 2") < body.index(b"event: close")
    assert body.count(b"event: close") == 1
    said = json.loads(body[body.index(b"{", body.index(b"event: close")) : body.rindex(b"}") + 1])
    assert (said["code"], said["reconnect"]) == (1012, "yes")
    assert said["after_ms"] <= 1_000  # the pod goes, and has spread its clients itself
    assert response.whole
    assert host.stream.close_code == 1012
    assert host.stream.ended
    await asyncio.wait_for(host.task, 5)  # type: ignore[arg-type]
    assert host.read == [None]


def test_a_browser_that_was_cut_off_is_back_before_it_is_seen_to_leave():
    """It has a second to connect and to join, with the settings that everybody has."""
    times = {come_back_ms() for _ in range(1_000)}
    assert len(times) > 100
    assert max(times) <= TimeSettings().grace_ms - 1_000
    assert max(come_back_ms(CloseCode.DRAINING) for _ in range(1_000)) <= 1_000


async def test_messages_of_a_post_are_read_in_order(host: Host):
    """Nothing of a second one until they are read; then they count as read."""
    await host.dial()
    host.reads.clear()
    await asyncio.sleep(0)
    host.stream.post([b"0"])
    await eventually(lambda: host.read == [b"0"])
    host.stream.post([b"1", b"22", b"3"])
    assert host.stream.posted
    holding = host.stream.holding()
    assert holding is not None
    assert (holding.standing, holding.receiving) == (Standing.KNOWN, 4)
    host.reads.set()
    await eventually(lambda: not host.stream.posted)
    assert host.read == [b"0", b"1", b"22", b"3"]
    assert host.stream.bytes_in == 5
    assert host.stream.holding() is None


async def test_a_message_that_is_too_large_ends_it(host: Host):
    """It is told so, and what was posted behind it is dropped."""
    response = await host.dial()
    host.stream.post([b"x" * (LIMIT + 1), b"1"])
    body = await everything(response)
    assert b'"code":4003' in body
    assert host.violation is not None
    assert host.violation.too_large
    assert host.violation.limit == LIMIT
    assert host.read == []


async def test_a_client_that_makes_work_is_read_more_slowly(host: Host):
    """A second of it is more than it has at once; little work costs nothing."""
    await host.dial()
    host.stream.worked(0.0005)
    assert not host.stream._wait_s
    host.stream.worked(1.0)
    assert 5.0 < host.stream._wait_s < 10.0
    host.stream.post([b"1"])
    await eventually(lambda: host.read == [b"1"])
    host.stream.post([b"2"])
    await eventually(lambda: host.stream.resting)
    host.stream.end_rest()
    await eventually(lambda: host.read == [b"1", b"2"])


async def test_what_is_not_taken_waits_and_is_counted(host: Host):
    """In the outbox once the socket takes no more; it goes when it does again, and the reader is alive."""
    response = await host.dial()
    chunk = b"data: " + b"x" * 100_000 + b"\n\n"
    sent = 0
    while host.stream.outbox.idle:
        host.stream.put(chunk)
        host.stream.flush()
        sent += 1
        assert sent < 1_000
    assert host.stream.chunks() == [chunk]
    holding = host.stream.holding()
    assert holding is not None
    assert holding.sending == len(chunk)
    assert holding.queue > 0
    host.stream.heard = False
    host.stream.tick(0.0)
    assert not host.stream.heard
    host.stream.ping()  # not behind what nobody takes
    found = b""
    while found.count(b"data: ") < sent or not found.endswith(b"\n\n"):
        found += await response.read()
    assert found.count(b"\n\n") == sent + 1
    assert host.stream.heard
    assert host.stream.messages_out == sent
    host.stream.heard = False
    host.stream.tick(0.0)
    assert host.stream.heard
    host.stream.ping()
    assert await response.read() == b":\n\n"


async def test_one_that_does_not_take_its_end_is_cut(host: Host):
    """At the deadline."""
    await host.dial()
    chunk = b"data: " + b"x" * 1_000_000 + b"\n\n"
    for _ in range(20):
        host.stream.put(chunk)
        host.stream.flush()
    host.stream.close(1012, "Draining")
    now = asyncio.get_running_loop().time
    host.stream.tick(now())
    assert not host.stream.finished(now())
    host.stream.tick(now() + 1)
    await asyncio.wait_for(host.task, 5)  # type: ignore[arg-type]
    assert host.stream.finished(now())
    assert host.stream.close_code == 1012


async def test_it_is_quiet_while_it_is_known_to_take_what_is_written(host: Host):
    """A tick finds that out where it is not known; a stream that ends is ticked until it has."""
    await host.dial()
    assert host.stream.quiet
    host.stream.heard = False
    assert not host.stream.quiet
    host.stream.tick(0.0)
    assert host.stream.quiet
    host.stream.put(b"data: " + b"x" * 20_000_000 + b"\n\n")
    host.stream.flush()
    assert not host.stream.quiet
    host.stream.close(1012, "Draining")
    assert not host.stream.quiet


async def test_what_a_peer_still_says_is_thrown_away_and_bounded(host: Host):
    """It may be a proxy's; who goes on is cut."""
    response = await host.dial()
    response._writer.write(b"x" * (LATE_BYTES - 1))
    host.stream.put(b"data: 1\n\n")
    host.stream.flush()
    assert b"data: 1" in await response.read() + await response.read()
    response._writer.write(b"xx")
    await asyncio.wait_for(host.task, 5)  # type: ignore[arg-type]
    assert host.stream.close_code == ABNORMAL


@pytest.mark.parametrize(("abort", "code"), [(False, NO_CODE), (True, ABNORMAL)])
async def test_a_peer_that_goes_is_noticed(host: Host, abort: bool, code: int):
    """Whether it closes in order, or breaks off."""
    response = await host.dial()
    if abort:
        opened = response._writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    response._writer.close()
    await asyncio.wait_for(host.task, 5)  # type: ignore[arg-type]
    assert host.read == [None]
    assert host.stream.close_code == code
    assert host.stream.holding() is None


async def test_a_dead_peer_is_tcps_to_notice(host: Host):
    """There is no pong to miss: the kernel ends what does not acknowledge."""
    await host.dial()
    opened = host.stream._transport.get_extra_info("socket")
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("this system has no TCP_USER_TIMEOUT")
    assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5_000


async def test_one_that_holds_too_much_lets_go(host: Host):
    """In both directions; it is cut where it would not read why."""
    await host.dial()
    host.reads.clear()
    await asyncio.sleep(0)
    host.stream.post([b"0"])
    await eventually(lambda: host.read == [b"0"])
    host.stream.post([b"1"])
    host.stream.keep(5)
    for _ in range(30):
        host.stream.put(b"data: " + b"x" * 1_000_000 + b"\n\n")
        host.stream.flush()
    assert not host.stream.outbox.idle
    host.stream.spill()
    assert host.stream.outbox.idle
    assert not host.stream.posted
    assert host.stream.kept == 0
    host.stream.cut_unless_small()
    assert host.stream.holding() is None
    host.reads.set()
