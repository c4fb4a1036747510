"""RetryingPublisher: publishes until the broker has confirmed, however long it is away.

For what must not be lost: notifications on their way to a shard, and what is set aside. What is repeated is
the same bytes, so receivers that drop repeats by id see it once. The caller bounds what waits here (a
prefetch, a batcher).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from warren.bus import Bus, Properties
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.logs import event, get_logger
from warren.retry import Backoff

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0

_logger = get_logger("router.retrying_publisher")


class RetryingPublisher:
    """Confirmed publishing with patience."""

    def __init__(self, bus: Bus) -> None:
        """One for each service is enough."""
        self._bus = bus
        self._up = asyncio.Event()
        bus.watch(self._told)

    def _told(self, up: bool) -> None:
        if up:
            self._up.set()
        else:
            self._up.clear()

    async def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Properties,
        wanted: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Return True once it is confirmed and a queue has it. False: it was not, and ``wanted`` says that it
        must not be repeated any more.
        """
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        said = False
        while wanted():
            try:
                await self._bus.publish(exchange, key, body, properties, mandatory=True)
            except (BusUnavailable, NotConfirmed, Unroutable) as error:
                if isinstance(error, Unroutable) and not said:
                    said = True
                    event(
                        _logger,
                        "no_queue",
                        level=logging.ERROR,
                        exchange=exchange,
                        key=key,
                        reason="a queue of the topology is missing; it is waited for, and each service "
                        "declares it when it connects",
                    )
                await self.wait(backoff.next())
            else:
                return True
        return False

    async def wait(self, longest_s: float) -> None:
        """Pause before a repeat: ``longest_s``, or less where the broker comes back meanwhile."""
        if self._bus.up:
            await asyncio.sleep(longest_s)
            return
        self._up.clear()
        try:
            async with asyncio.timeout(longest_s):
                await self._up.wait()
        except TimeoutError:
            pass
