"""Asker: questions by a publisher, and their answers by the direct reply-to of its channel.

An answer is lost with the channel: then the same question goes again, under the same ids, so that whoever
answers takes it for the repeat that it is. It knows no question.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import Any, Final

from warren_backend.core.errors import Overloaded, Stopped
from warren_backend.core.messages import Incoming, Outgoing
from warren_backend.core.names import DIRECT_REPLY
from warren_backend.core.outbox import Limits
from warren_backend.shell.publisher import Life, Publisher

OPEN: Final = 10_000


class Asking:
    """One question. Close it when it is answered, or wanted no more."""

    def __init__(self, asker: Asker, message: Outgoing) -> None:
        self._asker = asker
        self._ident = str(uuid.uuid4())
        self._message = replace(message, correlation_id=self._ident, reply_to=DIRECT_REPLY)
        loop = asyncio.get_running_loop()
        expires = message.expiration_ms
        self._until = None if expires is None else loop.time() + expires / 1_000
        self._answer: asyncio.Future[Incoming] = loop.create_future()
        self._life: Life | None = None
        asker.enter(self._ident, self._answer)

    async def send(self, timeout_s: float) -> None:
        """Return once the broker has the question. Raises as Publisher.publish."""
        self._life = await self._asker.publisher.publish(self._message, timeout_s, until=self._until)

    async def answer(self, timeout_s: float, attempt_s: float) -> Incoming:
        """Return the answer; ask again after ``attempt_s``, and where it may be lost. Raises TimeoutError,
        and as Publisher.publish.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            left = deadline - loop.time()
            if self._life is not None and not self._answer.done():
                either: list[asyncio.Future[Any]] = [self._answer, self._life]
                await asyncio.wait(
                    either,
                    timeout=max(0.0, min(left, attempt_s)),
                    return_when=asyncio.FIRST_COMPLETED,
                )
            if self._answer.done():
                return self._answer.result()
            left = deadline - loop.time()
            if left <= 0:
                raise TimeoutError
            await self.send(left)

    def renew(self) -> None:
        """Ask the same anew, where the answer was to try again."""
        self.close()
        self._ident = str(uuid.uuid4())
        self._message = replace(self._message, correlation_id=self._ident)
        self._answer = asyncio.get_running_loop().create_future()
        self._life = None
        self._asker.enter(self._ident, self._answer)

    def close(self) -> None:
        """Forget it; an answer that comes later is passed over."""
        self._asker.leave(self._ident)


class Asker:
    """Questions to one exchange; at most ``limit`` are open."""

    def __init__(
        self,
        name: str,
        exchange: str,
        limits: Limits | None = None,
        limit: int = OPEN,
        *,
        in_order: bool = False,
    ) -> None:
        """``in_order`` is the Publisher's."""
        self.publisher = Publisher(name, exchange, limits, self._answered, in_order=in_order)
        self._limit = limit
        self._open: dict[str, asyncio.Future[Incoming]] = {}

    def __len__(self) -> int:
        """Return how many questions are open."""
        return len(self._open)

    def enter(self, ident: str, answer: asyncio.Future[Incoming]) -> None:
        """Expect an answer. Raises Overloaded."""
        if len(self._open) >= self._limit:
            raise Overloaded(f"{self._limit} answers are waited for already")
        self._open[ident] = answer

    def leave(self, ident: str) -> None:
        """Expect it no more."""
        self._open.pop(ident, None)

    def stop(self) -> None:
        """Tell all who wait that nothing more comes."""
        self.publisher.stop()
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(Stopped("the backend was stopped before the answer came"))
                answer.exception()  # whoever waits is told; nobody need be waiting
        self._open.clear()

    def _answered(self, message: Incoming) -> None:
        answer = self._open.get(message.correlation_id or "")
        if answer is not None and not answer.done():
            answer.set_result(message)
