"""MessageWriter: writes single messages of backends into the logs of their shards, and tells each writer when
its message stands there.

One record under way for each shard, and what comes meanwhile goes as the next one. A record is repeated until
it is confirmed, as long as somebody still waits for one of its messages. Each has an id, so that one that
stands in the log twice counts once. What waits is bounded; what does not fit is refused. It checks nothing.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import msgspec

from router.shell.message_record import write_messages
from router.shell.router_context import RouterContext
from warren.address import shard_of
from warren.batch import BatchLimits
from warren.batcher import Batcher
from warren.envelope import INTERNAL_ID, Publish, size_of
from warren.telemetry import Hop, HopKind

Written = asyncio.Future[None]
_Taken = tuple[Publish, Written, Hop | None]


class MessageWriter:
    """One router's."""

    def __init__(self, context: RouterContext, limits: BatchLimits) -> None:
        """``limits`` bound what waits for one shard. A record goes as soon as the one before is confirmed:
        whoever has sent a message waits for it, and sends the next one after that.
        """
        self._context = context
        self._limits = limits
        self._numbers = itertools.count(1)
        self._batchers: dict[int, Batcher[_Taken]] = {}
        context.metrics.waiting_from("control", self._waiting)

    def identified(self, message: Publish) -> Publish:
        """Return the message with an id: where it has none, one that no backend can have."""
        if message.id:
            return message
        own = f"{INTERNAL_ID}{self._context.id}.c{next(self._numbers)}"
        return msgspec.structs.replace(message, id=own)

    def offer(self, message: Publish, traceparent: str = "") -> Written | None:
        """Take a message that has an id; what is returned is done once it stands in the log, and to be
        cancelled where nobody waits any more. None: too much waits for its shard.
        """
        context = self._context
        shard = shard_of(message.room, context.topology.shards)
        batcher = self._batchers.get(shard)
        if batcher is None:
            batcher = self._batchers[shard] = self._batcher(shard)
        written: Written = asyncio.get_running_loop().create_future()
        hop = context.tracing.entry(traceparent, HopKind.COMMAND, message_id=message.id)
        if not batcher.offer((message, written, hop), size_of(message)):
            if hop is not None:
                hop.end()
            return None
        return written

    async def close(self) -> None:
        """Give up what waits."""
        for batcher in self._batchers.values():
            await batcher.close()

    def _waiting(self) -> int:
        return sum(batcher.waiting for batcher in self._batchers.values())

    def _batcher(self, shard: int) -> Batcher[_Taken]:
        async def send(batch: Sequence[_Taken]) -> None:
            await self._send(shard, batch)

        metrics = self._context.metrics
        return Batcher(send, self._limits, lambda count: metrics.batch_size("control", count))

    async def _send(self, shard: int, batch: Sequence[_Taken]) -> None:
        wanted = [taken for taken in batch if not taken[1].done()]
        if await write_messages(
            self._context,
            shard,
            [(message, hop) for message, _, hop in wanted],
            lambda: any(not written.done() for _, written, _ in wanted),
        ):
            for _, written, _ in wanted:
                if not written.done():
                    written.set_result(None)
