"""Reading a stream: what is asked of the broker, when it is told of acks, and how a reading ends."""

import asyncio
import datetime
import gc
from typing import Any

import pytest
from pamqp import commands as spec
from tests.support.amqp_server import AmqpServer
from tests.support.eventually import eventually

from warren.bus import Record, Start, Timestamp
from warren.bus.rabbit.connection import RabbitConnection
from warren.bus.rabbit.stream import tail
from warren.errors import BusUnavailable


class Reading:
    """A reading of the stream ``log``, until a record ``end``."""

    def __init__(
        self, server: AmqpServer, connection: RabbitConnection, start: Start = "first", prefetch: int = 8
    ) -> None:
        self.server = server
        self.seen: list[Record] = []
        self.task = asyncio.create_task(tail(connection, "log", start, self._take, prefetch))

    def _take(self, record: Record) -> bool:
        self.seen.append(record)
        return record.body != b"end"

    async def begun(self) -> Any:
        await eventually(lambda: self.server.of(spec.Basic.Consume))
        return self.server.of(spec.Basic.Consume)[0]

    def give(self, offset: int, body: bytes) -> None:
        consumed = (number for number, frame in self.server.frames if isinstance(frame, spec.Basic.Consume))
        self.server.deliver(next(consumed), offset + 1, body, headers={"x-stream-offset": offset})


@pytest.mark.parametrize(
    ("start", "asked"),
    [
        ("first", "first"),
        ("last", "last"),
        (2**40, 2**40),
        (Timestamp(1_700_000_000_999), datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.UTC)),
        (Timestamp(-5), datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)),
    ],
    ids=str,
)
async def test_it_asks_for_its_place(
    server: AmqpServer, connection: RabbitConnection, start: Start, asked: object
) -> None:
    """By name, by offset, or by time, which AMQP has in whole seconds; with the prefetch that was given."""
    reading = Reading(server, connection, start, prefetch=17)
    consume = await reading.begun()
    assert (consume.queue, consume.arguments, consume.no_ack) == ("log", {"x-stream-offset": asked}, False)
    assert server.of(spec.Basic.Qos)[0].prefetch_count == 17
    reading.give(2**40, b"end")
    await reading.task
    assert reading.seen == [Record(2**40, b"end")]


async def test_it_ends_when_its_reader_has_enough(server: AmqpServer, connection: RabbitConnection) -> None:
    """What comes behind that is not handed over; the acks go before the channel does, and the channel is
    closed.
    """
    reading = Reading(server, connection)
    await reading.begun()
    for offset, body in enumerate((b"a", b"b", b"end", b"behind")):
        reading.give(offset, body)
    await reading.task
    assert [record.body for record in reading.seen] == [b"a", b"b", b"end"]
    await eventually(lambda: server.of(spec.Channel.Close))
    kinds = [
        type(frame) for _, frame in server.frames if isinstance(frame, spec.Basic.Ack | spec.Channel.Close)
    ]
    assert kinds[-1] is spec.Channel.Close
    assert server.of(spec.Basic.Ack)[-1].delivery_tag == 3


async def test_acks_are_told_by_quarters_of_the_prefetch(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """One frame for two records of eight, at once: the broker never waits for what would come later."""
    reading = Reading(server, connection)
    await reading.begun()
    for offset in range(6):
        reading.give(offset, b"x")
    await eventually(lambda: server.of(spec.Basic.Ack) and server.of(spec.Basic.Ack)[-1].delivery_tag == 6)
    assert all(ack.multiple for ack in server.of(spec.Basic.Ack))
    reading.give(6, b"end")
    await reading.task


async def test_what_is_no_stream_is_refused(server: AmqpServer, connection: RabbitConnection) -> None:
    """A message without an offset ends the reading: it is from a queue."""
    reading = Reading(server, connection)
    await reading.begun()
    server.deliver(1, 1, b"x")
    with pytest.raises(BusUnavailable, match="log is no stream"):
        await reading.task
    assert reading.seen == []


async def test_a_deleted_stream_ends_it(server: AmqpServer, connection: RabbitConnection) -> None:
    """The broker cancels the consumer, and the reader hears why."""
    reading = Reading(server, connection)
    consume = await reading.begun()
    server.send(1, spec.Basic.Cancel(consume.consumer_tag, True))
    with pytest.raises(BusUnavailable, match="log was taken away"):
        await reading.task


async def test_a_channel_that_ends_ends_it(server: AmqpServer, connection: RabbitConnection) -> None:
    """The broker closes the channel under it."""
    reading = Reading(server, connection)
    await reading.begun()
    server.send(1, spec.Channel.Close(540, "NOT_IMPLEMENTED", 60, 20))
    with pytest.raises(BusUnavailable, match="the channel was lost while reading log"):
        await reading.task


async def test_a_connection_that_ends_before_the_channel_is_open_ends_it(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """It is told once, to whoever reads: nothing is left that asyncio would log as never retrieved."""
    reading = Reading(server, connection)
    await asyncio.sleep(0)  # the channel is asked for
    server.drop()
    with pytest.raises(BusUnavailable):
        await reading.task
    # by type: to ask a weak proxy for its class raises where what it stood for has gone
    futures = [each for each in gc.get_objects() if issubclass(type(each), asyncio.Future)]
    assert [
        each for each in futures if each.done() and each._log_traceback and "log" in str(each._exception)
    ] == []


async def test_it_says_when_it_is_served(server: AmqpServer, connection: RabbitConnection) -> None:
    """Not before the broker has said so; and its end waits for no answer from a broker that stands still."""
    server.refuse[spec.Basic.Consume] = server.refuse[spec.Channel.Close] = lambda _: None
    starts: list[bool] = []
    task = asyncio.create_task(
        tail(connection, "log", "last", lambda _: False, 8, on_start=lambda: starts.append(True))
    )
    await eventually(lambda: server.of(spec.Basic.Consume))
    assert starts == []
    server.send(1, spec.Basic.ConsumeOk(server.of(spec.Basic.Consume)[0].consumer_tag))
    await eventually(lambda: starts == [True])
    server.deliver(1, 1, b"x", headers={"x-stream-offset": 4})
    await task


async def test_a_reading_can_be_cancelled(server: AmqpServer, connection: RabbitConnection) -> None:
    """Its channel is closed, and the next reading works."""
    reading = Reading(server, connection)
    await reading.begun()
    reading.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading.task
    await eventually(lambda: server.of(spec.Channel.Close))
    server.frames.clear()
    again = Reading(server, connection)
    await again.begun()
    again.give(0, b"end")
    await again.task
