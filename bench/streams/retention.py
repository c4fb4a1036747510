"""A stream drops its oldest segments while a reader lags: what its first and last entries are, and how long
it takes to ask.
"""

from __future__ import annotations

import asyncio
import statistics

from aiormq.abc import AbstractConnection

from bench.streams.clients import FAULTS, Reader, Writer, connect, drop, eventually, one_entry
from bench.streams.stage import Stage, brief
from bench.streams.verdict import jumps

SEGMENT = 500_000
KEPT = 2_000_000
SIZE = 2_000


async def behind(stage: Stage) -> None:
    """A reader that is much slower than the writers, while the log drops entries that it has not read."""
    queue = await stage.declare("behind", x_max_length_bytes=KEPT, x_stream_max_segment_size_bytes=SEGMENT)
    writers = [Writer(number + 1, stage.urls, number, queue, size=SIZE, gap_s=0.0) for number in range(2)]
    leader = await stage.leader(queue)
    quick = Reader("quick", stage.urls, leader, queue, prefetch=500)
    slow = [
        Reader(f"slow on {place}", stage.urls, home, queue, prefetch=10, slow_s=0.05, stay=True)
        for place, home in (("the leader", leader), ("a replica", (leader + 1) % 3))
    ]
    parked = Reader("stopped", stage.urls, leader, queue, prefetch=10)
    for client in [*writers, quick, *slow, parked]:
        client.start()
    await eventually(lambda: parked.last > 100, 30.0, "the start")
    await parked.stop()
    asked = parked.last + 1
    await eventually(
        lambda: sum(one.confirmed for one in writers) * SIZE > 6 * KEPT,
        120.0,
        "what is written beyond the limit",
    )
    connection = await connect(stage.urls[leader])
    firsts, took = await ten_times(connection, queue, "first")
    stage.say(
        f"behind: written {sum(one.confirmed for one in writers)}; asked for `first` while it moves: {firsts[0]} … {firsts[-1]}, {took}"
    )
    for what, offset in (("the stopped reader's next (dropped)", asked), ("offset 0 (dropped)", 0)):
        got, seconds, _ = await one_entry(connection, queue, offset)
        first, _, _ = await one_entry(connection, queue, "first")
        stage.say(
            f"behind: asked for {what} {offset}: given {got} after {1_000 * seconds:.1f} ms; `first` then {first}"
        )
    lasts, took = await ten_times(connection, queue, "last")
    stage.say(
        f"behind: asked for `last`: {lasts[0]} … {lasts[-1]}, {took}; passive declare counts {await counted(stage, queue)}"
    )
    await asyncio.sleep(stage.seconds / 3)
    for reader in slow:
        stage.say(
            f"behind: {reader.name}: read {len(reader.seen)}, at {reader.last}, the writers' end is at about {quick.last}; jumps {brief(reader.jumps)}; told {reader.told()}"
        )
        reader.slow_s = 0.0
    for writer in writers:
        writer.held.clear()
    await asyncio.sleep(1.0)
    end = quick.last
    for reader in slow:
        try:
            await eventually(lambda reader=reader: reader.last >= end, 60.0, "the slow readers at the end")  # type: ignore[misc]
        except TimeoutError as late:
            stage.say(f"  {late}")
        stage.say(
            f"behind, then quick: {reader.name}: read {len(reader.seen)} up to {reader.last} of {end}; jumps {brief(reader.jumps)}; told {reader.told()}"
        )
    first, _, _ = await one_entry(connection, queue, "first")
    stage.say(
        f"behind: `first` is {first} at the end, {(end - (first or 0) + 1) * SIZE / 1e6:.1f} MB of entries kept for a limit of {KEPT / 1e6:.1f} MB and segments of {SEGMENT / 1e6:.1f} MB; jumps of the quick one {brief(jumps(quick.seen))}"
    )
    for client in [*writers, quick, *slow]:
        await client.stop()
    await drop(connection)
    await stage.delete(queue)


async def asked(stage: Stage) -> None:
    """What `first`, `last`, an offset beyond the end and an empty stream answer, and how quickly, on each
    node.
    """
    queue = await stage.declare("asked")
    connection = await connect(stage.urls[0])
    for offset in ("first", "last", 0, 5):
        got, _, _ = await one_entry(connection, queue, offset, 1.0)
        stage.say(
            f"asked an empty stream for {offset!r}: {'nothing comes' if got is None else got}; passive declare counts {await counted(stage, queue)}"
        )
    writer = Writer(1, stage.urls, 0, queue, gap_s=0.0)
    writer.start()
    await eventually(lambda: writer.confirmed >= 500, 60.0, "500 entries")
    writer.held.clear()
    await asyncio.sleep(0.5)
    count = writer.confirmed
    stage.say(f"asked a stream of {count}: passive declare counts {await counted(stage, queue)}")
    for node, url in enumerate(stage.urls):
        each = await connect(url)
        for offset in ("first", "last", count - 1):
            given, took = await ten_times(each, queue, offset)
            stage.say(f"asked node {node + 1} for {offset!r}: {given[0]}, {took}")
        await drop(each)
    for home in range(len(stage.urls)):
        for ahead in (0, 1, 40, 1_000):
            await beyond_end(stage, queue, writer, home, ahead)
    await writer.stop()
    await drop(connection)
    await stage.delete(queue)


async def beyond_end(stage: Stage, queue: str, writer: Writer, home: int, ahead: int) -> None:
    """A reader asks a node for an offset ``ahead`` beyond the next entry; then 100 entries are written. The
    stream has no jumps, so its end is the writer's count.
    """
    after = writer.confirmed
    reader = Reader("beyond", stage.urls, home, queue, offset=after + ahead, stay=True)
    reader.start()
    await asyncio.sleep(0.5)
    quiet = len(reader.seen)
    writer.held.set()
    await eventually(lambda: writer.confirmed >= after + 100, 60.0, "100 more")
    writer.held.clear()
    await asyncio.sleep(0.5)
    came = f"{len(reader.seen)} from {min(reader.seen)} on" if reader.seen else "nothing"
    stage.say(
        f"asked node {home + 1} of a stream with {after} entries for {after + ahead}: before more is written {quiet} come, after {writer.confirmed - after} more {came}; told {reader.told()}"
    )
    await reader.stop()


async def counted(stage: Stage, queue: str) -> list[int | str | None]:
    """What a passive declare says about the number of messages, on each node."""
    found: list[int | str | None] = []
    for url in stage.urls:
        connection = await connect(url)
        try:
            channel = await connection.channel()
            found.append((await channel.queue_declare(queue, passive=True)).message_count)
        except FAULTS as fault:
            found.append(str(fault)[:60])
        finally:
            await drop(connection)
    return found


async def ten_times(
    connection: AbstractConnection, queue: str, place: int | str
) -> tuple[list[int | None], str]:
    """Ask a stream for the entry at one offset ten times; return the offsets that were given, and how long it
    took.
    """
    answers = [await one_entry(connection, queue, place) for _ in range(10)]
    return [offset for offset, _, _ in answers], ms([seconds for _, seconds, _ in answers])


def ms(seconds: list[float]) -> str:
    """Median and maximum, in milliseconds."""
    return f"median {1_000 * statistics.median(seconds):.1f} ms, most {1_000 * max(seconds):.1f} ms"
