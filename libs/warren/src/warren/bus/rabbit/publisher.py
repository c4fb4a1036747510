"""RabbitPublisher: one channel to publish on, and another in its place where the broker refuses or owes
confirms.

What goes to a stream must have a channel of its own: up to 3.13 a channel that sends to a stream's new leader
what the former had not confirmed numbers it by the channel's publishes and not by the stream's. Where the two
differ that confirm never comes, and what follows is taken for a repeat: confirmed and not written, however
often it is sent (https://github.com/rabbitmq/rabbitmq-server/pull/12236). They are the same where everything
on the channel reaches that stream, and the stream is the same one: a channel on which something reached no
queue, or whose stream was deleted and declared anew, is replaced. It repeats no publish, and makes no
connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from warren.bus import Outgoing, Properties
from warren.bus.rabbit.channel import CONFIRM_S, RabbitChannel
from warren.bus.rabbit.connection import RabbitConnection
from warren.bus.rabbit.supervised_connection import SupervisedConnection
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.retry import Backoff
from warren.supervision import cancel_and_wait, supervised

REPLACE_FIRST_S, REPLACE_LAST_S = 0.2, 30.0
SETTLE_S = 10.0
LONGEST_CONFIRM_S = 10.0
REPLACED_S = 1.0

_log = logging.getLogger("warren.bus")


class RabbitPublisher:
    """One channel at a time."""

    def __init__(self, connection: SupervisedConnection, on_end: Callable[[], None], *, stream: bool) -> None:
        """``on_end`` is called when the broker ends the channel; ``stream``: everything that is published
        here is for one stream.
        """
        self.channel: RabbitChannel | None = None
        self._connection = connection
        self._on_end = on_end
        self._stream = stream
        self._replacing: asyncio.Task[None] | None = None
        self._replace_at = 0.0
        self._replace_backoff = Backoff(REPLACE_FIRST_S, REPLACE_LAST_S)
        self._confirm_s = CONFIRM_S
        self._turns = asyncio.Lock()
        self._queued = 0  # publishes that wait for another channel
        self._retiring: set[asyncio.Task[None]] = set()  # channels that were replaced

    async def open(self, connection: RabbitConnection) -> None:
        """Begin on a connection. Raises BusUnavailable."""
        self.channel = await self._opened(connection)

    def drop(self) -> None:
        """Handle the loss of the connection."""
        self.channel = None

    def stream_remade(self) -> None:
        """Replace the channel: the stream was deleted and declared anew, and counts from its beginning."""
        if self._stream and self.channel is not None:
            self.channel.miscounts = True
            self._renew(self.channel)

    async def close(self) -> None:
        """End what is under way; the channel goes with its connection."""
        await cancel_and_wait(*self._retiring, self._replacing)

    async def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Properties | None,
        mandatory: bool,
        persistent: bool,
    ) -> None:
        """Publish and wait for the confirm. Raises BusUnavailable, NotConfirmed, Unroutable
        (mandatory only).
        """
        channel = await self._current()
        try:
            await channel.publish(exchange, key, body, properties, mandatory, persistent)
        except Unroutable:
            if self._stream:
                self._renew(channel)
            raise
        except NotConfirmed:
            await self._not_confirmed(channel)
            raise

    async def publish_all(self, exchange: str, messages: Sequence[Outgoing]) -> list[Exception | None]:
        """Publish in this order and wait for all confirms; return what became of each. Raises nothing."""
        try:
            channel = await self._current()
        except BusUnavailable as error:
            return [error] * len(messages)
        outcomes = await channel.publish_all(exchange, messages)
        if any(isinstance(outcome, NotConfirmed) for outcome in outcomes):
            await self._not_confirmed(channel)
        return outcomes

    async def _current(self) -> RabbitChannel:
        """Return the channel to publish on, in the order of the calls. Raises BusUnavailable."""
        channel = self.channel
        if self._queued or (self._stream and channel is not None and channel.miscounts):
            channel = await self._replaced()
        if channel is None:
            raise BusUnavailable("the broker is away")
        return channel

    async def _not_confirmed(self, channel: RabbitChannel) -> None:
        """Have another channel, so that who sends it again finds that."""
        self._refused(channel)
        if self._replacing is not None:
            await asyncio.wait((self._replacing,), timeout=REPLACED_S)

    async def _replaced(self) -> RabbitChannel | None:
        """Return the channel that has taken the place of one that miscounts; in the order of the calls.
        Raises BusUnavailable where none comes soon.
        """
        self._queued += 1
        try:
            async with self._turns:
                channel = self.channel
                if channel is None or not channel.miscounts:
                    return channel
                self._renew(channel)
                if self._replacing is not None:
                    await asyncio.wait((self._replacing,), timeout=REPLACED_S)
                if self.channel is channel:
                    raise BusUnavailable("no channel can be opened that counts as the stream does")
                return self.channel
        finally:
            self._queued -= 1

    async def _opened(self, connection: RabbitConnection) -> RabbitChannel:
        channel: RabbitChannel | None = None

        def ended() -> None:
            if channel is not None and channel is self.channel:
                self.channel = None
                self._on_end()

        channel = await RabbitChannel.opened(connection, confirms=True, on_end=ended)
        channel.confirm_s = self._confirm_s
        return channel

    def _refused(self, channel: RabbitChannel) -> None:
        """Take another channel for what is published from now on: a channel of RabbitMQ 3.10 that first
        published to a quorum queue while the queue's leader was on a node that had just died refuses all that
        goes there, until that node is back; a fresh channel finds the leader.
        """
        now = asyncio.get_running_loop().time()
        if not self._renew(channel):
            return
        # Where nothing at all was answered in time the broker may be slow: then it is given longer, or nobody
        # would ever have a confirm.
        connection = self._connection.connection
        if connection is not None and now - connection.confirmed_at < self._confirm_s:
            self._confirm_s = CONFIRM_S
        else:
            if self._confirm_s > CONFIRM_S:  # it is the second channel to which this node owes everything
                self._connection.move()
            self._confirm_s = min(LONGEST_CONFIRM_S, 2 * self._confirm_s)

    def _renew(self, channel: RabbitChannel) -> bool:
        """Begin to replace a channel; False where it is replaced already, or was a moment ago. One that
        miscounts is not worth a wait.
        """
        now = asyncio.get_running_loop().time()
        soon = now < self._replace_at and not (self._stream and channel.miscounts)
        if channel is not self.channel or channel.over or self._replacing is not None or soon:
            return False
        if now > self._replace_at + REPLACE_LAST_S:
            self._replace_backoff.reset()
        self._replace_at = now + self._replace_backoff.next()
        self._replacing = supervised(
            asyncio.get_running_loop().create_task(self._replace(channel), name="replace")
        )
        return True

    async def _replace(self, former: RabbitChannel) -> None:
        try:
            connection = self._connection.connection
            if connection is None or connection.is_closed:
                return
            async with asyncio.timeout(self._confirm_s):
                fresh = await self._opened(connection)
            if self.channel is former:
                self.channel = fresh
                retiring = supervised(
                    asyncio.get_running_loop().create_task(self._retire(former), name="replaced")
                )
                self._retiring.add(retiring)
                retiring.add_done_callback(self._retiring.discard)
            else:
                await fresh.leave()
        except TimeoutError:
            if not self._connection.blocked:
                self._connection.move()
        except BusUnavailable as error:
            _log.debug("no other channel to publish on: %s", error)
        finally:
            self._replacing = None

    @staticmethod
    async def _retire(former: RabbitChannel) -> None:
        """What is under way on a former channel gets its answers there."""
        await former.settled(SETTLE_S)
        await former.leave()
