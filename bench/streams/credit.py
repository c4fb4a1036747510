"""How a reader's prefetch affects its latency and the broker's CPU, with acks one by one or several at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import time
from pathlib import Path

from aiormq.abc import DeliveredMessage
from pamqp import commands as spec

from bench.streams.clients import FAULTS, connect, drop, tag
from bench.streams.entries import Key, decode, encode
from bench.streams.stage import Stage

SIZE = 600
RATES = (100, 1_000)
PREFETCHES = (10, 100, 1_000)
_TICK = os.sysconf("SC_CLK_TCK")


async def credit(stage: Stage) -> None:
    """For each rate and prefetch: latency from the publish to the reader, and the brokers' CPU for each
    entry.
    """
    for rate in RATES:
        for prefetch in PREFETCHES:
            for multiple in (False, True):
                stage.say(await _measure(stage, rate, prefetch, multiple))
    for prefetch in PREFETCHES:
        stage.say(await _catch_up(stage, prefetch))


async def _measure(stage: Stage, rate: int, prefetch: int, multiple: bool) -> str:
    queue = await stage.declare("credit")
    sent: dict[int, float] = {}
    late: list[float] = []
    writing, reading = await connect(stage.urls[0]), await connect(stage.urls[1])
    channel = await reading.channel(publisher_confirms=False)
    await channel.basic_qos(prefetch_count=prefetch)
    unacked = 0

    async def take(message: DeliveredMessage) -> None:
        nonlocal unacked
        late.append(time.monotonic() - sent[decode(message.body).number])
        unacked += 1
        if not multiple or unacked >= prefetch // 2:
            unacked = 0
            with contextlib.suppress(*FAULTS):
                await channel.basic_ack(tag(message), multiple=multiple)

    await channel.basic_consume(queue, take, arguments={"x-stream-offset": "first"})
    publishing = await writing.channel(publisher_confirms=False)
    before, began = cpu_s(stage), time.monotonic()
    number = 0
    lasts = max(3.0, stage.seconds / 5)
    while (now := time.monotonic() - began) < lasts:
        while number < now * rate:
            number += 1
            sent[number] = time.monotonic()
            await publishing.basic_publish(
                encode(Key(1, number), SIZE),
                routing_key=queue,
                properties=spec.Basic.Properties(delivery_mode=2),
            )
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.5)
    cost = (cpu_s(stage) - before) / number
    for connection in (writing, reading):
        await drop(connection)
    await stage.delete(queue)
    return (
        f"credit: {rate} a second, prefetch {prefetch}, acked {'several at once' if multiple else 'one by one'}: read {len(late)} of {number}, p50 / p99 {spread(late)}, "
        f"three nodes' CPU {1e6 * cost:.0f} µs an entry"
    )


async def _catch_up(stage: Stage, prefetch: int, count: int = 20_000) -> str:
    queue = await stage.declare("credit")
    writing = await connect(stage.urls[0])
    publishing = await writing.channel(publisher_confirms=False)
    for number in range(1, count + 1):
        await publishing.basic_publish(
            encode(Key(1, number), SIZE), routing_key=queue, properties=spec.Basic.Properties(delivery_mode=2)
        )
    await drop(writing)
    await stage.settled(queue, 2)
    reading = await connect(stage.urls[1])
    channel = await reading.channel(publisher_confirms=False)
    await channel.basic_qos(prefetch_count=prefetch)
    done = asyncio.Event()
    got = unacked = 0

    async def take(message: DeliveredMessage) -> None:
        nonlocal got, unacked
        got += 1
        unacked += 1
        if unacked >= prefetch // 2:
            unacked = 0
            await channel.basic_ack(tag(message), multiple=True)
        if got >= count:
            done.set()

    before, began = cpu_s(stage), time.monotonic()
    await channel.basic_consume(queue, take, arguments={"x-stream-offset": "first"})
    await asyncio.wait_for(done.wait(), 120.0)
    took = time.monotonic() - began
    cost = (cpu_s(stage) - before) / count
    await drop(reading)
    await stage.delete(queue)
    return f"credit: reading {count} from the first entry, prefetch {prefetch}: {count / took:.0f} entries a second, three nodes' CPU {1e6 * cost:.0f} µs an entry"


def cpu_s(stage: Stage) -> float:
    """The CPU time used by all nodes."""
    used = 0
    for node in stage.cluster.nodes:
        fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / _TICK


def spread(values: list[float]) -> str:
    """p50 and p99 in milliseconds."""
    ordered = sorted(values)
    return f"{1_000 * statistics.median(ordered):.1f} / {1_000 * ordered[int(len(ordered) * 0.99)]:.1f} ms"
