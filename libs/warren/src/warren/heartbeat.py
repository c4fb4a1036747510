"""HeartbeatLoop: tells all routers at a rhythm that this process lives, and probes its own queue each time.

A heartbeat never waits for the confirm of the one before it (``bounded_overlap.py``): a broker that owes
confirms must not make every process take every other for dead. What is not confirmed is not repeated, since
the next one comes soon. It decides nothing about who lives (``lease.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from math import inf
from typing import Protocol

from warren.bounded_overlap import BoundedOverlap
from warren.bus import Bus, Properties
from warren.clock import Clock
from warren.envelope import CONTENT_TYPE, Envelope, encode
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.own_queue import OwnQueue
from warren.supervision import cancel_and_wait, supervised
from warren.topology import ALL, Topology

_PROPERTIES = Properties(content_type=CONTENT_TYPE)


class Sender(Protocol):
    """What one service says of itself."""

    def heartbeat(self) -> Envelope:
        """Return the heartbeat of this moment."""
        ...

    def goodbye(self) -> Sequence[Envelope]:
        """Return the last words of a process that goes in order."""
        ...


class HeartbeatLoop:
    """One process's heartbeats."""

    def __init__(
        self,
        bus: Bus,
        topology: Topology,
        clock: Clock,
        own_queue: OwnQueue,
        *,
        every_s: float,
        frozen_s: float = inf,
    ) -> None:
        """A heartbeat is due ``every_s``. A process that finds that it stood still for longer than
        ``frozen_s`` may have been taken for dead meanwhile, and renews its queue.
        """
        self._bus = bus
        self._topology = topology
        self._clock = clock
        self._own_queue = own_queue
        self._every_s = every_s
        self._frozen_s = frozen_s
        self._sender: Sender | None = None
        self._soon = asyncio.Event()
        self._overlap = BoundedOverlap("heartbeat", every_s / 4)
        self._task: asyncio.Task[None] | None = None
        self._began_at = self._next_at = 0.0  # of this round: by our clock, and by the event loop's
        bus.watch(self._bus_changed)

    async def start(self, sender: Sender) -> None:
        """Send the first heartbeat, and go on in the background. Returns once the first one is confirmed, or
        a quarter of the interval has passed.
        """
        self._sender = sender
        self._begin_round()
        await self._overlap.run(self._beat)
        self._task = supervised(asyncio.get_running_loop().create_task(self._run(), name="heartbeat"))

    def soon(self) -> None:
        """Send the next heartbeat at once: there is news in it."""
        self._soon.set()

    async def leave(self) -> None:
        """Send no more heartbeats, and say goodbye, where any was sent and the broker is there to be told."""
        sender = self._sender
        await self.stop()
        if sender is not None and self._bus.up:
            await self._send(sender.goodbye())

    async def stop(self) -> None:
        """Send no more, and give up what is not confirmed."""
        self._sender = None
        task, self._task = self._task, None
        await cancel_and_wait(task)
        await self._overlap.close()

    def _bus_changed(self, up: bool) -> None:
        if up:
            self._soon.set()

    def _begin_round(self) -> None:
        self._soon.clear()
        self._began_at = self._clock.monotonic()
        self._next_at = asyncio.get_running_loop().time() + self._every_s

    async def _run(self) -> None:
        while True:
            await self._overlap.run(self._own_queue.probe)
            try:
                async with asyncio.timeout_at(self._next_at):
                    await self._soon.wait()
            except TimeoutError:
                if self._clock.monotonic() - self._began_at > self._frozen_s:
                    self._own_queue.renew("this process stood still for long")
            self._begin_round()
            await self._overlap.run(self._beat)

    async def _beat(self) -> None:
        if self._sender is not None:
            await self._send([self._sender.heartbeat()])

    async def _send(self, words: Sequence[Envelope]) -> None:
        with contextlib.suppress(BusUnavailable, NotConfirmed, Unroutable):
            await self._bus.publish(self._topology.routers, ALL, encode(words), _PROPERTIES, persistent=False)
