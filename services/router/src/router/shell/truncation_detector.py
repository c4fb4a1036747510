"""TruncationDetector: finds out that a shard's log has lost its end: somebody was told of entries that are
not there.

A broker that has lost what it had confirmed (all of its nodes at once, with their disks) gives the same
numbers to other entries. Then every number of this life of the log is doubtful, and a new life has to begin.
What counts is what the log says of itself, after a while: a reader that lags behind is no loss, and a broker
node may show an old end. So it is asked twice, by two ways each time, of which one is another the second
time. It writes nothing.
"""

from __future__ import annotations

import asyncio
import logging

from router.shell.shard_log import ShardLog
from warren.errors import BusUnavailable
from warren.logs import event, get_logger
from warren.supervision import cancel_and_wait, supervised

# For so long an entry that somebody was told of may be ahead of us.
PATIENCE_S = 5.0
# So often in a row the log must say that it has no more.
DOUBTS = 2

_logger = get_logger("router.truncation_detector")


class TruncationDetector:
    """One shard's."""

    def __init__(self, log: ShardLog) -> None:
        """Nobody has been told anything yet."""
        self.lost = False
        self._log = log
        self._told = -1  # the last entry that somebody was told of, where we have not read it
        self._since = 0.0
        self._doubts = 0  # how often it was found so in a row
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """A life of the log begins: what was said of the one before is void."""
        self.lost, self._told, self._doubts = False, -1, 0

    def heard(self, offset: int, now: float) -> None:
        """Somebody was told of an entry that we have not read."""
        if self._told < 0:
            self._since = now
        self._told = max(self._told, offset)

    def forked(self) -> None:
        """Another entry stands where we have read one."""
        self._find("another entry stands in the place of one that was read")

    def look(self, read: int, now: float) -> None:
        """Look whether what was heard of has been ``read`` by now; where it has not for long, ask the log. To
        be called several times a second.
        """
        if read >= self._told:
            self._told, self._doubts = -1, 0
        elif now - self._since >= PATIENCE_S and self._task is None and not self.lost:
            self._since = now
            self._task = supervised(
                asyncio.get_running_loop().create_task(self._ask(read), name=f"truncation-{self._log.shard}")
            )

    async def close(self) -> None:
        """End."""
        task, self._task = self._task, None
        await cancel_and_wait(task)

    async def _ask(self, read: int) -> None:
        try:
            own, other = await self._log.end(), await self._log.end_elsewhere()
        except BusUnavailable:
            return
        finally:
            self._task = None
        if own is None or other is None:
            return
        # They are offsets near the end. Where we had read that, and what comes after it did not come for so
        # long, there is nothing more there.
        if max(own, other) > read or read >= self._told:
            self._doubts = 0
            return
        self._doubts += 1
        if self._doubts >= DOUBTS:
            self._find(f"it ends at {read}, and {self._told} was told")
        else:
            self._log.move()

    def _find(self, reason: str) -> None:
        self.lost = True
        event(_logger, "log_end_lost", level=logging.ERROR, shard=self._log.shard, reason=reason)
