"""Follower: one shard's log, read as it grows, by a router that may take the shard over: so that it need not be read when time counts.

It begins near the end of the stream where that tells enough (``core/passage.py``), else further and further back, and then reads on until our
own marker comes: what was read up to there is what an owner begins with. It outlives lanes and connections and goes on where it was; a
hole (the stream has dropped what was not read yet) has it begin anew. It never writes. ``possession.py`` has one while the shard is not
live here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from router.core.passage import Passage
from router.core.replay import Replay
from router.shell.opening import opened
from router.shell.steady import FIRST_PAUSE_S, LONGEST_PAUSE_S, Steady
from warren.bus import Bus, Record
from warren.envelope import Envelope, Marker
from warren.errors import BusUnavailable
from warren.fault import watched
from warren.logs import event, get_logger
from warren.metrics import RouterMetrics

# How many records before the end it begins at first, and how much further back each next time.
WINDOW = 2_048
WIDER = 4
# Where the stream says nothing for so long it is empty (or slow; then all of it is read).
EMPTY_S = 0.5
# A marker that is confirmed is in the stream: where nothing comes for so long the reading is at fault.
STALL_S = 10.0
# A broker keeps a record of its own at the beginning of a segment, which takes an offset and is not given to readers.
HIDDEN = 1
# After so many readings in a row that ended at once, the place where it was is doubted.
FAILURES = 5

_logger = get_logger("router.follower")


@dataclass(frozen=True, slots=True)
class Outrun:
    """The log knows another owner under a term that is not lower than ours."""

    term: int


class Follower:
    """One shard's log, followed."""

    def __init__(
        self,
        bus: Bus,
        stream: str,
        router: str,
        steady: Steady,
        metrics: RouterMetrics,
        replay: Callable[[], Replay],
        horizon_us: int,
        caught_up: Callable[[], None],
    ) -> None:
        """``replay`` makes an empty Replay of this shard; ``horizon_us`` is how far back the log matters; ``caught_up`` is called when it has
        got near the end of the stream.
        """
        self.caught_up = False  # whether it has been near the end of the stream
        self._bus = bus
        self._stream = stream
        self._router = router
        self._steady = steady
        self._metrics = metrics
        self._new_replay = replay
        self._horizon_us = horizon_us
        self._caught_up = caught_up
        self._replay: Replay | None = None
        self._next = 0  # the offset of the next record
        self._first = -1  # the offset of the first record of a stretch
        self._hole = False
        self._awaited = 0  # the term of our marker
        self._reached = False  # whether that has come; nothing is read after it
        self._rival = 0  # the highest term under which another router has put its marker
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read, or go on."""
        if self._task is None:
            self._task = watched(asyncio.get_running_loop().create_task(self._run(), name=f"follower-{self._stream}"))

    def stop(self) -> asyncio.Task[None] | None:
        """Read no more; return the task that ends by it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        return task

    def expect(self, term: int) -> None:
        """Our marker of ``term`` will be put: nothing is to be read behind it. 0: none is any more."""
        self._awaited, self._reached = term, False
        self._news.set()

    async def upto_marker(self) -> Replay | Outrun:
        """Return what the log tells up to our marker, which is confirmed. After an Outrun it reads on; after a Replay it is of no more use."""
        self.start()
        while not self._reached:
            before = self._next
            self._news.clear()
            try:
                async with asyncio.timeout(STALL_S):
                    await self._news.wait()
            except TimeoutError:
                if self._next == before:
                    event(_logger, "log_stands_still", level=logging.WARNING, stream=self._stream, offset=self._next)
                    self.stop()
                    self.start()
        term, replay = self._awaited, self._replay
        if replay is None:
            raise RuntimeError("a marker was read, and nothing else")
        known = max(self._rival, replay.highest_term)
        if self._rival >= term or known > term:
            self.expect(0)
            return Outrun(known)
        self.stop()
        return replay

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        pause, failures = FIRST_PAUSE_S, 0
        while True:
            before = self._next
            try:
                if self._replay is None:
                    await self._begin()
                while self._reached:
                    self._news.clear()
                    await self._news.wait()
                before = self._next
                await self._bus.read(self._stream, self._next or "first", self._follow)
            except BusUnavailable as error:
                failures = failures + 1 if self._next == before and self._bus.up else 0
                event(_logger, "log_read_failed", level=logging.WARNING, stream=self._stream, reason=str(error))
                await self._steady.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
            except Exception as error:  # noqa: BLE001 - ours: what was read so far is not to be trusted
                event(_logger, "log_not_understood", level=logging.ERROR, stream=self._stream, error=error)
                self._hole = True
                await self._steady.wait(LONGEST_PAUSE_S)
            else:
                pause, failures = FIRST_PAUSE_S, 0
            if self._hole or failures >= FAILURES:
                event(_logger, "log_read_anew", level=logging.WARNING, stream=self._stream, offset=self._next)
                self._replay, self._hole, failures = None, False, 0

    async def _begin(self) -> None:
        """Read the end of the log, from as far back as needed."""
        tail = await self._tail()
        self._next = self._rival = 0
        passage, window = Passage(), WINDOW
        while tail is not None:
            start = max(0, tail - window)
            passage = await self._collect(start, tail)
            if start == 0 or self._first > start or passage.tells_enough(self._horizon_us):
                break
            window *= WIDER
        self._replay = self._new_replay()
        self._hear(passage.entries())
        self._news.set()
        self.caught_up = True
        self._caught_up()

    async def _tail(self) -> int | None:
        """Return an offset near the end of the stream; None where it is empty."""
        found: list[int] = []

        def take(record: Record) -> bool:
            found.append(record.offset)
            return False

        try:
            async with asyncio.timeout(EMPTY_S):
                await self._bus.read(self._stream, "last", take)
        except TimeoutError:
            return None
        return found[0]

    async def _collect(self, start: int, tail: int) -> Passage:
        passage = Passage()
        self._first = -1

        def take(record: Record) -> bool:
            if self._first < 0:
                self._first = record.offset
            elif record.offset > self._next + HIDDEN:
                raise BusUnavailable("the stream has dropped what was to be read")
            self._next = record.offset + 1
            passage.take(self._opened(record))
            return record.offset < tail

        await self._bus.read(self._stream, start or "first", take)
        return passage

    def _follow(self, record: Record) -> bool:
        if record.offset < self._next:
            return True
        if self._next and record.offset > self._next + HIDDEN:
            self._hole = True
            return False
        self._next = record.offset + 1
        self._hear(self._opened(record))
        self._news.set()
        return not self._reached

    def _hear(self, envelopes: Iterable[Envelope]) -> None:
        if self._replay is None:
            raise RuntimeError("nothing is followed before it has begun")
        for envelope in envelopes:
            self._replay.take((envelope,))
            if isinstance(envelope, Marker):
                if envelope.router != self._router:
                    self._rival = max(self._rival, envelope.term)
                elif self._awaited and envelope.term == self._awaited:
                    self._reached = True

    def _opened(self, record: Record) -> list[Envelope]:
        envelopes, spoilt = opened(record.body)
        if spoilt:
            self._metrics.rejected("log")
        return envelopes
