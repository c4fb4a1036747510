"""Offsets by time: what a timestamp or an interval finds, and how long it takes on a log of many segments and
on one of many chunks.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

import pika

from bench.streams.clients import FAULTS, Writer, at_second, connect, drop, eventually, one_entry
from bench.streams.entries import Key, encode
from bench.streams.retention import ms
from bench.streams.stage import Stage

# An index record of a chunk (osiris), after a header of 8 bytes.
INDEX_RECORD = 29
FILLER = 500
MARK_EVERY = 500


async def by_time(stage: Stage) -> None:
    """Entries with known times, requested by whole seconds, by intervals, in the future and before the first
    one.
    """
    queue = await stage.declare("times", x_stream_max_segment_size_bytes=200_000)
    writer = Writer(1, stage.urls, 0, queue, gap_s=0.01)
    written: list[tuple[float, int]] = []
    writer.start()
    began = time.time()
    while time.time() - began < max(12.0, stage.seconds / 3):
        number = writer.confirmed
        await eventually(lambda number=number: writer.confirmed > number, 30.0, "a confirm", 0.001)  # type: ignore[misc]
        written.append((time.time(), writer.confirmed))
    writer.held.clear()
    await asyncio.sleep(0.2)
    when = {number: at for at, number in written}
    connection = await connect(stage.urls[1])
    late: list[float] = []
    for second in range(int(began) + 1, int(began) + 11):
        offset, _, key = await one_entry(connection, queue, at_second(second))
        if key is None or key.number not in when:
            stage.say(f"times: {second - began:.1f} s after the first: {offset} {key}")
            continue
        late.append(when[key.number] - second)
    stage.say(
        f"times: asked for whole seconds, the entry given was confirmed {1_000 * min(late):.0f} to {1_000 * max(late):.0f} ms after it (an entry each 12 ms or so)"
    )
    for what, asked in (
        ("an hour ago", at_second(began - 3_600)),
        ("in an hour", at_second(time.time() + 3_600)),
        ("in 3 s", at_second(time.time() + 3)),
    ):
        offset, seconds, key = await one_entry(connection, queue, asked, 2.0)
        stage.say(
            f"times: {what}: {'nothing comes' if offset is None else f'{offset}, {key}, after {1_000 * seconds:.1f} ms'} (first is 0, last {writer.confirmed - 1} or so)"
        )
    future = asyncio.create_task(one_entry(connection, queue, at_second(time.time() + 3_600), 10.0))
    await asyncio.sleep(1.0)
    before = writer.confirmed
    writer.held.set()
    offset, _, key = await future
    stage.say(
        f"times: asked for in an hour while {before} are written: {f'given the next one at once, {key}' if offset is not None else 'nothing comes'}"
    )
    writer.held.clear()
    for interval in ("5s", "1m", "PT5S"):
        try:
            each = await connect(stage.urls[1])
            offset, _, key = await one_entry(each, queue, interval, 2.0)
            age = (
                f"{time.time() - when[key.number]:.2f} s old"
                if key is not None and key.number in when
                else "of unknown age"
            )
            stage.say(
                f"times: interval {interval!r}: {'nothing comes' if key is None else f'{offset}, {age}'}"
            )
            await drop(each)
        except FAULTS as fault:
            stage.say(f"times: interval {interval!r}: refused: {fault}"[:200])
    await drop(connection)
    await writer.stop()
    await stage.delete(queue)


def fill(url: str, queue: str, count: int, size: int) -> list[tuple[float, int]]:
    """Write without confirms, as fast as possible; return at which times how many had been handed over.
    Blocking.
    """
    marks: list[tuple[float, int]] = []
    body = encode(Key(FILLER, 1), size)
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        for number in range(1, count + 1):
            if number % MARK_EVERY == 0:
                marks.append((time.time(), number))
            channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))
    return marks


async def large(stage: Stage, gigabytes: float = 2.0) -> None:
    """A log of many segments (large entries), and one segment of many chunks (small entries): by offset and
    by time.
    """
    for what, size, count, segment in (
        ("many segments", 100_000, int(gigabytes * 10_000), 20_000_000),
        ("many chunks", 120, 400_000, 500_000_000),
    ):
        queue = await stage.declare(f"large-{size}", x_stream_max_segment_size_bytes=segment)
        began = time.monotonic()
        marks = await asyncio.to_thread(fill, stage.urls[0], queue, count, size)
        took = time.monotonic() - began
        await stage.settled(queue, FILLER)
        connection = await connect(stage.urls[0])
        last, _, _ = await one_entry(connection, queue, "last")
        indexes = [
            path.stat().st_size // INDEX_RECORD
            for node in stage.cluster.nodes
            for path in (node.folder / "data").rglob("*.index")
        ]
        stage.say(
            f"large, {what}: {count} entries of {size} B in {took:.0f} s ({count * size / 1e9:.1f} GB), last chunk at {last}; on three nodes {len(indexes)} segments, {sum(indexes)} chunks"
        )
        chance = random.Random(1)
        for asked, offsets in (
            ("first", ["first"] * 5),
            ("last", ["last"] * 5),
            ("a number", [chance.randrange(last or 1) for _ in range(10)]),
            ("the last chunk's number", [last or 0] * 5),
        ):
            await ask(stage, queue, f"large, {what}: {asked}", offsets)
        times = [at for at, _ in chance.sample(marks, min(10, len(marks)))]
        await ask(stage, queue, f"large, {what}: a time", [at_second(each) for each in times])
        await drop(connection)
        await stage.delete(queue)


async def ask(stage: Stage, queue: str, what: str, offsets: Sequence[object]) -> None:
    """Ask each node for each of them, and report how long it took."""
    for node, url in enumerate(stage.urls):
        connection = await connect(url)
        took = [(await one_entry(connection, queue, offset, 20.0))[1] for offset in offsets]  # type: ignore[arg-type]
        stage.say(f"{what}, node {node + 1}: {ms(took)}")
        await drop(connection)
