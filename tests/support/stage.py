"""Gateways and backends that a test plays by plain bus calls, on a stage with real routers, on either bus."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from tests.support.buses import Inbox, MemoryWorld, RabbitWorld, World
from tests.support.eventually import eventually, stretched

from router.app import Router
from router.settings import FlowSettings, MemorySettings, RouterProbeSettings, RouterSettings, TakeoverSettings
from warren import envelope as wire
from warren.address import shard_of
from warren.bus import Bus, Delivery, Properties, Source
from warren.envelope import Publish, decode, encode
from warren.errors import BusUnavailable, NotConfirmed
from warren.position import Position
from warren.settings import BusSettings
from warren.telemetry import Tracing
from warren.topology import ALL

E = TypeVar("E", bound=wire.Envelope)
BUSES = ["memory", pytest.param("rabbit", marks=pytest.mark.rabbit)]


class Gate:
    """A gateway without sockets: it keeps its lease, answers Asks, drops what older terms send, and takes of each room what comes next."""

    def __init__(self, world: World, bus: Bus, name: str) -> None:
        self.topology = world.topology
        self.bus = bus
        self.name = name
        self.heard: list[wire.Envelope] = []  # all that came, whatever its term
        self.members: dict[str, list[str]] = {}  # room ▶ connections
        self.positions: dict[str, Position] = {}
        self.taken: dict[str, list[wire.Deliver]] = {}  # room ▶ what its members were given, in order
        self.breaks: list[wire.Resync] = []
        self.terms: dict[int, int] = {}  # shard ▶ the highest term that asked
        self.answers = True
        self.beats = True
        self.figures: dict[str, int] = {}  # what its heartbeats tell
        self.asks: list[wire.Ask] = []
        self._life: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()

    async def start(self) -> None:
        def source() -> Source:
            queue, bindings = self.topology.gateway_queue(self.name, "n")
            return Source(queue, bindings)

        await self.bus.start()
        await self.bus.subscribe(source, self._delivered, prefetch=100)
        await self.beat()
        self._life = asyncio.create_task(self._live())

    async def close(self) -> None:
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    async def _live(self) -> None:
        while True:
            with contextlib.suppress(BusUnavailable, NotConfirmed):
                if self.beats:
                    await self.beat()
                if self.answers:
                    await self.answer()
            self._asked.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await self._asked.wait()

    def _delivered(self, delivery: Delivery) -> None:
        for envelope in decode(delivery.body):
            self.heard.append(envelope)
            if isinstance(envelope, wire.Ask):
                self.terms[envelope.shard] = max(envelope.term, self.terms.get(envelope.shard, 0))
                self.asks.append(envelope)
                self._asked.set()
            elif isinstance(envelope, wire.Deliver | wire.Joined | wire.Resync) and "~" not in envelope.room:
                self._take(envelope)
        delivery.ack()

    def _take(self, envelope: wire.Deliver | wire.Joined | wire.Resync) -> None:
        room = envelope.room
        shard = shard_of(room, self.topology.shards)
        if envelope.term < self.terms.get(shard, 0):
            return
        position = self.positions.get(room)
        match envelope:
            case wire.Joined():
                self.positions.setdefault(room, envelope.position)
            case wire.Resync():
                if (
                    position is None
                    or position.epoch != envelope.position.epoch
                    or position.seq < envelope.position.seq
                ):
                    self.positions[room] = envelope.position
                    self.breaks.append(envelope)
            case wire.Deliver() if envelope.seq and not envelope.to and position is not None:
                if (envelope.epoch, envelope.seq) == (position.epoch, position.seq + 1):
                    self.positions[room] = Position(envelope.epoch, envelope.seq)
                    self.taken.setdefault(room, []).append(envelope)

    async def beat(self) -> None:
        await self.tell(wire.Heartbeat(self.name, 1_000_000, **self.figures))

    async def tell(self, envelope: wire.Envelope, key: str = ALL) -> None:
        await self.bus.publish(self.topology.routers, key, encode([envelope]), persistent=False)

    async def send(self, *envelopes: wire.Envelope, room: str = "") -> None:
        """Publish to the shard of ``room``, as one batch; without a room each to the shard of its own."""
        batches: dict[str, list[wire.Envelope]] = {}
        for envelope in envelopes:
            to = room or (envelope.rooms[0] if isinstance(envelope, wire.Leave) else getattr(envelope, "room", ""))
            batches.setdefault(self.topology.shard_key(shard_of(to, self.topology.shards)), []).append(envelope)
        for key, batch in batches.items():
            await self.bus.publish(self.topology.ingress, key, encode(batch), mandatory=True)

    async def raw(self, room: str, body: bytes) -> None:
        shard = shard_of(room, self.topology.shards)
        await self.bus.publish(self.topology.ingress, self.topology.shard_key(shard), body, mandatory=True)

    async def answer(self) -> None:
        """Answer every Ask that has come."""
        while self.asks:
            ask = self.asks.pop(0)
            rooms = tuple(
                wire.Members(room, tuple((conn, "u") for conn in conns), self.positions.get(room))
                for room, conns in self.members.items()
                if conns and shard_of(room, self.topology.shards) == ask.shard
            )
            term = max(ask.term, self.terms.get(ask.shard, 0))
            await self.tell(wire.Announce(self.name, ask.shard, term, rooms, True, ask.ref), ask.router)

    def got(self, kind: type[E], **fields: object) -> list[E]:
        return [
            envelope
            for envelope in self.heard
            if isinstance(envelope, kind) and all(getattr(envelope, name) == value for name, value in fields.items())
        ]

    async def expect(self, kind: type[E], count: int = 1, **fields: object) -> list[E]:
        """Return what was heard of a kind once there are ``count``."""

        def there() -> list[E]:
            found = self.got(kind, **fields)
            return found if len(found) >= count else []

        return await eventually(there, 10.0, what=f"{count} {kind.__name__} {fields} at {self.name}")

    async def given(self, room: str, count: int) -> list[wire.Deliver]:
        """Return what the members of a room were given once there are ``count``: what an owner sends again is not in it."""
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
            "ask_again_ms": 300,
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
            settings, await self.world.bus(), tracing=tracing, topology=self.topology, id=f"r{next(self._ids)}"
        )
        self.routers.append(router)
        await router.start()
        return router

    async def member(self, gate: Gate, room: str, number: int = 1) -> str:
        """Make a connection of this gateway a member of a room; return the connection."""
        conn = f"{gate.name}~{number:x}"
        await gate.send(wire.Join(room, conn, "u", ref=f"j{number}"))
        await gate.expect(wire.Joined, room=room, conn=conn)
        gate.members.setdefault(room, []).append(conn)
        return conn


def message(room: str, text: str, *, conn: str = "", id: str = "", trace: str = "") -> Publish:  # noqa: A002
    """Return a message; with a ``conn`` it wants an ACK when it has an id."""
    now_us = time.time_ns() // 1_000
    return Publish(room, "CHAT", f'"{text}"'.encode(), now_us, conn, "u" if conn else "", id, trace=trace)


@asynccontextmanager
async def staged(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Set a stage on the bus that the fixture's parameter (one of BUSES) names; stop and close everything at the end."""
    world: World = MemoryWorld() if request.param == "memory" else RabbitWorld(request.getfixturevalue("rabbit"))
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
