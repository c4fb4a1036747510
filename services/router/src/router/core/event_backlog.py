"""EventBacklog: what backends are still to be told of a shard, in the order of its log.

Every reader keeps what the speaker has not said to be confirmed, so that the next speaker goes on from there.
Bounded: a speaker reads no more of the log while it is full, a reader that only follows lets the oldest go,
and counts them. An event's id names its place in the log, the same whoever sends it. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple, get_args

from router.core.effects import BackendEvent, EventKind
from warren.envelope import OVERHEAD_BYTES

# How many events and bytes may wait.
COUNT = 65_536
BYTES = 64 * 1024 * 1024


class Due(NamedTuple):
    """An event that is to be told."""

    offset: int
    id: str
    emit: BackendEvent


class EventBacklog:
    """One shard's."""

    def __init__(self, shard: int, kinds: frozenset[str], count: int = COUNT, bytes: int = BYTES) -> None:  # noqa: A002
        """``kinds``: what backends are told of, of ``client``, ``room`` and ``message``."""
        self.lost = 0  # events that were let go
        self._shard = shard
        self._kinds = frozenset(kind for kind in get_args(EventKind) if kind.partition(".")[0] in kinds)
        self._count = count
        self._most_bytes = bytes
        self._due: deque[Due] = deque()
        self._bytes = 0
        self._taken = -1

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._due)

    @property
    def full(self) -> bool:
        """Whether no more should be taken."""
        return len(self._due) >= self._count or self._bytes >= self._most_bytes

    @property
    def confirmed(self) -> int:
        """The offset up to which nothing waits any more; -1: none."""
        return self._due[0].offset - 1 if self._due else self._taken

    def begin(self, offset: int) -> None:
        """The log is read from behind this offset on: what came up to there is confirmed, and what waits here
        comes again.
        """
        self._due.clear()
        self._bytes = 0
        self._taken = offset

    def take(self, life: str, offset: int, emits: Iterable[BackendEvent], *, keep: bool) -> None:
        """Take what an entry has brought about. ``keep``: let nothing go, however much waits (the caller then
        reads no more).
        """
        self._taken = offset
        for emit in emits:
            if emit.kind in self._kinds:
                self._due.append(Due(offset, f"{life}.{self._shard}.{offset}.{emit.index}", emit))
                self._bytes += _size(emit)
        while not keep and self.full and self._due:
            self._drop()
            self.lost += 1

    def upto(self, offset: int) -> None:
        """All up to this offset is confirmed, whoever has sent it."""
        while self._due and self._due[0].offset <= offset:
            self._drop()

    def next(self, count: int) -> list[Due]:
        """Return the next ones, which stay until they are ``done``."""
        return list(islice(self._due, count))

    def done(self, due: Iterable[Due]) -> None:
        """These are confirmed (or given up)."""
        for each in due:
            if self._due and self._due[0] is each:
                self._drop()

    def _drop(self) -> None:
        self._bytes -= _size(self._due.popleft().emit)


def _size(emit: BackendEvent) -> int:
    return OVERHEAD_BYTES + (len(emit.message.payload) if emit.message is not None else 0)
