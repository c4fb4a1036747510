"""Gateways and backends that a test plays by plain bus calls, on a stage with real routers, on either bus."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from tests.support.buses import Inbox, MemoryWorld, RabbitWorld, World
from tests.support.eventually import eventually, stretched

from gateway.core.feed_positions import FeedPositions, Kind
from router.app import Router
from router.settings import (
    FlowSettings,
    MemorySettings,
    RouterProbeSettings,
    RouterSettings,
    TakeoverSettings,
)
from warren import envelope as wire
from warren.address import shard_of
from warren.bus import Bus, Delivery, Properties, Source
from warren.envelope import Publish, decode, encode
from warren.errors import BusUnavailable, NotConfirmed
from warren.log_entries import FOLD_VERSION
from warren.position import Position
from warren.settings import BusSettings
from warren.telemetry import Tracing
from warren.topology import ALL

E = TypeVar("E", bound=wire.Envelope)
BUSES = ["memory", pytest.param("rabbit", marks=pytest.mark.rabbit)]


class Gate:
    """A gateway without sockets: it keeps its lease and its lives, takes each shard's chain of feeds, and of
    each room what comes next.

    It is the production's ``FeedPositions`` that judge what comes. What it lacks of a room it reads; what it
    can't have is in ``breaks``.
    """

    def __init__(self, world: World, bus: Bus, name: str) -> None:
        self.topology = world.topology
        self.bus = bus
        self.name = name
        shards = range(self.topology.shards)
        self.heard: list[wire.Envelope] = []  # all items that were applied, and whatever came besides feeds
        self.bodies: list[bytes] = []
        self.members: dict[str, list[str]] = {}  # room ▶ connections
        self.positions: dict[str, Position] = {}  # room ▶ how far its members have got
        self.taken: dict[str, list[wire.Deliver]] = {}  # room ▶ what its members were given, in order
        self.breaks: list[str] = []  # rooms of which something was not to be had
        self.feeds = [FeedPositions(name, shard) for shard in shards]
        self.counted = [0 for _ in shards]
        self.numbers = [0 for _ in shards]
        self.beats = True
        self.answers = True  # whether it says how far it has got
        self.figures: dict[str, int] = {}  # what its heartbeats tell
        self._locks = [asyncio.Lock() for _ in shards]
        # what does not count yet
        self._sent: list[dict[int, tuple[wire.Envelope, ...]]] = [{} for _ in shards]
        self._gaps: set[int] = set()
        self._begun: set[int] = set()  # shards on which our Hello is confirmed
        self._early: dict[str, dict[int, wire.Deliver]] = {}
        self._refs = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        nonces = itertools.count(1)

        def source() -> Source:
            queue, bindings = self.topology.gateway_queue(self.name, f"n{next(nonces)}")
            return Source(queue, bindings)

        await self.bus.start()
        await self.bus.subscribe(source, self._delivered, prefetch=100, on_start=self._ask_all)
        await self.beat()
        for shard in range(self.topology.shards):
            await self._batch(shard, wire.Hello())
            self._begun.add(shard)
        self._soon(self._live())

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            with contextlib.suppress(BusUnavailable, NotConfirmed):
                if self.beats:
                    await self.beat()
                for shard, feeds in enumerate(self.feeds):
                    if shard in self._gaps or feeds.mine is None:
                        await self._number(shard)

    # ── down ────────────────────────────────────────────────────────────────────────────────────────────────

    def _delivered(self, delivery: Delivery) -> None:
        self.bodies.append(delivery.body)
        for envelope in decode(delivery.body):
            match envelope:
                case wire.Feed():
                    self._feed(envelope)
                case wire.Bodies():
                    self.feeds[envelope.shard].put(envelope)
                case wire.Speaker():
                    self._soon(self._number(envelope.shard, envelope.router))
                case wire.LifeEnded():
                    if self.feeds[envelope.shard].ended(envelope):
                        self._soon(self._anew(envelope.shard, envelope.counted))
                case wire.Reset():
                    if self.feeds[envelope.shard].reset(envelope):
                        self._soon(self._rejoin(envelope.shard))
                case _:
                    self.heard.append(envelope)
                    if isinstance(envelope, wire.Page):
                        self._page(envelope)
        delivery.ack()

    def _feed(self, feed: wire.Feed) -> None:
        shard = feed.shard
        verdict = self.feeds[shard].judge(feed)
        for item in verdict.items:
            self.heard.append(item)
            if isinstance(item, wire.Deliver):
                self._take(item)
            elif isinstance(item, wire.Entered):
                self._entered(item)
        if verdict.kind is Kind.FOREIGN:
            self._soon(self._anew(shard, 0))
        elif verdict.kind is Kind.GAP:
            self._gaps.add(shard)
            self._soon(self._number(shard, feed.router))
        elif verdict.kind is not Kind.OTHER:
            self._gaps.discard(shard)
            self.counted[shard] = max(self.counted[shard], verdict.counted)
            for number in [number for number in self._sent[shard] if number <= verdict.counted]:
                del self._sent[shard][number]

    def _take(self, message: wire.Deliver) -> None:
        room, position = message.room, self.positions.get(message.room)
        if (
            not message.seq
            or position is None
            or message.epoch != position.epoch
            or message.seq <= position.seq
        ):
            return
        early = self._early.setdefault(room, {})
        early[message.seq] = message
        while (following := early.pop(self.positions[room].seq + 1, None)) is not None:
            before = self.positions[room]
            self.positions[room] = Position(before.epoch, before.seq + 1)
            self.taken.setdefault(room, []).append(following)

    def _entered(self, entered: wire.Entered) -> None:
        position = self.positions.setdefault(entered.room, entered.position)
        if position.epoch != entered.position.epoch:
            self._broken(entered.room, entered.position)
        elif position.seq < entered.position.seq:
            self._soon(self.read(entered.room, position, entered.position.seq))

    def _page(self, page: wire.Page) -> None:
        position = self.positions.get(page.room)
        if position is None or position.epoch != page.epoch or position.seq != page.after:
            return
        if not page.kept:
            entered = self.got(wire.Entered, room=page.room)
            self._broken(page.room, entered[-1].position)
        for message in page.messages:
            self._take(message)
        if not page.whole:
            self._soon(self.read(page.room, self.positions[page.room], page.after + 1_000_000))

    def _broken(self, room: str, position: Position) -> None:
        self.breaks.append(room)
        self.positions[room] = position

    # ── up ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def beat(self) -> None:
        await self.tell(wire.Heartbeat(self.name, 1_000_000, **{"fold_version": FOLD_VERSION} | self.figures))

    async def tell(self, envelope: wire.Envelope, key: str = ALL) -> None:
        await self.bus.publish(self.topology.routers, key, encode([envelope]), persistent=False)

    async def read(self, room: str, position: Position, upto: int) -> None:
        shard = shard_of(room, self.topology.shards)
        await self.tell(
            wire.Read(self.name, shard, room, position.epoch, position.seq, upto, next(self._refs))
        )

    async def send(self, *envelopes: wire.Envelope, room: str = "") -> None:
        """Publish to the shard of ``room``, as one batch; without a room each to the shard of its own."""
        batches: dict[int, list[wire.Envelope]] = {}
        for envelope in envelopes:
            to = room or (
                envelope.rooms[0] if isinstance(envelope, wire.Leave) else getattr(envelope, "room", "")
            )
            batches.setdefault(shard_of(to, self.topology.shards), []).append(envelope)
        for shard, batch in batches.items():
            await self._batch(shard, *batch)

    async def raw(self, room: str, body: bytes) -> None:
        shard = shard_of(room, self.topology.shards)
        await self.bus.publish(self.topology.ingress, self.topology.shard_key(shard), body, mandatory=True)

    async def _batch(self, shard: int, *envelopes: wire.Envelope) -> None:
        async with self._locks[shard]:
            number = self.numbers[shard] = self.numbers[shard] + 1
            self._sent[shard][number] = envelopes
            await self._put(shard, number, envelopes)

    async def _put(self, shard: int, number: int, envelopes: tuple[wire.Envelope, ...]) -> None:
        now_us = time.time_ns() // 1_000
        body = encode([wire.Batch(self.name, self.feeds[shard].life, number, now_us), *envelopes])
        await self.bus.publish(self.topology.ingress, self.topology.shard_key(shard), body, mandatory=True)

    def _ask_all(self) -> None:
        for shard, feeds in enumerate(self.feeds):
            if feeds.mine is not None:
                self._soon(self._number(shard))

    async def _number(self, shard: int, router: str = ALL) -> None:
        if self.answers and shard in self._begun:
            with contextlib.suppress(BusUnavailable, NotConfirmed):
                await self.tell(self.feeds[shard].number(), router)

    async def _anew(self, shard: int, counted: int) -> None:
        """Begin a new life on a shard: join again, and send again what did not count."""
        async with self._locks[shard]:
            self.feeds[shard].begin(self.feeds[shard].life + 1)
            self._gaps.discard(shard)
            self._begun.discard(shard)
            again = [sent for number, sent in self._sent[shard].items() if number > counted and number > 1]
            self._sent[shard], self.numbers[shard] = {}, 1
            await self._put(shard, 1, (wire.Hello(),))
            self._begun.add(shard)
        await self._rejoin(shard)
        for sent in again:
            await self._batch(shard, *(each for each in sent if isinstance(each, wire.Publish)))

    async def _rejoin(self, shard: int) -> None:
        joins = [
            wire.Join(room, conn, "u", since=self.positions.get(room))
            for room, conns in self.members.items()
            if shard_of(room, self.topology.shards) == shard
            for conn in conns
        ]
        if joins:
            await self._batch(shard, *joins)

    # ── what a test looks at ────────────────────────────────────────────────────────────────────────────────

    def got(self, kind: type[E], **fields: object) -> list[E]:
        return [
            envelope
            for envelope in self.heard
            if isinstance(envelope, kind)
            and all(getattr(envelope, name) == value for name, value in fields.items())
        ]

    async def expect(self, kind: type[E], count: int = 1, **fields: object) -> list[E]:
        """Return what was heard of a kind once there are ``count``."""

        def there() -> list[E]:
            found = self.got(kind, **fields)
            return found if len(found) >= count else []

        return await eventually(there, 10.0, what=f"{count} {kind.__name__} {fields} at {self.name}")

    async def given(self, room: str, count: int) -> list[wire.Deliver]:
        """Return what the members of a room were given once there are ``count``: what an owner sends again is
        not in it.
        """
        taken = self.taken.setdefault(room, [])
        await eventually(lambda: len(taken) >= count, 10.0, what=f"{count} messages of {room} at {self.name}")
        return taken


class Stage:
    """A world with routers and gateways on it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.topology = world.topology
        self.routers: list[Router] = []
        self.gates: list[Gate] = []
        self._ids = itertools.count(1)

    async def gate(self, name: str) -> Gate:
        gate = Gate(self.world, await self.world.bus(), name)
        self.gates.append(gate)
        await gate.start()
        return gate

    async def router(self, *, tracing: Tracing | None = None, **changes: Any) -> Router:
        takeover = {
            "lease_ms": round(stretched(2.0) * 1_000),
            "peer_lease_ms": round(stretched(1.5) * 1_000),
            "announce_ms": 50,
            "listen_ms": 100,
        } | {name: value for name, value in changes.items() if name in TakeoverSettings.model_fields}
        flow = {name: value for name, value in changes.items() if name in FlowSettings.model_fields}
        memory = {name: value for name, value in changes.items() if name in MemorySettings.model_fields}
        own = {name: value for name, value in changes.items() if name in ("events", "namespaces")}
        settings = RouterSettings(
            bus=BusSettings(prefix=self.topology.prefix, shards=self.topology.shards),
            probes=RouterProbeSettings(internal_host="127.0.0.1", internal_port=0),
            flow=FlowSettings(**flow),
            memory=MemorySettings(**memory),
            takeover=TakeoverSettings(**takeover),
            **own,
        )
        router = Router(
            settings,
            await self.world.bus(),
            tracing=tracing,
            topology=self.topology,
            id=f"r{next(self._ids)}",
        )
        self.routers.append(router)
        await router.start()
        return router

    async def member(self, gate: Gate, room: str, number: int = 1) -> str:
        """Make a connection of this gateway a member of a room; return the connection."""
        conn = f"{gate.name}~{number:x}"
        gate.members.setdefault(room, []).append(conn)
        await gate.send(wire.Join(room, conn, "u", ref=f"j{number}"))
        await gate.expect(wire.Entered, room=room, conn=conn)
        return conn


def message(room: str, text: str, *, conn: str = "", id: str = "", trace: str = "") -> Publish:  # noqa: A002
    """Return a message; with a ``conn`` it wants an ACK when it has an id."""
    now_us = time.time_ns() // 1_000
    return Publish(room, "CHAT", f'"{text}"'.encode(), now_us, conn, "u" if conn else "", id, trace=trace)


@asynccontextmanager
async def staged(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Set a stage on the bus that the fixture's parameter (one of BUSES) names; stop and close everything at
    the end.
    """
    world: World = (
        MemoryWorld() if request.param == "memory" else RabbitWorld(request.getfixturevalue("rabbit"))
    )
    stage = Stage(world)
    try:
        yield stage
    finally:
        for router in stage.routers:
            await router.stop()
        for gate in stage.gates:
            await gate.close()
        await world.close()


async def backend(stage: Stage) -> Callable[..., Awaitable[None]]:
    """Return a function that publishes a notification."""
    bus = await stage.world.bus()
    await bus.start()

    async def notify(key: str, body: bytes, **properties: Any) -> None:
        await bus.publish(
            stage.topology.notify,
            key,
            body,
            Properties(**properties),
            mandatory=True,
        )

    return notify


async def dead(stage: Stage, queue: str) -> Inbox:
    """Return what comes into a dead-letter queue."""
    bus = await stage.world.bus()
    await bus.start()
    inbox = Inbox(ack=True)
    (found,) = [known for known in stage.topology.queues() if known.name == queue]
    await bus.subscribe(lambda: Source(found), inbox, prefetch=100)
    return inbox
