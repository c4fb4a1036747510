"""Publisher: one channel to one exchange, with confirms, over any number of connections.

What is published goes in the order of the calls, also where it has to be sent again on another channel; what
the broker refuses does so only as far as it can. So much waits and no more. Whoever publishes is told that
the broker has it, or why not. It knows no message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelPreconditionFailed,
    DeliveryError,
    PublishError,
)

from warren_backend.core.backoff import Backoff
from warren_backend.core.errors import (
    BackendError,
    BrokerUnavailable,
    Expired,
    InvalidNotification,
    NotConfirmed,
    Overloaded,
    Stopped,
    Unroutable,
)
from warren_backend.core.messages import Incoming, Outgoing
from warren_backend.core.names import DIRECT_REPLY
from warren_backend.core.outbox import Limits, Outbox
from warren_backend.shell.broker_errors import LOST, explained
from warren_backend.shell.properties import incoming_of, properties_of

CONFIRM_S: Final = 10.0
TICK_S: Final = 1.0
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0
# So many refusals in a row, and another channel is tried: in RabbitMQ 3.10 one may never find a queue's new
# leader.
REFUSALS: Final = 5
# How many may wait for a place, beyond what waits in the outbox.
WAITING: Final = 10_000

Life = asyncio.Future[None]

_log = logging.getLogger("warren_backend")


@dataclass(slots=True)
class _Pending:
    message: Outgoing
    until: float | None  # loop time after which it has expired
    done: asyncio.Future[Life]
    written_at: float = 0.0


class Publisher:
    """A part of a Link. ``on_reply`` takes what is answered to the direct reply-to of its channel.

    ``in_order``: what the broker refuses holds up all that came after it. That is for what goes to one queue:
    elsewhere a queue that is full would hold up what goes to others.
    """

    def __init__(
        self,
        name: str,
        exchange: str,
        limits: Limits | None = None,
        on_reply: Callable[[Incoming], None] | None = None,
        *,
        in_order: bool = False,
    ) -> None:
        self.name = name
        self._exchange = exchange
        self._on_reply = on_reply
        self._in_order = in_order
        self._outbox: Outbox[_Pending] = Outbox(limits or Limits())
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._turn = asyncio.Lock()
        self._queued = 0
        self._refusals = 0  # in a row
        self._holding: asyncio.TimerHandle | None = None  # nothing is written meanwhile
        self._pause = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, lambda: 1.0)
        self._trouble: BackendError | None = None
        self._fault: BaseException | None = None
        self._stopped = False

    def __len__(self) -> int:
        """Return how many messages wait for their confirms."""
        return len(self._outbox)

    def trouble(self, error: BackendError | None) -> None:
        """Hear why there is no channel: what is not confirmed in time says so."""
        self._trouble = error

    async def publish(self, message: Outgoing, timeout_s: float, *, until: float | None = None) -> Life:
        """Return once the broker has the message, with the life of the channel that it went by: a future that
        is done when that channel has ended.

        ``until``: the loop's time at which the message expires, where that was said before; else its
        expiration counts from now. Raises NotConfirmed, Expired, Unroutable, AccessRefused, Overloaded,
        Stopped.
        """
        if self._stopped:
            raise Stopped("the backend is stopped")
        loop = asyncio.get_running_loop()
        if until is None and message.expiration_ms is not None:
            until = loop.time() + message.expiration_ms / 1_000
        pending = _Pending(message, until, loop.create_future())
        number = None
        try:
            async with asyncio.timeout(timeout_s):
                await self._fits(message.size)
                number = self._outbox.add(pending, message.size)
                self._news.set()
                return await pending.done
        except TimeoutError:
            reason = f": {self._trouble}" if self._trouble is not None else ""
            if number is None:
                raise Overloaded(f"{len(self._outbox)} messages wait already{reason}") from None
            raise NotConfirmed(
                f"the broker has not confirmed it within {timeout_s:g} s{reason}; under the same id it can "
                "be sent again"
            ) from None
        finally:
            if number is not None:
                self._settle(number)

    async def emptied(self, timeout_s: float) -> None:
        """Wait until the broker has all that was published, for at most so long."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while len(self._outbox) and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._room.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._room.wait()

    def stop(self) -> None:
        """Tell all who wait that nothing more is sent."""
        self._stopped = True
        for pending in self._outbox.drain():
            _fail(pending, Stopped("the backend was stopped before the broker had confirmed it"))

    async def serve(self, channel: AbstractChannel, ready: Callable[[], None]) -> None:
        """Publish on a channel until it ends."""
        life: Life = asyncio.get_running_loop().create_future()
        sending: dict[asyncio.Task[None], _Pending] = {}
        closing = channel.closing
        closing.add_done_callback(lambda _: self._news.set())
        self._fault = None
        self._refusals = 0
        try:
            if self._on_reply is not None:
                await channel.basic_consume(DIRECT_REPLY, self._replied, no_ack=True)
            ready()
            while not closing.done() and self._fault is None:
                while self._may_write(sending) and (due := self._outbox.next()) is not None:
                    self._begin(channel, life, *due, sending)
                self._news.clear()
                self._check(sending)
                if closing.done() or self._fault is not None:
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await self._news.wait()
        finally:
            error = self._fault or (
                closing.exception() if closing.done() and not closing.cancelled() else None
            )
            closing.cancel()
            if self._holding is not None:
                self._holding.cancel()
                self._holding = None
            for task in sending:
                task.cancel()
            # Before anything is waited for: a lost connection ends its channels first, and then has whoever
            # uses them cancelled, who may wait here. What is cancelled settles nothing any more.
            found = self._blame(error)
            life.set_result(None)
            await asyncio.gather(*sending, return_exceptions=True)
        if not found:
            raise explained(error)

    def _blame(self, error: BaseException | None) -> bool:
        """Handle a channel's end; True where it was one message's fault, who sent it has been told, and the
        others can go on at once.
        """
        refused = isinstance(error, ChannelAccessRefused | ChannelPreconditionFailed)
        culprit = self._outbox.ended(refused=refused)
        if culprit is None:
            return False
        _fail(culprit, explained(error))
        return True

    async def _fits(self, size: int) -> None:
        """Wait for a place, in the order of the calls."""
        if not self._queued and self._outbox.fits(size):
            return
        if self._queued >= WAITING:
            raise Overloaded(f"{self._queued} wait for a place already")
        self._queued += 1
        try:
            async with self._turn:
                while not self._outbox.fits(size):
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._queued -= 1

    def _may_write(self, sending: dict[asyncio.Task[None], _Pending]) -> bool:
        """Say whether what waits may go: after a refusal nothing for a moment, and then one at a time until
        one is taken, so that nothing more overtakes what was refused.
        """
        return self._holding is None and not (self._in_order and self._refusals and sending)

    def _begin(
        self,
        channel: AbstractChannel,
        life: Life,
        number: int,
        pending: _Pending,
        sending: dict[asyncio.Task[None], _Pending],
    ) -> None:
        now = asyncio.get_running_loop().time()
        left_ms = None if pending.until is None else max(0, round((pending.until - now) * 1_000))
        if left_ms == 0 and pending.message.expiration_ms:
            self._settle(number)
            _fail(pending, Expired("its time was over before the broker had it"))
            return
        pending.written_at = now
        # tasks that are made one after the other also write one after the other
        task = asyncio.create_task(self._send(channel, life, number, pending, left_ms))
        sending[task] = pending
        task.add_done_callback(lambda ended: self._ended(ended, sending))

    def _ended(self, task: asyncio.Task[None], sending: dict[asyncio.Task[None], _Pending]) -> None:
        sending.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fault = error
        self._news.set()

    async def _send(
        self, channel: AbstractChannel, life: Life, number: int, pending: _Pending, left_ms: int | None
    ) -> None:
        message = pending.message
        try:
            await channel.basic_publish(
                message.body,
                exchange=self._exchange,
                routing_key=message.routing_key,
                properties=properties_of(message, left_ms),
                mandatory=message.mandatory,
            )
        except PublishError:
            self._settle(number)
            _fail(
                pending, Unroutable(f"no queue takes what goes to {self._exchange}: has Warren started here?")
            )
        except DeliveryError:
            self._refused(number, life)
        except LOST:
            pass  # the end of the channel says it for all
        except (ValueError, TypeError, OverflowError) as error:
            self._settle(number)
            _fail(pending, InvalidNotification(f"it can't be written as an AMQP message: {error}"))
        else:
            self._refusals = 0
            self._trouble = None
            self._pause.reset()
            self._settle(number)
            if not pending.done.done():
                pending.done.set_result(life)

    def _refused(self, number: int, life: Life) -> None:
        """Send it again soon: the queue is full, or has no leader at present."""
        self._refusals += 1
        self._trouble = BrokerUnavailable("the broker refuses it: the queue is full, or its leader is away")
        if self._refusals >= REFUSALS:
            self._fault = self._trouble
            return
        loop = asyncio.get_running_loop()
        if not self._in_order:
            loop.call_later(self._pause.next(), self._again, number, life)
            return
        self._outbox.again(number)
        if self._holding is None:
            self._holding = loop.call_later(self._pause.next(), self._go_on)

    def _again(self, number: int, life: Life) -> None:
        if not life.done():  # else it is under way on another channel
            self._outbox.again(number)
            self._news.set()

    def _go_on(self) -> None:
        self._holding = None
        self._news.set()

    def _check(self, sending: dict[asyncio.Task[None], _Pending]) -> None:
        oldest = next(iter(sending.values()), None)
        if oldest is not None and asyncio.get_running_loop().time() - oldest.written_at > CONFIRM_S:
            self._fault = BrokerUnavailable(f"the broker confirms nothing for {CONFIRM_S:g} s")

    def _settle(self, number: int) -> None:
        if self._outbox.settle(number) is not None:
            self._room.set()
            self._news.set()

    async def _replied(self, message: DeliveredMessage) -> None:
        if self._on_reply is not None:
            self._on_reply(incoming_of(message))


def _fail(pending: _Pending, error: BackendError) -> None:
    if not pending.done.done():
        pending.done.set_exception(error)
