"""MemoryBus: the Bus contract inside one process, for embedded mode and for tests that need no broker.

It keeps what ``warren.bus`` promises, with a MemoryBroker in the place of RabbitMQ: a confirm comes in a
later turn of the loop, a delivery too, and a cut (``MemoryBroker.cut``) does all that a lost connection does.
It never talks to another process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from warren.bus import (
    NO_PROPERTIES,
    TAIL_PREFETCH,
    OnDelivery,
    Outgoing,
    Properties,
    Record,
    Source,
    Start,
    nothing,
)
from warren.bus.consumer import Consumer
from warren.bus.memory.alarm import MemoryAlarm
from warren.bus.memory.broker import MemoryBroker
from warren.bus.memory.queue import BURST, MemoryConsumer
from warren.bus.observed_flag import ObservedFlag
from warren.errors import BusUnavailable, Nacked, NotConfirmed, TopologyMismatch, Unroutable
from warren.topology import Topology

__all__ = ["MemoryBroker", "MemoryBus", "MemorySubscription"]

_log = logging.getLogger("warren.bus")


class MemorySubscription:
    """A supervised consumer on a MemoryBus."""

    def __init__(
        self,
        bus: MemoryBus,
        consumer: Consumer,
    ) -> None:
        """Consume nothing before ``begin``."""
        self.queue = ""
        self._bus = bus
        self._wanted = consumer
        self._consumer: MemoryConsumer | None = None
        self._closed = False

    @property
    def active(self) -> bool:
        """Whether the queue is being consumed now."""
        return self._consumer is not None

    def begin(self) -> None:
        """Declare the queue, consume it, and say so; the first delivery comes in a later turn."""
        source = self._wanted.source()
        self.queue = source.queue.name
        self._bus.declare(source)
        self._consumer = self._bus.broker.consume(
            self.queue, self._wanted.on_delivery, self._wanted.prefetch, self._cancelled
        )
        self._wanted.on_start()

    def lose(self) -> None:
        """Do what a consumer does whose channel is gone."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
            self._wanted.on_lost()

    def renew(self) -> None:
        """Consume anew, an exclusive queue under a fresh name; nothing where it is not active."""
        if self._leave():
            self._wanted.on_lost()
            self.begin()

    async def close(self) -> None:
        """Stop consuming; what is not acknowledged goes back to the queue in order."""
        self._closed = True
        self._bus.drop(self)
        self._leave()
        await asyncio.sleep(0)

    def _leave(self) -> bool:
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return False
        consumer.close()
        if consumer.queue.owner is not None and not consumer.queue.consumers:
            # exclusive queues delete themselves after their last consumer
            self._bus.broker.delete(self.queue)
        return True

    def _cancelled(self) -> None:
        """Consume anew after the queue was deleted under the consumer."""
        if self._closed or self._consumer is None or self._consumer.alive:
            return
        _log.warning("queue %s was deleted at the broker; consuming it anew", self.queue)
        self._consumer = None
        self._wanted.on_lost()
        if self._bus.up:
            self.begin()


class MemoryBus:
    """The Bus contract on a MemoryBroker."""

    def __init__(self, broker: MemoryBroker, topology: Topology) -> None:
        """Several buses on one broker are like several services on one RabbitMQ."""
        self.broker = broker
        self._topology = topology
        self._up = False
        self._started = False
        self._reachable = asyncio.Event()
        self._whole = ObservedFlag()  # up, and consumed again
        self._alarm = MemoryAlarm()
        self._told_blocked = ObservedFlag()
        self._subscriptions: dict[MemorySubscription, None] = {}
        self._confirms: set[asyncio.Future[None]] = set()
        self._readers: set[asyncio.Future[None]] = set()
        if not broker.is_cut(self):
            self._reachable.set()

    @property
    def up(self) -> bool:
        """Whether the broker can be published to now."""
        return self._up

    @property
    def blocked(self) -> bool:
        """Whether the broker holds publishers back."""
        return self._up and self._alarm.on

    async def start(self) -> None:
        """Declare the topology. Raises TopologyMismatch."""
        await self._reachable.wait()
        self.broker.declare(self._topology)
        self._started = True
        self._up = True
        self._whole.set(True, quietly=True)

    async def close(self) -> None:
        """End everything; unacknowledged deliveries go back to their queues."""
        self._started = False
        self._up = False
        for subscription in list(self._subscriptions):
            await subscription.close()
        self._fail_waiters()
        self.broker.forget(self)
        await asyncio.sleep(0)

    def watch(self, listener: Callable[[bool], None]) -> None:
        """Tell ``listener`` when the broker goes away and when it is back."""
        self._whole.watch(listener)

    def watch_blocked(self, listener: Callable[[bool], None]) -> None:
        """Tell ``listener`` when the broker begins to hold publishers back, and when that ends."""
        self._told_blocked.watch(listener)

    def alarm(self, on: bool) -> None:
        """Have the broker hold back what is published here, as in a memory or disk alarm; or take
        it again.
        """
        self._alarm.set(on)
        self._told_blocked.set(self.blocked)

    async def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Properties | None = None,
        *,
        mandatory: bool = False,
        persistent: bool = True,  # nothing here outlives the process
    ) -> None:
        """Publish and wait for the confirm."""
        if not self._up:
            raise BusUnavailable("the memory broker is away")
        await self._alarm.passed()
        outcome = self.broker.publish(exchange, key, body, properties or NO_PROPERTIES)
        # The confirm comes in a later turn, as from a broker: a cut before it leaves the message's fate
        # unknown.
        loop = asyncio.get_running_loop()
        confirm: asyncio.Future[None] = loop.create_future()
        self._confirms.add(confirm)
        loop.call_soon(_resolve, confirm)
        try:
            await confirm
        finally:
            self._confirms.discard(confirm)
        if outcome in ("nacked", "no exchange"):
            refused = Nacked if outcome == "nacked" else NotConfirmed
            raise refused(f"{exchange or 'the default exchange'} ▶ {key}: {outcome}")
        if outcome == "returned" and mandatory:
            raise Unroutable(f"{exchange or 'the default exchange'} ▶ {key} reached no queue")

    async def publish_all(self, exchange: str, messages: Sequence[Outgoing]) -> list[Exception | None]:
        """Publish in this order, and return what became of each."""
        if exchange == self._topology.ingress:
            raise ValueError("entries of shards' logs are published one by one")
        return await all_outcomes(self.publish(exchange, *message) for message in messages)

    async def subscribe(
        self,
        source: Callable[[], Source],
        on_delivery: OnDelivery,
        *,
        prefetch: int,
        on_start: Callable[[], None] = nothing,
        on_lost: Callable[[], None] = nothing,
    ) -> MemorySubscription:
        """Consume for as long as the bus lives."""
        subscription = MemorySubscription(self, Consumer(source, on_delivery, prefetch, on_start, on_lost))
        self._subscriptions[subscription] = None
        if self._up:
            subscription.begin()
        await asyncio.sleep(0)
        return subscription

    async def retire(self, queue: str) -> None:
        """Delete the guard exchange of an exclusive queue, whoever owns it."""
        if not self._up:
            raise BusUnavailable("the memory broker is away")
        self.broker.unbind(queue)
        await asyncio.sleep(0)

    async def tail(
        self,
        stream: str,
        start: Start,
        on_record: Callable[[Record], bool],
        *,
        prefetch: int = TAIL_PREFETCH,
        on_start: Callable[[], None] = nothing,
    ) -> None:
        """Read a stream from ``start`` until ``on_record`` returns False; at most ``prefetch`` records in one
        turn of the loop.
        """
        log = self.broker.stream(stream) if self._up else None
        if log is None:
            raise BusUnavailable(f"no stream {stream} to read")
        offset = log.place(start)
        on_start()
        loop = asyncio.get_running_loop()
        while True:
            waiter: asyncio.Future[None] = loop.create_future()
            self._readers.add(waiter)
            records = log.after(offset, min(BURST, prefetch))
            if records:
                loop.call_soon(_resolve, waiter)
            else:
                log.wait(waiter)
            try:
                await waiter
            finally:
                self._readers.discard(waiter)
                waiter.cancel()
            for record in records:
                offset = record.offset + 1
                if not on_record(record):
                    return
            if log.deleted:
                raise BusUnavailable(f"{stream} was deleted while it was read")

    async def last(self, stream: str) -> int | None:
        """Return the offset of a stream's last record; None where it has none."""
        await asyncio.sleep(0)
        log = self.broker.stream(stream) if self._up else None
        return log.last if log else None

    def move_readers(self) -> None:
        """Do nothing: there is one way only, and it does not stand still."""

    def stream_remade(self, stream: str) -> None:
        """Do nothing: nobody counts here but the stream itself."""

    async def depth(self, queue: str) -> int | None:
        """Return how many messages are ready in a queue."""
        await asyncio.sleep(0)
        return self.broker.depth(queue) if self._up else None

    # ── between this module's classes, and for the broker ───────────────────────────────────────────────────

    def declare(self, source: Source) -> None:
        """Declare a subscription's queue with its bindings."""
        queue = source.queue
        self.broker.declare_queue(queue, self if queue.kind == "exclusive" else None)
        durable = tuple(binding for binding in self._topology.bindings() if binding.queue == queue.name)
        for binding in (*durable, *source.bindings):
            self.broker.bind(binding)

    def drop(self, subscription: MemorySubscription) -> None:
        """Forget a subscription that has ended."""
        self._subscriptions.pop(subscription, None)

    def connection_lost(self) -> None:
        """Do what a client does whose connection broke."""
        self._reachable.clear()
        if not self._up:
            return
        self._up = False
        _log.warning("the memory broker is away")
        self._told_blocked.set(self.blocked)
        self._fail_waiters()
        for subscription in list(self._subscriptions):
            subscription.lose()
        self.broker.forget(self)
        self._whole.set(False)

    def connection_possible(self) -> None:
        """Connect again in the next turn of the loop."""
        self._reachable.set()
        if self._started:
            asyncio.get_running_loop().call_soon(self._reconnect)

    def _reconnect(self) -> None:
        if self._up or not self._started or not self._reachable.is_set():
            return
        try:
            self.broker.declare(self._topology)
        except TopologyMismatch as mismatch:
            _log.error("the memory broker is back with another topology: %s", mismatch)
            return
        self._up = True
        for subscription in list(self._subscriptions):
            subscription.begin()
        _log.info("the memory broker is back")
        self._whole.set(True)
        self._told_blocked.set(self.blocked)

    def _fail_waiters(self) -> None:
        self._alarm.fail(NotConfirmed("the connection was lost before the confirm"))
        for confirm in self._confirms:
            if not confirm.done():
                confirm.set_exception(NotConfirmed("the connection was lost before the confirm"))
        for reader in self._readers:
            if not reader.done():
                reader.set_exception(BusUnavailable("the connection was lost while reading"))


async def all_outcomes(publishes: Iterable[Awaitable[None]]) -> list[Exception | None]:
    """Have these publishes under way together, in their order; return what became of each."""
    outcomes: list[Exception | None] = []
    for outcome in await asyncio.gather(*publishes, return_exceptions=True):
        if outcome is not None and not isinstance(outcome, Exception):
            raise outcome
        outcomes.append(outcome)
    return outcomes


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
