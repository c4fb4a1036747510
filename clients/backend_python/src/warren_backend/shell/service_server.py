"""Service server: has an application's function answer the requests of clients, a bounded number at a time.

A request that comes again (its gateway, its broker or this process had failed) is answered once and told
again; a client that wants no more stops the work; at the end what is open is finished, and the rest given
back.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

from warren_backend.core.answers import Answers
from warren_backend.core.errors import Refused
from warren_backend.core.messages import Incoming
from warren_backend.core.names import Names
from warren_backend.core.queues import cancel_queue, service_queue
from warren_backend.core.request import CANCEL_TYPE, Part, refusal, repeat_key, request_of
from warren_backend.core.routes import ServiceRoute
from warren_backend.shell.consumer import Consumer, Delivery, Intake
from warren_backend.shell.job import Job
from warren_backend.shell.publisher import Publisher

REPLY_S: Final = 30.0
# Cancels that came before their requests, as those wait in the queue.
CANCELS: Final = 10_000

_log = logging.getLogger("warren_backend")


class ServiceServer:
    """One service. ``consumer`` is its part of the Link."""

    def __init__(self, names: Names, route: ServiceRoute, replies: Publisher, answers: Answers) -> None:
        self.consumer = Consumer(
            f"service {route.pattern}",
            [
                Intake(lambda: service_queue(names, route), self.take),
                Intake(lambda: cancel_queue(names, route, uuid.uuid4().hex), self.cancel, no_ack=True),
            ],
            route.prefetch,
        )
        self._names = names
        self._route = route
        self._replies = replies
        self._answers = route.answers or answers
        self._slots = asyncio.Semaphore(route.concurrency)
        self._jobs: dict[str, Job] = {}  # by the id of the request
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._cancelled: OrderedDict[str, None] = OrderedDict()
        self._finishing: set[asyncio.Task[None]] = set()
        self._stopping = False

    def take(self, delivery: Delivery) -> None:
        """Begin to answer a request, or join it to the work on the same one."""
        message = delivery.message
        name = message.correlation_id or ""
        if message.type == CANCEL_TYPE or name in self._cancelled:
            # a pattern like orders.# hears cancels as well
            self._later(delivery.ack())
            return
        if self._stopping:
            self._later(delivery.requeue())
            return
        ident = repeat_key(message, self._names.durable_replies)
        job = self._jobs.get(ident)
        if job is not None and job.whole:
            job.join(delivery)
            return
        if job is not None:
            # What it has said so far is not kept, so it is answered anew: the parts are numbered, and what a
            # client has already is passed over.
            self._tasks[job].cancel()
        try:
            request = request_of(message, self._names.durable_replies)
        except Refused as refused:
            durable = message.reply_to == self._names.durable_replies
            self._later(self._refuse(delivery, refusal(refused, 1, durable=durable)))
            return
        job = Job(request, self._route.call, self._publish)
        job.deliveries.append(delivery)
        self._jobs[ident] = job
        task = asyncio.create_task(self._work(ident, job, time.monotonic()), name="warren-backend-request")
        self._tasks[job] = task
        task.add_done_callback(lambda _: self._ended(ident, job))

    def cancel(self, delivery: Delivery) -> None:
        """Stop the work on a request that nobody waits for any more."""
        name = delivery.message.correlation_id or ""
        if not name:
            return  # no gateway's
        for ident, job in self._jobs.items():
            if name in job.names:
                if len(job.names) == 1:
                    self._forget(ident, job)
                    self._tasks[job].cancel()
                return
        self._cancelled[name] = None
        while len(self._cancelled) > CANCELS:
            self._cancelled.popitem(last=False)

    async def stop(self, grace_s: float) -> None:
        """Take no more; finish what is being answered, for at most ``grace_s``, and give the rest back."""
        await self.consumer.drain()
        self._stopping = True
        for job, task in list(self._tasks.items()):
            if not job.begun:
                task.cancel()
        if self._tasks:
            _, unfinished = await asyncio.wait(list(self._tasks.values()), timeout=grace_s)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        await asyncio.sleep(0)  # what has just ended says so
        while self._finishing:
            await asyncio.gather(*self._finishing, return_exceptions=True)

    async def _work(self, ident: str, job: Job, came_at: float) -> None:
        async with self._slots:
            if not any(delivery.alive for delivery in job.deliveries):
                self._forget(ident, job)
                return  # they come again by the new channel
            left_s = job.request.timeout_s
            if left_s is not None:
                left_s -= time.monotonic() - came_at
                if left_s <= 0:
                    self._forget(ident, job)
                    job.finished = True  # its client waits no longer
                    return
                job.request = replace(job.request, timeout_s=left_s)
            job.begun = True
            if (said := await self._known(ident)) is not None:
                await job.repeat(said)
            else:
                longest_s = self._route.timeout_s
                await job.work(longest_s if left_s is None else min(left_s, longest_s), longest_s)
                if job.kept is not None:
                    await self._keep(ident, job.kept)
            # Who comes from here on finds the answer that was kept; who has joined gets it yet.
            self._forget(ident, job)
            await job.told()
            job.finished = True

    def _ended(self, ident: str, job: Job) -> None:
        """Settle a job's deliveries; it need not have begun."""
        task = self._tasks.pop(job)
        self._forget(ident, job)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a request of %s could not be answered", self._route.pattern, exc_info=error)
        # a client that wants no more is no reason to ask again; that this process ends is one
        again = (self._stopping and not job.finished) or (job.undelivered and job.request.durable)
        self._later(self._settle(job, again=again))

    def _forget(self, ident: str, job: Job) -> None:
        """Let nobody join a job any more."""
        if self._jobs.get(ident) is job:
            del self._jobs[ident]

    async def _settle(self, job: Job, *, again: bool) -> None:
        await job.abandon()
        for delivery in job.deliveries:
            await (delivery.requeue() if again else delivery.ack())

    async def _known(self, ident: str) -> tuple[Part, ...] | None:
        try:
            said = await self._answers.get(ident)
        except Exception:  # noqa: BLE001 - the store is the application's
            _log.exception("what was answered before can't be looked up")
            return None
        return None if said is None else tuple(said)

    async def _keep(self, ident: str, said: tuple[Part, ...]) -> None:
        try:
            await self._answers.put(ident, said)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("an answer can't be kept for repeats")

    async def _refuse(self, delivery: Delivery, part: Part) -> None:
        await self._publish(part, delivery.message)
        await delivery.ack()

    async def _publish(self, part: Part, asked: Incoming) -> None:
        if asked.reply_to:
            await self._replies.publish(part.reply(asked), REPLY_S)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="warren-backend-settle")
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
