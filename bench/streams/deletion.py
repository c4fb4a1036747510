"""A stream is deleted and redeclared, or loses its end, while readers hold offsets of the previous one."""

from __future__ import annotations

import asyncio
import time

from bench.streams.clients import Reader, Writer, connect, drop, eventually, one_entry
from bench.streams.stage import Run, Stage, brief, told


async def deleted(stage: Stage) -> None:
    """The stream is deleted under writers and readers, and declared again: at once, and after two seconds."""
    for pause_s in (0.0, 2.0):
        await _deleted(stage, pause_s)


async def _deleted(stage: Stage, pause_s: float) -> None:
    queue = await stage.declare(f"deleted-{pause_s:.0f}")
    run = Run(stage, queue)
    await run.open()
    careful = Reader("a reader that compares", stage.urls, 1, queue, compare=True)
    careful.start()
    await asyncio.sleep(stage.seconds / 6)
    at = time.time()
    confirmed = run.confirmed
    stood = [reader.last for reader in run.readers]
    began = time.monotonic()
    await stage.delete(queue)
    if pause_s:
        await asyncio.sleep(pause_s)
    await stage.declare(queue)
    stage.say(
        f"deleted and declared again {time.monotonic() - began:.2f} s later; readers stood at {stood}, confirmed {confirmed}"
    )
    await asyncio.sleep(4.0)
    stage.say(f"  {told([*run.clients, careful], at)}")
    for reader in run.readers:
        since = {offset: when for offset, when in reader.times.items() if when > at + 0.5}
        stage.say(
            f"  {reader.name} asks for {reader.next}: {len(since)} entries since; given twice {brief(reader.backwards)}, of other content {len(reader.other)}"
        )
    connection = await connect(stage.urls[0])
    first, _, key = await one_entry(connection, queue, "first")
    last, _, newest = await one_entry(connection, queue, "last")
    stage.say(
        f"  the new stream: first {first} is {key}, last {last} is {newest}; confirmed since {run.confirmed - confirmed}"
    )
    reader = Reader("late", stage.urls, 1, queue, offset=stood[0] + 1, stay=True)
    reader.start()
    try:
        passed = await eventually(lambda: bool(reader.seen), 30.0, "the new stream reaching the old number")
        stage.say(
            f"  who asks the new stream for the old number {stood[0] + 1} waits {passed:.1f} s in silence and is then given {min(reader.seen)}: {reader.seen[min(reader.seen)]}"
        )
    except TimeoutError as late:
        stage.say(
            f"  who asks the new stream for the old number {stood[0] + 1} is given nothing ({late}); told {reader.told()}"
        )
    for client in [*run.clients, reader, careful]:
        await client.stop()
    await drop(connection)
    await stage.delete(queue)


async def missing(stage: Stage) -> None:
    """What writers and readers are told about a stream that does not exist and is not created."""
    writer = Writer(1, stage.urls, 0, "missing")
    reader = Reader("reader", stage.urls, 1, "missing")
    for client in (writer, reader):
        client.start()
    await asyncio.sleep(3.0)
    stage.say(f"missing: {told([writer, reader])}")
    for client in (writer, reader):
        await client.stop()
