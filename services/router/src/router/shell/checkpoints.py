"""Checkpoints: one shard's checkpoints as this router sees and writes them.

Where our own Mark comes back a snapshot of the state is taken as of there. It is encoded a little in each
turn, so that reading and all else go on meanwhile, and its parts are written once the events up to there are
confirmed: so who begins at a checkpoint has no event to send from before it. Other readers compare the digest
with that of their own state: two that differ have not applied the same entries alike, which is a fault of
ours, and is told.
"""

from __future__ import annotations

import asyncio
import logging

from router.core.checkpoint import Snapshot
from router.core.checkpoint_parts import CheckpointParts, Whole
from router.core.effects import Marked
from router.core.fold import Fold
from router.shell.log_writer import LogWriter
from warren.envelope import Checkpoint
from warren.logs import event, get_logger
from warren.metrics import RouterMetrics
from warren.supervision import supervised

# Of so many of the last Marks we know what the state was.
MARKS = 4
# Steps of a snapshot in one turn of the loop: together about half a millisecond.
STEPS = 4

_logger = get_logger("router.checkpoints")


class Checkpoints:
    """One shard's."""

    def __init__(self, router: str, shard: int, writer: LogWriter, metrics: RouterMetrics) -> None:
        """None is known yet."""
        self.newest = -1  # the offset of the Mark of the newest whole one
        self.bytes = 0  # how many the state takes, as of the last one that was encoded
        self._router = router
        self._shard = shard
        self._writer = writer
        self._metrics = metrics
        self._parts = CheckpointParts()
        self._digests: dict[int, bytes] = {}
        self._encoding: asyncio.Task[None] | None = None
        self._snapshot: Snapshot | None = None  # what is being encoded
        self._encodes = -1  # and the offset of its Mark
        self._theirs: Whole | None = None  # what another has written of that place
        self._ours = -1  # the offset of our Mark whose checkpoint is not on its way yet
        self._unwritten: tuple[list[bytes], bytes] | None = None  # that checkpoint, once it is encoded
        self._writing = 0
        self._confirmed = -1

    @property
    def pending(self) -> bool:
        """Whether one of ours is not whole in the log yet."""
        return self._ours >= 0 or self._writing > 0

    def begin(self, offset: int) -> None:
        """The log is read from the checkpoint at this offset on (-1: from its first entry)."""
        self.newest, self.bytes = offset, 0
        self._parts = CheckpointParts()
        self._digests.clear()
        self._confirmed = -1
        self._abandon()
        self.drop()

    def drop(self) -> None:
        """We write no more."""
        self._ours, self._unwritten, self._writing = -1, None, 0

    async def close(self) -> None:
        """Encode no more."""
        task = self._encoding
        self._abandon()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def marked(self, mark: Marked, offset: int, fold: Fold, *, speaks: bool) -> None:
        """A Mark was applied: take the state as of there. One at a time: what we are to write goes before
        what is only to be compared.
        """
        ours = speaks and mark.router == self._router and not self.pending
        if self._encoding is not None:
            if not ours:
                return
            self._abandon()
        if ours:
            self._ours = offset
        self._snapshot, self._encodes = fold.snapshot(), offset
        task = self._encode(self._snapshot, offset)
        self._encoding = supervised(
            asyncio.get_running_loop().create_task(task, name=f"checkpoint-{self._shard}")
        )

    def write(self, confirmed: int) -> None:
        """Events up to this offset are confirmed: write what may be written by now."""
        self._confirmed = max(self._confirmed, confirmed)
        if self._unwritten is None or self._ours > self._confirmed:
            return
        (bodies, digest), offset = self._unwritten, self._ours
        self._unwritten, self._ours = None, -1
        self._writing = len(bodies)
        for number, body in enumerate(bodies):
            part = Checkpoint(self._router, offset, number, len(bodies), digest, body)
            self._writer.put(part, self._written)

    def seen(self, part: Checkpoint) -> int | None:
        """A part stands in the log. Return the place of the checkpoint that it makes whole."""
        whole = self._parts.take(part)
        if whole is None:
            return None
        if whole.offset in self._digests:
            self._compare(whole)
        elif whole.offset == self._encodes:
            self._theirs = whole
        self.newest = max(self.newest, whole.offset)
        return whole.offset

    async def _encode(self, snapshot: Snapshot, offset: int) -> None:
        """Encode a snapshot, a little in each turn."""
        while all(snapshot.step() for _ in range(STEPS)):  # noqa: ASYNC110 - it is work that is done, a little in each turn
            await asyncio.sleep(0)
        self._encoding = self._snapshot = None
        theirs, self._theirs, self._encodes = self._theirs, None, -1
        self.bytes = sum(map(len, snapshot.bodies))
        self._digests[offset] = snapshot.digest
        if len(self._digests) > MARKS:
            del self._digests[next(iter(self._digests))]
        if theirs is not None:
            self._compare(theirs)
        if offset == self._ours:
            self._unwritten = (snapshot.bodies, snapshot.digest)
            self.write(self._confirmed)

    def _compare(self, whole: Whole) -> None:
        if self._digests[whole.offset] == whole.digest:
            return
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

    def _abandon(self) -> None:
        """What is being encoded is not wanted any more."""
        task, self._encoding = self._encoding, None
        snapshot, self._snapshot = self._snapshot, None
        self._theirs, self._encodes = None, -1
        if task is not None:
            task.cancel()
        if snapshot is not None:
            snapshot.close()

    def _written(self) -> None:
        self._writing = max(0, self._writing - 1)
