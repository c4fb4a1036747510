"""EventLoopProgress: when the event loop was last known to turn.

Bytes that a socket brings now may have come at any time since the loop last asked it; while the loop stands
still nobody knows when. ``since`` is a bound for that: the tick before the last one, since the last one may
have run late itself, behind what made it late. Each time that it has turned, what connections hold is
checked. It decides nothing.
"""

from __future__ import annotations

import asyncio

from gateway.shell.memory_limiter import MemoryLimiter
from warren.clock import Clock

EVERY_S = 0.05


class EventLoopProgress:
    """One event loop's."""

    def __init__(self, clock: Clock, memory: MemoryLimiter) -> None:
        """``memory`` has its turn at each tick, every 50 ms where the loop is on time."""
        self._clock = clock
        self._memory = memory
        self.since = self._last = clock.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        self.since = self._last = self._clock.monotonic()
        self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._tick)

    def stop(self) -> None:
        """End."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _tick(self) -> None:
        now = self._clock.monotonic()
        self.since, self._last = self._last, now
        self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._tick)
        self._memory.turn(now)
