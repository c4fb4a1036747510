"""RabbitBus: which connection does what, and what it tells. (What a real broker does is in tests/contract and
tests/faults.)
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from pamqp import commands as spec
from tests.support.amqp_server import AmqpServer, Published
from tests.support.eventually import eventually

from warren.bus import Source
from warren.bus.rabbit.bus import ConnectionTimes, RabbitBus
from warren.errors import BusUnavailable, NotConfirmed, TopologyMismatch
from warren.topology import Topology

TIMES = ConnectionTimes(connect_s=1.0, first_pause_s=0.01, longest_pause_s=0.05)
TOPOLOGY = Topology(shards=2)


@pytest_asyncio.fixture
async def bus(server: AmqpServer) -> AsyncIterator[RabbitBus]:
    bus = RabbitBus([server.url], TOPOLOGY, name="unit", times=TIMES)
    yield bus
    await bus.close()


def names(server: AmqpServer) -> list[str]:
    """The names of the connections that were made."""
    return sorted(frame.client_properties["connection_name"] for frame in server.of(spec.Connection.StartOk))


async def test_publishing_and_consuming_have_connections_of_their_own(
    server: AmqpServer, bus: RabbitBus
) -> None:
    """Two connections at start, a third one with the first stream that is read; the topology is declared
    once.
    """
    await bus.start()
    assert names(server) == ["unit/consume", "unit/publish"]
    reading = asyncio.create_task(bus.tail("log", "first", lambda _: True))
    await eventually(lambda: server.of(spec.Basic.Consume))
    assert names(server) == ["unit/consume", "unit/publish", "unit/read"]
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert len(server.declared()) == len(TOPOLOGY.queues())


async def test_after_a_reconnect_publishing_does_not_wait_for_the_topology(
    server: AmqpServer, bus: RabbitBus
) -> None:
    """It is declared again all the same, in the background; where it is another one by then,
    publishing ends.
    """
    told: list[bool] = []
    await bus.start()
    bus.watch(told.append)
    server.refuse[spec.Queue.Bind] = lambda _: None  # the broker takes its time
    server.drop()
    await eventually(lambda: told == [False, True])
    await bus.publish("ex", "key", b"x")
    await eventually(lambda: len(server.declared()) == 2 * len(TOPOLOGY.queues()))
    server.refuse[spec.Queue.Declare] = lambda _: spec.Channel.Close(406, "PRECONDITION_FAILED", 50, 10)
    server.drop()
    # refused at each connect
    await eventually(lambda: sum(not frame.nowait for frame in server.declared()) >= 3)
    assert not bus.up


async def test_each_log_is_published_to_on_a_channel_of_its_own(server: AmqpServer, bus: RabbitBus) -> None:
    """What backends are asked has one too, and so have answers to them; all else shares one; also after a
    reconnect.
    """
    await bus.start()
    for _ in range(2):
        places = [(TOPOLOGY.ingress, TOPOLOGY.shard_key(shard)) for shard in range(TOPOLOGY.shards)]
        places += [(exchange, TOPOLOGY.shard_key(0)) for exchange in TOPOLOGY.asking]
        places += [(TOPOLOGY.egress, TOPOLOGY.shard_key(0)), (TOPOLOGY.notify, "a"), ("", "queue")]
        channels: list[int] = []
        for exchange, key in places * 2:
            await bus.publish(exchange, key, b"x")
            channels.append(server.published[-1].channel)
        assert channels[: len(places)] == channels[len(places) :]
        assert len(set(channels)) == TOPOLOGY.shards + 3
        assert len(set(channels[len(places) - 3 : len(places)])) == 2
        server.drop()
        await eventually(lambda: not bus.up)
        await eventually(lambda: bus.up)


async def test_an_answer_that_the_broker_refuses_holds_up_nothing_else(
    server: AmqpServer, bus: RabbitBus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its channel ends (403 where the user lacks the right), and everything else is published as before; later
    there is another, and answers meanwhile are lost at once.
    """
    monkeypatch.setattr("warren.bus.rabbit.bus.ANSWERS_AGAIN_S", 0.05)
    await bus.start()
    downs: list[bool] = []
    bus.watch(downs.append)

    def answers(published: Published) -> None:
        if published.method.exchange:
            server.answer(published, spec.Basic.Ack(published.tag))
        else:
            server.answer(published, spec.Channel.Close(403, "ACCESS_REFUSED", 60, 40))

    server.on_publish = answers
    for _ in range(2):
        with pytest.raises(NotConfirmed, match="before the confirm"):
            await bus.publish("", "queue", b"x")
        with pytest.raises(BusUnavailable):
            await bus.publish("", "queue", b"x")
        await bus.publish(TOPOLOGY.egress, "all", b"x")
        assert bus.up
        await eventually(lambda: bus._answerer.channel is not None)
    assert downs == []
    assert "amq.default" in caplog.text


async def test_a_confirm_that_is_owed_has_the_next_publish_go_by_another_channel(
    server: AmqpServer, bus: RabbitBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the one that owes it is not done with; and where another channel's confirms stay away too, the
    next node is taken.
    """
    monkeypatch.setattr("warren.bus.rabbit.publisher.CONFIRM_S", 0.02)
    monkeypatch.setattr("warren.bus.rabbit.publisher.REPLACE_FIRST_S", 0.0)
    async with AmqpServer() as other:
        bus = RabbitBus([server.url, other.url], TOPOLOGY, name="unit", times=TIMES)
        await bus.start()
        server.on_publish = lambda _: None
        for _ in range(2):
            with pytest.raises(NotConfirmed, match="no confirm came"):
                await bus.publish("ex", "key", b"x")
            await eventually(lambda: bus._publisher._replacing is None)
        assert len({published.channel for published in server.published}) == 2
        await eventually(lambda: "unit/publish" in names(other))
        await eventually(lambda: bus.up)
        await bus.publish("ex", "key", b"x")
        await bus.close()


async def test_a_node_that_opens_no_channel_is_left_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands still, and AMQP's heartbeat would notice that later."""
    monkeypatch.setattr("warren.bus.rabbit.publisher.CONFIRM_S", 0.02)
    async with AmqpServer() as frozen, AmqpServer() as other:
        bus = RabbitBus([frozen.url, other.url], TOPOLOGY, name="unit", times=TIMES)
        await bus.start()
        frozen.on_publish = lambda _: None
        frozen.refuse[spec.Channel.Open] = lambda _: None
        with pytest.raises(NotConfirmed):
            await bus.publish("ex", "key", b"x")
        await eventually(lambda: "unit/publish" in names(other) and bus.up)
        await bus.publish("ex", "key", b"x")
        await bus.close()


async def test_the_last_entry_is_asked_of_another_node(server: AmqpServer) -> None:
    """On a connection of its own, which is made when it is needed; readers can be sent to the next node, and
    then the other one is asked.
    """
    async with AmqpServer() as other:
        bus = RabbitBus([server.url, other.url], TOPOLOGY, name="unit", times=TIMES)
        await bus.start()
        reading = asyncio.create_task(bus.tail("log", "first", lambda _: True))
        await eventually(lambda: server.of(spec.Basic.Consume))
        assert "unit/ask" not in names(other)

        async def asked(node: AmqpServer) -> int | None:
            node.frames.clear()
            asking = asyncio.create_task(bus.last("log"))
            await eventually(lambda: node.of(spec.Basic.Consume))
            (channel,) = (number for number, frame in node.frames if isinstance(frame, spec.Basic.Consume))
            node.deliver(channel, 1, b"x", headers={"x-stream-offset": 41})
            return await asking

        assert await asked(other) == 41
        bus.move_readers()
        with pytest.raises(BusUnavailable):
            await reading
        await eventually(lambda: bus._reading.connection is not None)
        assert await asked(server) == 41
        await bus.close()


async def test_while_the_other_node_is_away_the_same_one_tells_the_last_entry(
    server: AmqpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks again and again has not the connection moved each time to a node that does not answer."""
    monkeypatch.setattr("warren.bus.rabbit.bus.LAST_S", 0.2)
    async with await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0) as mute:
        hole = f"amqp://guest:guest@127.0.0.1:{mute.sockets[0].getsockname()[1]}/"
        bus = RabbitBus([server.url, hole], TOPOLOGY, name="unit", times=replace(TIMES, connect_s=0.5))
        await bus.start()
        reading = asyncio.create_task(bus.tail("log", "first", lambda _: True))
        await eventually(lambda: server.of(spec.Basic.Consume))

        for _ in range(4):
            await bus.last("log")
            await eventually(lambda: bus._asking.connection is not None)
        moved_at = bus._asking._moved_at
        for _ in range(3):
            server.frames.clear()
            asking = asyncio.create_task(bus.last("log"))
            await eventually(lambda: server.of(spec.Basic.Consume))
            (channel,) = (number for number, frame in server.frames if isinstance(frame, spec.Basic.Consume))
            server.deliver(channel, 1, b"x", headers={"x-stream-offset": 41})
            assert await asking == 41
        assert bus._asking._moved_at == moved_at
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await bus.close()


async def test_a_last_entry_that_nobody_tells_is_none(
    server: AmqpServer, bus: RabbitBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty stream says nothing, a node that stands still says nothing, and one that has no such stream
    refuses.
    """
    monkeypatch.setattr("warren.bus.rabbit.bus.LAST_S", 0.05)
    await bus.start()
    assert await bus.last("log") is None
    server.refuse[spec.Basic.Consume] = lambda _: spec.Channel.Close(404, "NOT_FOUND", 60, 20)
    assert await bus.last("log") is None
    await bus.close()
    assert await bus.last("log") is None


def test_an_address_is_needed() -> None:
    """A bus without an address is refused at once."""
    with pytest.raises(ValueError, match="address"):
        RabbitBus([], TOPOLOGY, name="unit")


async def test_a_channel_that_is_ended_by_a_publish_is_made_again(server: AmqpServer, bus: RabbitBus) -> None:
    """When the broker ends the publishing channel the watchers are told, and a new channel on the same
    connection goes on.
    """
    told: list[bool] = []
    await bus.start()
    bus.watch(told.append)
    server.on_publish = lambda published: server.answer(
        published, spec.Channel.Close(404, "no exchange", 60, 40)
    )
    with pytest.raises(NotConfirmed):
        await bus.publish("missing", "key", b"x")
    assert told == [False]
    declared = len(server.of(spec.Exchange.Declare))
    await eventually(lambda: told == [False, True])
    assert bus.up
    # one of them was missing
    assert len(server.of(spec.Exchange.Declare)) == declared + len(TOPOLOGY.exchanges())
    server.on_publish = None
    await bus.publish("ex", "key", b"y")
    assert len(names(server)) == 2


async def test_a_mismatch_ends_start(server: AmqpServer, bus: RabbitBus) -> None:
    """When the broker has another topology start raises, and nothing stays connected."""
    server.refuse[spec.Queue.Declare] = lambda _: spec.Channel.Close(406, "PRECONDITION_FAILED", 50, 10)
    async with asyncio.timeout(10):
        with pytest.raises(TopologyMismatch):
            await bus.start()
    made = server.connections
    assert not bus.up
    assert await bus.depth("q") is None
    assert server.connections == made


async def test_a_subscription_to_a_queue_of_other_settings_is_refused(
    server: AmqpServer, bus: RabbitBus
) -> None:
    """To subscribe to a queue that exists with other settings raises TopologyMismatch to the one
    who asked.
    """
    await bus.start()
    server.refuse[spec.Queue.Declare] = lambda _: spec.Channel.Close(406, "PRECONDITION_FAILED", 50, 10)
    with pytest.raises(TopologyMismatch):
        await bus.subscribe(lambda: Source(TOPOLOGY.notify_queue()), lambda _: None, prefetch=1)


async def test_a_depth_that_is_not_answered_is_none(
    server: AmqpServer, bus: RabbitBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue whose node never answers has no depth, and the connection lives on."""
    monkeypatch.setattr("warren.bus.rabbit.bus.DEPTH_S", 0.05)
    await bus.start()
    server.standing = {"q"}
    server.refuse[spec.Queue.Declare] = lambda _: None
    async with asyncio.timeout(10):
        assert await bus.depth("q") is None
    server.refuse[spec.Queue.Declare] = lambda frame: spec.Queue.DeclareOk(frame.queue, 7, 0)
    assert await bus.depth("q") == 7
    assert len(names(server)) == 2


async def test_nothing_is_read_without_a_broker() -> None:
    """To read a stream while the broker is away raises BusUnavailable after the first attempt."""
    async with AmqpServer() as server:
        bus = RabbitBus([server.url], TOPOLOGY, name="unit", times=TIMES)
        await bus.start()
        server._server.close()
        server.drop()
        await eventually(lambda: not bus.up)
        with pytest.raises(BusUnavailable):
            await bus.tail("log", "first", lambda _: True)
        await bus.close()


async def test_aiormq_says_nothing_by_itself(
    server: AmqpServer, bus: RabbitBus, caplog: pytest.LogCaptureFixture
) -> None:
    """When connections break the log has our lines alone, none with a traceback."""
    caplog.set_level(logging.INFO, "warren.bus")
    told: list[bool] = []
    await bus.start()
    bus.watch(told.append)
    server.drop()
    await eventually(lambda: told == [False, True])
    assert {record.name for record in caplog.records} == {"warren.bus"}
    assert all(record.exc_info is None for record in caplog.records)
