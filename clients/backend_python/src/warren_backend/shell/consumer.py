"""Consumer: takes messages from queues that it declares, on one channel, over any number of connections.

Whoever works on a message is not disturbed when its channel ends; the acknowledgement then counts for
nothing, and the message comes again. It knows no message.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from warren_backend.core.errors import BackendError, BrokerUnavailable
from warren_backend.core.messages import Incoming
from warren_backend.core.queues import Queue
from warren_backend.shell.broker_errors import LOST, explained
from warren_backend.shell.properties import incoming_of

CANCEL_S: Final = 3.0


class Delivery:
    """A message that has come, and how to say what became of it."""

    def __init__(self, message: Incoming, channel: AbstractChannel | None, tag: int) -> None:
        self.message = message
        self._channel = channel
        self._tag = tag
        self.settled = False

    @property
    def alive(self) -> bool:
        """Whether what is said of it still counts: the channel it came by is there."""
        return self._channel is None or not self._channel.is_closed

    async def ack(self) -> None:
        """It is done."""
        if self._channel is not None:
            await self._settle(self._channel.basic_ack, self._tag)

    async def requeue(self) -> None:
        """Somebody else is to do it."""
        if self._channel is not None:
            await self._settle(self._channel.basic_reject, self._tag, requeue=True)

    async def set_aside(self) -> None:
        """It can't be done: it goes where the queue's dead letters go."""
        if self._channel is not None:
            await self._settle(self._channel.basic_reject, self._tag, requeue=False)

    async def _settle(self, say: Callable[..., Awaitable[None]], tag: int, **how: bool) -> None:
        if self.settled or not self.alive:
            return
        self.settled = True
        try:
            await say(tag, **how)
        except LOST:
            pass  # it comes again
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise


@dataclass(frozen=True, slots=True)
class Intake:
    """A queue, made anew for each channel, and what takes its messages: in order, and without waiting."""

    queue: Callable[[], Queue]
    take: Callable[[Delivery], None]
    no_ack: bool = False


class Consumer:
    """A part of a Link."""

    def __init__(self, name: str, intakes: Sequence[Intake], prefetch: int) -> None:
        self.name = name
        self._intakes = intakes
        self._prefetch = prefetch
        self._channel: AbstractChannel | None = None
        self._tags: list[str] = []
        self._news = asyncio.Event()
        self._draining = False
        self._cancelled = False
        self.fault: BackendError | None = None

    def trouble(self, error: BackendError | None) -> None:
        """Hear why there is no channel."""
        self.fault = error

    async def serve(self, channel: AbstractChannel, ready: Callable[[], None]) -> None:
        """Take messages from a channel until it ends."""
        closing = channel.closing
        closing.add_done_callback(lambda _: self._news.set())
        channel.on_consumer_cancel_callbacks.add(self._on_cancel)
        self._cancelled = False
        self._tags = []
        try:
            await channel.basic_qos(prefetch_count=self._prefetch)
            for intake in self._intakes:
                queue = intake.queue()
                await _declare(channel, queue)
                if not self._draining:
                    taken = await channel.basic_consume(
                        queue.name, self._taking(channel, intake), no_ack=intake.no_ack
                    )
                    self._tags.append(str(taken.consumer_tag))
            self._channel = channel
            ready()
            while not closing.done() and not self._cancelled:
                self._news.clear()
                await self._news.wait()
            if self._cancelled:
                raise BrokerUnavailable("the broker has ended a consumer: was its queue deleted?")
            raise explained(None if closing.cancelled() else closing.exception())
        finally:
            self._channel = None
            closing.cancel()

    async def drain(self) -> None:
        """Take nothing more; what was taken may still be acknowledged."""
        self._draining = True
        channel = self._channel
        if channel is None:
            return
        with contextlib.suppress(*LOST):
            async with asyncio.timeout(CANCEL_S):
                for tag in self._tags:
                    await channel.basic_cancel(tag)

    def _taking(
        self, channel: AbstractChannel, intake: Intake
    ) -> Callable[[DeliveredMessage], Coroutine[Any, Any, None]]:
        async def take(message: DeliveredMessage) -> None:
            # each is a task of its own, but begins in the order of the messages and waits for nothing
            intake.take(Delivery(incoming_of(message), channel, int(message.delivery_tag or 0)))

        return take

    def _on_cancel(self, _: Basic.Cancel) -> None:
        self._cancelled = True
        self._news.set()


async def _declare(channel: AbstractChannel, queue: Queue) -> None:
    if queue.dead:
        await channel.exchange_declare(queue.dead, exchange_type="fanout", durable=True)
        await channel.queue_declare(queue.dead, durable=True, arguments=dict(queue.dead_arguments))
        await channel.queue_bind(queue.dead, queue.dead, "")
    await channel.queue_declare(
        queue.name, durable=not queue.exclusive, exclusive=queue.exclusive, arguments=dict(queue.arguments)
    )
    for key in queue.keys:
        await channel.queue_bind(queue.name, queue.exchange, key)
