"""RedeliveryScreening: what was delivered before and not acknowledged is tried in the sandbox first; what
fails there is set aside, the rest goes on in order.

Such a delivery may be why the router before is gone. A first delivery passes at once; behind one that is
being tried everything waits, so the queue's order stays (the prefetch bounds what waits). It acknowledges
nothing but what was set aside.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

from router.shell.sandbox_process import SandboxProcess
from warren.bus import Delivery, OnDelivery
from warren.supervision import cancel_and_wait, supervised

# What is tried and handed on at once. Those behind wait for it.
AT_ONCE = 256


class RedeliveryScreening:
    """The way of one queue's deliveries to whoever handles them."""

    def __init__(
        self,
        sandbox: SandboxProcess,
        work: Callable[[Delivery], object],
        hand_on: OnDelivery,
        set_aside: Callable[[Delivery, str], Awaitable[None]],
    ) -> None:
        """``work`` is what can fail about a delivery, without any effect; ``set_aside`` keeps a delivery with
        its reason and must not raise.
        """
        self._sandbox = sandbox
        self._work = work
        self._hand_on = hand_on
        self._set_aside = set_aside
        self._held: deque[Delivery] = deque()
        self._life = 0  # counts the losses of the queue
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many deliveries wait."""
        return len(self._held)

    def take(self, delivery: Delivery) -> None:
        """Take a delivery from the bus."""
        if self._task is None and not delivery.redelivered:
            self._hand_on(delivery)
            return
        self._held.append(delivery)
        if self._task is None:
            self._task = supervised(asyncio.get_running_loop().create_task(self._run(), name="screening"))

    def lost(self) -> None:
        """The queue is not ours any more: what waits is given to the next consumer."""
        self._held.clear()
        self._life += 1

    async def close(self) -> None:
        """Hand nothing on any more."""
        self.lost()
        task = self._task
        await cancel_and_wait(task)

    async def _run(self) -> None:
        try:
            while self._held:
                await self._next()
        finally:
            self._task = None

    async def _next(self) -> None:
        """Try what is at the head and was delivered before, and hand on up to the next such one."""
        life = self._life
        suspects: list[Delivery] = []
        for delivery in self._held:
            if not delivery.redelivered or len(suspects) == AT_ONCE:
                break
            suspects.append(delivery)
        reasons = await self._sandbox.tried([partial(self._work, suspect) for suspect in suspects])
        for reason in reasons:
            if life != self._life:
                return
            delivery = self._held.popleft()
            if reason:
                await self._set_aside(delivery, reason)
            else:
                self._hand_on(delivery)
        while life == self._life and self._held and not self._held[0].redelivered:
            self._hand_on(self._held.popleft())
