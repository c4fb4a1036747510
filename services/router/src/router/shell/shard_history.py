"""ShardHistory: the messages of one shard that members may still ask for, and the answers to who asks.

It is filled by what is read, and by what lies before that (``history_backfill.py``): as long as that is under
way, who asks for what is not there is not answered, and asks again.
"""

from __future__ import annotations

import asyncio

from router.core.control_reads import NOTHING, ExplainRead, HistoryRead
from router.core.control_reads import history_page as backend_page
from router.core.explanations import Trace, trace
from router.core.feeds import Feeds
from router.core.fold import Fold
from router.core.history import History
from router.core.history_pages import history_page, page
from router.shell.history_backfill import HistoryBackfill
from router.shell.shard_context import ShardContext
from router.shell.shard_log import ShardLog
from warren import envelope as wire
from warren.contract.queries import HistoryPage

# Rooms that are looked at, each time, for messages that have aged.
TIDY = 64


class ShardHistory:
    """One shard's."""

    def __init__(self, log: ShardLog, context: ShardContext) -> None:
        """Begin with nothing."""
        self._log = log
        self._context = context
        self._clock = context.router.clock
        self._history = self.empty()
        self._filler: HistoryBackfill | None = None

    @property
    def filling(self) -> bool:
        """Whether messages that members may ask for are still being read."""
        return self._filler is not None and not self._filler.over

    def begin(self, fold: Fold) -> None:
        """What is read from now on is applied to this fold: begin with what lies before it."""
        self._history = self.empty()
        if fold.offset < 0:
            return
        self._filler = HistoryBackfill(self._log, self._context.router, fold, self)
        self._filler.start(self._context.horizon_s)

    def forget(self) -> asyncio.Task[None] | None:
        """Everything is void; return the task that ends by it."""
        self._history = self.empty()
        filler, self._filler = self._filler, None
        return filler.stop() if filler is not None else None

    def put(self, message: wire.Deliver) -> None:
        """A message was numbered."""
        self.keep(self._history, message)

    def tidy(self) -> None:
        """Let go of what has aged. To be called several times a second."""
        self._history.tidy(self._clock.wall_us(), TIDY)

    def page(self, read: wire.Read, fold: Fold) -> wire.Page | None:
        """Answer a Read; None where it has to be asked again."""
        answer = page(read, fold, self._history, self._clock.wall_us())
        return answer if answer is None or answer.kept or not self.filling else None

    def history_page(self, query: wire.HistoryQuery, fold: Fold) -> wire.HistoryPage | None:
        """Answer a HistoryQuery; None where it has to be asked again, or there is nobody to answer."""
        return None if self.filling else history_page(query, fold, self._history, self._clock.wall_us())

    def asked(self, read: HistoryRead, fold: Fold) -> HistoryPage | None:
        """Answer a backend's read; None where it has to be asked again."""
        return None if self.filling else backend_page(read, fold, self._history, self._clock.wall_us())

    def trace(self, read: ExplainRead, fold: Fold, feeds: Feeds) -> Trace | bytes | None:
        """Return what the log tells of a message; NOTHING where its id is not known, None where it has to be
        asked again.
        """
        return None if self.filling else trace(read, fold, self._history, feeds) or NOTHING

    # ── what is read of before ──────────────────────────────────────────────────────────────────────────────

    def empty(self) -> History:
        """Return a history of nothing."""
        limits = self._context.limits
        return History(limits.room_history_bytes, limits.history_bytes, limits.history_floor_us)

    def keep(self, history: History, message: wire.Deliver) -> None:
        """Put a message into a history where its room has one."""
        policy = self._context.namespaces.policy(message.room).history
        if policy.kept:
            history.put(message, policy, message.at_us)

    def filled(self, history: History) -> None:
        """Go on with a history that is whole, as of now."""
        self._history = history
