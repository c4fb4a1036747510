"""Hook server: has an application's function decide what gateways ask, a bounded number at a time.

A function that fails, or whose answer Warren could not follow, decides nothing: the gateway is told so at
once, and the client may try again. Nothing is allowed by accident.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from warren_backend.core.decision import answer_to, question_of
from warren_backend.core.errors import BackendError
from warren_backend.core.messages import Outgoing
from warren_backend.core.names import Names
from warren_backend.core.payloads import JSON_TYPE
from warren_backend.core.queues import hook_queue
from warren_backend.core.request import CANCEL_TYPE
from warren_backend.core.routes import HookRoute
from warren_backend.shell import tracing
from warren_backend.shell.calling import call
from warren_backend.shell.consumer import Consumer, Delivery, Intake
from warren_backend.shell.publisher import Publisher

REPLY_S: Final = 10.0
# An answer that can't be followed: it decides nothing, and the gateway need not wait for another one.
NO_DECISION: Final = b"{}"

_log = logging.getLogger("warren_backend")


class HookServer:
    """One hook. ``consumer`` is its part of the Link."""

    def __init__(self, names: Names, route: HookRoute, replies: Publisher) -> None:
        self.consumer = Consumer(
            f"hook {route.key}",
            [Intake(lambda: hook_queue(names, route), self.take)],
            2 * route.concurrency,
        )
        self._route = route
        self._replies = replies
        self._slots = asyncio.Semaphore(route.concurrency)
        self._tasks: dict[asyncio.Task[None], Delivery] = {}

    def take(self, delivery: Delivery) -> None:
        """Begin to decide a question."""
        task = asyncio.create_task(self._decide(delivery), name="warren-backend-question")
        self._tasks[task] = delivery
        task.add_done_callback(lambda ended: self._tasks.pop(ended, None))

    async def stop(self, grace_s: float) -> None:
        """Take no more; finish what is being decided, for at most ``grace_s``, and give the rest back."""
        await self.consumer.drain()
        if not self._tasks:
            return
        _, unfinished = await asyncio.wait(list(self._tasks), timeout=grace_s)
        deliveries = [self._tasks[task] for task in unfinished if task in self._tasks]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        for delivery in deliveries:
            await delivery.requeue()

    async def _decide(self, delivery: Delivery) -> None:
        message = delivery.message
        if message.type == CANCEL_TYPE:
            await delivery.ack()
            return
        async with self._slots:
            if not delivery.alive:
                return  # it comes again by the new channel
            left_ms = message.expiration_ms
            limit = asyncio.timeout(None if left_ms is None else left_ms / 1_000)
            try:
                with tracing.continued(message.text("traceparent")):
                    async with limit:
                        hook, question = question_of(message)
                        body = answer_to(hook, await call(self._route.call, question))
            except Exception:  # noqa: BLE001 - whatever the application raises
                if limit.expired():
                    _log.warning("the hook %s took longer than its gateway waits", self._route.key)
                else:
                    _log.exception("the hook %s has failed, so nothing is decided", self._route.key)
                body = NO_DECISION
            reply = Outgoing(
                routing_key=message.reply_to or "",
                body=body,
                content_type=JSON_TYPE,
                correlation_id=message.correlation_id,
                persistent=False,
                mandatory=False,
            )
            try:
                if message.reply_to:
                    await self._replies.publish(reply, REPLY_S)
            except BackendError as error:
                _log.warning("an answer of the hook %s did not get to the broker: %s", self._route.key, error)
            await delivery.ack()
