"""Ticker: tells every part of a gateway that has something to do in time what time it is.

One task ticks all connections in slices, so that none has a timer of its own and none waits for all, and
behind each slice what works for all of them. It decides nothing: what is due is for each part to say.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Protocol

from gateway.core.hub import Hub
from gateway.shell.connections import Connections
from warren.clock import Clock
from warren.metrics import GatewayMetrics
from warren.supervision import cancel_and_wait, supervised

SLICE = 512
# Each connection is ticked so many times in the shortest time that it has to keep, and at least every second.
TICKS = 4
MAX_TICK_S = 1.0
# Rooms whose last messages are looked through at each tick for what is too old.
TIDY_ROOMS = 64


class Timed(Protocol):
    """A part that has something to do in time."""

    def tick(self, now: float) -> None:
        """Do what is due at ``now``, in monotonic seconds."""
        ...


class Ticker:
    """One gateway's clock."""

    def __init__(
        self,
        connections: Connections,
        parts: Sequence[Timed],
        hub: Hub,
        clock: Clock,
        metrics: GatewayMetrics,
        *,
        shortest_s: float,
    ) -> None:
        """``parts`` are ticked in this order behind each slice of connections; ``shortest_s`` is the shortest
        time that anything here has to keep.
        """
        self._connections = connections
        self._parts = parts
        self._hub = hub
        self._clock = clock
        self._metrics = metrics
        self._every_s = min(MAX_TICK_S, shortest_s / TICKS)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to tick."""
        self._task = supervised(asyncio.get_running_loop().create_task(self._run(), name="gateway-ticker"))

    async def stop(self) -> None:
        """Tick no more."""
        task, self._task = self._task, None
        await cancel_and_wait(task)

    async def _run(self) -> None:
        while True:
            everyone = self._connections.guests()
            slices = max(1, math.ceil(len(everyone) / SLICE))
            for begin in range(0, slices * SLICE, SLICE):
                now = self._clock.monotonic()
                self._connections.tick(everyone[begin : begin + SLICE], now)
                for part in self._parts:
                    part.tick(now)
                self._hub.tidy(self._clock.wall_us(), TIDY_ROOMS)
                self._metrics.rooms.set(self._hub.rooms)
                await asyncio.sleep(self._every_s / slices)
