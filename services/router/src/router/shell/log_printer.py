"""LogPrinter: reads a shard's log for a person, and writes it out as lines. It writes nothing to the broker
and declares nothing there.

It finds a checkpoint before the place that is to be shown, so that seqs are known. Where the broker goes away
meanwhile (also because nobody took the lines for long) it goes on at the entry that it has read last, if that
is still the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from router.core.effects import UnknownVersion
from router.core.fold import Fold
from router.core.log_inspector import LogInspector
from router.shell.checkpoint_search import Beginning, CheckpointSearch
from router.shell.shard_log import ShardLog
from warren.bus import Record, Start, Timestamp
from warren.clock import Clock
from warren.errors import BusUnavailable, WarrenError

# The first answer comes within this, connecting included, or there is nothing.
FIRST_S = 6.0
# Nothing comes for so long: there is nothing more there now.
SILENCE_S = 0.5
# The end of a busy log is looked for no longer than this.
END_S = 2.0
PAUSE_S = 1.0
PREFETCH = 256
# A checkpoint is written every ten minutes at least where anything is said.
HORIZON_S = 660


class Nothing(WarrenError):
    """There is nothing to show; the text says why, and what to ask for."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is to be shown: ``begin`` is an offset, "first", or for how many seconds back."""

    begin: int | Literal["first"] | float
    room: str = ""
    follow: bool = False
    payloads: bool = False


class LogPrinter:
    """One look into one log."""

    def __init__(self, log: ShardLog, clock: Clock, write: Callable[[list[str]], None]) -> None:
        """``write`` takes lines."""
        self._log = log
        self._clock = clock
        self._write = write
        self._last: Record | None = None

    async def show(self, look: Look) -> None:
        """Write what was asked for, up to the log's present end or (``follow``) for ever. Raises Nothing,
        BusUnavailable.
        """
        end = await self._end()
        if end < 0 and not look.follow:
            raise Nothing(f"{self._log.name} is empty: nothing was ever said on shard {self._log.shard}")
        first = await self._first(look, end) if end >= 0 else None
        if first is None:
            begun, begin, start = None, 0, self._start(look) if end >= 0 else "first"
        else:
            begun, begin = await self._before(first.offset, look), first.offset
            start = begin if begun is None else begun.start
        fold = (
            begun.fold if begun is not None else Fold(self._log.shard, self._log.shards) if end < 0 else None
        )
        view = LogInspector(begin, look.room, fold, payloads=look.payloads)
        await self._read(view, start, end, look)

    async def _end(self) -> int:
        """Return the offset of about the last entry; -1 where there is none."""
        found = -1
        until = 0.0

        def take(record: Record) -> bool:
            nonlocal found
            found = record.offset
            return asyncio.get_running_loop().time() < until

        await self._log.read("last", take, patience_s=FIRST_S, prefetch=1)
        if found >= 0:  # that was the first of those that were written together
            until = asyncio.get_running_loop().time() + END_S
            await self._log.read("last", take, patience_s=SILENCE_S)
        return found

    async def _first(self, look: Look, end: int) -> Record | None:
        """Return the first entry that is to be shown; None where it is still to come."""
        if isinstance(look.begin, int) and look.begin > end:
            raise Nothing(
                f"offset {look.begin} is beyond the end: the last entry of {self._log.name} is at {end}"
            )
        found: list[Record] = []

        def take(record: Record) -> bool:
            found.append(record)
            return False

        await self._log.read(self._start(look), take, patience_s=SILENCE_S, prefetch=1)
        if not found and not look.follow:
            raise Nothing(
                f"nothing was written to {self._log.name} for so long; its last entry is at {end}: ask for "
                f"--from {end}"
            )
        return found[0] if found else None

    def _start(self, look: Look) -> Start:
        if isinstance(look.begin, float):
            return Timestamp(self._clock.wall_us() // 1_000 - int(1_000 * look.begin))
        return look.begin

    async def _before(self, offset: int, look: Look) -> Beginning | None:
        """Return a place at or before ``offset`` from which what is known can be built up; None where there
        is none.
        """
        back = int(look.begin) if isinstance(look.begin, float) else 0
        try:
            return await CheckpointSearch(self._log, self._clock).older(offset, back + HORIZON_S)
        except UnknownVersion:
            return None

    async def _read(self, view: LogInspector, start: Start, end: int, look: Look) -> None:
        def take(record: Record) -> bool:
            if (
                self._last is not None
                and record.offset == self._last.offset
                and record.body != self._last.body
            ):
                raise Nothing(
                    f"{self._log.name} is another one now: offset {record.offset} has another entry"
                )
            self._last = record
            self._write(view.take(record.offset, record.body))
            return look.follow or record.offset < end

        while True:
            had = self._last
            try:
                await self._log.follow(start, take)
            except BusUnavailable:
                if self._last is had and not look.follow:
                    raise
            else:
                return
            start = self._last.offset if self._last is not None else start
            await asyncio.sleep(PAUSE_S)
