"""The node of the logs' leaders goes away while much is being written: what is confirmed is in the log, and
is confirmed soon.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pika
import pytest
import pytest_asyncio
from tests.support.eventually import eventually

from rabbit_nodes.cluster import RabbitCluster
from warren.bus import Record
from warren.bus.rabbit.bus import RabbitBus
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.topology import Topology

pytestmark = [
    pytest.mark.rabbit,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("cluster"),
]

SHARDS = 4
END = b"end"


@pytest.fixture(params=["stop", "kill"])
def how(request: pytest.FixtureRequest) -> str:
    """How the node goes."""
    return str(request.param)


@pytest.fixture
def topology(how: str) -> Topology:
    return Topology(prefix=f"leader-{how}", shards=SHARDS)


@pytest_asyncio.fixture
async def buses(cluster: RabbitCluster, topology: Topology) -> AsyncIterator[list[RabbitBus]]:
    """One for each node, and on no other. The first one declares the logs, so their leaders are
    on its node.
    """
    made = [RabbitBus([url], topology, name=f"node-{number}") for number, url in enumerate(cluster.urls)]
    for bus in made:
        await bus.start()
    yield made
    for bus in made:
        await bus.close()


class Writer:
    """Publishes to one log without waiting, so that some are under way at any time; nothing is sent again."""

    def __init__(self, bus: RabbitBus, topology: Topology, shard: int, name: str) -> None:
        self.shard = shard
        self.confirmed: list[bytes] = []
        self._bus = bus
        self._topology = topology
        self._name = name

    async def run(self, over: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as sending:
            for number in itertools.count():
                if over.is_set():
                    return
                sending.create_task(self._send(f"{self._name}.{number}".encode()))
                await asyncio.sleep(0.02)

    async def _send(self, body: bytes) -> None:
        try:
            await self._bus.publish(
                self._topology.ingress, self._topology.shard_key(self.shard), body, mandatory=True
            )
        except (BusUnavailable, NotConfirmed, Unroutable):
            return
        self.confirmed.append(body)


async def whole_log(bus: RabbitBus, topology: Topology, shard: int) -> set[bytes]:
    """Return what stands in a log, up to an end that is written for it."""
    bodies: set[bytes] = set()

    def take(record: Record) -> bool:
        bodies.add(record.body)
        return record.body != END

    await bus.publish(topology.ingress, topology.shard_key(shard), END, mandatory=True)
    await bus.tail(topology.log(shard).name, "first", take)
    return bodies


def made_anew(cluster: RabbitCluster, topology: Topology) -> None:
    """Delete the logs and declare them again as they were, with their leaders on the first node."""
    with pika.BlockingConnection(pika.URLParameters(cluster.urls[0])) as connection:
        channel = connection.channel()
        for shard in range(SHARDS):
            log = topology.log(shard)
            channel.queue_delete(log.name)
            channel.queue_declare(
                log.name, durable=True, arguments={"x-queue-type": "stream", **log.arguments}
            )
            channel.queue_bind(log.name, topology.ingress, topology.shard_key(shard))


async def write_while_the_leaders_node_goes(
    cluster: RabbitCluster, topology: Topology, buses: list[RabbitBus], how: str
) -> None:
    """Write to all logs, have the first node go in the middle and come back, and look for all that was
    confirmed.
    """
    writers = [
        Writer(bus, topology, shard, f"{number}.{shard}")
        for number, bus in enumerate(buses[1:])
        for shard in range(SHARDS)
    ]
    over = asyncio.Event()
    async with asyncio.TaskGroup() as running:
        for writer in writers:
            running.create_task(writer.run(over))
        try:
            await eventually(lambda: all(len(writer.confirmed) > 20 for writer in writers), 20.0)
            await asyncio.to_thread(getattr(cluster, how), 0)
            before = {writer: len(writer.confirmed) for writer in writers}
            await eventually(lambda: all(len(each.confirmed) > before[each] + 50 for each in writers), 30.0)
        finally:
            over.set()
            await asyncio.to_thread(cluster.start, 0)
    await eventually(lambda: all(bus.up for bus in buses), 30.0)
    for shard in range(SHARDS):
        there = await whole_log(buses[1], topology, shard)
        assert {body for each in writers if each.shard == shard for body in each.confirmed} <= there


async def test_what_is_confirmed_while_a_log_changes_its_leader_is_there(
    cluster: RabbitCluster, topology: Topology, buses: list[RabbitBus], how: str
) -> None:
    """Up to RabbitMQ 3.13 a channel by which all logs were written would have most of it confirmed and not
    written.
    """
    await write_while_the_leaders_node_goes(cluster, topology, buses, how)


@pytest.mark.parametrize("how", ["remade"], indirect=True)
async def test_a_log_that_was_made_anew_is_written_by_another_channel(
    cluster: RabbitCluster, topology: Topology, buses: list[RabbitBus]
) -> None:
    """The numbers of the former channel are not those of the new log: after the next change of its leader
    they would have what is confirmed not written.
    """
    for shard, bus, _ in itertools.product(range(SHARDS), buses, range(30)):
        await bus.publish(topology.ingress, topology.shard_key(shard), b"before", mandatory=True)
    await asyncio.to_thread(made_anew, cluster, topology)
    for shard, bus in itertools.product(range(SHARDS), buses):
        bus.stream_remade(topology.log(shard).name)
    await write_while_the_leaders_node_goes(cluster, topology, buses, "stop")
