"""EchoService: the service ``echo`` of embedded mode, which answers each request with what it was asked, so
that REQUEST can be tried with nothing but Python.

It is a backend like any other: it talks to the broker alone, and knows no gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from functools import partial

from warren.bus import Bus, Delivery, Properties, Source, Subscription
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.supervision import cancel_and_wait, supervised
from warren.topology import Topology

SERVICE = "echo"
# Requests that are being answered at a time; the queue refuses what is beyond it and its own limit.
PREFETCH = 256


class EchoService:
    """One process's."""

    def __init__(self, bus: Bus, topology: Topology) -> None:
        """``bus`` is somebody else's, and started before."""
        self._bus = bus
        self._topology = topology
        self._answering: set[asyncio.Task[None]] = set()
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begin to answer."""
        self._subscription = await self._bus.subscribe(self._source, self._asked, prefetch=PREFETCH)

    async def stop(self) -> None:
        """Answer no more."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()
        await cancel_and_wait(*self._answering)

    def _source(self) -> Source:
        return Source(*self._topology.service_queue(SERVICE, secrets.token_hex(4)))

    def _asked(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(delivery), name="echo")
        self._answering.add(supervised(task))
        task.add_done_callback(self._answering.discard)
        task.add_done_callback(partial(_settle, delivery))

    async def _answer(self, asked: Delivery) -> None:
        properties = asked.properties
        answer = Properties(content_type=properties.content_type, correlation_id=properties.correlation_id)
        # Where it does not get through, who has asked asks again, or has gone.
        with contextlib.suppress(BusUnavailable, NotConfirmed, Unroutable):
            await self._bus.publish(
                self._topology.replies, properties.reply_to or "", asked.body, answer, persistent=False
            )


def _settle(delivery: Delivery, _: asyncio.Task[None]) -> None:
    delivery.ack()
