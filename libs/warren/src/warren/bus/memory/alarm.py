"""MemoryAlarm: what one bus publishes waits while a memory broker has an alarm, and goes on in its order
afterwards.

A real broker reads nothing more from a connection that publishes then; so nothing is refused, and nothing
arrives.
"""

from __future__ import annotations

import asyncio
from collections import deque


class MemoryAlarm:
    """Holds publishes back while there is an alarm."""

    def __init__(self) -> None:
        """No alarm."""
        self.on = False
        self._held: deque[asyncio.Future[None]] = deque()

    async def passed(self) -> None:
        """Return when there is no alarm and all that came before have passed. Raises what
        ``fail`` is given.
        """
        if not self.on and not self._held:
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.append(place)
        try:
            await place
        finally:
            self._held.remove(place)
            self._let_on()

    def set(self, on: bool) -> None:
        """Begin or end the alarm."""
        self.on = on
        self._let_on()

    def fail(self, error: Exception) -> None:
        """Give up on what waits."""
        for place in self._held:
            if not place.done():
                place.set_exception(error)

    def _let_on(self) -> None:
        if not self.on and self._held and not self._held[0].done():
            self._held[0].set_result(None)
