"""A service for tests, on stock aio-pika: it notes what it is asked, and answers as a test says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection
from tests.support.eventually import eventually

from warren.topology import Topology

Answer = Callable[["Service", AbstractIncomingMessage], Awaitable[None]]


async def echo(service: Service, asked: AbstractIncomingMessage) -> None:
    """Answer with what was asked, once."""
    await service.answer(asked, asked.body)


async def silence(service: Service, asked: AbstractIncomingMessage) -> None:
    """Answer nothing."""


class Service:
    """One process's worth of a service. Use it by ``async with``."""

    def __init__(
        self, url: str, topology: Topology, name: str, answer: Answer = echo, *, queue: str = ""
    ) -> None:
        """``queue``: a durable one of this name, which outlives the service; else one that goes with it."""
        self._url = url
        self._topology = topology
        self.name = name
        self._queue = queue
        self._answer = answer
        self.asked: list[AbstractIncomingMessage] = []
        self.cancelled: list[str] = []  # correlation ids
        self._connection: aio_pika.abc.AbstractConnection | AbstractRobustConnection
        self._channel: aio_pika.abc.AbstractChannel

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect(self._url)
        self._channel = await self._connection.channel(publisher_confirms=False)
        await self._channel.set_qos(prefetch_count=2_000)
        kind = {"x-queue-type": "quorum"} if self._queue else None
        queue = await self._channel.declare_queue(
            self._queue or None, durable=bool(self._queue), exclusive=not self._queue, arguments=kind
        )
        await queue.bind(self._topology.rpc, self.name)
        cancels = await self._channel.declare_queue(exclusive=True)
        await cancels.bind(self._topology.rpc, self._topology.cancel_key(self.name))
        await cancels.consume(self._cancel, no_ack=True)
        await queue.consume(self._request)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def answer(self, asked: AbstractIncomingMessage, body: bytes | Any, **headers: Any) -> None:
        """Answer with these bytes, or with a value as JSON."""
        message = aio_pika.Message(
            body if isinstance(body, bytes) else json.dumps(body).encode(),
            correlation_id=asked.correlation_id,
            headers=headers,
        )
        await self._channel.default_exchange.publish(
            message, routing_key=asked.reply_to or "", mandatory=False
        )

    async def has(self, count: int, timeout_s: float = 10.0) -> list[AbstractIncomingMessage]:
        """Return what it was asked, once that is so much."""
        await eventually(lambda: len(self.asked) >= count, timeout_s)
        return self.asked

    def message_ids(self) -> Counter[str]:
        """Return how often each request came."""
        return Counter(str(asked.message_id) for asked in self.asked)

    async def _request(self, asked: AbstractIncomingMessage) -> None:
        self.asked.append(asked)
        try:
            await self._answer(self, asked)
        finally:
            await asked.ack()

    async def _cancel(self, cancel: AbstractIncomingMessage) -> None:
        self.cancelled.append(str(cancel.correlation_id))
