"""BoundedOverlap: start work at regular times, though what was started before is not done yet.

A sign of life must not wait for the confirm of the one before it: where one process's own queue is on a
broker node that stands still, the broker owes all who publish to it their confirms, and every process would
take every other for dead. Each is waited for a little, then it goes on by itself. What is under way is
bounded: beyond that nothing is begun. It knows nothing of what it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from warren.supervision import cancel_and_wait, supervised

# A confirm may be owed for 10 s: what comes four times a second is begun until then.
MOST = 64


class BoundedOverlap:
    """What one process has begun."""

    def __init__(self, name: str, longest_s: float, most: int = MOST) -> None:
        """Wait for each at most ``longest_s``; so many may be under way. ``name`` is that of the tasks."""
        self._name = name
        self._longest_s = longest_s
        self._most = most
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Begin ``work``, and wait until it is done or has taken long; False, and nothing is begun, where too
        much is under way.
        """
        if len(self._under_way) >= self._most:
            await asyncio.sleep(0)
            return False
        task = supervised(asyncio.get_running_loop().create_task(work(), name=self._name))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.wait((task,), timeout=self._longest_s)
        return True

    async def close(self) -> None:
        """Give up what is under way."""
        await cancel_and_wait(*self._under_way)
