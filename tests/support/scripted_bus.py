"""A bus whose publishes do what a test says: confirm, fail, or wait; and a clock that a test holds in its
hand.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from warren.bus import (
    TAIL_PREFETCH,
    OnDelivery,
    Outgoing,
    Properties,
    Record,
    Source,
    Start,
    Timestamp,
    nothing,
)
from warren.bus.memory.bus import all_outcomes


@dataclass
class Published:
    """One publish that was tried."""

    exchange: str
    key: str
    body: bytes
    properties: Properties
    mandatory: bool
    persistent: bool


class ManualClock:
    """A Clock that only moves when it is told."""

    def __init__(self, wall_us: int = 1_764_000_000_000_000, *, now: float = 0.0) -> None:
        self.now = now
        self.wall = wall_us

    def monotonic(self) -> float:
        return self.now

    def wall_us(self) -> int:
        return self.wall

    def thread(self) -> float:
        return self.now

    def busy(self) -> float:
        return 0.0

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.wall += int(seconds * 1_000_000)


@dataclass
class Delivered:
    """A delivery, and what became of it."""

    body: bytes
    routing_key: str = ""
    properties: Properties = field(default_factory=Properties)
    exchange: str = ""
    redelivered: bool = False
    fate: str = ""
    on_ack: Callable[[], None] = lambda: None

    def ack(self) -> None:
        self.fate = "acked"
        self.on_ack()

    def reject(self, *, requeue: bool) -> None:
        self.fate = "requeued" if requeue else "rejected"


class ScriptedSubscription:
    """A subscription of a ScriptedBus."""

    def __init__(
        self,
        source: Callable[[], Source],
        on_delivery: OnDelivery,
        on_start: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.source = source
        self.deliver = on_delivery
        self.start = on_start
        self.lose = on_lost
        self.active = True
        self.renewed = 0
        self.queue = source().queue.name

    def renew(self) -> None:
        if self.active:
            self.renewed += 1
            self.lose()
            self.queue = self.source().queue.name
            self.start()

    async def close(self) -> None:
        self.active = False


class ScriptedBus:
    """``outcomes[key]`` are exceptions (or None: confirmed) for the next publishes with that routing key;
    then all are confirmed.

    While ``held`` every publish waits for ``release``.
    """

    def __init__(self) -> None:
        self.up = True
        self.blocked = False
        self.blocked_listeners: list[Callable[[bool], None]] = []
        self.held = False
        self.published: list[Published] = []
        self.outcomes: defaultdict[str, deque[Exception | None]] = defaultdict(deque)
        self.subscriptions: list[ScriptedSubscription] = []
        self.retired: list[str] = []
        self.remade: list[str] = []
        self.retiring: deque[Exception] = deque()  # what the next calls of ``retire`` raise
        self.streams: defaultdict[str, list[bytes]] = defaultdict(list)
        self.reading: deque[Exception] = deque()  # what the next reads raise
        self.reads: list[tuple[str, int | str]] = []
        self.dropped = 0  # how many records the streams have dropped at their beginning
        self._listeners: list[Callable[[bool], None]] = []
        self._waiting: list[asyncio.Future[None]] = []

    def script(self, key: str, *outcomes: Exception | None) -> None:
        self.outcomes[key].extend(outcomes)

    def keys(self) -> list[str]:
        return [published.key for published in self.published]

    def release(self) -> None:
        """Let every publish that waits go on, and hold no more."""
        self.held = False
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def tell(self, up: bool) -> None:
        """Go away or come back, and say so."""
        self.up = up
        for listener in self._listeners:
            listener(up)

    def watch(self, listener: Callable[[bool], None]) -> None:
        self._listeners.append(listener)

    def watch_blocked(self, listener: Callable[[bool], None]) -> None:
        self.blocked_listeners.append(listener)

    async def start(self) -> None:
        self.up = True

    async def close(self) -> None:
        self.up = False

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
        self.published.append(
            Published(exchange, key, body, properties or Properties(), mandatory, persistent)
        )
        outcome = self.outcomes[key].popleft() if self.outcomes[key] else None
        await self.turn()
        if outcome is not None:
            raise outcome

    async def publish_all(self, exchange: str, messages: Sequence[Outgoing]) -> list[Exception | None]:
        return await all_outcomes(self.publish(exchange, *message) for message in messages)

    async def turn(self) -> None:
        """Wait for ``release`` while held, else for the next turn of the loop."""
        if self.held:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future
        else:
            await asyncio.sleep(0)

    async def tail(
        self,
        stream: str,
        start: Start,
        on_record: Callable[[Record], bool],
        *,
        prefetch: int = TAIL_PREFETCH,
        on_start: Callable[[], None] = nothing,
    ) -> None:
        assert not isinstance(start, Timestamp)
        self.reads.append((stream, start))
        on_start()
        if self.reading:
            raise self.reading.popleft()
        records = self.streams[stream]
        first = (
            0 if start == "first" else max(0, len(records) - 1) if start == "last" else start - self.dropped
        )
        offset = max(0, first)
        while True:
            while offset >= len(records):  # noqa: ASYNC110 - as a stream, it waits for more
                await asyncio.sleep(0.001)
            if self.reading:
                raise self.reading.popleft()
            if not on_record(Record(offset + self.dropped, records[offset])):
                return
            offset += 1

    async def last(self, stream: str) -> int | None:
        await asyncio.sleep(0)
        return len(self.streams[stream]) - 1 + self.dropped if self.streams[stream] else None

    def move_readers(self) -> None:
        """There is one way only."""

    def stream_remade(self, stream: str) -> None:
        self.remade.append(stream)

    async def retire(self, queue: str) -> None:
        await asyncio.sleep(0)
        if self.retiring:
            raise self.retiring.popleft()
        self.retired.append(queue)

    async def subscribe(
        self,
        source: Callable[[], Source],
        on_delivery: OnDelivery,
        *,
        prefetch: int,
        on_start: Callable[[], None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> ScriptedSubscription:
        subscription = ScriptedSubscription(
            source, on_delivery, on_start or (lambda: None), on_lost or (lambda: None)
        )
        self.subscriptions.append(subscription)
        subscription.start()
        return subscription
