"""Shards: all shards of a router, and what can be said of them together.

It has each of them do its work and decides nothing about any.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Final

from router.shell.shard import Shard
from router.shell.shard_context import ShardContext
from warren.envelope import GatewayWaits, ReadAnswer, ReadQuery, ShardReading, SpeakerProgress
from warren.logs import event, get_logger

# Of so many gateways a heartbeat tells how much waits for them.
GATEWAYS_TOLD: Final = 64

_logger = get_logger("router.shards")


class Shards:
    """One ``Shard`` for each number."""

    def __init__(self, context: ShardContext) -> None:
        """All idle until the routers are placed."""
        self._context = context
        self._shards = [Shard(number, context) for number in range(context.router.topology.shards)]
        context.router.metrics.waiting_from(
            "explanations", lambda: sum(shard.asking for shard in self._shards)
        )

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._shards)

    def __iter__(self) -> Iterator[Shard]:
        """Walk them by number."""
        return iter(self._shards)

    def __getitem__(self, number: int) -> Shard:
        """Return the shard of this number."""
        return self._shards[number]

    @property
    def speaking(self) -> list[Shard]:
        """Those that this router speaks for."""
        return [shard for shard in self._shards if shard.speaks]

    @property
    def unprepared(self) -> int:
        """For how many this router does not do yet what the placement asks of it."""
        return sum(not shard.prepared for shard in self._shards)

    @property
    def read(self) -> bool:
        """Whether all logs are read of which this router has a part."""
        return all(shard.read for shard in self._shards)

    @property
    def outdated(self) -> str:
        """Why this router can't apply the log of some shard; empty where it can apply all."""
        for shard in self._shards:
            if shard.outdated:
                return f"shard {shard.number}: {shard.outdated}"
        return ""

    @property
    def waiting(self) -> int:
        """How many events and records wait for the broker."""
        return sum(shard.waiting for shard in self._shards)

    def progress(self) -> tuple[SpeakerProgress, ...]:
        """Return how far we have got with each that we speak for."""
        found = (shard.progress() for shard in self._shards)
        return tuple(progress for progress in found if progress is not None)

    def readings(self) -> tuple[ShardReading, ...]:
        """Return what was read of each that this router reads."""
        found = (shard.reading() for shard in self._shards)
        return tuple(reading for reading in found if reading is not None)

    def gateways_waiting(self) -> tuple[GatewayWaits, ...]:
        """Return how many entries of all logs wait to be sent to each gateway; of the gateways those for
        which most waits.
        """
        entries: Counter[str] = Counter()
        for shard in self.speaking:
            entries.update(shard.gateways_waiting())
        return tuple(GatewayWaits(*each) for each in entries.most_common(GATEWAYS_TOLD))

    def follow_placement(self) -> None:
        """A router has come or gone, or says something new: place the shards anew where it matters, and have
        each do its part.
        """
        placement = self._context.placement
        if placement.update(self._context.peers.routers.living):
            event(
                _logger,
                "shards_placed",
                routers=len(placement.routers),
                shards=len(self),
                owned=placement.ours,
            )
        for shard in self._shards:
            shard.follow_placement()

    def ask_gateways(self) -> None:
        """Have all gateways say how far they have got: what they have said may not have reached us."""
        for shard in self._shards:
            shard.ask_gateways()

    def read_asked(self, query: ReadQuery) -> None:
        """Another router asks something for a backend; it asks again where nothing comes."""
        answer = self._shards[query.shard].answer(query.body)
        if answer is not None:
            self._context.peer_messages.tell(query.router, ReadAnswer(query.ref, answer))

    def tick(self) -> None:
        """Have each do what the time asks for. To be called several times a second."""
        for shard in self._shards:
            shard.tick()

    async def stop(self) -> None:
        """End all."""
        await asyncio.gather(*(shard.stop() for shard in self._shards))
