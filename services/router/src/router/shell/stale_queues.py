"""StaleQueues: deletes the guard exchange of the own queue of whoever died, so that a queue that outlives its
process spoils nobody's publish.

RabbitMQ 4.3 keeps an exclusive queue bound while its node is down, and refuses whatever also goes to it: as
long as one such queue hears heartbeats, no heartbeat of anyone is confirmed. Every router does this, since
the one that should may be dead too; one that is deleted already is no error. Never touches what is no
process's own queue, whatever a heartbeat says.
"""

from __future__ import annotations

import asyncio
import logging

from warren.bus import Bus
from warren.errors import BusUnavailable
from warren.logs import event, get_logger
from warren.supervision import cancel_and_wait, supervised
from warren.topology import Topology

AGAIN_S = 0.5
MOST = 4_096  # what waits to be deleted; beyond it the eldest is given up
_logger = get_logger("router.stale_queues")


class StaleQueues:
    """The guard exchanges of all living gateways and routers, and those that are to be deleted."""

    def __init__(self, bus: Bus, topology: Topology) -> None:
        """One for each router."""
        self._bus = bus
        self._topology = topology
        self._known: dict[str, str] = {}  # process ▶ its own queue
        self._waiting: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many are still to be deleted."""
        return len(self._waiting)

    def seen(self, process: str, queue: str) -> None:
        """A living process has said which queue is its own at present; it deletes the guard exchanges of its
        former ones itself.
        """
        if queue and self._topology.is_guard_exchange(queue):
            self._known[process] = queue

    def left(self, process: str) -> None:
        """A process has gone in order, and its queue with it: forget its guard exchange."""
        self._known.pop(process, None)

    def gone(self, process: str) -> None:
        """A process has died: delete its guard exchange, in the background, until the broker has done it."""
        queue = self._known.pop(process, "")
        if not queue:
            return
        self._waiting[queue] = None
        if len(self._waiting) > MOST:
            del self._waiting[next(iter(self._waiting))]
        if self._task is None:
            self._task = supervised(
                asyncio.get_running_loop().create_task(self._close_all(), name="stale-queues")
            )

    async def close(self) -> None:
        """End; what waits is given up (the other routers do it too)."""
        task, self._task = self._task, None
        await cancel_and_wait(task)

    async def _close_all(self) -> None:
        try:
            while self._waiting:
                queue = next(iter(self._waiting))
                try:
                    await self._bus.retire(queue)
                except BusUnavailable as error:
                    event(_logger, "door_waits", level=logging.WARNING, queue=queue, reason=str(error))
                    await asyncio.sleep(AGAIN_S)
                else:
                    self._waiting.pop(queue, None)
                    event(_logger, "door_closed", queue=queue)
        finally:
            self._task = None
