"""Wakeup: one coroutine waits, whoever has what it waits for wakes it. It keeps nothing but that: a wake that
nobody waits for is forgotten.
"""

from __future__ import annotations

import asyncio


class Wakeup:
    """For one coroutine at a time. ``waiting``: it waits, and was not woken yet; read it, don't write it."""

    __slots__ = ("_future", "waiting")

    def __init__(self) -> None:
        """Begin with nobody."""
        self._future: asyncio.Future[None] | None = None
        self.waiting = False

    async def wait(self) -> None:
        """Wait until ``wake`` is called."""
        self._future = asyncio.get_running_loop().create_future()
        self.waiting = True
        try:
            await self._future
        finally:
            self._future = None
            self.waiting = False

    def wake(self) -> None:
        """Wake whoever waits."""
        if self._future is not None and not self._future.done():
            self.waiting = False
            self._future.set_result(None)
