"""Ticker: has the router's parts do what the time asks for, ten times a second, one after the other.

It knows nothing of what they do. A part that raises ends the process (``warren/supervision.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from warren.supervision import cancel_and_wait, supervised

EVERY_S = 0.1


class Ticked(Protocol):
    """A part that has something to do from time to time."""

    def tick(self) -> None:
        """Do what is due. It must not wait."""


class Ticker:
    """One router's."""

    def __init__(self, parts: Sequence[Ticked]) -> None:
        """``parts`` have their turn in this order."""
        self._parts = parts
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = supervised(asyncio.get_running_loop().create_task(self._run(), name="router-ticker"))

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        await cancel_and_wait(task)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            for part in self._parts:
                part.tick()
