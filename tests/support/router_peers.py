"""Stand-ins for what a router's parts talk to: shards that only remember, and who listens to an own queue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from warren.envelope import GatewayWaits, ShardReading, SpeakerProgress


class ListedShard:
    """A shard that does what a test sets, and remembers what it was asked."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.heard: list[Any] = []
        self.asks = 0
        self.speaks = False

    def number_said(self, said: Any) -> None:
        self.heard.append(said)

    def asked(self, read: Any) -> None:
        self.heard.append(read)

    def counted(self, said: Any) -> None:
        self.heard.append(said)

    def queried(self, query: Any) -> None:
        self.heard.append(query)

    def presence_queried(self, query: Any) -> None:
        self.heard.append(query)

    def access_queried(self, query: Any) -> None:
        self.heard.append(query)


class ListedShards:
    """All shards of a router, as a test sets them."""

    def __init__(self, count: int = 2) -> None:
        self.all = [ListedShard(number) for number in range(count)]
        self.follows = 0  # how often the placement was to be followed
        self.asks = 0  # how often the gateways were to be asked
        self.read = True
        self.outdated = ""
        self.unprepared = 0
        self.said: tuple[SpeakerProgress, ...] = ()
        self.waiting = 0
        self.reading: tuple[ShardReading, ...] = ()
        self.gateways: tuple[GatewayWaits, ...] = ()

    def __len__(self) -> int:
        return len(self.all)

    def __iter__(self) -> Iterator[ListedShard]:
        return iter(self.all)

    def __getitem__(self, number: int) -> ListedShard:
        return self.all[number]

    @property
    def speaking(self) -> list[ListedShard]:
        return [shard for shard in self.all if shard.speaks]

    def follow_placement(self) -> None:
        self.follows += 1

    def ask_gateways(self) -> None:
        self.asks += 1

    def progress(self) -> tuple[SpeakerProgress, ...]:
        return self.said

    def readings(self) -> tuple[ShardReading, ...]:
        return self.reading

    def gateways_waiting(self) -> tuple[GatewayWaits, ...]:
        return self.gateways
