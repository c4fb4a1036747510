"""A backend that decides, on the stock ``aio_pika`` package: it keeps each question, and answers it as the
test says.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import aio_pika

Question = dict[str, Any]
# What is sent as an answer, in this order; nothing, or several.
Answers = Callable[[Question], Awaitable[list[bytes]]]

ALLOW = json.dumps({"allow": True}).encode()


async def allow(_: Question) -> list[bytes]:
    return [ALLOW]


class HookBackend:
    """Use it by ``async with``: it is bound to all questions then, and unbound at the end."""

    def __init__(
        self, url: str, exchange: str, answers: Answers = allow, keys: tuple[str, ...] = ("#",)
    ) -> None:
        self._url = url
        self._exchange = exchange
        self._keys = keys
        self.answers = answers
        self.questions: list[Question] = []

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect(self._url)
        self._channel = await self._connection.channel()
        await self._channel.set_qos(prefetch_count=1_000)
        exchange = await self._channel.declare_exchange(self._exchange, "topic", durable=True)
        queue = await self._channel.declare_queue(exclusive=True)
        for key in self._keys:
            await queue.bind(exchange, key)
        self._tasks: set[asyncio.Task[None]] = set()
        await queue.consume(self._asked, no_ack=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.close()

    def of(self, hook: str) -> list[Question]:
        """Return the questions of a hook so far."""
        return [question for question in self.questions if question["hook"] == hook]

    async def _asked(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        if message.type == "CANCEL":
            return
        question = json.loads(message.body)
        self.questions.append(question)
        task = asyncio.create_task(self._answer(message, question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: aio_pika.abc.AbstractIncomingMessage, question: Question) -> None:
        for body in await self.answers(question):
            reply = aio_pika.Message(body, correlation_id=message.correlation_id)
            await self._channel.default_exchange.publish(reply, message.reply_to or "")
