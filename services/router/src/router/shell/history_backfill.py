"""HistoryBackfill: reads what lies before the checkpoint at which a reader has begun, for the messages that
members may still ask for.

A reader begins at the newest checkpoint, so that it knows soon what everybody knows; what was said before it
is due to members all the same. So a second fold is begun at an older one, as far back as histories reach, and
reads on until it is where the first one is: then its history is the whole one. It says nothing to anybody.
Where there is no older checkpoint, or something was dropped meanwhile, the history stays as it is.
``shard_history.py`` has one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from router.core.effects import Emit, Ruled, UnknownVersion
from router.core.fold import Fold
from router.core.history import History
from router.shell.log_beginning import PATIENCE_S, LogBeginning, patiently
from router.shell.retrying_publisher import LONGEST_PAUSE_S, RetryingPublisher
from warren.bus import Bus, Record
from warren.envelope import Deliver
from warren.errors import BusUnavailable
from warren.logs import event, get_logger
from warren.supervision import supervised

# The broker keeps a number for itself at each new segment of a stream; what leaves out more may have been
# dropped.
SKIPPED = 1

_logger = get_logger("router.history_backfill")


class HistoryBackfill:
    """One shard's, for one beginning."""

    def __init__(
        self,
        bus: Bus,
        stream: str,
        publisher: RetryingPublisher,
        beginning: LogBeginning,
        present: Fold,
        made: Callable[[], History],
        keep: Callable[[History, Deliver], None],
        filled: Callable[[History], None],
        *,
        prefetch: int,
    ) -> None:
        """``present`` is the reader's fold; ``made`` makes an empty history, ``keep`` puts a message into one
        where its room has a history; ``filled`` is called with the whole history, in the turn in which it is
        that of ``present``.
        """
        self.over = False  # whether there is nothing more to come
        self._bus = bus
        self._stream = stream
        self._publisher = publisher
        self._beginning = beginning
        self._present = present
        self._before = present.offset
        self._made = made
        self._keep = keep
        self._filled = filled
        self._prefetch = prefetch
        self._fold = present
        self._history = made()
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
                begun = await self._beginning.older(self._before, horizon_s)
                if begun is None:
                    break
                self._fold, self._history = begun.fold, self._made()
                self._expected = 0 if begun.start == "first" else begun.start
                start = begun.start or "first"
                if not await patiently(
                    self._bus, self._stream, start, self._take, PATIENCE_S, prefetch=self._prefetch
                ):
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
                if type(effect) is Emit and effect.message is not None:
                    self._keep(self._history, effect.message)
                elif type(effect) is Ruled and effect.new_life:
                    self._history = self._made()
        return record.offset < self._present.offset or self._end("filled")

    def _end(self, reason: str) -> bool:
        """Read no more."""
        self.over = True
        event(_logger, "history_read", shard=self._fold.shard, reason=reason, rooms=len(self._history))
        if reason == "filled":
            self._filled(self._history)
        return False
