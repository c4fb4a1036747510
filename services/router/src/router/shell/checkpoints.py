"""Checkpoints: one shard's checkpoints as this router sees and writes them.

Where our own Mark comes back the whole state is taken as of there, and its parts are written once the events up to there are confirmed: so who begins
at a checkpoint has no event to send from before it. Other readers compare the digest with that of their own state: two that differ have not applied
the same entries alike, which is a fault of ours, and is told. ``log_keeper.py`` has one.
"""

from __future__ import annotations

import logging

from router.core.checkpoint_parts import CheckpointParts
from router.core.fold import Fold
from router.core.outcome import Marked
from router.shell.log_writer import LogWriter
from warren.envelope import Checkpoint
from warren.logs import event, get_logger
from warren.metrics import RouterMetrics

# Of so many of the last Marks we know what the state was.
MARKS = 4

_logger = get_logger("router.checkpoints")


class Checkpoints:
    """One shard's."""

    def __init__(self, router: str, shard: int, writer: LogWriter, metrics: RouterMetrics) -> None:
        """None is known yet."""
        self.newest = -1  # the offset of the Mark of the newest whole one
        self._router = router
        self._shard = shard
        self._writer = writer
        self._metrics = metrics
        self._parts = CheckpointParts()
        self._digests: dict[int, bytes] = {}
        self._unwritten: tuple[int, list[bytes], bytes] | None = None
        self._writing = 0

    @property
    def pending(self) -> bool:
        """Whether one of ours is not whole in the log yet."""
        return self._unwritten is not None or self._writing > 0

    def begin(self, offset: int) -> None:
        """The log is read from the checkpoint at this offset on (-1: from its first entry)."""
        self.newest = offset
        self._parts = CheckpointParts()
        self._digests.clear()
        self.drop()

    def drop(self) -> None:
        """We write no more."""
        self._unwritten, self._writing = None, 0

    def marked(self, mark: Marked, offset: int, fold: Fold, *, speaks: bool) -> int:
        """A Mark was applied: take the state as of there. Return its size in bytes."""
        bodies, digest = fold.parts()
        self._digests[offset] = digest
        if len(self._digests) > MARKS:
            del self._digests[next(iter(self._digests))]
        if speaks and mark.router == self._router and not self.pending:
            self._unwritten = (offset, bodies, digest)
        return sum(map(len, bodies))

    def write(self, confirmed: int) -> None:
        """Events up to this offset are confirmed: write what may be written by now."""
        if self._unwritten is None or self._unwritten[0] > confirmed:
            return
        (offset, bodies, digest), self._unwritten = self._unwritten, None
        self._writing = len(bodies)
        for number, body in enumerate(bodies):
            part = Checkpoint(self._router, offset, number, len(bodies), digest, body)
            self._writer.put(part, self._written)

    def seen(self, part: Checkpoint) -> int | None:
        """A part stands in the log. Return the place of the checkpoint that it makes whole."""
        whole = self._parts.take(part)
        if whole is None:
            return None
        own = self._digests.get(whole.offset)
        if own is not None and own != whole.digest:
            self._metrics.rejected("checkpoint_differs")
            event(
                _logger,
                "checkpoint_differs",
                level=logging.ERROR,
                shard=self._shard,
                offset=whole.offset,
                router=whole.router,
                reason="two routers have applied the same entries differently",
            )
        self.newest = max(self.newest, whole.offset)
        return whole.offset

    def _written(self) -> None:
        self._writing = max(0, self._writing - 1)
