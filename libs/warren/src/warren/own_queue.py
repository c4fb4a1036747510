"""OwnQueue: the queue by which one process is told what concerns it alone: exclusive, named anew each time it
is consumed, renewed where nothing reaches it any more.

An exclusive queue whose broker node is down can stay bound and locked (RabbitMQ 4.3), so a name is never used
twice. The queue stands behind an exchange of the same name, which others delete when they take this process
for dead; so it is probed, and consumed anew where a probe finds nobody. Whatever is no envelope is passed
over, and everything is acknowledged: nothing here must be kept, and what one body brings about must not end
the consumer.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Protocol

from warren.bus import Bus, Delivery, Source, Subscription
from warren.envelope import Envelope, decode_leniently
from warren.logs import event, get_logger
from warren.queue_probe import QueueProbe
from warren.topology import Binding, Queue

_logger = get_logger("warren.own_queue")


class Receiver(Protocol):
    """Who is given what comes. Nothing here may wait; what ``take`` raises is told to ``failed``."""

    def begun(self) -> None:
        """The queue is consumed anew: whatever was sent to the one before is lost."""
        ...

    def lost(self) -> None:
        """Nothing comes any more until ``begun``."""
        ...

    def take(self, envelopes: Sequence[Envelope]) -> None:
        """Deal with the envelopes of one body, in their order."""
        ...

    def malformed(self, reason: str) -> None:
        """Some of a body, or all of it, was no envelope; the rest is taken next."""
        ...

    def failed(self, error: Exception) -> None:
        """``take`` has raised this: what was left of the body is passed over."""
        ...


class OwnQueue:
    """One process's own queue."""

    def __init__(
        self, bus: Bus, named: Callable[[str], tuple[Queue, tuple[Binding, ...]]], *, prefetch: int
    ) -> None:
        """``named`` gives the queue with this nonce in its name, and its bindings, of which the first is to
        the process's own key. At most ``prefetch`` bodies are on their way at a time.
        """
        self._bus = bus
        self._named = named
        self._prefetch = prefetch
        address = named("")[1][0]
        self._probe = QueueProbe(bus, address.exchange, address.key)
        self._subscription: Subscription | None = None

    @property
    def active(self) -> bool:
        """Whether it is being consumed now."""
        return self._subscription is not None and self._subscription.active

    @property
    def name(self) -> str:
        """Its name at present; "" where it is not consumed."""
        return self._subscription.queue if self._subscription is not None and self.active else ""

    async def start(self, receiver: Receiver) -> None:
        """Consume for as long as the bus lives."""

        def delivered(delivery: Delivery) -> None:
            try:
                envelopes, reason = decode_leniently(delivery.body)
                if reason:
                    receiver.malformed(reason)
                receiver.take(envelopes)
            except Exception as error:  # noqa: BLE001 - one body must not end the consumer
                receiver.failed(error)
            finally:
                delivery.ack()

        self._subscription = await self._bus.subscribe(
            self._source,
            delivered,
            prefetch=self._prefetch,
            on_start=receiver.begun,
            on_lost=receiver.lost,
        )

    async def stop(self) -> None:
        """Consume no more; the queue goes with its consumer."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()

    async def probe(self) -> None:
        """See whether it can be reached, and renew it where it was found twice in a row that it can't."""
        if await self._probe.unreachable():
            self.renew("nothing reaches our queue")

    def renew(self, reason: str) -> None:
        """Consume anew under another name; what lies in the present queue is lost."""
        event(_logger, "unreachable", level=logging.WARNING, queue=self.name, reason=reason)
        if self._subscription is not None:
            self._subscription.renew()

    def _source(self) -> Source:
        return Source(*self._named(secrets.token_hex(4)))
