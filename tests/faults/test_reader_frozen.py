"""The broker node that a log is read from stands still, and then goes on: the reader hears nothing on an open
connection, and reads from another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.router_context import router_context

from rabbit_nodes.cluster import RabbitCluster
from router.core.fold import Fold
from router.shell.log_reader import LogReader
from router.shell.shard_log import ShardLog
from warren.bus import Record
from warren.bus.rabbit.bus import ConnectionTimes, RabbitBus
from warren.clock import SystemClock
from warren.envelope import Gone, Rules, encode
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.topology import Topology

pytestmark = [
    pytest.mark.rabbit,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("cluster"),
]

TOPOLOGY = Topology(prefix="frozen", shards=1)
# Longer than the test: what is noticed is not noticed by AMQP's heartbeat.
TIMES = ConnectionTimes(heartbeat_s=300)


@pytest_asyncio.fixture
async def buses(cluster: RabbitCluster) -> AsyncIterator[tuple[RabbitBus, RabbitBus]]:
    """One that begins at the last node, and one at the first."""
    urls = cluster.urls
    made = (
        RabbitBus([urls[2], *urls[:2]], TOPOLOGY, name="reader", times=TIMES),
        RabbitBus(urls[:2], TOPOLOGY, name="writer", times=TIMES),
    )
    for bus in made:
        await bus.start()
    yield made
    for bus in made:
        await bus.close()


@dataclass
class Shard:
    """Applies what is read."""

    fold: Fold = field(default_factory=lambda: Fold(0, 1))
    begins: int = 0
    entries: list[int] = field(default_factory=list)

    def begun(self, fold: Fold) -> None:
        self.fold = fold
        self.begins += 1

    def entry(self, record: Record) -> None:
        self.fold.apply(record.offset, record.body)
        self.entries.append(record.offset)

    def caught_up(self) -> None:
        pass

    def hints(self) -> Iterable[int]:
        return ()

    def known(self) -> bool:
        return True

    def unknown(self, reason: str) -> None:
        raise AssertionError(reason)


async def write(bus: RabbitBus, life: int) -> None:
    """Write an entry, as often as it takes."""
    body = encode([Gone("g", life, 1)])

    async def once() -> bool:
        with contextlib.suppress(BusUnavailable, NotConfirmed, Unroutable):
            await bus.publish(TOPOLOGY.ingress, TOPOLOGY.shard_key(0), body, mandatory=True)
            return True
        return False

    # the broker believes for over a minute that a node which stands still is there
    await eventually(once, 90.0)


async def test_a_reader_on_a_node_that_stood_still_reads_from_another(
    cluster: RabbitCluster, buses: tuple[RabbitBus, RabbitBus]
) -> None:
    """It goes on where it was, with all that was written meanwhile and afterwards, and begins
    nothing anew.
    """
    reading, writing = buses
    await writing.publish(
        TOPOLOGY.ingress, TOPOLOGY.shard_key(0), encode([Rules("life", 1, 100, 100, 100, 1)]), mandatory=True
    )
    shard = Shard()
    context = router_context(reading, clock=SystemClock(), topology=TOPOLOGY)
    reader = LogReader(ShardLog(reading, TOPOLOGY, 0, prefetch=64), context, shard)
    reader.start()
    try:
        await write(writing, 1)
        await eventually(lambda: len(shard.entries) >= 2, 20.0)
        cluster.pause(2)
        try:
            for life in range(2, 12):
                await write(writing, life)
        finally:
            cluster.resume(2)
        for life in range(12, 22):
            await write(writing, life)
        # A node that goes on may take itself for the minority, and ends its connections and begins anew:
        # nobody tells it at first. Offset 0 is the life's beginning.
        end = await eventually(lambda: writing.last(TOPOLOGY.log(0).name), 60.0)
        assert end is not None
        await eventually(lambda: shard.entries[-1] >= end, 60.0)
        assert (shard.begins, shard.entries == sorted(set(shard.entries))) == (1, True)
    finally:
        task = reader.stop()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
        # One of 3.10 that was frozen for so long is not one of them again by itself.
        await asyncio.to_thread(cluster.restart, 2)
