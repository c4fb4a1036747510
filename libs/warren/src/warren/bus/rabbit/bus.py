"""RabbitBus: the Bus contract on RabbitMQ, over AMQP 0-9-1 with aiormq (the engine under aio-pika).

Three connections: one publishes (on a channel for each log, one for what backends are asked, and one for all
else), one consumes, and one reads streams (made with the first of them). A memory alarm freezes every
connection that publishes, and a stream that can't be read at the moment ends the whole connection (540). A
fourth, to another node where there are several, is made when somebody asks for a stream's last entry. Each is
supervised: several addresses, back-off for ever. The first connect declares the topology before anything
else; each later one does so in the background, and at once where something turns out to be missing. It keeps
no message and retries none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from warren.bus import TAIL_PREFETCH, OnDelivery, Outgoing, Properties, Record, Source, Start, nothing
from warren.bus.consumer import Consumer
from warren.bus.observed_flag import ObservedFlag
from warren.bus.rabbit.connection import RabbitConnection
from warren.bus.rabbit.publisher import RabbitPublisher
from warren.bus.rabbit.stream import last, tail
from warren.bus.rabbit.subscription import RabbitSubscription
from warren.bus.rabbit.supervised_connection import (
    CLOSE_S,
    ClientProfile,
    ConnectionListener,
    ConnectionTimes,
    SupervisedConnection,
)
from warren.bus.rabbit.topology import declare_topology, delete_guard_exchange, queue_depth, refuse_former
from warren.errors import BusUnavailable, TopologyMismatch
from warren.supervision import supervised
from warren.topology import Topology

__all__ = ["ConnectionTimes", "RabbitBus"]

DEPTH_S = 2.0
RETIRE_S = 10.0
LAST_S = 2.0
ANSWERS_AGAIN_S = 5.0
ASK_ELSEWHERE_S = 30.0  # while the other node is away, the one that is read from answers

_log = logging.getLogger("warren.bus")


class RabbitBus:
    """The Bus contract on RabbitMQ."""

    def __init__(
        self,
        urls: Sequence[str],
        topology: Topology,
        *,
        name: str,
        times: ConnectionTimes | None = None,
        random: Random | None = None,
    ) -> None:
        """``urls`` are tried in turn (``amqp://`` or ``amqps://``); ``name`` is shown in the broker's list of
        connections.
        """
        if not urls:
            raise ValueError("no address of a broker")
        # What aiormq would say is said here in one line each, without tracebacks.
        logging.getLogger("aiormq").setLevel(logging.CRITICAL)
        self._several = len(set(urls)) > 1
        self._topology = topology
        self._reopening: asyncio.Task[None] | None = None
        self._publishing_ready = False
        self._consuming_ready = False
        self._declared = False
        self._redeclaring: asyncio.Task[None] | None = None
        self._whole = ObservedFlag()  # everything is declared and consumed, and can be published to
        self._closed = False
        self._first: asyncio.Future[None] | None = None
        self._told_blocked = ObservedFlag()
        self._subscriptions: dict[RabbitSubscription, None] = {}

        profile = ClientProfile(name, times or ConnectionTimes(), random or Random())  # noqa: S311 - jitter, no secret

        def connection(
            purpose: str,
            on_up: Callable[[RabbitConnection], Awaitable[None]],
            on_down: Callable[[], None] = nothing,
            urls: Sequence[str] = urls,
        ) -> SupervisedConnection:
            listener = ConnectionListener(on_up, on_down, self._mismatch, self._blocked)
            return SupervisedConnection(purpose, urls, profile, listener)

        self._publishing = connection("publish", self._publishing_up, self._publishing_down)
        self._publisher = RabbitPublisher(self._publishing, self._publisher_ended, stream=False)
        # What backends' queues refuse, or owe a confirm for, is to hold up nothing else.
        self._asker = RabbitPublisher(self._publishing, self._publisher_ended, stream=False)
        self._by_shard_key: dict[str, RabbitPublisher] = {}
        self._by_stream: dict[str, RabbitPublisher] = {}
        for shard in range(topology.shards):
            publisher = RabbitPublisher(self._publishing, self._publisher_ended, stream=True)
            self._by_shard_key[topology.shard_key(shard)] = publisher
            self._by_stream[topology.log(shard).name] = publisher
        self._publishers = (self._publisher, self._asker, *self._by_stream.values())
        # Answers to backends, at queues that they name: what is wrong there ends no channel but this one.
        self._answerer = RabbitPublisher(self._publishing, self._answerer_ended, stream=False)
        self._answering_again: asyncio.Task[None] | None = None
        self._consuming = connection("consume", self._consuming_up, self._consuming_down)
        self._reading = connection("read", self._reading_up)
        self._asking = connection("ask", self._asking_up, urls=[*urls[1:], urls[0]])

    @property
    def up(self) -> bool:
        """Whether the broker can be published to now."""
        return self._publishing_ready

    @property
    def blocked(self) -> bool:
        """Whether the broker holds publishers back (a memory or disk alarm): publishes wait for their confirm
        until it ends.
        """
        return self._publishing.blocked

    async def start(self) -> None:
        """Connect and declare the topology; try until it succeeds. Raises TopologyMismatch."""
        self._first = asyncio.get_running_loop().create_future()
        self._publishing.start()
        self._consuming.start()
        try:
            await self._first
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close everything; unacknowledged deliveries go back to their queues."""
        self._closed = True
        tasks = (self._reopening, self._redeclaring, self._answering_again)
        own = [task for task in tasks if task is not None]
        for task in own:
            task.cancel()
        loop = asyncio.get_running_loop()
        parts = [loop.create_task(part.close()) for part in self._subscriptions]
        # in order, so that acks given are through; a broker that does not answer loses its connections too
        if parts:
            await asyncio.wait(parts, timeout=CLOSE_S)
        connections = (self._consuming, self._reading, self._asking, self._publishing)
        await asyncio.gather(*(connection.close() for connection in connections))
        await asyncio.gather(
            *parts,
            *own,
            *(publisher.close() for publisher in (*self._publishers, self._answerer)),
            return_exceptions=True,
        )

    def watch(self, listener: Callable[[bool], None]) -> None:
        """Tell ``listener`` when the broker goes away and when it is back."""
        self._whole.watch(listener)

    def watch_blocked(self, listener: Callable[[bool], None]) -> None:
        """Tell ``listener`` when the broker begins to hold publishers back, and when that ends."""
        self._told_blocked.watch(listener)

    async def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Properties | None = None,
        *,
        mandatory: bool = False,
        persistent: bool = True,
    ) -> None:
        """Publish and wait for the confirm. Raises BusUnavailable, NotConfirmed, Unroutable
        (mandatory only).
        """
        if not self._publishing_ready:
            raise BusUnavailable("the broker is away")
        if exchange == self._topology.ingress:
            publisher = self._by_shard_key.get(key, self._publisher)
        else:
            publisher = self._publisher_of(exchange)
        await publisher.publish(exchange, key, body, properties, mandatory, persistent)

    async def publish_all(self, exchange: str, messages: Sequence[Outgoing]) -> list[Exception | None]:
        """Publish in this order, and return what became of each. Raises ValueError for the shards' logs."""
        if exchange == self._topology.ingress:
            raise ValueError("entries of shards' logs are published one by one")
        if not self._publishing_ready:
            return [BusUnavailable("the broker is away")] * len(messages)
        return await self._publisher_of(exchange).publish_all(exchange, messages)

    def _publisher_of(self, exchange: str) -> RabbitPublisher:
        """Return the publisher for an exchange that is not the shards' logs'."""
        if exchange in self._topology.asking:
            return self._asker
        return self._publisher if exchange else self._answerer

    async def subscribe(
        self,
        source: Callable[[], Source],
        on_delivery: OnDelivery,
        *,
        prefetch: int,
        on_start: Callable[[], None] = nothing,
        on_lost: Callable[[], None] = nothing,
    ) -> RabbitSubscription:
        """Consume for as long as the bus lives. Raises TopologyMismatch where the queue exists with other
        settings.
        """
        consumer = Consumer(source, on_delivery, prefetch, on_start, on_lost)
        subscription = RabbitSubscription(
            self._consuming, self._topology, consumer, on_close=self._forget, retire=self.retire
        )
        self._subscriptions[subscription] = None
        try:
            await subscription.begin()
        except BusUnavailable:
            subscription.revive()
        except BaseException:
            await subscription.close()
            raise
        return subscription

    async def retire(self, queue: str) -> None:
        """Delete the guard exchange of an exclusive queue, whoever owns it. Raises BusUnavailable."""
        if not self._topology.is_guard_exchange(queue):
            raise ValueError(f"{queue} is no gateway's and no router's queue")
        await delete_guard_exchange(_connected(self._consuming), queue, RETIRE_S)

    async def tail(
        self,
        stream: str,
        start: Start,
        on_record: Callable[[Record], bool],
        *,
        prefetch: int = TAIL_PREFETCH,
        on_start: Callable[[], None] = nothing,
    ) -> None:
        """Read a stream from ``start`` until ``on_record`` returns False. Raises BusUnavailable."""
        if self._closed:
            raise BusUnavailable("the bus is closed")
        self._reading.start()
        await self._reading.attempted()
        await tail(_connected(self._reading), stream, start, on_record, prefetch, on_start)

    async def last(self, stream: str) -> int | None:
        """Return the offset of an entry near a stream's end, asked of another node than that which readers
        read from, where there are several.
        """
        if self._closed:
            return None
        self._asking.start()
        if self._several and self._asking.address == self._reading.address:
            self._asking.move(ASK_ELSEWHERE_S)
        try:
            async with asyncio.timeout(LAST_S):
                await self._asking.connected()
                return await last(_connected(self._asking), stream)
        except (BusUnavailable, TimeoutError) as error:
            _log.debug("the last entry of %s is not known: %s", stream, error)
            return None

    def move_readers(self) -> None:
        """Read from the next node."""
        self._reading.move()

    def stream_remade(self, stream: str) -> None:
        """Publish to this stream by a fresh channel: the present one counts what the stream does not."""
        if (publisher := self._by_stream.get(stream)) is not None:
            publisher.stream_remade()

    async def depth(self, queue: str) -> int | None:
        """Return how many messages are ready in a queue; None where the broker is away or has no
        such queue.
        """
        try:
            return await queue_depth(_connected(self._consuming), queue, DEPTH_S)
        except BusUnavailable:
            return None

    # ── what the connections tell
    # ─────────────────────────────────────────────────────────────────────────────────

    async def _publishing_up(self, connection: RabbitConnection) -> None:
        if not self._declared:
            await refuse_former(connection, self._topology, DEPTH_S)
            await declare_topology(connection, self._topology)
            self._declared = True
        # it is nearly always there, and a cluster that has lost a node has enough to do: nobody waits for it
        else:
            self._redeclaring = supervised(
                asyncio.get_running_loop().create_task(self._redeclare(connection))
            )
        await self._open(connection)
        self._publishing.adopt(connection)
        self._compare()
        if not self._publishing_ready:  # one has ended meanwhile
            self._publisher_ended()

    async def _redeclare(self, connection: RabbitConnection) -> None:
        try:
            await declare_topology(connection, self._topology)
        except BusUnavailable as error:
            _log.warning("the topology could not be declared again: %s", error)
        except TopologyMismatch:  # nothing may be published there: the next connect says why, and is refused
            self._declared = False
            await connection.close()

    async def _open(self, connection: RabbitConnection) -> None:
        """Open what publishes and has no channel."""
        every = (*self._publishers, self._answerer)
        opening = (each.open(connection) for each in every if each.channel is None)
        for outcome in await asyncio.gather(*opening, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        self._publishing_ready = all(each.channel is not None for each in self._publishers)

    def _publishing_down(self) -> None:
        for publisher in (*self._publishers, self._answerer):
            publisher.drop()
        self._publishing_ready = False
        self._compare()

    def _publisher_ended(self) -> None:
        """Open another channel: the broker ends one for a publish to an exchange that is not there, and the
        connection stays.
        """
        self._publishing_ready = False
        self._compare()
        if self._reopening is None and self._can_reopen() is not None:
            self._reopening = supervised(
                asyncio.get_running_loop().create_task(self._reopen(), name="reopening")
            )

    def _answerer_ended(self) -> None:
        """Open another channel for answers, not at once: it may end at the next answer again."""
        if self._answering_again is None and self._publishing_ready:
            _log.warning(
                "the broker ended the channel for answers to backends (receipts, commands); its user needs "
                "permission to write to amq.default, the default exchange (docs/broker-users.md)"
            )
            again = self._answer_again()
            self._answering_again = supervised(asyncio.get_running_loop().create_task(again, name="answers"))

    async def _answer_again(self) -> None:
        try:
            await asyncio.sleep(ANSWERS_AGAIN_S)
            connection = self._publishing.connection
            if connection is not None and self._publishing_ready and self._answerer.channel is None:
                await self._answerer.open(connection)
        except BusUnavailable as error:
            _log.debug("no channel for answers: %s", error)
        finally:
            self._answering_again = None

    def _can_reopen(self) -> RabbitConnection | None:
        connection = self._publishing.connection
        wanted = not self._publishing_ready and not self._closed
        return connection if wanted and connection is not None and not connection.is_closed else None

    async def _reopen(self) -> None:
        """Declare everything again first: a channel that publishing ended misses an exchange, and would end
        again at the next publish.
        """
        backoff = self._publishing.backoff()
        try:
            while connection := self._can_reopen():
                try:
                    await declare_topology(connection, self._topology)
                    await self._open(connection)
                    self._compare()
                except (BusUnavailable, TopologyMismatch) as error:
                    _log.warning("publishing waits: %s", error)
                    await asyncio.sleep(backoff.next())
        finally:
            self._reopening = None

    async def _consuming_up(self, connection: RabbitConnection) -> None:
        self._consuming.adopt(connection)
        for subscription in list(self._subscriptions):
            try:
                await subscription.begin()
            except (BusUnavailable, TopologyMismatch) as error:
                if connection.is_closed:
                    raise
                _log.warning("a subscription waits: %s", error)
                subscription.revive()
        self._consuming_ready = True
        self._compare()

    def _consuming_down(self) -> None:
        self._consuming_ready = False
        self._compare()

    async def _reading_up(self, connection: RabbitConnection) -> None:
        self._reading.adopt(connection)

    async def _asking_up(self, connection: RabbitConnection) -> None:
        self._asking.adopt(connection)

    def _mismatch(self, mismatch: TopologyMismatch) -> None:
        if self._first is not None and not self._first.done():
            self._first.set_exception(mismatch)

    def _compare(self) -> None:
        """Tell the watchers when publishing and consuming are both there, and when one of them is gone."""
        if self._closed:
            return
        whole = self._publishing_ready and self._consuming_ready
        starting = self._first is not None and not self._first.done()
        self._whole.set(whole, quietly=starting)
        if whole and starting and self._first is not None:
            self._first.set_result(None)

    def _blocked(self) -> None:
        if not self._closed:
            self._told_blocked.set(self.blocked)

    def _forget(self, subscription: RabbitSubscription) -> None:
        self._subscriptions.pop(subscription, None)


def _connected(supervised_connection: SupervisedConnection) -> RabbitConnection:
    if supervised_connection.connection is None:
        raise BusUnavailable("the broker is away")
    return supervised_connection.connection
