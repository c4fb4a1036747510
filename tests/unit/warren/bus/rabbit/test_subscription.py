"""RabbitSubscription: it comes back, under new names, and stays away once it is closed."""

import itertools
from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio
from pamqp import commands as spec
from tests.support.amqp_server import AmqpServer
from tests.support.eventually import eventually

from warren.bus import Source
from warren.bus.consumer import Consumer
from warren.bus.rabbit.connection import RabbitConnection
from warren.bus.rabbit.subscription import RabbitSubscription
from warren.bus.rabbit.supervised_connection import (
    ClientProfile,
    ConnectionListener,
    ConnectionTimes,
    SupervisedConnection,
)
from warren.errors import BusUnavailable
from warren.topology import Topology

TIMES = ConnectionTimes(first_pause_s=0.01, longest_pause_s=0.05)
NOT_FOUND = spec.Channel.Close(404, "NOT_FOUND", 0, 0)


class Bench:
    """One subscription on a link to a scripted server."""

    def __init__(self, server: AmqpServer, link: SupervisedConnection) -> None:
        self.server = server
        self.link = link
        self.moments: list[str] = []
        self.closed: list[RabbitSubscription] = []
        self.retired: list[str] = []
        self.refusals = 0
        topology = Topology(shards=1)
        names = itertools.count(1)
        consumer = Consumer(
            lambda: Source(*topology.gateway_queue("g", str(next(names)))),
            lambda delivery: self.moments.append(delivery.body.decode()),
            5,
            lambda: self.moments.append("start"),
            lambda: self.moments.append("lost"),
        )
        self.subscription = RabbitSubscription(
            link, topology, consumer, on_close=self.closed.append, retire=self.retire
        )

    async def retire(self, queue: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise BusUnavailable("not now")
        self.retired.append(queue)


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    async with AmqpServer() as server:

        async def up(connection: RabbitConnection) -> None:
            link.adopt(connection)

        link = SupervisedConnection(
            "test", [server.url], ClientProfile("unit", TIMES, Random(1)), ConnectionListener(up)
        )
        link.start()
        await eventually(lambda: link.connection is not None)
        bench = Bench(server, link)
        yield bench
        await bench.subscription.close()
        await link.close()


def consumed(bench: Bench) -> list[str]:
    return [frame.queue for frame in bench.server.of(spec.Basic.Consume)]


async def test_an_exclusive_queue_is_declared_bound_and_consumed(bench: Bench) -> None:
    """Beginning declares the queue as exclusive and auto-delete, binds its guard exchange by each of its keys, and
    consumes it with its prefetch.
    """
    await bench.subscription.begin()
    await bench.subscription.begin()  # it is so already
    queue = "warren.gateway.g.1"
    declared = bench.server.of(spec.Queue.Declare)
    assert [(frame.queue, frame.exclusive, frame.auto_delete, frame.durable) for frame in declared] == [
        (queue, True, True, False)
    ]
    (guard,) = bench.server.of(spec.Exchange.Declare)
    assert (guard.exchange, guard.exchange_type, guard.auto_delete, guard.durable) == (
        queue,
        "fanout",
        True,
        False,
    )
    assert [(frame.exchange, frame.queue) for frame in bench.server.of(spec.Queue.Bind)] == [(queue, queue)]
    keys = [
        (frame.source, frame.destination, frame.routing_key) for frame in bench.server.of(spec.Exchange.Bind)
    ]
    assert keys == [("warren.egress", queue, "g"), ("warren.egress", queue, "all")]
    assert bench.server.of(spec.Basic.Qos)[0].prefetch_count == 5
    assert consumed(bench) == [queue]
    assert bench.subscription.active
    assert bench.subscription.queue == queue
    assert bench.moments == ["start"]


async def test_a_durable_queue_gets_the_bindings_of_the_topology() -> None:
    """A durable queue is declared with its kind, and bound again as the topology says."""
    async with AmqpServer() as server:

        async def up(connection: RabbitConnection) -> None:
            link.adopt(connection)

        topology = Topology(shards=2)
        link = SupervisedConnection(
            "test", [server.url], ClientProfile("unit", TIMES, Random(1)), ConnectionListener(up)
        )
        link.start()
        await link.attempted()
        source = Source(topology.notify_queue())

        async def retire(queue: str) -> None:
            raise AssertionError(f"{queue} is durable")

        subscription = RabbitSubscription(
            link,
            topology,
            Consumer(lambda: source, lambda _: None, 1),
            on_close=lambda _: None,
            retire=retire,
        )
        await subscription.begin()
        declared = server.of(spec.Queue.Declare)[0]
        assert (declared.durable, declared.exclusive, declared.arguments["x-queue-type"]) == (
            True,
            False,
            "quorum",
        )
        assert [(frame.exchange, frame.routing_key) for frame in server.of(spec.Queue.Bind)] == [
            (topology.notify, "#")
        ]
        await subscription.close()
        await link.close()


async def test_a_channel_that_the_broker_ends_is_made_again(bench: Bench) -> None:
    """When the broker closes the channel the owner is told, and a new queue is consumed."""
    await bench.subscription.begin()
    bench.server.send(1, NOT_FOUND)
    await eventually(lambda: bench.moments == ["start", "lost", "start"])
    assert consumed(bench) == ["warren.gateway.g.1", "warren.gateway.g.2"]
    assert bench.subscription.queue == "warren.gateway.g.2"


async def test_the_doors_of_former_queues_are_closed(bench: Bench) -> None:
    """As soon as a new queue is consumed the former one's guard exchange is deleted, tried until the broker does it."""
    bench.refusals = 2
    await bench.subscription.begin()
    assert bench.retired == []
    bench.server.send(1, NOT_FOUND)
    await eventually(lambda: bench.retired == ["warren.gateway.g.1"])
    bench.subscription.renew()
    await eventually(lambda: bench.retired == ["warren.gateway.g.1", "warren.gateway.g.2"])


async def test_a_renewed_queue_has_another_name(bench: Bench) -> None:
    """Renewing ends the channel and consumes another queue; while nothing is consumed it does nothing."""
    bench.subscription.renew()
    assert bench.moments == []
    await bench.subscription.begin()
    bench.subscription.renew()
    await eventually(lambda: bench.moments == ["start", "lost", "start"])
    assert bench.subscription.queue == "warren.gateway.g.2"
    await eventually(lambda: bench.retired == ["warren.gateway.g.1"])


async def test_a_consumer_that_the_broker_cancels_is_made_again(bench: Bench) -> None:
    """When the broker cancels the consumer its channel is closed and a new queue is consumed."""
    await bench.subscription.begin()
    bench.server.send(1, spec.Basic.Cancel(bench.server.of(spec.Basic.Consume)[0].consumer_tag))
    await eventually(lambda: bench.moments == ["start", "lost", "start"])
    assert len(bench.server.of(spec.Channel.Close)) == 1


async def test_a_failing_begin_is_tried_again_with_pauses(bench: Bench) -> None:
    """As long as the broker refuses the consumer it is tried again; nobody is told of a start or a loss
    meanwhile.
    """
    bench.server.refuse[spec.Basic.Consume] = lambda _: NOT_FOUND
    with pytest.raises(BusUnavailable):
        await bench.subscription.begin()
    bench.subscription.revive()
    await eventually(lambda: len(consumed(bench)) >= 4)
    assert bench.moments == []
    assert not bench.subscription.active
    del bench.server.refuse[spec.Basic.Consume]
    await eventually(lambda: bench.subscription.active)
    assert bench.moments == ["start"]


async def test_a_queue_of_other_settings_is_tried_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """A queue that exists with other settings is a line in the log at each try."""
    bench.server.refuse[spec.Queue.Declare] = lambda _: spec.Channel.Close(
        406, "PRECONDITION_FAILED - inequivalent", 50, 10
    )
    bench.subscription.revive()
    await eventually(lambda: caplog.text.count("exists with other settings") >= 2)
    bench.server.refuse.clear()
    await eventually(lambda: bench.subscription.active)


async def test_a_lost_connection_is_told_and_waits_for_the_next(bench: Bench) -> None:
    """When the connection breaks the owner is told once; the next begin (the bus's) consumes on the new
    connection.
    """
    await bench.subscription.begin()
    before = bench.link.connection
    bench.server.drop()
    await eventually(lambda: bench.moments == ["start", "lost"])
    await eventually(lambda: bench.link.connection not in (None, before))
    await bench.subscription.begin()
    assert bench.moments == ["start", "lost", "start"]


async def test_a_closed_one_stays_closed(bench: Bench) -> None:
    """After close nothing is consumed any more, and a close is no loss."""
    await bench.subscription.begin()
    await bench.subscription.close()
    assert bench.closed == [bench.subscription]
    assert not bench.subscription.active
    await bench.subscription.begin()
    bench.subscription.revive()
    assert len(consumed(bench)) == 1
    assert bench.moments == ["start"]


async def test_close_ends_a_revival(bench: Bench) -> None:
    """Closing while it is being tried again ends the trying."""
    bench.server.refuse[spec.Basic.Consume] = lambda _: NOT_FOUND
    bench.subscription.revive()
    await eventually(lambda: len(consumed(bench)) >= 1)
    reviving = bench.subscription._reviving
    assert reviving is not None
    await bench.subscription.close()
    assert reviving.done()
    assert bench.subscription._reviving is None
