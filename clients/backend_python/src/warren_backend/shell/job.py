"""Job: one request that a service works on, and all deliveries by which it was asked.

A request that comes again while it is worked on joins the job: it is told what was said so far, and what
comes. So the application is asked once. It publishes by what it is given, and decides nothing of the broker.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from warren_backend.core.errors import BackendError, Refused
from warren_backend.core.messages import Incoming
from warren_backend.core.request import INTERNAL, TIMEOUT, Last, Part, Request, part_of, refusal
from warren_backend.shell import tracing
from warren_backend.shell.calling import call, in_parts, parts
from warren_backend.shell.consumer import Delivery

# So many parts are on their way to the broker at once. Of a durable answer it is one: its queue may refuse a
# part and take the next one, and the parts stay in the order in which the queue has taken them.
WINDOW: Final = 32
# An answer of more bytes is not kept for repeats: whoever asks again is answered from the beginning.
KEPT_BYTES: Final = 256 * 1024

Publish = Callable[[Part, Incoming], Awaitable[None]]

_log = logging.getLogger("warren_backend")


class Job:
    """Answers one request. ``kept`` is the whole answer once it is given, where it is small enough."""

    def __init__(self, request: Request, call: Callable[[Request], Any], publish: Publish) -> None:
        self.request = request
        self._call = call
        self._publish = publish
        self.deliveries: list[Delivery] = []
        self.begun = False
        self.finished = False
        self._said: list[Part] = []
        self._n = 0
        self._bytes = 0
        self._sending: deque[asyncio.Task[None]] = deque()
        self.whole = True  # all that was said is kept
        self.undelivered = False  # something of it did not get to the broker
        self.kept: tuple[Part, ...] | None = None

    @property
    def names(self) -> set[str]:
        """The names under which its deliveries wait for an answer."""
        return {delivery.message.correlation_id or "" for delivery in self.deliveries}

    def join(self, delivery: Delivery) -> None:
        """Tell another delivery of the same request what was said so far, and what comes."""
        self.deliveries.append(delivery)
        for part in self._said:
            self._send(part, delivery.message)

    async def work(self, timeout_s: float | None = None, further_s: float | None = None) -> None:
        """Answer, or begin to, within ``timeout_s``; each further part has ``further_s``, since it begins the
        client's time anew, and who waits no longer cancels. Nothing that the application raises leaves it.
        """
        request = self.request
        limit = asyncio.timeout(timeout_s)
        try:
            with tracing.continued(request.traceparent):
                async with limit:
                    await self._answer(limit, further_s)
        except Refused as refused:
            await self._refuse(refused)
        except Exception:  # noqa: BLE001 - whatever the application raises
            if limit.expired():
                _log.warning("%s took longer than it may (%s s)", request.service, timeout_s)
                if request.durable:  # nobody else tells its client
                    await self._refuse(TIMEOUT)
            else:
                _log.exception("the service %s has failed", request.service)
                await self._refuse(INTERNAL)
        else:
            if self.whole:
                self.kept = tuple(self._said)
        await self.told()

    async def _answer(self, limit: asyncio.Timeout, further_s: float | None) -> None:
        if not in_parts(self._call):
            await self._say(part_of(await call(self._call, self.request), 1))
            return
        async for payload in parts(self._call, self.request):
            if isinstance(payload, Last):
                await self._say(part_of(payload.payload, self._n + 1))
                return
            await self._say(part_of(payload, self._n + 1, more=True))
            limit.reschedule(None if further_s is None else asyncio.get_running_loop().time() + further_s)
        await self._say(part_of(None, self._n + 1))

    async def _refuse(self, refused: Refused) -> None:
        await self._say(refusal(refused, self._n + 1, durable=self.request.durable))
        if self.whole and refused is not INTERNAL:
            self.kept = tuple(self._said)

    async def repeat(self, said: Sequence[Part]) -> None:
        """Answer with what was said before."""
        for part in said:
            await self._say(part)
        await self.told()

    async def told(self) -> None:
        """Return once all that was said has been told to all who ask."""
        await self._sent(0)

    async def _say(self, part: Part) -> None:
        self._n += 1
        if self.whole:
            self._said.append(part)
            self._bytes += len(part.body)
            if self._bytes > KEPT_BYTES:
                self.whole = False
                self._said.clear()
        for delivery in self.deliveries:
            self._send(part, delivery.message)
        await self._sent(0 if self.request.durable else WINDOW)

    def _send(self, part: Part, asked: Incoming) -> None:
        self._sending.append(asyncio.ensure_future(self._publish_part(part, asked)))

    async def _publish_part(self, part: Part, asked: Incoming) -> None:
        try:
            await self._publish(part, asked)
        except BackendError as error:
            self.undelivered = True
            _log.warning("an answer of %s did not get to the broker: %s", self.request.service, error)

    async def _sent(self, most: int) -> None:
        """Wait until at most so many parts are on their way."""
        while len(self._sending) > most:
            await self._sending.popleft()

    async def abandon(self) -> None:
        """Forget what is on its way."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
