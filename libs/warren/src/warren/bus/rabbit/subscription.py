"""RabbitSubscription: a consumer that comes back: after a reconnect, after its queue was deleted, after its
channel was ended.

It has its own channel on the bus's consuming connection. The bus begins it at each connect; between
connects it revives itself with back-off. It never keeps a delivery, and leaves no guard exchange of a former
exclusive queue behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from warren.bus.consumer import Consumer
from warren.bus.rabbit.acks import ACK_S
from warren.bus.rabbit.channel import RabbitChannel
from warren.bus.rabbit.supervised_connection import SupervisedConnection
from warren.bus.rabbit.topology import declare_source
from warren.errors import BusUnavailable, TopologyMismatch
from warren.supervision import cancel_and_wait, supervised
from warren.topology import Topology

# An exclusive queue goes with its consumer, so an ack there only makes place for more: it waits for many, and
# the broker is woken seldom (a quarter of the prefetch goes at once).
EXCLUSIVE_ACK_S = 0.2

_log = logging.getLogger("warren.bus")


class RabbitSubscription:
    """A supervised consumer."""

    def __init__(
        self,
        connection: SupervisedConnection,
        topology: Topology,
        consumer: Consumer,
        *,
        on_close: Callable[[RabbitSubscription], None],
        retire: Callable[[str], Awaitable[None]],
    ) -> None:
        """Consume nothing before ``begin``. ``on_close`` is called once, by ``close``; ``retire`` closes
        the guard exchange of a former exclusive queue.
        """
        self.queue = ""
        self.active = False
        self._connection = connection
        self._topology = topology
        self._consumer = consumer
        self._on_close = on_close
        self._retire = retire
        self._former: dict[str, None] = {}  # exclusive queues of ours that may still have a guard exchange
        self._clearing: asyncio.Task[None] | None = None
        self._channel: RabbitChannel | None = None
        self._beginning = asyncio.Lock()
        self._reviving: asyncio.Task[None] | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._closed = False
        self._exclusive = False

    async def begin(self) -> None:
        """Declare and consume on the present connection, unless that is so already. Raises BusUnavailable,
        TopologyMismatch.
        """
        async with self._beginning:
            connection = self._connection.connection
            if self._closed or self.active or connection is None:
                return
            source = self._consumer.source()
            if self._exclusive and self.queue != source.queue.name:
                self._former[self.queue] = None
            self._exclusive = source.queue.kind == "exclusive"
            self.queue = source.queue.name
            channel = await RabbitChannel.opened(connection, on_end=self._ended)
            self._channel = channel
            try:
                await declare_source(channel, source, self._topology)
                await channel.consume(
                    self.queue,
                    self._consumer.on_delivery,
                    prefetch=self._consumer.prefetch,
                    on_start=self._started,
                    on_cancel=lambda: self._cancelled(channel),
                    ack_s=EXCLUSIVE_ACK_S if self._exclusive else ACK_S,
                )
            except BaseException:
                await channel.leave()
                raise
            if self._former and self._clearing is None:
                self._clearing = supervised(
                    asyncio.get_running_loop().create_task(self._clear(), name="retire")
                )

    def renew(self) -> None:
        """Consume anew, an exclusive queue under a fresh name; nothing where it is not active."""
        if self.active and not self._closed and self._channel is not None:
            self._let_go(self._channel)

    async def close(self) -> None:
        """Stop consuming; what is not acknowledged goes back to the queue in order."""
        self._closed = True
        self.active = False
        self._on_close(self)
        await cancel_and_wait(self._reviving, self._clearing)
        async with self._beginning:
            if self._channel is not None:
                await self._channel.leave()
        await asyncio.gather(*self._endings, return_exceptions=True)

    def revive(self) -> None:
        """Begin again in a task of its own, with back-off, for as long as there is a connection
        to do it on.
        """
        if not self._closed and self._reviving is None and self._can_begin():
            self._reviving = supervised(asyncio.get_running_loop().create_task(self._revive(), name="revive"))

    async def _revive(self) -> None:
        backoff = self._connection.backoff()
        try:
            while not self.active and not self._closed and self._can_begin():
                try:
                    await self.begin()
                except (BusUnavailable, TopologyMismatch) as error:
                    _log.warning("queue %s can't be consumed: %s; trying again", self.queue, error)
                    await asyncio.sleep(backoff.next())
        finally:
            self._reviving = None

    async def _clear(self) -> None:
        """Delete the guard exchanges of former queues: a queue whose broker node is down would spoil the
        confirms of all who publish to it.
        """
        backoff = self._connection.backoff()
        try:
            while self._former and self._can_begin():
                former = next(iter(self._former))
                try:
                    await self._retire(former)
                except BusUnavailable as error:
                    _log.warning("queue %s can't be retired: %s; trying again", former, error)
                    await asyncio.sleep(backoff.next())
                else:
                    self._former.pop(former, None)
        finally:
            self._clearing = None

    def _can_begin(self) -> bool:
        connection = self._connection.connection
        return connection is not None and not connection.is_closed

    def _started(self) -> None:
        self.active = True
        self._consumer.on_start()

    def _cancelled(self, channel: RabbitChannel) -> None:
        """Open another channel: the broker has ended the consumer (its queue was deleted, or its node is
        gone).
        """
        _log.warning("queue %s was taken away by the broker; consuming it anew", self.queue)
        self._let_go(channel)

    def _let_go(self, channel: RabbitChannel) -> None:
        ending = asyncio.get_running_loop().create_task(channel.leave())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    def _ended(self) -> None:
        self._channel = None
        was_active, self.active = self.active, False
        if was_active and not self._closed:
            self._consumer.on_lost()
        if was_active:
            self.revive()
