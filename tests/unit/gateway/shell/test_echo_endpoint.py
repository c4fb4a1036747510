"""The echo route."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.outbox import Outbox, Put
from gateway.core.websocket import frames
from gateway.shell.echo_endpoint import Echo
from gateway.shell.websocket_transport import WebSocketViolation


class ListTransport:
    """A transport that reads from a list and writes to one."""

    def __init__(self, *incoming: object) -> None:
        self.outbox = Outbox()
        self.incoming = [*incoming, None]
        self.written: list[bytes] = []
        self.waits: list[int] = []
        self.closed: tuple[int, str] | None = None
        self.heard = True
        self.ended = self.resting = False
        self.pings = 0
        self.lingered = False

    async def read(self):
        item = self.incoming.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def put(self, chunk: bytes) -> Put:
        return self.outbox.put(chunk)

    def flush(self) -> None:
        self.written += self.outbox.take(1_000_000)

    async def drained(self) -> None:
        self.waits.append(len(self.written))

    def close(self, code: int, reason: str) -> None:
        self.closed, self.ended = (code, reason), True

    async def fail(self, violation: WebSocketViolation) -> None:
        self.lingered = True

    def tick(self, now: float) -> None:
        pass

    def ping(self) -> None:
        self.pings += 1


def echo(transport: ListTransport, *, window: frames.Window = frames.PLAIN) -> Echo:
    return Echo(transport, window=window, heartbeat_s=30.0, now=0.0)  # type: ignore[arg-type]


async def test_text_comes_back_as_text_and_binary_as_binary():
    """Each message comes back as it was, and the next is read only when it is on its way."""
    transport = ListTransport("é", b"\x00", "")
    await echo(transport).run()
    assert transport.written == [
        frames.frame("é".encode(), frames.TEXT),
        frames.frame(b"\x00", frames.BINARY),
        frames.frame(b"", frames.TEXT),
    ]
    assert transport.waits == [1, 2, 3]


@pytest.mark.parametrize("window", [frames.SMALL_WINDOW, frames.FULL_WINDOW])
async def test_it_compresses_where_that_was_negotiated(window: frames.Window):
    """With deflate a long message comes back compressed, in the window that was negotiated."""
    transport = ListTransport("x" * 1_000)
    await echo(transport, window=window).run()
    assert transport.written == [frames.frame(b"x" * 1_000, frames.TEXT, window)]
    assert len(transport.written[0]) < 100


async def test_breaches_are_closed_with_their_code():
    """Too much is 4003 here as elsewhere; a broken frame has its own code."""
    for violation, closed in (
        (WebSocketViolation(1009, "big"), (4003, "Message too large")),
        (WebSocketViolation(1002, "bad"), (1002, "bad")),
    ):
        transport = ListTransport(violation)
        await echo(transport).run()
        assert (transport.closed, transport.lingered) == (closed, True)


async def test_it_pings_and_ends_what_is_dead():
    """A peer without a sign of life since the last ping is ended with 4004; one with a sign is
    pinged again.
    """
    transport = ListTransport()
    guest = echo(transport)
    guest.tick(29.9)
    assert transport.pings == 0
    guest.tick(30.0)
    transport.heard = True
    guest.tick(60.0)
    assert (transport.pings, transport.closed) == (2, None)
    guest.tick(90.0)
    assert transport.closed == (4004, "Heartbeat missed")
    guest.tick(120.0)
    assert transport.pings == 2
    await asyncio.sleep(0)
