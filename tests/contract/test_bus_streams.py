"""What every Bus keeps of streams: who reads one, from where, and what a reader is told and not told. One
suite, two buses.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from tests.support.buses import ContractTopology, NewBus, World, fill, numbers
from tests.support.eventually import eventually

from warren.bus import Bus, Record, Start, Timestamp
from warren.errors import BusUnavailable, Unroutable
from warren.topology import Queue

Seen = list[tuple[int, bytes]]


async def read(bus: Bus, stream: str, start: Start, *, until: bytes, prefetch: int = 256) -> Seen:
    """Read a stream from ``start`` up to and with the record ``until``."""
    seen: Seen = []

    def take(record: Record) -> bool:
        seen.append((record.offset, record.body))
        return record.body != until

    await asyncio.wait_for(bus.tail(stream, start, take, prefetch=prefetch), 10)
    return seen


@contextlib.asynccontextmanager
async def reader(bus: Bus, stream: str, start: Start) -> AsyncIterator[tuple[Seen, asyncio.Task[None]]]:
    """Read a stream for as long as the block lasts."""
    seen: Seen = []

    def keep(record: Record) -> bool:
        seen.append((record.offset, record.body))
        return True

    task = asyncio.create_task(bus.tail(stream, start, keep))
    try:
        yield seen, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def next_second() -> int:
    """Wait until the clock shows another second, and return its beginning in milliseconds."""
    before = int(time.time())
    await eventually(lambda: int(time.time()) > before)
    return int(time.time()) * 1_000


@pytest.fixture
def log(topology: ContractTopology) -> str:
    return topology.log(1).name


async def put(bus: Bus, topology: ContractTopology, bodies: list[bytes]) -> None:
    """Publish into the second shard's log, the way gateways do."""
    for body in bodies:
        await bus.publish(topology.ingress, topology.shard_key(1), body, mandatory=True)


async def test_a_log_is_reached_by_its_shard(bus: Bus, topology: ContractTopology, log: str) -> None:
    """What is published to the ingress under a shard's key is in that shard's log, in order, and in no other
    one.
    """
    await put(bus, topology, numbers(50))
    assert await read(bus, log, "first", until=b"49") == list(enumerate(numbers(50)))
    await bus.publish(topology.ingress, topology.shard_key(0), b"other", mandatory=True)
    assert await read(bus, topology.log(0).name, "first", until=b"other") == [(0, b"other")]


async def test_a_streams_end_is_told(bus: Bus, topology: ContractTopology, log: str) -> None:
    """The offset of an entry that is not before the last but one publish; nothing where there is none. A
    reader hears when it is served.
    """
    assert await bus.last(log) is None
    assert await bus.last(f"{topology.prefix}.nothing") is None
    await put(bus, topology, numbers(20))
    assert await bus.last(log) in (18, 19)
    served: list[bool] = []
    await bus.tail(log, 19, lambda _: False, on_start=lambda: served.append(True))
    assert served == [True]


async def test_a_stream_is_read_from_any_place(bus: Bus, topology: ContractTopology, log: str) -> None:
    """From its first record, from an offset, and on past its end as records come; ``last`` is not before the
    last but one publish.
    """
    await put(bus, topology, numbers(50))
    assert await read(bus, log, 47, until=b"49") == [(47, b"47"), (48, b"48"), (49, b"49")]
    reading = asyncio.create_task(read(bus, log, 48, until=b"marker"))
    await put(bus, topology, [b"marker"])
    assert (await reading)[-1] == (50, b"marker")
    assert await read(bus, log, "last", until=b"marker") == [(50, b"marker")]


async def test_a_small_prefetch_loses_nothing(bus: Bus, topology: ContractTopology, log: str) -> None:
    """However few records may be on their way, all come, in order."""
    await put(bus, topology, numbers(40))
    for prefetch in (1, 3, 8):
        assert await read(bus, log, "first", until=b"39", prefetch=prefetch) == list(enumerate(numbers(40)))


async def test_a_stream_is_read_from_a_time(bus: Bus, topology: ContractTopology, log: str) -> None:
    """A reader begins at the first record of that time or later: at the first where all are later, at the
    next one where none is.
    """
    began = await next_second()
    await put(bus, topology, numbers(20))
    later = await next_second()
    await put(bus, topology, numbers(20, 20))
    assert (await read(bus, log, Timestamp(later), until=b"39"))[0] == (20, b"20")
    assert (await read(bus, log, Timestamp(later + 999), until=b"39"))[0] == (20, b"20")
    assert len(await read(bus, log, Timestamp(began), until=b"39")) == 40
    assert len(await read(bus, log, Timestamp(0), until=b"39")) == 40
    async with reader(bus, log, Timestamp(later + 3_600_000)) as (seen, _):
        await eventually(lambda: _putting(bus, topology, seen))
        assert seen[0][0] >= 40


async def _putting(bus: Bus, topology: ContractTopology, seen: Seen) -> bool:
    """Publish one more, until a reader that waits for what comes next has it."""
    await put(bus, topology, [b"more"])
    return bool(seen)


async def test_the_beginning_of_a_stream_goes_without_a_word(bus: Bus, topology: ContractTopology) -> None:
    """A stream over its bytes drops its oldest: whoever asks for what was dropped begins at the first that is
    left, and offsets stay.
    """
    body = b"x" * 9_999
    stream = topology.short
    # One after the other: what is written together is in one segment.
    for each in (*(b"%d" % (number % 10) + body for number in range(60)), b"end"):
        await bus.publish("", stream.name, each, mandatory=True)
    seen = await read(bus, stream.name, "first", until=b"end")
    assert seen[0][0] > 0
    # RabbitMQ takes a number for itself at each new segment.
    offsets = [offset for offset, _ in seen]
    assert offsets == sorted(set(offsets))
    assert 1 < len(seen) < 40
    assert [each[:1] for _, each in seen[:-1]] == [
        b"%d" % (number % 10) for number in range(61 - len(seen), 60)
    ]
    assert await read(bus, stream.name, 0, until=b"end") == seen
    assert await read(bus, stream.name, Timestamp(0), until=b"end") == seen
    assert (await read(bus, stream.name, offsets[2], until=b"end"))[0] == seen[2]


async def test_a_reader_beyond_the_end_waits(bus: Bus, topology: ContractTopology, log: str) -> None:
    """An offset that does not exist yet is waited for, without a word; the first record given is that one."""
    await put(bus, topology, numbers(3))
    async with reader(bus, log, 6) as (seen, task):
        await put(bus, topology, numbers(3, 3))
        await read(bus, log, "first", until=b"5")
        assert (seen, task.done()) == ([], False)
        await put(bus, topology, numbers(3, 6))
        await eventually(lambda: len(seen) == 3)
        assert seen == [(6, b"6"), (7, b"7"), (8, b"8")]


async def test_all_readers_see_the_same(bus_factory: NewBus, topology: ContractTopology, log: str) -> None:
    """Several writers, several readers: each reader sees every record, all under the same offsets, whenever
    it began.
    """
    buses = [await bus_factory() for _ in range(3)]
    await asyncio.gather(
        *(
            put(bus, topology, [b"%d %d" % (writer, n) for n in range(30)])
            for writer, bus in enumerate(buses[:2])
        )
    )
    async with reader(buses[0], log, "first") as (one, _), reader(buses[2], log, 10) as (two, _):
        await asyncio.gather(
            *(
                put(bus, topology, [b"%d %d" % (writer, n) for n in range(30, 60)])
                for writer, bus in enumerate(buses[:2])
            )
        )
        await eventually(lambda: len(one) == 120 and len(two) == 110)
        assert one[10:] == two
        for writer in (0, 1):
            assert [body for _, body in one if body.startswith(b"%d " % writer)] == [
                b"%d %d" % (writer, n) for n in range(60)
            ]


async def test_many_read_at_once_and_end_by_themselves(bus: Bus, topology: ContractTopology) -> None:
    """One bus reads many streams at a time; whatever ends of them, in the middle of a stream of records, the
    others go on, and so does the bus.
    """
    logs = [topology.log(shard) for shard in range(topology.shards)]
    bodies = numbers(300)

    async def writing(log: Queue) -> None:
        await fill(bus, log, bodies)

    async with contextlib.AsyncExitStack() as stack:
        publisher = [(await stack.enter_async_context(reader(bus, log.name, "first")))[0] for log in logs]
        writers = [asyncio.create_task(writing(log)) for log in logs]
        for turn in range(20):
            short = [
                asyncio.create_task(read(bus, log.name, "first", until=bodies[turn * 10])) for log in logs
            ]
            broken = asyncio.create_task(bus.tail(logs[0].name, "first", lambda _: True))
            missing = asyncio.create_task(bus.tail(f"{topology.prefix}.nothing", "first", lambda _: True))
            for offsets in await asyncio.gather(*short):
                assert len(offsets) == turn * 10 + 1
            broken.cancel()
            assert isinstance(
                (await asyncio.gather(missing, broken, return_exceptions=True))[0], BusUnavailable
            )
        await asyncio.gather(*writers)
        await eventually(lambda: all(len(seen) == 300 for seen in publisher))
        assert all([body for _, body in seen] == bodies for seen in publisher)


async def test_what_a_reader_raises_ends_its_reading_alone(
    bus: Bus, topology: ContractTopology, log: str
) -> None:
    """An exception in the callback comes out of ``tail``; the others go on."""
    await put(bus, topology, numbers(3))
    async with reader(bus, log, "first") as (seen, _):
        with pytest.raises(ZeroDivisionError):
            await bus.tail(log, "first", lambda record: 1 // (1 - record.offset) > 0)
        await put(bus, topology, numbers(1, 3))
        await eventually(lambda: len(seen) == 4)


async def test_a_stream_that_is_not_there_is_an_error(bus: Bus, topology: ContractTopology) -> None:
    """To read one of an unknown name raises BusUnavailable, a mandatory publish to it is Unroutable, and the
    bus goes on.
    """
    with pytest.raises(BusUnavailable):
        await bus.tail(f"{topology.prefix}.nothing", "first", lambda _: True)
    with pytest.raises(Unroutable):
        await bus.publish(topology.ingress, topology.shard_key(topology.shards), b"x", mandatory=True)
    await bus.publish("", topology.plain.name, b"x", mandatory=True)


async def test_a_reader_hears_that_its_stream_was_deleted(
    world: World, bus: Bus, topology: ContractTopology, log: str
) -> None:
    """Who reads a stream that is deleted gets BusUnavailable; a publish to it is Unroutable."""
    await put(bus, topology, numbers(1))
    async with reader(bus, log, "first") as (seen, task):
        await eventually(lambda: seen)
        await world.delete(log)
        with pytest.raises(BusUnavailable):
            await asyncio.wait_for(task, 10)
    with pytest.raises(Unroutable):
        await bus.publish("", log, b"x", mandatory=True)


async def test_a_stream_that_was_remade_is_written_from_its_beginning(
    world: World, bus_factory: NewBus, bus: Bus, topology: ContractTopology, log: str
) -> None:
    """Who is told goes on publishing, in order, and what it published before is gone."""
    await put(bus, topology, numbers(5))
    await world.delete(log)
    await bus_factory()  # which declares it
    bus.stream_remade(log)
    bus.stream_remade(topology.plain.name)  # which is none
    await put(bus, topology, [b"a", b"b"])
    await asyncio.gather(*(put(bus, topology, [body]) for body in numbers(3)))
    assert await read(bus, log, "first", until=b"2") == list(enumerate([b"a", b"b", *numbers(3)]))


async def test_a_reader_hears_of_a_cut(world: World, bus: Bus, topology: ContractTopology, log: str) -> None:
    """Who waits at a stream's end when the connection is lost gets BusUnavailable."""
    await put(bus, topology, numbers(1))
    async with reader(bus, log, "first") as (seen, task):
        await eventually(lambda: seen)
        await world.cut(bus)
        with pytest.raises(BusUnavailable):
            await asyncio.wait_for(task, 10)
