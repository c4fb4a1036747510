"""Two worlds for the Bus's contract suite: the memory broker, and a RabbitMQ behind a proxy for each bus.

A world makes buses on one topology, cuts one of them off and lets it back, and deletes a queue behind the
buses' backs.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import urlsplit

import pika
from tests.support.eventually import eventually, stretched
from tests.support.proxy import Proxy
from tests.support.rabbit import Rabbit

from warren.bus import Bus, Delivery, Source
from warren.bus.memory.bus import MemoryBroker, MemoryBus
from warren.bus.rabbit.bus import ConnectionTimes, RabbitBus
from warren.topology import Binding, Exchange, Queue, Topology

NewBus = Callable[[], Awaitable[Bus]]
FAST = ConnectionTimes(heartbeat_s=5, first_pause_s=0.02, longest_pause_s=0.1)


class ContractTopology(Topology):
    """Warren's own topology and one queue of each kind that the contract speaks of."""

    def __init__(self, prefix: str, shards: int = 2) -> None:
        super().__init__(prefix, shards)
        dead = {"x-dead-letter-exchange": self.dead}
        full = {"x-max-length": 3, "x-overflow": "reject-publish"}
        self.both = Exchange(f"{prefix}.both", "fanout")
        self.plain = Queue(f"{prefix}.plain", "quorum", dead)
        self.poison = Queue(f"{prefix}.poison", "quorum", {"x-delivery-limit": 2, **dead})
        self.small = Queue(f"{prefix}.small", "quorum", full)
        self.roomy = Queue(f"{prefix}.roomy", "quorum", {})
        self.stream = Queue(f"{prefix}.stream", "stream", {"x-max-length-bytes": 10_000_000})
        self.short = Queue(
            f"{prefix}.short",
            "stream",
            {"x-max-length-bytes": 100_000, "x-stream-max-segment-size-bytes": 25_000},
        )

    def exchanges(self) -> tuple[Exchange, ...]:
        return (*super().exchanges(), self.both)

    def queues(self) -> tuple[Queue, ...]:
        return (*super().queues(), self.plain, self.poison, self.small, self.roomy, self.stream, self.short)

    def bindings(self) -> tuple[Binding, ...]:
        both = (Binding(self.both.name, queue.name, "") for queue in (self.small, self.roomy))
        return (*super().bindings(), *both)


class World(Protocol):
    """Where buses live."""

    topology: ContractTopology

    async def bus(self, topology: Topology | None = None) -> Bus:
        """Return a bus that is not started yet; the world closes it at the end."""
        ...

    async def cut(self, bus: Bus) -> None:
        """Break its connections and let it make no new ones."""
        ...

    async def restore(self, bus: Bus) -> None:
        """Let it connect again."""
        ...

    async def alarm(self, on: bool) -> None:
        """Have the broker run short of memory, or have enough again."""
        ...

    async def delete(self, queue: str) -> None:
        """Delete a queue as an operator would."""
        ...

    async def close(self) -> None:
        """Close every bus and leave nothing behind."""
        ...


class MemoryWorld:
    """Buses on one MemoryBroker."""

    def __init__(self) -> None:
        self.topology = ContractTopology("contract")
        self.broker = MemoryBroker()
        self._buses: list[MemoryBus] = []

    async def bus(self, topology: Topology | None = None) -> MemoryBus:
        bus = MemoryBus(self.broker, topology or self.topology)
        self._buses.append(bus)
        return bus

    async def cut(self, bus: Bus) -> None:
        assert isinstance(bus, MemoryBus)
        self.broker.cut(bus)

    async def restore(self, bus: Bus) -> None:
        assert isinstance(bus, MemoryBus)
        self.broker.restore(bus)

    async def alarm(self, on: bool) -> None:
        for bus in self._buses:
            bus.alarm(on)

    async def delete(self, queue: str) -> None:
        self.broker.delete(queue)

    async def close(self) -> None:
        for bus in self._buses:
            await bus.close()


async def until_held(bus: Bus) -> asyncio.Task[None]:
    """Publish nowhere until the broker holds this bus back; return what it holds, which ends with the alarm.

    An alarm reaches the connections a moment after it was set: what is published before that goes through.
    """
    deadline = asyncio.get_running_loop().time() + stretched(20.0)
    while asyncio.get_running_loop().time() < deadline:
        publish = asyncio.create_task(bus.publish("", "nowhere", b""))
        await eventually(lambda publish=publish: publish.done() or bus.blocked, 20.0)  # type: ignore[misc]
        if not publish.done():
            return publish
        await publish
    raise AssertionError("the broker holds nobody back")


class RabbitWorld:
    """Buses on a real RabbitMQ, each behind a proxy of its own."""

    def __init__(self, rabbit: Rabbit) -> None:
        self.rabbit = rabbit
        self.topology = ContractTopology(rabbit.prefix())
        self._proxies: dict[RabbitBus, Proxy] = {}
        self._probe: RabbitBus | None = None  # during an alarm
        self._held: asyncio.Task[None] | None = None

    async def bus(self, topology: Topology | None = None) -> RabbitBus:
        proxy = Proxy(self.rabbit.host, self.rabbit.port)
        await proxy.start()
        bus = RabbitBus([through(self.rabbit, proxy)], topology or self.topology, name="contract", times=FAST)
        self._proxies[bus] = proxy
        return bus

    async def cut(self, bus: Bus) -> None:
        assert isinstance(bus, RabbitBus)
        await self._proxies[bus].cut()
        await eventually(lambda: not bus.up)

    async def restore(self, bus: Bus) -> None:
        assert isinstance(bus, RabbitBus)
        await self._proxies[bus].restore()

    async def alarm(self, on: bool) -> None:
        if on:
            await asyncio.to_thread(self.rabbit.ctl, "set_vm_memory_high_watermark", "0.00001")
            self._probe = RabbitBus([self.rabbit.url], self.topology, name="probe", times=FAST)
            await self._probe.start()
            self._held = await until_held(self._probe)
            return
        await asyncio.to_thread(self.rabbit.ctl, "set_vm_memory_high_watermark", "0.4")
        if self._probe is not None and self._held is not None:
            await asyncio.wait_for(self._held, stretched(20.0))
            await self._probe.close()
            self._probe = self._held = None

    async def delete(self, queue: str) -> None:
        def run() -> None:
            with pika.BlockingConnection(pika.URLParameters(self.rabbit.url)) as connection:
                connection.channel().queue_delete(queue)

        await asyncio.to_thread(run)

    async def close(self) -> None:
        for bus, proxy in self._proxies.items():
            await bus.close()
            await proxy.close()
        await asyncio.to_thread(self.rabbit.remove, self.topology)


def through(rabbit: Rabbit, proxy: Proxy) -> str:
    """Return the broker's URL with the proxy's address in it."""
    parts = urlsplit(rabbit.url)
    return parts._replace(netloc=f"{parts.username}:{parts.password}@{proxy.host}:{proxy.port}").geturl()


class Inbox:
    """A consumer's deliveries, in order; ``ack=True`` acknowledges each at once."""

    def __init__(self, *, ack: bool = False) -> None:
        self.deliveries: list[Delivery] = []
        self._ack = ack

    def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        if self._ack:
            delivery.ack()

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in self.deliveries]

    async def holds(self, count: int, timeout_s: float = 10.0) -> list[bytes]:
        """Return the bodies once there are ``count`` of them."""
        await eventually(
            lambda: len(self.deliveries) >= count,
            timeout_s,
            what=f"{count} deliveries, got {self.bodies[:20]}",
        )
        return self.bodies


def durable(queue: Queue) -> Callable[[], Source]:
    """Return the source of a durable queue."""
    return lambda: Source(queue)


def gateway(topology: Topology, name: str) -> Callable[[], Source]:
    """Return the source of a gateway's exclusive queue: a new name each time it is asked for."""
    nonces = itertools.count(1)
    return lambda: Source(*topology.gateway_queue(name, f"n{next(nonces)}"))


def dead_queue(topology: Topology) -> Queue:
    """Return the queue of what was set aside."""
    return next(queue for queue in topology.queues() if queue.name == topology.dead)


def numbers(count: int, begin: int = 0) -> list[bytes]:
    """Return bodies that tell their own order."""
    return [b"%d" % number for number in range(begin, begin + count)]


async def fill(bus: Bus, queue: Queue, bodies: list[bytes]) -> None:
    """Publish bodies straight into a queue, in their order, all under way at once."""
    await asyncio.gather(*(bus.publish("", queue.name, body, mandatory=True) for body in bodies))


async def depth_is(bus: Bus, queue: Queue, depth: int) -> bool:
    """Say whether so many messages are ready in a queue."""
    return await bus.depth(queue.name) == depth
