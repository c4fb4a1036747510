"""UplinkBuffer: what one shard's log is still to take from this gateway, how full that is, and who waits for
place in it.

It keeps the limits and sends nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from gateway.core.batch_numbers import BatchNumbers
from gateway.core.unsent_joins import UnsentJoins
from gateway.core.unsent_watches import UnsentWatches
from gateway.shell.in_flight_publish import InFlightPublish
from warren.batch import Pace, Pacer

# So many joins and leaves may wait, in messages of a buffer's limit.
CONTROL_FACTOR = 4


@dataclass(frozen=True, slots=True)
class UplinkLimits:
    """How much of one shard may wait, how long a message may, how much goes at once, and at which pace: that
    is the process's, for all its shards.
    """

    count: int = 16_384
    bytes: int = 16 * 1024 * 1024
    timeout_s: float = 10.0
    batch_count: int = 512
    batch_bytes: int = 256 * 1024
    pace: Pace = field(default_factory=lambda: Pace(0.0, float))


class UplinkBuffer:
    """One shard's."""

    def __init__(self, number: int, limits: UplinkLimits) -> None:
        """Begin empty; ``number`` is the shard's."""
        self.number = number
        self.batches: BatchNumbers[InFlightPublish] = BatchNumbers(limits.batch_count, limits.batch_bytes)
        self.joins = UnsentJoins(self.batches)
        self.watches = UnsentWatches(self.batches)
        self.pacer = Pacer(limits.pace)
        self.waiters: dict[asyncio.Future[None], None] = {}
        self.task: asyncio.Task[None] | None = None  # that sends, while there is something to send
        self.idle = asyncio.Event()
        self.idle.set()
        self._limits = limits
        self._join_place = asyncio.Event()

    @property
    def is_half_full(self) -> bool:
        """Whether those who publish are to be held."""
        batches, limits = self.batches, self._limits
        return batches.charged * 2 > limits.count or batches.charged_bytes * 2 > limits.bytes

    def is_full(self, size: int) -> bool:
        """Say whether a message of so many bytes has no place."""
        batches, limits = self.batches, self._limits
        return batches.charged >= limits.count or batches.charged_bytes + size > limits.bytes

    @property
    def is_full_of_joins(self) -> bool:
        """Whether a join or leave has no place."""
        return self.batches.controls >= CONTROL_FACTOR * self._limits.count

    async def wait(self) -> None:
        """Return when somebody has made place, or let all go who wait."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters[waiter] = None
        try:
            await waiter
        finally:
            self.waiters.pop(waiter, None)

    def make_place(self) -> None:
        """Let those go who wait, where there is place again."""
        if self.waiters and not self.is_half_full:
            self.release()

    def release(self) -> None:
        """Let all go who wait."""
        waiters, self.waiters = self.waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def place_for_joins(self) -> None:
        """Return once so few joins and leaves wait that some more members may join again."""
        while self.batches.controls * 2 > self._limits.count:
            await self._join_place.wait()

    def counted(self) -> None:
        """Something of it may have counted: who waits for place looks again."""
        self.make_place()
        self._join_place.set()
        self._join_place.clear()
