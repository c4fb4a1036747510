"""RabbitLane: one channel on which a shard's queue is consumed and its log is written, so that both end together.

It is never made again by itself: who owned it must take the shard over anew. RabbitBus makes them, on a connection that only lanes use.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from warren.bus import OnDelivery
from warren.bus.rabbit_channel import RabbitChannel
from warren.bus.rabbit_connection import RabbitConnection
from warren.errors import BusUnavailable
from warren.topology import Queue

_log = logging.getLogger("warren.bus")


class RabbitLane:
    """A lane on RabbitMQ."""

    def __init__(self, on_lost: Callable[[], None], on_end: Callable[[RabbitLane], None]) -> None:
        """Use ``opened``."""
        self._on_lost = on_lost
        self._on_end = on_end
        self._channel: RabbitChannel | None = None
        self._closed = False
        self._ending: asyncio.Task[None] | None = None

    @classmethod
    async def opened(
        cls, connection: RabbitConnection, on_lost: Callable[[], None], on_end: Callable[[RabbitLane], None]
    ) -> RabbitLane:
        """Open the lane's channel; ``on_end`` is called when it ends, whoever ends it. Raises BusUnavailable."""
        lane = cls(on_lost, on_end)
        lane._channel = await RabbitChannel.opened(connection, confirms=True, on_end=lane._ended)
        return lane

    async def consume(self, queue: Queue, on_delivery: OnDelivery, *, prefetch: int) -> None:
        """Consume a durable queue. Raises BusUnavailable."""
        await self._alive().consume(queue.name, on_delivery, prefetch=prefetch, on_cancel=self._cancelled)

    async def append(self, stream: str, body: bytes) -> None:
        """Append to a stream and wait for the confirm. Raises NotConfirmed, BusUnavailable, Unroutable (no such stream)."""
        await self._alive().publish("", stream, body, None, mandatory=True, persistent=True)

    async def close(self) -> None:
        """Close the channel; what is not acknowledged goes to the queue's next consumer."""
        self._closed = True
        channel = self._channel
        if channel is not None:
            await channel.leave()
        if self._ending is not None:
            await asyncio.gather(self._ending, return_exceptions=True)

    def _alive(self) -> RabbitChannel:
        if self._channel is None or self._closed:
            raise BusUnavailable("this lane has ended")
        return self._channel

    def _cancelled(self) -> None:
        """The broker has ended the consumer: who can't read must not write either."""
        if self._channel is not None and self._ending is None:
            _log.warning("a lane's queue was taken away by the broker")
            self._ending = asyncio.get_running_loop().create_task(self._channel.leave())

    def _ended(self) -> None:
        was_open = self._channel is not None and not self._closed
        self._channel = None
        self._on_end(self)
        if was_open:
            self._on_lost()
