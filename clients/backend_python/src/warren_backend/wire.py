"""Wire: all that a backend has at the broker, put together from an application's routes: it begins and ends
them, and decides nothing.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Protocol

from warren_backend.core.answers import MemoryAnswers
from warren_backend.core.command import Commander
from warren_backend.core.names import Names
from warren_backend.core.notification import Level, Notification
from warren_backend.core.outbox import Limits
from warren_backend.core.queues import event_queue
from warren_backend.core.routes import EventRoute, Routes
from warren_backend.shell.commander import AmqpCommander
from warren_backend.shell.event_consumer import EventConsumer
from warren_backend.shell.hook_server import HookServer
from warren_backend.shell.link import Link, Part
from warren_backend.shell.notifier import Notifier, Sent
from warren_backend.shell.publisher import Publisher
from warren_backend.shell.service_server import ServiceServer


class Wire(Protocol):
    """What connects a backend with Warren: a broker, or a test's own record."""

    @property
    def commander(self) -> Commander:
        """Carries commands."""
        ...

    async def start(self, routes: Routes, timeout_s: float) -> None:
        """Connect, and begin to serve."""
        ...

    async def stop(self, grace_s: float) -> None:
        """Finish what is open, and leave."""
        ...

    async def send(
        self,
        notification: Notification,
        receipt: Level | None,
        timeout_s: float,
        receipt_timeout_s: float | None,
    ) -> Sent:
        """Send a notification."""
        ...

    async def send_many(self, many: Iterable[Notification], timeout_s: float) -> list[str]:
        """Send notifications as lists."""
        ...


class AmqpWire:
    """One connection to a broker."""

    def __init__(self, urls: Sequence[str], names: Names, limits: Limits) -> None:
        self._urls = urls
        self._names = names
        self._notifier = Notifier(names, limits)
        self._commander = AmqpCommander(names)
        self._replies = Publisher("replies", names.replies, limits)
        self._servers: list[ServiceServer | HookServer | EventConsumer] = []
        self._link: Link | None = None

    @property
    def commander(self) -> Commander:
        """Carries commands by ``warren.control``'s like under the prefix."""
        return self._commander

    async def start(self, routes: Routes, timeout_s: float) -> None:
        """Connect, declare the queues, and begin to serve. Raises what keeps it from that."""
        answers = MemoryAnswers(time.monotonic)
        consumers = [self._events(route) for route in routes.events]
        self._servers = [
            *(ServiceServer(self._names, route, self._replies, answers) for route in routes.services),
            *(HookServer(self._names, route, self._replies) for route in routes.hooks),
            *consumers,
        ]
        parts: list[Part] = [self._notifier.publisher, self._commander.publisher]
        if routes.services or routes.hooks:
            parts.append(self._replies)
        parts += [server.consumer for server in self._servers]
        link = Link(self._urls, parts)
        for consumer in consumers:
            consumer.start()
        self._link = link
        try:
            await link.start(timeout_s)
        except BaseException:
            await self.stop(0.0)
            raise

    async def stop(self, grace_s: float) -> None:
        """Finish what is open, give the rest back, and leave the broker."""
        deadline = time.monotonic() + grace_s
        await asyncio.gather(*(server.stop(grace_s) for server in self._servers))
        self._servers = []
        for publisher in (self._replies, self._notifier.publisher, self._commander.publisher):
            await publisher.emptied(deadline - time.monotonic())
        await self._notifier.stop()
        self._commander.stop()
        self._replies.stop()
        if self._link is not None:
            await self._link.stop()
            self._link = None

    async def send(
        self,
        notification: Notification,
        receipt: Level | None,
        timeout_s: float,
        receipt_timeout_s: float | None,
    ) -> Sent:
        """Send a notification by the channel of all notifications."""
        return await self._notifier.send(notification, receipt, timeout_s, receipt_timeout_s)

    async def send_many(self, many: Iterable[Notification], timeout_s: float) -> list[str]:
        """Send notifications as lists by the same channel."""
        return await self._notifier.send_many(many, timeout_s)

    def _events(self, route: EventRoute) -> EventConsumer:
        name = f"events {', '.join(route.keys)}" + (
            f" ({route.queue})" if route.queue else f" ({id(route):x})"
        )
        return EventConsumer(name, route, lambda: event_queue(self._names, route, uuid.uuid4().hex))
