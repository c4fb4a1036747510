"""LogReader: one shard's log, from a checkpoint on and then as it grows, applied entry by entry in the turn
in which it comes.

Each time it begins to read (again) it asks for the entry that it has read last, and compares: another one
there, or none, means that the log is not the one it was, or has dropped what was not read yet. A jump in the
offsets is such a loss until that entry is seen to be still there. Then all that is known is thrown away, and
it begins at a checkpoint again. Where there was none it goes on until somebody has written one. Where it
hears nothing for a while it asks by another way how far the log is: a broker node that has stood still may
serve it no more, on an open connection, and then it reads from another. Where the log is for routers that are
newer than this one it reads no more, and says so. It decides nothing about what an entry means
(``core/fold.py``), and never writes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from router.core.checkpoint_parts import MOST, CheckpointParts, Whole, alone_in
from router.core.effects import UnknownVersion
from router.core.fold import Fold
from router.shell.checkpoint_search import CheckpointSearch
from router.shell.retrying_publisher import FIRST_PAUSE_S, LONGEST_PAUSE_S
from router.shell.router_context import RouterContext
from router.shell.shard_log import PATIENCE_S, ShardLog
from warren.bus import Record
from warren.envelope import Checkpoint, Mark, Rules
from warren.errors import BusUnavailable
from warren.logs import event, get_logger
from warren.retry import Backoff
from warren.supervision import supervised

# Where nothing is written it asks less and less often whether that is so.
LONGEST_QUIET_S = 10.0
# What is on its way to us comes within this.
GRACE_S = 0.5
# Where the entry that it has read last does not come, it tries one way after the other as long as any shows
# entries. It is gone where the log is said so often in a row to end before it: silence is no proof, for while
# a stream has no leader nothing comes.
WAYS = 3
AGAIN_S = 0.5  # how long each way is tried after the first

_logger = get_logger("router.log_reader")


class Follower(Protocol):
    """Who is told what is read."""

    def begun(self, fold: Fold) -> None:
        """What is read from now on is applied to this fold; what was known before is void."""
        ...

    def entry(self, record: Record) -> None:
        """Apply the next entry to the fold."""
        ...

    def caught_up(self) -> None:
        """The log is read up to about its end."""
        ...

    def hints(self) -> Iterable[int]:
        """Return offsets at which others say that there is a checkpoint, the best first."""
        ...

    def known(self) -> bool:
        """Say whether others know that the log has entries."""
        ...

    def unknown(self, reason: str) -> None:
        """The log asks for a newer fold than ours: nothing more of it is read, ever."""
        ...


class LogReader:
    """One shard's."""

    def __init__(self, log: ShardLog, context: RouterContext, follower: Follower) -> None:
        """``follower`` is told what is read."""
        # nothing in the log means anything before a life begins anew, or a checkpoint is whole
        self.lost = False
        self.forked = False  # whether another entry stood in the last one's place when it was last begun anew
        self._log = log
        self._bus = context.bus
        self._clock = context.clock
        self._publisher = context.publisher
        self._follower = follower
        self._search = CheckpointSearch(log, context.clock)
        self._begun = False
        self._seen = _Seen()  # of checkpoints, while all is lost
        self._tried = -1  # the place of the last one that was seen to be whole then, and was to be begun at
        self._whole = -1  # the last part of the one that is to be begun at now
        self._start = 0  # where to read from where nothing was read yet
        self._offset = -1  # of the entry that was applied last
        self._last: Record | None = None  # that entry, where it was seen
        self._tail = -1  # where the log ended when the reading began; -1: it is read up to there
        self._compares = False
        self._quiet = Backoff(2 * PATIENCE_S, LONGEST_QUIET_S)
        self._ask_at = 0.0  # when the log's end is asked for next, where nothing comes
        self._known = False  # the log has entries
        self._elsewhere = False  # another way shows something of it
        self._short = 0  # how often in a row it was said to end before the entry that was read last
        self._broken = False
        self._jump = -1  # an offset that does not follow the last entry, which may be the broker's numbering
        self._failure: Exception | None = None
        self._unknown: UnknownVersion | None = None
        self._paused = False
        self._goes_on = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read."""
        self._task = supervised(
            asyncio.get_running_loop().create_task(self._run(), name=f"log-{self._log.shard}")
        )

    def stop(self) -> asyncio.Task[None] | None:
        """Read no more; return the task that ends by it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        return task

    def pause(self) -> None:
        """Read no further than the entry that is being applied, until ``go_on``."""
        self._paused = True
        self._goes_on.clear()

    def go_on(self) -> None:
        """Read on."""
        self._paused = False
        self._goes_on.set()

    async def _run(self) -> None:
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            before = self._offset
            try:
                if not self._begun:
                    await self._begin()
                await self._follow()
            except BusUnavailable as error:
                if self._bus.up:
                    event(
                        _logger,
                        "log_read_failed",
                        level=logging.WARNING,
                        stream=self._log.name,
                        reason=str(error),
                    )
                if self._offset != before:
                    backoff.reset()
                await self._publisher.wait(backoff.next())
            except UnknownVersion as error:  # that of a checkpoint
                self._unknown = error
            else:
                backoff.reset()
            if self._unknown is not None:
                self._follower.unknown(str(self._unknown))
                return
            if self._failure is not None:
                raise self._failure
            if self._broken:
                event(
                    _logger,
                    "log_read_anew",
                    level=logging.WARNING,
                    stream=self._log.name,
                    offset=self._offset,
                )
                self._begun = self._broken = False
            if self._paused:
                await self._goes_on.wait()

    async def _begin(self) -> None:
        whole, self._whole = self._whole, -1
        known = self._known or self._follower.known()
        begun = await self._search.find(self._follower.hints(), known=known, read=whole)
        self.lost, self._seen = begun.lost, _Seen()
        self._bus.stream_remade(self._log.name)  # it may be why it is begun
        self._tried = self._tried if begun.lost else -1
        self._start = 0 if begun.start == "first" else begun.start
        self._offset, self._last, self._jump = begun.fold.offset, begun.last, -1
        self._tail = begun.tail
        self._begun = True
        event(
            _logger, "log_begun", shard=self._log.shard, offset=self._offset, tail=begun.tail, lost=begun.lost
        )
        self._follower.begun(begun.fold)
        self.forked = False
        self._reached()

    async def _follow(self) -> None:
        """Read on from the last entry, for as long as the channel lives."""
        self._compares = self._offset >= 0
        start = max(self._offset, self._start)
        # ``first``, not 0: what the log has dropped is told by the first offset that comes.
        patience_s = min(PATIENCE_S, AGAIN_S) if self._short else PATIENCE_S
        went_on = await self._log.read(
            start or "first", self._take, patience_s=patience_s, overdue=self._overdue
        )
        if went_on:
            return
        if self._short >= WAYS:
            self._broken, self._known, self._short = True, False, 0
            return
        event(
            _logger,
            "log_read_stalled",
            level=logging.WARNING,
            stream=self._log.name,
            offset=self._offset,
            moves=self._elsewhere,
        )
        if self._elsewhere:
            self._log.move()

    async def _overdue(self) -> bool:
        """Nothing has come for a while: say whether something should have. What another way shows is an
        offset near the end.
        """
        if self._compares:
            end = await self._log.end_elsewhere()
            self._short = self._short + 1 if end is not None and end < self._offset else 0
            self._elsewhere = end is not None
            return self._compares
        now = self._clock.monotonic()
        if now < self._ask_at:
            return False
        before = self._offset
        end = await self._log.end_elsewhere()
        if end is not None and end > self._offset:
            await asyncio.sleep(GRACE_S)
            self._elsewhere = True
            return self._offset == before
        self._ask_at = now + self._quiet.next()
        return False

    def _take(self, record: Record) -> bool:
        offset = record.offset
        self._quiet.reset()
        self._ask_at, self._known, self._short = 0.0, True, 0
        if self._compares:
            if offset < self._offset:
                return True
            last = self._last
            self._compares = False
            if offset == self._offset and (last is None or last.body == record.body):
                self._last = record
                return True
            self._broken = True
            self.forked = offset == self._offset
            return False
        if offset <= self._offset:
            return True
        if self._last is not None or self._offset >= 0:
            if offset != self._offset + 1 and offset != self._jump:
                self._jump = offset
                return False  # and asks for the last entry again
        elif not self.lost and offset != self._start:
            self._broken = True  # the beginning is gone meanwhile, or was never there
            return False
        return self._apply(record)

    def _apply(self, record: Record) -> bool:
        if self.lost:
            found = alone_in(record.body)
            if not isinstance(found, Rules) or not found.anew:
                whole = self._seen.take(record.offset, found)
                if whole is None or whole.offset <= self._tried:  # one that is spoilt is tried once
                    return self._done(record)
                self._tried, self._whole = whole.offset, record.offset
                self._broken = True
                return False
            self.lost = False
        try:
            self._follower.entry(record)
        except UnknownVersion as error:
            self._unknown = error
            return False
        except Exception as error:  # noqa: BLE001 - nobody knows what we know now: the router ends
            self._fail(record, error)
            return False
        return self._done(record)

    def _done(self, record: Record) -> bool:
        self._offset, self._last = record.offset, record
        if self._tail >= 0:
            self._reached()
        return not self._paused

    def _fail(self, record: Record, error: Exception) -> None:
        event(
            _logger,
            "fold_failed",
            level=logging.ERROR,
            shard=self._log.shard,
            offset=record.offset,
            reason=str(error),
        )
        self._failure = error

    def _reached(self) -> None:
        if self._offset >= self._tail:
            self._tail = -1
            self._follower.caught_up()


class _Seen:
    """Checkpoints that are written while all is lost: those whose Marks were seen, since from others nobody
    could read on.
    """

    def __init__(self) -> None:
        self._marks: deque[int] = deque(maxlen=MOST)
        self._parts = CheckpointParts()

    def take(self, offset: int, found: Mark | Checkpoint | Rules | None) -> Whole | None:
        """Take an entry; return the checkpoint that it makes whole."""
        if isinstance(found, Mark):
            self._marks.append(offset)
        elif isinstance(found, Checkpoint) and found.offset in self._marks:
            return self._parts.take(found)
        return None
