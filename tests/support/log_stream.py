"""A shard's log as a list that a test writes and cuts, behind a bus's ``tail``: what a broker does to a
stream, without a broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

from tests.support.scripted_bus import ScriptedBus

from router.core.fold import FOLD_VERSION, Fold
from warren.bus import Properties, Record, Timestamp, nothing
from warren.envelope import Checkpoint, Envelope, Mark, Rules, encode
from warren.errors import BusUnavailable

RULES = Rules("life", FOLD_VERSION, 100, 100, 100, 1)


class LogStream(ScriptedBus):
    """``times`` are when entries were written, in ms; who reads beyond the end waits, as at a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[int, bytes] = {}
        self.times: dict[int, int] = {}
        self.now_ms = 0
        self.end = 0
        self.starts: list[int | Timestamp | Literal["first", "last"]] = []
        self.breaks = 0  # so many of the next readings end at once
        self.ingress = ""  # what is published there is written into the log
        self.lives = 0  # a connection that is lost ends every reading
        self.frozen = False  # its node stands still: readings hear nothing, until they are moved
        self.asked = 0  # how often its end was asked for by another way
        self.moves = 0
        self._news = asyncio.Event()

    def put(self, *envelopes: Envelope, at: int | None = None) -> int:
        """Write an entry; return its offset. ``at``: an offset that does not follow the last one."""
        return self.raw(encode(envelopes), at=at)

    def raw(self, body: bytes, *, at: int | None = None) -> int:
        offset = self.end if at is None else at
        self.entries[offset], self.times[offset] = body, self.now_ms
        self.end = offset + 1
        self._wake()
        return offset

    def checkpoint(self, fold_of: Sequence[bytes], digest: bytes, offset: int, router: str = "r1") -> None:
        """Write the parts of a checkpoint."""
        for number, body in enumerate(fold_of):
            self.put(Checkpoint(router, offset, number, len(fold_of), digest, body))

    def marked(self, shard: int = 0, shards: int = 1, router: str = "r1") -> int:
        """Write a Mark and the checkpoint of what the log tells up to it, which must be there from its first
        entry on; return its offset.
        """
        offset = self.put(Mark(router, 1))
        fold = Fold(shard, shards)
        for at in sorted(self.entries):
            fold.apply(at, self.entries[at])
        bodies, digest = fold.parts()
        self.checkpoint(bodies, digest, offset, router)
        return offset

    def drop(self, below: int) -> None:
        """Drop the beginning, as a stream that is over its bytes."""
        for offset in [offset for offset in self.entries if offset < below]:
            del self.entries[offset]

    def made_anew(self) -> None:
        """Delete the stream and declare it again."""
        self.entries.clear()
        self.end = 0

    def cut(self) -> None:
        """Lose the connection."""
        self.lives += 1
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Properties | None = None,
        *,
        mandatory: bool = False,
        persistent: bool = True,
    ) -> None:
        await super().publish(exchange, key, body, properties, mandatory=mandatory, persistent=persistent)
        if exchange == self.ingress:
            self.raw(body)

    async def tail(
        self,
        stream: str,
        start: int | Timestamp | Literal["first", "last"],
        on_record: Callable[[Record], bool],
        *,
        prefetch: int = 256,
        on_start: Callable[[], None] = nothing,
    ) -> None:
        self.starts.append(start)
        await asyncio.sleep(0)
        if self.breaks:
            self.breaks -= 1
            raise BusUnavailable("scripted")
        life = self.lives
        if self.frozen:
            await self._thawed(life)
        on_start()
        at = self._begin(start)
        while True:
            offset = min((offset for offset in self.entries if offset >= at), default=None)
            if offset is None or self.frozen:
                await self._news.wait()
            else:
                at = offset + 1
                if not on_record(Record(offset, self.entries[offset])):
                    return
                await asyncio.sleep(0)
            if life != self.lives:
                raise BusUnavailable("cut")

    async def last(self, stream: str) -> int | None:
        self.asked += 1
        await asyncio.sleep(0)
        return max(self.entries, default=None)

    def move_readers(self) -> None:
        self.moves += 1
        self.frozen = False
        self.cut()

    async def _thawed(self, life: int) -> None:
        while self.frozen:
            await self._news.wait()
        if life != self.lives:
            raise BusUnavailable("cut")

    def _begin(self, start: int | Timestamp | Literal["first", "last"]) -> int:
        if isinstance(start, int):
            return start
        if isinstance(start, Timestamp):
            return min((offset for offset, ms in self.times.items() if ms >= start.ms), default=self.end)
        return 0 if start == "first" else max(self.entries, default=0)
