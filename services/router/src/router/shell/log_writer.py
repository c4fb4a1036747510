"""LogWriter: what a router writes into a shard's log itself: one record after the other, each repeated until
the broker has confirmed it.

A record that stands there twice counts once, so it never asks whether one whose confirm was lost is there.
Rules that begin a life anew are never repeated: behind those of another router they would begin for a second
time, under the same name, and their writer makes others. What is no longer wanted is dropped: a router that
speaks no more writes no more. It decides nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat

from router.core.shard_role import ShardRole
from router.shell.retrying_publisher import RetryingPublisher
from warren.bus import Properties
from warren.envelope import CONTENT_TYPE, Envelope, Rules, encode
from warren.supervision import cancel_and_wait, supervised
from warren.topology import Topology

# An entry, and what is called once it stands in the log.
_Record = tuple[Envelope, Callable[[], None]]
_PROPERTIES = Properties(content_type=CONTENT_TYPE)


def begins_anew(entry: Envelope) -> bool:
    """Say whether an entry makes all before it void."""
    return isinstance(entry, Rules) and entry.anew


class LogWriter:
    """One shard's."""

    def __init__(self, publisher: RetryingPublisher, topology: Topology, shard: int, role: ShardRole) -> None:
        """We may write while ``role`` is to speak."""
        self._publisher = publisher
        self._topology = topology
        self._shard = shard
        self._role = role
        self._waiting: deque[_Record] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many records are on their way."""
        return len(self._waiting)

    def put(self, entry: Envelope, confirmed: Callable[[], None] = lambda: None) -> None:
        """Write a record of its own; ``confirmed`` is called once it stands in the log."""
        self._waiting.append((entry, confirmed))
        if self._task is None:
            self._task = supervised(
                asyncio.get_running_loop().create_task(self._run(), name=f"log-writer-{self._shard}")
            )

    def waits(self, kind: type[Envelope]) -> bool:
        """Say whether a record of this kind is on its way."""
        return any(isinstance(entry, kind) for entry, _ in self._waiting)

    def drop(self, unwanted: Callable[[Envelope], bool]) -> None:
        """Give up what waits and is not wanted any more. What is being published at this moment may come to
        stand in the log.
        """
        kept = [each for each in self._waiting if not unwanted(each[0])]
        self._waiting.clear()
        self._waiting.extend(kept)

    async def close(self) -> None:
        """Give up what waits."""
        self._waiting.clear()
        task, self._task = self._task, None
        await cancel_and_wait(task)

    async def _run(self) -> None:
        key = self._topology.shard_key(self._shard)
        try:
            while self._waiting:
                first = self._waiting[0]
                entry, confirmed = first
                tries = iter((True,)) if begins_anew(entry) else repeat(True)
                written = await self._publisher.publish(
                    self._topology.ingress,
                    key,
                    encode([entry]),
                    _PROPERTIES,
                    partial(self._wants, first, tries),
                )
                if not self._is_first(first):
                    continue  # it was dropped meanwhile
                if not self._role.speaks:
                    self._waiting.clear()
                    return
                self._waiting.popleft()
                if written:
                    confirmed()
        finally:
            self._task = None

    def _wants(self, first: _Record, tries: Iterator[bool]) -> bool:
        return self._is_first(first) and self._role.speaks and next(tries, False)

    def _is_first(self, first: _Record) -> bool:
        return bool(self._waiting) and self._waiting[0] is first
