"""The routers as a gateway under test sees them: the logs read by the production fold, its gateways fed by
the production feeds, on a memory bus.

It speaks for every shard. Tests switch parts of it off (what it says, what it reads, what arrives), speak in
its name, or end lives.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.eventually import eventually

from router.core.effects import BackendEvent
from router.core.feeds import Feeds
from router.core.fold import FOLD_VERSION, Fold
from warren import envelope
from warren.address import gateway_of, shard_of, user_room
from warren.bus import Delivery, Record, Source
from warren.bus.memory.bus import MemoryBroker, MemoryBus
from warren.envelope import Envelope
from warren.position import Position
from warren.topology import ALL, Topology

NAME = "plain"
RING_BYTES = 32 * 1024 * 1024
PAGE = 100
IDLE_S = 0.2


class RouterSide:
    """One router for all shards."""

    def __init__(self, broker: MemoryBroker, topology: Topology) -> None:
        self.topology = topology
        self.bus = MemoryBus(broker, topology)
        self.folds = [Fold(shard, topology.shards) for shard in range(topology.shards)]
        self.feeds = [Feeds(NAME, shard, RING_BYTES) for shard in range(topology.shards)]
        self.kept: dict[str, list[envelope.Deliver]] = {}  # the numbered messages of each room
        # what the logs hold but for its heads, in the order in which it was read
        self.received: list[Envelope] = []
        self.inbox: list[Envelope] = []
        self.reads = True  # what the logs hold is taken; else it waits
        self.answers = True  # what is asked of it is answered
        self.loses = False  # feeds are sent but never arrive
        self._life = 0
        self._number = 0
        self._put = self._taken = 0  # entries of our own: put into the logs, and read there
        self._late: list[tuple[int, Record]] = []
        self._out: asyncio.Queue[tuple[str, str, bytes]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.bus.start()
        queue, bindings = self.topology.router_queue(NAME, "1")
        await self.bus.subscribe(lambda: Source(queue, bindings), self._hear, prefetch=100)
        for shard in range(self.topology.shards):
            self._tasks.append(asyncio.create_task(self._read(shard)))
        self._tasks += [asyncio.create_task(self._send()), asyncio.create_task(self._idle())]
        self.begin_log()
        await eventually(lambda: all(fold.life for fold in self.folds))
        self.speak()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.bus.close()

    # ── what tests do with it ───────────────────────────────────────────────────────────────────────────────

    def begin_log(self) -> None:
        """Begin a new life of every shard's log: nothing of the last one counts."""
        self._life += 1
        for shard in range(self.topology.shards):
            life = f"l{self._life}"
            self.put(shard, envelope.Rules(life, FOLD_VERSION, 1_000, 1_000, 100, 1, anew=self._life > 1))

    def put(self, shard: int, *entry: Envelope) -> None:
        """Put an entry into a shard's log."""
        self._put += 1
        self._out.put_nowait((self.topology.ingress, self.topology.shard_key(shard), envelope.encode(entry)))

    def publish(self, message: envelope.Publish) -> None:
        """Put a message into its shard's log, as a backend's where it has no connection."""
        self._number += 1
        ident = message.id or f"{envelope.INTERNAL_ID}{self._number}"
        fields = {name: getattr(message, name) for name in message.__struct_fields__}
        entry = envelope.Publish(**(fields | {"id": ident}))
        self.put(shard_of(message.room, self.topology.shards), envelope.Notified(NAME, message.at_us), entry)

    def gone(self, gateway: str, shard: int) -> None:
        """Declare a gateway's life on a shard ended."""
        self.put(shard, envelope.Gone(gateway, self.folds[shard].gateways[gateway][0], 1))

    def speak(self) -> None:
        """Speak for all shards from now on, as a router that has just begun to."""
        for shard, feeds in enumerate(self.feeds):
            feeds.begin()
            self.tell(ALL, envelope.Speaker(NAME, shard))

    def silence(self) -> None:
        """Speak no more; what the logs hold is still read."""
        for feeds in self.feeds:
            feeds.silence()

    def go_on(self) -> None:
        """Take what has waited in the logs."""
        self.reads = True
        late, self._late = self._late, []
        for shard, record in late:
            self._apply(shard, record)

    async def settled(self) -> None:
        """Return once all that we have put into the logs was read there, and what came of it has
        been sent.
        """
        await eventually(lambda: self._taken == self._put and self._out.empty())

    def forget(self, shard: int) -> None:
        """Forget all that a shard's log had for gateways and all messages of its rooms, as a router that has
        just begun to read.
        """
        fold = self.folds[shard]
        for room in self.kept:
            if shard_of(room, self.topology.shards) == shard:
                self.kept[room] = []
        feeds = self.feeds[shard] = Feeds(NAME, shard, RING_BYTES)
        feeds.start(fold.life, fold.offset, fold.gateways, fold.ended)
        feeds.begin()
        self.tell(ALL, envelope.Speaker(NAME, shard))

    def tell(self, key: str, *envelopes: Envelope) -> None:
        """Send something in one batch to a gateway (or all)."""
        self._out.put_nowait((self.topology.egress, key, envelope.encode(envelopes)))

    def of(self, kind: type[Any], **fields: Any) -> list[Any]:
        """Return what came of a kind with these fields, in order."""
        return [
            item
            for item in (*self.received, *self.inbox)
            if isinstance(item, kind) and all(getattr(item, name) == value for name, value in fields.items())
        ]

    def members(self, room: str) -> set[str]:
        """Return the connections that are members of a room."""
        fold = self.folds[shard_of(room, self.topology.shards)]
        return {conn for gateway in fold.gateways for conn in fold.rooms.members(room, gateway)}

    @property
    def rooms(self) -> int:
        """How many rooms have members."""
        return sum(len(fold.rooms) for fold in self.folds)

    @property
    def epoch(self) -> str:
        """The epoch of rooms in the present life of the logs."""
        return f"l{self._life}-1"

    def position(self, room: str) -> Position:
        """Return how far a room has got."""
        return self.folds[shard_of(room, self.topology.shards)].position(room)

    # ── the logs ────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, shard: int) -> None:
        def on_record(record: Record) -> bool:
            if self.reads:
                self._apply(shard, record)
            else:
                self._late.append((shard, record))
            return True

        await self.bus.tail(self.topology.log(shard).name, "first", on_record)

    def _apply(self, shard: int, record: Record) -> None:
        fold, feeds = self.folds[shard], self.feeds[shard]
        head, *contents = envelope.decode(record.body)
        self._taken += not isinstance(head, envelope.Batch)
        self.received += contents
        effects = fold.apply(record.offset, record.body)
        feeds.take(fold.life, record.offset, effects, fold.gateways, fold.ended)
        for effect in effects:
            if isinstance(effect, BackendEvent) and effect.kind == "message" and effect.message is not None:
                self.kept.setdefault(effect.room, []).append(effect.message)
        self._flush(shard)

    def _flush(self, shard: int) -> None:
        feeds = self.feeds[shard]
        while (bodies := feeds.next_bodies()) is not None:
            self._feed(ALL, bodies)
        for gateway in sorted(feeds.dirty()):
            while (feed := feeds.next(gateway)) is not None:
                self._feed(gateway, feed)
        for gateway, answer in feeds.answers():
            self.tell(gateway, answer)

    def _feed(self, key: str, feed: envelope.Feed | envelope.Bodies) -> None:
        if not self.loses:
            self.tell(key, feed)

    async def _idle(self) -> None:
        while True:
            await asyncio.sleep(IDLE_S)
            for feeds in self.feeds:
                waits = feeds.unanswered()
                for gateway in sorted({name for fold in self.folds for name in fold.gateways} - set(waits)):
                    feed = feeds.idle(gateway)
                    if feed is not None:
                        self._feed(gateway, feed)

    async def _send(self) -> None:
        while True:
            exchange, key, body = await self._out.get()
            await self.bus.publish(exchange, key, body)

    # ── the inbox ───────────────────────────────────────────────────────────────────────────────────────────

    def _hear(self, delivery: Delivery) -> None:
        for item in envelope.decode(delivery.body):
            self.inbox.append(item)
            if self.answers:
                self._answer(item)
        delivery.ack()

    def _answer(self, item: Envelope) -> None:
        match item:
            case envelope.Number():
                answer = self.feeds[item.shard].number(item)
                if answer is not None:
                    self.tell(item.gateway, answer)
                self._flush(item.shard)
            case envelope.Read():
                page = self._page(item)
                if page is not None:
                    self.tell(item.gateway, page)
            case envelope.HistoryQuery():
                older = [
                    one for one in self.kept.get(item.room, []) if not item.before or one.seq < item.before
                ]
                page_of = tuple(older[-item.limit :])
                answer_to = envelope.HistoryPage(
                    item.conn, item.room, item.ref, page_of, len(older) > len(page_of)
                )
                self.tell(gateway_of(item.conn), answer_to)

            case envelope.AccessQuery():
                fold = self.folds[shard_of(user_room(item.user), self.topology.shards)]
                self.tell(gateway_of(item.conn), fold.access(item))

    def _page(self, read: envelope.Read) -> envelope.Page | None:
        """Answer a Read from what is kept; None where it has not come yet."""
        present = self.position(read.room)
        if present.epoch == read.epoch and present.seq < max(read.after, read.upto):
            return None
        kept = [one for one in self.kept.get(read.room, []) if one.epoch == read.epoch]
        wanted = [one for one in kept if read.after < one.seq <= read.upto][:PAGE]
        if present.epoch != read.epoch or [one.seq for one in wanted[:1]] != [read.after + 1]:
            return envelope.Page(read.room, read.epoch, read.after, (), whole=True, kept=False, ref=read.ref)
        whole = wanted[-1].seq >= read.upto
        return envelope.Page(read.room, read.epoch, read.after, tuple(wanted), whole, kept=True, ref=read.ref)
