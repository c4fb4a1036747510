"""Heartbeat: tells the routers that this gateway lives, and finds out whether they can reach it.

A heartbeat goes to all routers, at once whenever our queue is consumed anew; after each it knocks at our own
door. A process that was frozen for longer than a few of them may have been taken for dead, and its door
closed. At the end it says good-bye. It decides nothing: ``app.py`` starts and ends it, and has the downlink
consume anew where nothing reaches our queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from warren import envelope
from warren.bus import Bus, Properties
from warren.clock import Clock
from warren.errors import BusUnavailable, NotConfirmed
from warren.overlap import Overlap
from warren.queue_probe import QueueProbe
from warren.supervision import supervised
from warren.topology import ALL, Topology

FROZEN_BEATS = 3

_PROPERTIES = Properties(content_type=envelope.CONTENT_TYPE)


class HeartbeatSender:
    """The gateway's sign of life."""

    def __init__(
        self,
        bus: Bus,
        topology: Topology,
        clock: Clock,
        make: Callable[[], envelope.Heartbeat],
        *,
        every_s: float,
        on_unreachable: Callable[[str], None],
    ) -> None:
        """``make`` makes the heartbeat of this moment; ``on_unreachable(why)`` is called when nothing may
        reach our queue any more.
        """
        self._bus = bus
        self._topology = topology
        self._clock = clock
        self._make = make
        self._every_s = every_s
        self._on_unreachable = on_unreachable
        self._now = asyncio.Event()
        self._overlap = Overlap("heartbeat", every_s / 4)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to beat."""
        self._task = supervised(asyncio.get_running_loop().create_task(self._run(), name="heartbeat"))

    async def stop(self) -> None:
        """Say good-bye (the members have left before) and end."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._overlap.close()
        if self._bus.up:
            await self._send(envelope.Leaving(self._make().gateway))

    def returned(self) -> None:
        """Beat at once: our queue is consumed anew, under a new name."""
        self._now.set()

    async def _run(self) -> None:
        queue_probe = QueueProbe(self._bus, self._topology.egress, self._make().gateway)
        loop = asyncio.get_running_loop()
        while True:
            self._now.clear()
            began_at, next_at = self._clock.monotonic(), loop.time() + self._every_s
            await self._overlap.run(self._beat)
            await self._overlap.run(lambda: self._try(queue_probe))
            try:
                async with asyncio.timeout_at(next_at):
                    await self._now.wait()
            except TimeoutError:
                if self._clock.monotonic() - began_at > FROZEN_BEATS * self._every_s:
                    self._on_unreachable("this process stood still for long")

    async def _beat(self) -> None:
        await self._send(self._make())

    async def _try(self, queue_probe: QueueProbe) -> None:
        if await queue_probe.shut():
            self._on_unreachable("nothing reaches our queue")

    async def _send(self, said: envelope.Heartbeat | envelope.Leaving) -> None:
        body = envelope.encode([said])
        try:
            await self._bus.publish(self._topology.routers, ALL, body, _PROPERTIES, persistent=False)
        except (BusUnavailable, NotConfirmed):
            return  # the next one comes soon
