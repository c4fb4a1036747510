"""HistoryBackfill: reads what lies before the checkpoint at which a reader has begun, for the messages that
members may still ask for.

A reader begins at the newest checkpoint, so that it knows soon what everybody knows; what was said before it
is due to members all the same. So a second fold is begun at an older one, as far back as histories reach, and
reads on until it is where the first one is: then its history is the whole one. It says nothing to anybody.
Where there is no older checkpoint, or something was dropped meanwhile, the history stays as it is.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from router.core.effects import BackendEvent, Ruled, UnknownVersion
from router.core.fold import Fold
from router.core.history import History
from router.shell.checkpoint_search import CheckpointSearch
from router.shell.retrying_publisher import LONGEST_PAUSE_S
from router.shell.router_context import RouterContext
from router.shell.shard_log import ShardLog
from warren.bus import Record
from warren.envelope import Deliver
from warren.errors import BusUnavailable
from warren.logs import event, get_logger
from warren.supervision import supervised

# The broker keeps a number for itself at each new segment of a stream; what leaves out more may have been
# dropped.
SKIPPED = 1

_logger = get_logger("router.history_backfill")


class Filled(Protocol):
    """Whose history it is."""

    def empty(self) -> History:
        """Return a history of nothing."""
        ...

    def keep(self, history: History, message: Deliver) -> None:
        """Put a message into a history where its room has one."""
        ...

    def filled(self, history: History) -> None:
        """Take the whole history, in the turn in which it is that of the reader's fold."""
        ...


class HistoryBackfill:
    """One shard's, for one beginning."""

    def __init__(self, log: ShardLog, context: RouterContext, present: Fold, filled: Filled) -> None:
        """``present`` is the reader's fold."""
        self.over = False  # whether there is nothing more to come
        self._log = log
        self._publisher = context.publisher
        self._search = CheckpointSearch(log, context.clock)
        self._present = present
        self._before = present.offset
        self._filled = filled
        self._fold = present
        self._history = filled.empty()
        self._expected = -1
        self._task: asyncio.Task[None] | None = None

    def start(self, horizon_s: int) -> None:
        """Begin to read; ``horizon_s`` is how far back histories reach."""
        name = f"history-{self._present.shard}"
        self._task = supervised(asyncio.get_running_loop().create_task(self._run(horizon_s), name=name))

    def stop(self) -> asyncio.Task[None] | None:
        """Read no more; return the task that ends by it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        return task

    async def _run(self, horizon_s: int) -> None:
        while not self.over:
            try:
                begun = await self._search.older(self._before, horizon_s)
                if begun is None:
                    break
                self._fold, self._history = begun.fold, self._filled.empty()
                self._expected = 0 if begun.start == "first" else begun.start
                start = begun.start or "first"
                if not await self._log.read(start, self._take):
                    break
            except BusUnavailable:
                await self._publisher.wait(LONGEST_PAUSE_S)
            except UnknownVersion:  # who reads the log itself will say so
                break
        self.over = True

    def _take(self, record: Record) -> bool:
        if record.offset < self._expected:
            return True
        if record.offset > self._present.offset:
            return self._end("filled")
        if record.offset > self._expected + SKIPPED:
            return self._end("dropped")
        self._expected = record.offset + 1
        if record.offset > self._fold.offset:
            for effect in self._fold.apply(record.offset, record.body):
                if type(effect) is BackendEvent and effect.message is not None and effect.kind == "message":
                    self._filled.keep(self._history, effect.message)
                elif type(effect) is Ruled and effect.new_life:
                    self._history = self._filled.empty()
        return record.offset < self._present.offset or self._end("filled")

    def _end(self, reason: str) -> bool:
        """Read no more."""
        self.over = True
        event(_logger, "history_read", shard=self._fold.shard, reason=reason, rooms=len(self._history))
        if reason == "filled":
            self._filled.filled(self._history)
        return False
