"""A channel of aiormq that does what a test says: it keeps what is published, confirms it when told to, delivers, and
ends. There is no broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelInvalidStateError, DeliveryError, PublishError
from pamqp.commands import Basic
from pamqp.header import ContentHeader


class Published:
    """One publish that waits for its confirm."""

    def __init__(
        self, body: bytes, exchange: str, key: str, properties: Basic.Properties, mandatory: bool
    ) -> None:
        self.body = body
        self.exchange = exchange
        self.key = key
        self.properties = properties
        self.mandatory = mandatory
        self.outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ack(self) -> None:
        self.outcome.set_result(None)

    def nack(self) -> None:
        self.outcome.set_exception(DeliveryError(None, Basic.Nack()))

    def give_back(self) -> None:
        message = DeliveredMessage(Basic.Return(), ContentHeader(), b"", None)  # type: ignore[arg-type]
        self.outcome.set_exception(PublishError(message, Basic.Return()))


class ScriptedChannel:
    """Stands in for ``aiormq.abc.AbstractChannel``."""

    def __init__(self, *, confirms: bool = False) -> None:
        """``confirms``: everything is confirmed at once."""
        self.published: list[Published] = []
        self.settled: list[tuple[str, int]] = []
        self.declared: list[tuple[str, str, dict[str, Any]]] = []
        self.bound: list[tuple[str, str, str]] = []
        self.cancelled: list[str] = []
        self.prefetch = 0
        self.on_consumer_cancel_callbacks: set[Callable[[Any], Any]] = set()
        self.consumers: dict[str, Callable[[DeliveredMessage], Any]] = {}
        self._confirms = confirms
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tag = 0

    @property
    def is_closed(self) -> bool:
        return self._closing.done()

    @property
    def closing(self) -> asyncio.Future[None]:
        observer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def ended(closing: asyncio.Future[None]) -> None:
            if not observer.done():
                error = closing.exception()
                observer.set_exception(error) if error else observer.set_result(None)

        self._closing.add_done_callback(ended)
        return observer

    def end(self, error: BaseException | None = None) -> None:
        """End the channel, as the broker or the network does."""
        if self._closing.done():
            return
        self._closing.set_exception(error) if error else self._closing.set_result(None)
        self._closing.exception()
        for each in self.published:
            if not each.outcome.done():
                each.outcome.set_exception(error or ChannelInvalidStateError("closed"))
                each.outcome.exception()

    async def basic_publish(
        self,
        body: bytes,
        *,
        exchange: str = "",
        routing_key: str = "",
        properties: Any = None,
        mandatory: bool = False,
    ) -> None:
        each = Published(body, exchange, routing_key, properties, mandatory)
        self.published.append(each)
        if self._confirms:
            each.ack()
        await asyncio.shield(each.outcome)

    async def basic_qos(self, *, prefetch_count: int) -> None:
        self.prefetch = prefetch_count

    async def basic_consume(
        self, queue: str, consumer_callback: Callable[[DeliveredMessage], Any], *, no_ack: bool = False
    ) -> Any:
        self.consumers[queue] = consumer_callback
        return SimpleNamespace(consumer_tag=f"tag-{queue}")

    async def basic_cancel(self, tag: str) -> None:
        self.cancelled.append(tag)

    async def basic_ack(self, tag: int) -> None:
        self.settled.append(("ack", tag))

    async def basic_reject(self, tag: int, *, requeue: bool) -> None:
        self.settled.append(("requeue" if requeue else "set aside", tag))

    async def exchange_declare(self, name: str, **_: Any) -> None:
        self.declared.append(("exchange", name, {}))

    async def queue_declare(self, name: str, *, arguments: dict[str, Any], **how: Any) -> None:
        self.declared.append(("queue", name, arguments | how))

    async def queue_bind(self, queue: str, exchange: str, key: str) -> None:
        self.bound.append((queue, exchange, key))

    async def deliver(self, queue: str, body: bytes = b"", key: str = "", **properties: Any) -> int:
        """Deliver a message to a queue's consumer, and return its tag."""
        self._tag += 1
        deliver = Basic.Deliver(
            consumer_tag=f"tag-{queue}", delivery_tag=self._tag, redelivered=False, routing_key=key
        )
        header = ContentHeader(properties=Basic.Properties(**properties))
        await self.consumers[queue](DeliveredMessage(deliver, header, body, self))  # type: ignore[arg-type]
        return self._tag


async def turns(count: int = 20) -> None:
    """Let whatever is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)
