"""CheckpointSearch: finds where a reader of a shard's log begins: at a checkpoint, and nowhere else, unless
it reads the log from its very first entry.

It looks where other routers say that the newest checkpoint is, then further and further back from the end,
then at the whole log. So what has to be read does not depend on how large the log is. An entry means nothing
without the state before it: where no checkpoint is left of a log whose beginning is gone, all is lost, and a
new life of the log has to begin. It changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from router.core.checkpoint_parts import CheckpointParts, Whole, alone_in
from router.core.fold import Fold
from router.shell.shard_log import ShardLog
from warren.bus import Record, Timestamp
from warren.clock import Clock
from warren.envelope import Checkpoint, Rules
from warren.errors import BusUnavailable, MalformedEnvelope
from warren.logs import event, get_logger

# How many entries back a checkpoint is looked for, one after the other, each twice as far: so at most three
# times as much is read as stands behind the newest one, and at most twice as much of it applied. By entries
# and not by time: of a time after its last entry a stream gives nothing, and that has to be waited for.
BACK = tuple(50 << step for step in range(15))  # 50 to 819,200
# Checkpoints may lie so far apart in time where there is anything to read; an older one is looked for beyond
# that.
APART_S = 120

_logger = get_logger("router.checkpoint_search")


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where to read from, and what is known up to there."""

    fold: Fold
    start: (
        int | Literal["first"]
        # the first entry to be read: that at the fold's own offset where there is one, to see that it is
        # still the same
    )
    last: Record | None = None  # the entry that must stand at ``start``, where it was seen
    tail: int = -1  # an offset near the log's end; -1: it is empty
    lost: bool = False  # nothing in the log means anything before a life begins anew


class CheckpointSearch:
    """One log's."""

    def __init__(self, log: ShardLog, clock: Clock) -> None:
        """Nothing is read before it is asked for."""
        self._log = log
        self._clock = clock

    async def find(self, hints: Iterable[int], *, known: bool = False, read: int = -1) -> Beginning:
        """Return where to begin; ``hints`` are offsets at which others say that there is a checkpoint. Raises
        BusUnavailable; so too where nothing comes of a log that is ``known`` to have entries: while a stream
        has no leader its nodes serve it, and give nothing. ``read``: an entry that was read already, so the
        log reaches as far, though its end as it is told is only near.
        """
        tail = await self._log.end()
        if tail is None and known:
            raise BusUnavailable(f"{self._log.name} gives nothing")
        if tail is None:
            return Beginning(self._empty(), "first")
        tail = max(tail, read)
        places: list[int | Timestamp | Literal["first"]] = [hint for hint in hints if 0 <= hint <= tail]
        places += [tail - back for back in BACK if back < tail]
        search = _Search()
        for place in (*places, "first"):
            search = _Search()
            await self._read(place, search, tail)
            begun = await self._restored(search, tail)
            if begun is not None:
                return begun
            if search.first == 0:
                break  # it was all
        if search.anew is not None:
            fold = self._empty()
            return Beginning(fold, search.anew.offset, None, tail)
        if search.first <= 0:
            return Beginning(self._empty(), "first", None, tail)
        event(_logger, "log_beginning_lost", level=logging.ERROR, stream=self._log.name, first=search.first)
        return Beginning(self._empty(), "first", None, tail, lost=True)

    async def older(self, before: int, horizon_s: int) -> Beginning | None:
        """Return a beginning that lies before the checkpoint at ``before``, by as many seconds where there is
        one; None where there is none at all. Raises BusUnavailable.
        """
        now_ms = self._clock.wall_us() // 1_000
        places: list[Timestamp | Literal["first"]] = [
            Timestamp(now_ms - 1_000 * (horizon_s * factor + APART_S)) for factor in (1, 4)
        ]
        for place in (*places, "first"):
            search = _Search(before)
            await self._read(place, search, before - 1)
            begun = await self._restored(search, before)
            if begun is not None:
                return begun
            if search.first == 0:
                return Beginning(self._empty(), "first", None, before)
        return None

    async def _restored(self, search: _Search, tail: int) -> Beginning | None:
        """Take the checkpoint that was found, a little in each turn: shards that are spoken for meanwhile
        don't wait.
        """
        whole = search.whole
        if whole is None:
            return None
        steps = Fold.restoring(self._log.shard, self._log.shards, whole.offset, list(whole.bodies))
        try:
            while True:
                next(steps)
                await asyncio.sleep(0)
        except StopIteration as done:
            fold = done.value
        except MalformedEnvelope as error:
            event(
                _logger,
                "checkpoint_spoilt",
                level=logging.ERROR,
                stream=self._log.name,
                offset=whole.offset,
                reason=str(error),
            )
            return None
        return Beginning(fold, whole.offset, search.marks.get(whole.offset), tail)

    def _empty(self) -> Fold:
        return Fold(self._log.shard, self._log.shards)

    async def _read(self, start: int | Timestamp | Literal["first"], search: _Search, tail: int) -> None:
        """Read until a checkpoint is whole, or up to the end. Raises BusUnavailable where nothing comes any
        more before that: what was not read proves nothing. Nothing at all since some time may be so.
        """

        def take(record: Record) -> bool:
            search.take(record)
            return search.whole is None and record.offset < tail

        reached = await self._log.read(start, take)
        if not reached and (search.first >= 0 or not isinstance(start, Timestamp)):
            if await self._log.end_elsewhere() is not None:
                self._log.move()
            raise BusUnavailable(f"{self._log.name} gives no more before its end")


class _Search:
    """What has been seen in one stretch of the log."""

    def __init__(self, before: int | None = None) -> None:
        """``before``: a checkpoint at this offset or later does not count."""
        self.first = -1
        self._before = before
        self.whole: Whole | None = None
        self.marks: dict[int, Record] = {}
        self.anew: Record | None = None  # the last Rules that make all before it void
        self._parts = CheckpointParts()

    def take(self, record: Record) -> None:
        if self.first < 0:
            self.first = record.offset
        found = alone_in(record.body)
        if found is None:
            return
        if isinstance(found, Checkpoint):
            # Where its Mark was not seen it may be gone, and with it what followed: then nobody could read on
            # from there.
            if found.offset in self.marks and (self._before is None or found.offset < self._before):
                self.whole = self._parts.take(found)
        elif not isinstance(found, Rules):
            self.marks[record.offset] = record
        elif found.anew:
            self.anew = record
