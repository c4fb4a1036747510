"""RabbitLane: one channel for reading and writing, lost once."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from pamqp import commands as spec
from tests.support.amqp_server import AmqpServer
from tests.support.eventually import eventually

from warren.bus.rabbit_connection import RabbitConnection
from warren.bus.rabbit_lane import RabbitLane
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.topology import Queue

SHARD = Queue("shard", "quorum")


class Bench:
    """A lane on a scripted server."""

    def __init__(self, server: AmqpServer) -> None:
        self.server = server
        self.lost: list[bool] = []
        self.ended: list[RabbitLane] = []
        self.lane: RabbitLane

    async def open(self, connection: RabbitConnection) -> None:
        self.lane = await RabbitLane.opened(connection, lambda: self.lost.append(True), self.ended.append)


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    async with AmqpServer() as server:
        connection = RabbitConnection(server.url)
        await connection.connect()
        await connection.connected.wait()
        bench = Bench(server)
        await bench.open(connection)
        yield bench
        await bench.lane.close()
        await connection.close()


async def test_it_consumes_and_appends_on_one_channel(bench: Bench) -> None:
    """The consumer and the log's publishes are on one and the same channel, and the log's are mandatory and persistent."""
    bodies: list[bytes] = []
    await bench.lane.consume(SHARD, lambda delivery: bodies.append(delivery.body), prefetch=3)
    bench.server.deliver(1, 1, b"x")
    await eventually(lambda: bodies == [b"x"])
    await bench.lane.append("log", b"record")
    published = bench.server.published[0]
    assert (published.channel, published.method.exchange, published.method.routing_key) == (1, "", "log")
    assert published.method.mandatory
    assert published.properties.delivery_mode == 2
    assert bench.server.of(spec.Basic.Qos)[0].prefetch_count == 3
    assert len(bench.server.of(spec.Channel.Open)) == 1


async def test_an_append_says_what_became_of_it(bench: Bench) -> None:
    """A nacked append is NotConfirmed and a returned one Unroutable; the lane lives on."""
    bench.server.on_publish = lambda published: bench.server.send(1, spec.Basic.Nack(published.tag))
    with pytest.raises(NotConfirmed):
        await bench.lane.append("log", b"x")
    bench.server.on_publish = bench.server.give_back
    with pytest.raises(Unroutable):
        await bench.lane.append("log", b"x")
    bench.server.on_publish = None
    await bench.lane.append("log", b"x")
    assert bench.lost == []


async def test_a_channel_that_ends_is_a_lost_lane(bench: Bench) -> None:
    """When the broker closes the channel the owner is told once, and every call raises BusUnavailable."""
    await bench.lane.consume(SHARD, lambda _: None, prefetch=1)
    bench.server.send(1, spec.Channel.Close(406, "PRECONDITION_FAILED", 0, 0))
    await eventually(lambda: bench.lost == [True])
    with pytest.raises(BusUnavailable):
        await bench.lane.append("log", b"x")
    with pytest.raises(BusUnavailable):
        await bench.lane.consume(SHARD, lambda _: None, prefetch=1)
    await bench.lane.close()
    assert bench.lost == [True]
    assert bench.ended == [bench.lane]


async def test_a_cancelled_consumer_is_a_lost_lane(bench: Bench) -> None:
    """When the broker cancels the consumer the whole channel goes: who can't read must not write."""
    await bench.lane.consume(SHARD, lambda _: None, prefetch=1)
    bench.server.send(1, spec.Basic.Cancel(bench.server.of(spec.Basic.Consume)[0].consumer_tag))
    await eventually(lambda: bench.lost == [True])
    assert len(bench.server.of(spec.Channel.Close)) == 1


async def test_closing_is_no_loss(bench: Bench) -> None:
    """A lane that its owner closes tells nobody of a loss, and does nothing more."""
    await bench.lane.close()
    assert bench.lost == []
    assert bench.ended == [bench.lane]
    with pytest.raises(BusUnavailable):
        await bench.lane.append("log", b"x")
