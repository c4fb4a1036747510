"""Accession: the steps of a take-over that need the broker, one at a time: put the claim into the shard's queue, append the marker, read up to it.

It decides nothing: what came of a step goes back to whoever asked for it, and a step that was given up says nothing any more.
``possession.py`` has one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from router.core.replay import Replay
from router.shell.follower import Follower, Outrun
from router.shell.log import ShardLog
from router.shell.steady import LONGEST_PAUSE_S, Steady
from warren.bus import Properties
from warren.envelope import CONTENT_TYPE, Claim, encode
from warren.errors import WarrenError
from warren.fault import watched
from warren.logs import event, get_logger
from warren.topology import Topology

_PROPERTIES = Properties(content_type=CONTENT_TYPE)
_logger = get_logger("router.accession")


class Accession:
    """One shard's steps."""

    def __init__(self, number: int, router: str, steady: Steady, topology: Topology) -> None:
        """Nothing is under way."""
        self._number = number
        self._router = router
        self._steady = steady
        self._topology = topology
        self._task: asyncio.Task[None] | None = None

    def claim(self, term: int) -> None:
        """Put a claim into the shard's queue, as often as it takes."""
        self._begin(self._claim(term))

    def mark(self, log: ShardLog, term: int, done: Callable[[bool], None]) -> None:
        """Append our marker; ``done`` hears whether it is confirmed."""
        self._begin(self._mark(log, term, done))

    def read(self, follower: Follower, done: Callable[[Replay | Outrun | None], None]) -> None:
        """Wait until the log is read up to our marker; ``done`` hears what it says (None: it can't be understood)."""
        self._begin(self._read(follower, done))

    def cancel(self) -> None:
        """Give up the step that is under way."""
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def close(self) -> None:
        """Give up the step that is under way, and see it end."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _begin(self, step: Coroutine[Any, Any, None]) -> None:
        self.cancel()
        self._task = watched(asyncio.get_running_loop().create_task(step, name=f"accession-{self._number}"))

    async def _claim(self, term: int) -> None:
        await self._steady.publish(
            self._topology.ingress,
            self._topology.shard_key(self._number),
            encode([Claim(self._router, term)]),
            _PROPERTIES,
            mandatory=True,
        )

    async def _mark(self, log: ShardLog, term: int, done: Callable[[bool], None]) -> None:
        try:
            await log.mark(term)
        except WarrenError as error:
            event(_logger, "marker_failed", level=logging.WARNING, shard=self._number, term=term, reason=str(error))
            done(False)
        else:
            done(True)

    async def _read(self, follower: Follower, done: Callable[[Replay | Outrun | None], None]) -> None:
        found: Replay | Outrun | None = None
        try:
            found = await follower.upto_marker()
        except Exception as error:  # noqa: BLE001 - ours: the shard is left and taken over again, not left hanging
            event(_logger, "log_not_understood", level=logging.ERROR, shard=self._number, error=error)
            await self._steady.wait(LONGEST_PAUSE_S)
        done(found)
