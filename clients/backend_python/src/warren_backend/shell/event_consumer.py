"""Event consumer: hands events to an application's function, one after the other, each counted once, and
acknowledged when the function has returned. What fails again and again is set aside, and holds up the others
no longer.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from typing import Final

from warren_backend.core.backoff import Backoff
from warren_backend.core.event import Event, event_of
from warren_backend.core.once import MemoryOnce
from warren_backend.core.queues import Queue
from warren_backend.core.routes import EventRoute
from warren_backend.shell import tracing
from warren_backend.shell.calling import call
from warren_backend.shell.consumer import Consumer, Delivery, Intake

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0

_log = logging.getLogger("warren_backend")


class EventConsumer:
    """One queue, and the function that hears what comes by it. ``consumer`` is its part of the Link."""

    def __init__(self, name: str, route: EventRoute, queue: Callable[[], Queue]) -> None:
        self.consumer = Consumer(name, [Intake(queue, self.take)], route.prefetch)
        self._name = name
        self._route = route
        self._once = route.once or MemoryOnce()
        # bounded by the prefetch, since a channel's end empties it
        self._waiting: deque[Delivery] = deque()
        self._news = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def take(self, delivery: Delivery) -> None:
        """Put an event behind the others. Those whose channel has ended come again by the new one."""
        while self._waiting and not self._waiting[0].alive:
            self._waiting.popleft()
        self._waiting.append(delivery)
        self._news.set()

    def start(self) -> None:
        """Begin to hand events over."""
        self._task = asyncio.create_task(self._run(), name=f"warren-backend-{self._name}")

    async def stop(self, grace_s: float) -> None:
        """Finish the event that is being handled, for at most ``grace_s``, and handle no other.

        Those go back to the queue with the channel's end, all at once and in their order. Were they given
        back one by one, or the consumer ended before, another process would go on with what comes after them.
        """
        self._stopping = True
        self._news.set()
        if self._task is not None:
            _, unfinished = await asyncio.wait([self._task], timeout=grace_s)
            for task in unfinished:
                task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        while not self._stopping:
            while self._waiting and not self._stopping:
                delivery = self._waiting.popleft()
                if delivery.alive:
                    await self._handle(delivery)
            if not self._stopping:
                self._news.clear()
                await self._news.wait()

    async def _handle(self, delivery: Delivery) -> None:
        try:
            event = event_of(delivery.message)
        except ValueError as error:
            _log.error("an event of %s can't be read and is set aside: %s", self._name, error)
            await delivery.set_aside()
            return
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, random.random)
        for attempt in range(1, self._route.tries + 1):
            try:
                await self._hear(event)
            except Exception:  # noqa: BLE001 - whatever the application raises
                _log.exception("%s failed at %s (%s), try %d", self._name, event.event, event.key, attempt)
            else:
                await delivery.ack()
                return
            if attempt == self._route.tries:
                break
            if self._stopping or not delivery.alive:
                return  # it comes again
            await asyncio.sleep(backoff.next())
        _log.error(
            "%s (%s) is set aside: %s has failed %d times", event.event, event.key, self._name, attempt
        )
        await delivery.set_aside()

    async def _hear(self, event: Event) -> None:
        async with asyncio.timeout(self._route.timeout_s), self._once.claim(event.key) as new:
            if new:
                with tracing.continued(event.traceparent):
                    await call(self._route.call, event)
