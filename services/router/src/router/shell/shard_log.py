"""ShardLog: the log of one shard as its readers see it: read from some place on, its end, and another way to
read it by.

It writes nothing and knows nothing of what entries mean. Silence proves nothing: while a stream has no leader
its nodes serve it and give nothing, and a broker node that has stood still may serve it no more on an open
connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from warren.bus import Bus, Record, Start
from warren.errors import BusUnavailable
from warren.supervision import cancel_and_wait
from warren.topology import Topology

# Where a stream says nothing for so long it is empty (or slow: then what is read next says so).
EMPTY_S = 0.5
# What was asked for comes within this, or does not exist.
PATIENCE_S = 2.0


class ShardLog:
    """One shard's."""

    def __init__(self, bus: Bus, topology: Topology, shard: int, *, prefetch: int) -> None:
        """``prefetch`` entries are handed over before they are acknowledged."""
        self.shard = shard
        self.shards = topology.shards
        self.name = topology.log(shard).name
        self._bus = bus
        self._prefetch = prefetch

    def remade(self) -> None:
        """Say that the log may be another one than it was: deleted, and declared anew."""
        self._bus.stream_remade(self.name)

    async def read(
        self,
        start: Start,
        on_record: Callable[[Record], bool],
        *,
        patience_s: float | None = None,
        prefetch: int = 0,
        overdue: Callable[[], Awaitable[bool]] | None = None,
    ) -> bool:
        """Read until ``on_record`` returns False; return False where nothing has come for a while, and
        ``overdue`` (where there is any) says that something should have. ``patience_s``, ``prefetch``: others
        than usual. Raises BusUnavailable, and what ``on_record`` raises.
        """
        count = 0

        def take(record: Record) -> bool:
            nonlocal count
            count += 1
            return on_record(record)

        reading = asyncio.get_running_loop().create_task(
            self._bus.tail(self.name, start, take, prefetch=prefetch or self._prefetch),
            name=f"tail-{self.name}",
        )
        try:
            while True:
                before = count
                await asyncio.wait((reading,), timeout=PATIENCE_S if patience_s is None else patience_s)
                if reading.done():
                    reading.result()
                    return True
                # It may end while that is found out: then its end is told.
                if count == before and (overdue is None or await overdue()) and not reading.done():
                    return False
        finally:
            if not reading.done():
                await cancel_and_wait(reading)

    async def follow(self, start: Start, on_record: Callable[[Record], bool]) -> None:
        """Read until ``on_record`` returns False, however long nothing comes. Raises as ``read``."""
        await self._bus.tail(self.name, start, on_record, prefetch=self._prefetch)

    async def end(self) -> int | None:
        """Return an offset near the end, that of an entry which stands there; None where the log is empty.
        Raises BusUnavailable, also where the broker does not answer: that is no empty log.
        """
        found: list[int] = []
        served = False

        def take(record: Record) -> bool:
            found.append(record.offset)
            return False

        def start() -> None:
            nonlocal served
            served = True
            limit.reschedule(asyncio.get_running_loop().time() + EMPTY_S)

        try:
            async with asyncio.timeout(PATIENCE_S) as limit:
                await self._bus.tail(self.name, "last", take, prefetch=1, on_start=start)
        except TimeoutError:
            if served:
                return None
            raise BusUnavailable(f"no answer from {self.name}") from None
        return found[0] if found else None

    async def end_elsewhere(self) -> int | None:
        """Return an offset near the end, as another way to the log shows it (another node of the broker);
        None where it is not known.
        """
        return await self._bus.last(self.name)

    def move(self) -> None:
        """Read by another way from now on. All readers of this process move together, so it is for where
        another way shows more than ours.
        """
        self._bus.move_readers()
