"""RabbitPublisher: by which channel is published, and when another one takes its place."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio
from pamqp import commands as spec
from tests.support.amqp_server import AmqpServer, Published
from tests.support.eventually import eventually

from warren.bus import Outgoing, nothing
from warren.bus.rabbit.channel import CONFIRM_S
from warren.bus.rabbit.connection import RabbitConnection
from warren.bus.rabbit.publisher import RabbitPublisher
from warren.bus.rabbit.supervised_connection import (
    ClientProfile,
    ConnectionListener,
    ConnectionTimes,
    SupervisedConnection,
)
from warren.errors import BusUnavailable, Nacked, NotConfirmed, TopologyMismatch, Unroutable

TIMES = ConnectionTimes(connect_s=1.0, first_pause_s=0.01, longest_pause_s=0.05)


class Ground:
    """A broker, a link to it, and the publisher on that; ``ended`` counts what it told."""

    def __init__(self, server: AmqpServer, *, stream: bool) -> None:
        self.server = server
        self.ended = 0
        self.link = SupervisedConnection(
            "publish",
            [server.url],
            ClientProfile("unit", TIMES, Random(1)),
            ConnectionListener(self._up, self._down, _mismatch),
        )
        self.publisher = RabbitPublisher(self.link, self._end, stream=stream)

    async def _up(self, connection: RabbitConnection) -> None:
        await self.publisher.open(connection)
        self.link.adopt(connection)

    def _down(self) -> None:
        self.publisher.drop()

    def _end(self) -> None:
        self.ended += 1

    async def begin(self) -> None:
        self.link.start()
        await self.link.connected()

    async def close(self) -> None:
        await self.publisher.close()
        await self.link.close()

    async def publish(self, key: str = "key") -> None:
        await self.publisher.publish("ex", key, b"x", None, True, True)

    async def by_another(self, former: int) -> None:
        """Publish until it goes by another channel."""

        async def other() -> bool:
            await self.publish()
            return self.server.published[-1].channel != former

        await eventually(other)


def _mismatch(mismatch: TopologyMismatch) -> None:
    raise mismatch


@pytest_asyncio.fixture
async def ground(server: AmqpServer) -> AsyncIterator[Ground]:
    """Everything that is published on it is for one stream."""
    ground = Ground(server, stream=True)
    await ground.begin()
    yield ground
    await ground.close()


async def test_after_a_refusal_another_channel_publishes(ground: Ground, server: AmqpServer) -> None:
    """A channel that refuses may have lost sight of a queue's leader: the next publish goes by a fresh one,
    what was under way ends on the former, and nobody hears of an end.
    """
    held: list[Published] = []
    server.on_publish = held.append
    slow = asyncio.create_task(ground.publish("slow"))
    await eventually(lambda: len(held) == 1)
    refused = asyncio.create_task(ground.publish())
    await eventually(lambda: len(held) == 2)
    server.answer(held[1], spec.Basic.Nack(held[1].tag))
    with pytest.raises(NotConfirmed):
        await refused
    former = held[0].channel
    server.on_publish = None
    await ground.by_another(former)
    assert not slow.done()
    server.answer(held[0], spec.Basic.Ack(held[0].tag))
    await slow
    await eventually(
        lambda: any(number == former for number, frame in server.frames if type(frame) is spec.Channel.Close)
    )
    assert ground.ended == 0


async def test_after_a_refusal_of_one_of_several_another_channel_publishes(
    ground: Ground, server: AmqpServer
) -> None:
    """It is there when they return, so that what is sent again goes by it; while the broker is away none
    goes.
    """
    several = [Outgoing("key", b"%d" % number) for number in range(3)]
    server.on_publish = lambda published: server.answer(
        published, (spec.Basic.Nack if published.body == b"1" else spec.Basic.Ack)(published.tag)
    )
    outcomes = await ground.publisher.publish_all("ex", several)
    assert [type(outcome) for outcome in outcomes] == [type(None), Nacked, type(None)]
    former = server.published[-1].channel
    server.on_publish = None
    await ground.by_another(former)
    assert await ground.publisher.publish_all("ex", several) == [None] * 3
    assert server.published[-1].channel != former
    ground.publisher.drop()
    outcomes = await ground.publisher.publish_all("ex", several)
    assert [type(outcome) for outcome in outcomes] == [BusUnavailable] * 3


async def test_what_reached_no_queue_has_the_stream_s_next_go_by_another_channel(
    ground: Ground, server: AmqpServer
) -> None:
    """It was numbered on the channel, and not in the stream: the two must be the same."""
    server.on_publish = server.give_back
    with pytest.raises(Unroutable):
        await ground.publish()
    former = server.published[-1].channel
    server.on_publish = None
    await ground.by_another(former)


async def test_what_reached_no_queue_says_nothing_of_how_slow_the_broker_is(
    ground: Ground, server: AmqpServer
) -> None:
    """However long ago the last confirm was: its channel is replaced, and the next confirm has no longer."""
    server.on_publish = server.give_back
    with pytest.raises(Unroutable):
        await ground.publish()
    former = server.published[-1].channel
    server.on_publish = None
    connection = ground.link.connection
    assert connection is not None
    connection.confirmed_at = float("-inf")
    await ground.by_another(former)
    assert ground.publisher._confirm_s == CONFIRM_S


async def test_a_channel_by_which_something_reached_no_queue_is_replaced_at_once(
    ground: Ground, server: AmqpServer
) -> None:
    """Each time, and not only when there is something to publish again."""
    for _ in range(3):
        former = ground.publisher.channel
        server.on_publish = server.give_back
        with pytest.raises(Unroutable):
            await ground.publish()
        await eventually(lambda former=former: ground.publisher.channel is not former)


async def test_a_stream_that_was_remade_is_published_to_by_a_channel_that_counts_from_its_beginning(
    ground: Ground, server: AmqpServer
) -> None:
    """Each time it is told, however soon after the last time."""
    for _ in range(3):
        await ground.publish()
        former, count = ground.publisher.channel, len(server.published)
        ground.publisher.stream_remade()
        await eventually(lambda former=former: ground.publisher.channel is not former)
        await ground.publish()
        assert server.published[count].tag == 1


async def test_nothing_goes_by_a_channel_that_miscounts(ground: Ground, server: AmqpServer) -> None:
    """What is published in the turn in which the stream was remade goes by the next channel, in its order."""
    await ground.publish()
    former = server.published[-1].channel
    ground.publisher.stream_remade()
    async with asyncio.TaskGroup() as publishing:
        for number in range(20):
            publishing.create_task(ground.publish(str(number)))
            if number % 5 == 0:
                await asyncio.sleep(0)
    later = server.published[1:]
    assert [published.method.routing_key for published in later] == [str(number) for number in range(20)]
    assert {published.channel for published in later} & {former} == set()
    assert [published.tag for published in later] == list(range(1, 21))


async def test_where_no_other_channel_can_be_had_nothing_is_sent(
    ground: Ground, server: AmqpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publish says so soon, and goes once there is one."""
    monkeypatch.setattr("warren.bus.rabbit.publisher.REPLACED_S", 0.05)
    server.refuse[spec.Channel.Open] = lambda _: None
    ground.publisher.stream_remade()
    with pytest.raises(BusUnavailable):
        await ground.publish()
    assert server.published == []
    del server.refuse[spec.Channel.Open]
    await ground.publisher.close()  # what still waits for the answer that never comes
    await ground.publish()
    assert server.published[-1].tag == 1


async def test_a_stream_is_remade_while_nothing_is_open(ground: Ground) -> None:
    """There is nothing to replace then."""
    await ground.close()
    ground.publisher.drop()
    ground.publisher.stream_remade()
    assert ground.publisher._replacing is None


async def test_other_channels_may_miss_queues(server: AmqpServer) -> None:
    """What goes to queues is not numbered but by the channel."""
    ground = Ground(server, stream=False)
    await ground.begin()
    server.on_publish = server.give_back
    for _ in range(3):
        with pytest.raises(Unroutable):
            await ground.publish()
    assert len({published.channel for published in server.published}) == 1
    await ground.close()


async def test_a_slow_broker_is_given_longer(
    ground: Ground, server: AmqpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing was confirmed in time the next confirm may take twice as long, up to a limit: somebody
    gets one.
    """
    monkeypatch.setattr("warren.bus.rabbit.publisher.LONGEST_CONFIRM_S", 3 * CONFIRM_S)
    publisher, given = ground.publisher, []
    for confirmed in (False, False, False, True):
        await eventually(lambda: publisher.channel is not None and publisher._replacing is None)
        channel, connection = publisher.channel, ground.link.connection
        assert channel is not None
        assert connection is not None
        publisher._replace_at = 0.0
        connection.confirmed_at = asyncio.get_running_loop().time() if confirmed else float("-inf")
        publisher._refused(channel)
        given.append(publisher._confirm_s / CONFIRM_S)
    assert given == [2.0, 3.0, 3.0, 1.0]


async def test_what_another_channel_s_confirms_show_is_no_slow_broker(ground: Ground) -> None:
    """The node serves: it is this stream or queue that owes."""
    connection = ground.link.connection
    assert connection is not None
    other = RabbitPublisher(ground.link, nothing, stream=False)
    await other.open(connection)
    await other.publish("ex", "key", b"x", None, True, True)
    channel = ground.publisher.channel
    assert channel is not None
    ground.publisher._refused(channel)
    assert ground.publisher._confirm_s == CONFIRM_S
    await other.close()


async def test_refusals_do_not_make_channel_after_channel(ground: Ground, server: AmqpServer) -> None:
    """Where a queue goes on refusing (it is full), a fresh channel is tried more and more seldom."""
    server.on_publish = lambda published: server.answer(published, spec.Basic.Nack(published.tag))
    before = len(server.of(spec.Channel.Open))
    for _ in range(200):
        with pytest.raises(NotConfirmed):
            await ground.publish()
    assert len(server.of(spec.Channel.Open)) - before <= 4


async def test_an_end_by_the_broker_is_told(ground: Ground, server: AmqpServer) -> None:
    """Then nothing is published until it is opened again."""
    server.on_publish = lambda published: server.answer(
        published, spec.Channel.Close(404, "no exchange", 60, 40)
    )
    with pytest.raises(NotConfirmed):
        await ground.publish()
    assert (ground.ended, ground.publisher.channel) == (1, None)
    with pytest.raises(BusUnavailable):
        await ground.publish()
    server.on_publish = None
    connection = ground.link.connection
    assert connection is not None
    await ground.publisher.open(connection)
    await ground.publish()
