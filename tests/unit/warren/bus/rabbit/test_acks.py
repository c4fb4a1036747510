"""AckBuffer: when the broker is told of acks. What it is told, frame by frame: test_rabbit_channel.py."""

import asyncio
from dataclasses import dataclass, field

import pamqp.frame
import pytest
from pamqp import commands as spec

from warren.bus.rabbit.acks import ACK_S, ACKS, AckBuffer


@dataclass
class Transport:
    written: list[bytes] = field(default_factory=list)
    closing: bool = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closing


@dataclass
class Socket:
    transport: Transport = field(default_factory=Transport)

    def write(self, data: bytes) -> None:
        self.transport.write(data)


@pytest.fixture
def socket() -> Socket:
    return Socket()


def buffer(socket: Socket, prefetch: int, deliveries: int = 64) -> AckBuffer:
    made = AckBuffer(socket, 1)  # type: ignore[arg-type]
    made.begin(prefetch)
    for tag in range(1, deliveries + 1):
        made.delivered(tag)
    return made


def told(socket: Socket) -> list[tuple[str, int]]:
    frames = [pamqp.frame.unmarshal(data)[2] for data in socket.transport.written]
    return [(type(frame).__name__, frame.delivery_tag) for frame in frames]


async def test_a_consumer_may_wait_longer(socket: Socket) -> None:
    """Acks that may wait longer are told with those that come meanwhile; a quarter of the prefetch goes at
    once all the same.
    """
    made = AckBuffer(socket, 1)  # type: ignore[arg-type]
    made.begin(16, 10 * ACK_S)
    for tag in range(1, 6):
        made.delivered(tag)
    for tag in (1, 2, 3):
        made.settle(tag, None)
        await asyncio.sleep(ACK_S)
    assert told(socket) == []
    made.settle(4, None)
    await asyncio.sleep(0)
    assert told(socket) == [("Ack", 4)]
    made.settle(5, None)
    await asyncio.sleep(ACK_S)
    assert told(socket) == [("Ack", 4)]
    await asyncio.sleep(11 * ACK_S)
    assert told(socket) == [("Ack", 4), ("Ack", 5)]


async def test_acks_wait_for_others(socket: Socket) -> None:
    """Few acks of a consumer that gets many are told a little later, in one frame."""
    made = buffer(socket, 64)
    for tag in (1, 2, 3):
        made.settle(tag, None)
        await asyncio.sleep(0)
    assert told(socket) == []
    await asyncio.sleep(2 * ACK_S)
    assert told(socket) == [("Ack", 3)]
    await asyncio.sleep(2 * ACK_S)
    assert len(told(socket)) == 1


async def test_many_acks_wait_no_longer(socket: Socket) -> None:
    """A full hand of acks goes in the next turn."""
    made = buffer(socket, 4 * ACKS)
    for tag in range(1, ACKS + 1):
        made.settle(tag, None)
    await asyncio.sleep(0)
    assert told(socket) == [("Ack", ACKS)]


@pytest.mark.parametrize("prefetch", [1, 2, 4, 7])
async def test_who_gets_few_at_a_time_waits_for_no_other(socket: Socket, prefetch: int) -> None:
    """Where the broker hands over few deliveries at a time, an ack goes in the next turn, or nothing more
    would come.
    """
    buffer(socket, prefetch).settle(1, None)
    await asyncio.sleep(0)
    assert told(socket) == [("Ack", 1)]


async def test_a_reject_waits_for_nothing(socket: Socket) -> None:
    """A reject goes in the next turn, and takes the acks along."""
    made = buffer(socket, 64)
    made.settle(1, None)
    made.settle(2, True)
    await asyncio.sleep(0)
    frames = b"".join(socket.transport.written)
    assert frames.count(b"\xce") == 2
    assert pamqp.frame.unmarshal(frames)[2].name == spec.Basic.Reject.name


async def test_nothing_is_told_after_the_end(socket: Socket) -> None:
    """After ``end``, and where the socket is going, an ack is told to nobody."""
    made = buffer(socket, 64)
    made.settle(1, None)
    made.end()
    made.settle(2, None)
    other = buffer(socket, 64)
    other.settle(1, None)
    socket.transport.closing = True
    other.tell()
    await asyncio.sleep(2 * ACK_S)
    assert told(socket) == []
