"""Routers that come, go, die and lose their broker, memory and RabbitMQ: who owns a shard, and that nothing is lost, doubled or reordered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.stage import BUSES, Gate, Stage, message, staged

from router.app import Router
from router.core.takeover import State
from router.shell import ground
from warren import envelope as wire
from warren.address import shard_of
from warren.errors import BusUnavailable
from warren.namespaces import Namespaces
from warren.position import Position
from warren.settings import NamespaceSettings


@pytest_asyncio.fixture(params=BUSES)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with staged(request) as stage:
        yield stage


def owner_of(stage: Stage, room: str) -> Router | None:
    """Return the router that has a room's shard live."""
    shard = shard_of(room, stage.topology.shards)
    live = [router for router in stage.routers if router.possessions[shard].state is State.LIVE]
    return live[0] if len(live) == 1 else None


async def owned(stage: Stage, room: str) -> Router:
    return await eventually(lambda: owner_of(stage, room), 10.0, what=f"an owner of {room}")


async def all_owned(stage: Stage, *routers: Router) -> None:
    """Wait until each shard is live where the placement of these routers wants it, and nowhere else."""
    ids = {router.id for router in routers}

    def settled() -> bool:
        return all(
            router.owner.routers == ids
            and all(
                (possession.state is State.LIVE) == (router.owner.place(possession.number).owner == router.id)
                for possession in router.possessions
            )
            for router in routers
        )

    await eventually(settled, 15.0, what="every shard with its owner")


async def test_a_router_is_ready_once_it_could_take_its_shards(stage: Stage) -> None:
    """Before that a rollout must not end the owner that serves them: readiness says what is waited for."""
    router = await stage.router(listen_ms=300)
    assert router.readiness.reasons() == {"shards": "listening to the other routers"}
    await eventually(lambda: not router.readiness.reasons())
    assert router.owner.routers == {router.id}


async def test_a_new_router_reads_all_its_logs_before_it_takes_a_shard(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner before serves on meanwhile, and the new one is not ready; a shard that moved then would stand still for that long."""
    monkeypatch.setattr(ground, "FIRST_READING_S", 600.0)
    old = await stage.router()
    await all_owned(stage, old)
    read, slow = asyncio.Event(), stage.topology.history_stream(0).name
    reading = Router.start

    async def started(router: Router) -> None:
        read_at_once = router._bus.read

        async def late(stream: str, *rest: Any) -> None:
            if stream == slow:
                await read.wait()
            await read_at_once(stream, *rest)

        monkeypatch.setattr(router._bus, "read", late)
        await reading(router)

    monkeypatch.setattr(Router, "start", started)
    new = await stage.router()
    others = [possession for possession in new.possessions if possession.number]
    await eventually(lambda: all(each._follower is not None and each._follower.caught_up for each in others))
    await eventually(lambda: old.owner.routers == {old.id, new.id})
    for possession in new.possessions:
        possession.tick()
    assert {possession.state for possession in new.possessions} == {State.IDLE}
    assert {possession.state for possession in old.possessions} == {State.LIVE}
    assert new.readiness.reasons() == {"shards": "reading the logs of its shards"}
    read.set()
    await all_owned(stage, old, new)
    assert new.readiness.reasons() == {}


# Load sends some 500 messages a second to each room; what is kept must outlast a take-over on a slow machine, or a break is right.
LONG = NamespaceSettings(
    namespaces=Namespaces.parse("[{name: long, pattern: '*', history: {count: 10000, age_s: 300}}]")
)


class Load:
    """Numbered messages to some rooms, one after the other, for as long as it is entered."""

    def __init__(self, gate: Gate, *rooms: str) -> None:
        self.gate = gate
        self.rooms = rooms
        self.sent = 0
        self._ends = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Load:
        self._task = asyncio.create_task(self._run())
        await self.more(20)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ends = True
        assert self._task is not None
        await self._task

    async def more(self, count: int) -> None:
        """Wait until so many more have been sent and the last of them was acknowledged."""
        goal = self.sent + count
        await eventually(lambda: self.gate.got(wire.Ack, id=f"m{goal}"), 20.0, what=f"the ACK of m{goal}")

    async def _run(self) -> None:
        while not self._ends:
            number = self.sent = self.sent + 1
            await self.gate.send(
                *(message(room, str(number), conn=f"{self.gate.name}~1", id=f"m{number}") for room in self.rooms)
            )
            await asyncio.sleep(0.002)

    async def arrived(self, *gates: Gate) -> None:
        """Each message at each gate, once, in order, and acknowledged with the seq that it has there."""
        wanted = [f'"{number}"'.encode() for number in range(1, self.sent + 1)]
        for gate in gates:
            for room in self.rooms:
                await eventually(lambda gate=gate, room=room: len(gate.taken.get(room, ())) >= self.sent, 20.0)
                assert [taken.payload for taken in gate.taken[room]] == wanted
                assert [taken.seq for taken in gate.taken[room]] == list(range(1, self.sent + 1))
            assert gate.breaks == []
        for room in self.rooms:
            for number in range(1, self.sent + 1):
                await self.gate.expect(wire.Ack, room=room, id=f"m{number}")
            assert {(ack.id, ack.seq) for ack in self.gate.got(wire.Ack, room=room)} == {
                (f"m{number}", number) for number in range(1, self.sent + 1)
            }


async def test_another_router_takes_over_where_the_last_one_ended(stage: Stage) -> None:
    """Epoch and seq go on, a repeat is answered with its first seq, and who comes back gets exactly what it missed."""
    first = await stage.router()
    gate = await stage.gate("g1")
    conn = await stage.member(gate, "lobby")
    await stage.router()
    await gate.send(*(message("lobby", f"{number}", conn=conn, id=f"m{number}") for number in range(1, 4)))
    (ack, *_) = await gate.expect(wire.Ack, id="m3")
    old = await owned(stage, "lobby")
    other = stage.routers[1] if old is first else first
    await old._bus.close()
    await gate.send(message("lobby", "4", conn=conn, id="m4"), message("lobby", "2", conn=conn, id="m2"))
    (later,) = await gate.expect(wire.Ack, id="m4")
    assert other.possessions[shard_of("lobby", stage.topology.shards)].state is State.LIVE
    assert (later.epoch, later.seq) == (ack.epoch, 4)
    assert later.term > ack.term
    await gate.expect(wire.Ack, 2, id="m2")
    assert [each.seq for each in gate.got(wire.Ack, id="m2")] == [2, 2]
    assert [taken.payload for taken in gate.taken["lobby"]] == [b'"1"', b'"2"', b'"3"', b'"4"']
    assert gate.breaks == []
    await gate.send(wire.Join("lobby", "g1~2", "v", "back", Position(ack.epoch, 1)))
    (joined,) = await gate.expect(wire.Joined, ref="back")
    assert (joined.recovered, joined.missed, joined.position) == (True, 3, Position(ack.epoch, 1))
    missed = await gate.expect(wire.Deliver, 3, to="g1~2")
    assert [each.payload for each in missed] == [b'"2"', b'"3"', b'"4"']


async def test_a_position_that_can_not_be_continued_is_answered_so(stage: Stage) -> None:
    """Of an epoch that nobody knows, or of a room whose history is off and whose owner has changed: recovered is false and none is sent."""
    namespaces = NamespaceSettings(namespaces=Namespaces.parse("[{name: n, pattern: 'fleeting*', history: off}]"))
    first = await stage.router(namespaces=namespaces)
    gate = await stage.gate("g1")
    conn = await stage.member(gate, "fleeting")
    await gate.send(message("fleeting", "1", conn=conn, id="m1"))
    (ack,) = await gate.expect(wire.Ack, id="m1")
    second = await stage.router(namespaces=namespaces)
    await all_owned(stage, first, second)
    old = await owned(stage, "fleeting")
    await old.stop()
    stage.routers.remove(old)
    (resync,) = await eventually(lambda: gate.breaks)
    assert resync.position.epoch != ack.epoch
    await gate.send(
        wire.Join("fleeting", "g1~2", "v", "old", Position(ack.epoch, 0)),
        wire.Join("fleeting", "g1~3", "v", "odd", Position("no-such", 7)),
    )
    for ref in ("old", "odd"):
        (joined,) = await gate.expect(wire.Joined, ref=ref)
        assert (joined.recovered, joined.missed) == (False, 0)


async def test_a_gateway_that_lives_and_is_silent_is_waited_for(stage: Stage) -> None:
    """Its lease, not a time-out, decides: it may still have to drop what an older owner sends. It is asked again meanwhile."""
    gate, silent = await stage.gate("g1"), await stage.gate("g2")
    silent.answers = False
    await stage.router(lease_ms=1_500)
    await silent.expect(wire.Ask, 3)
    await gate.send(wire.Join("lobby", "g1~1", "u", "j"))
    await silent.expect(wire.Ask, 6)
    assert gate.got(wire.Joined) == []
    silent.beats = False
    await gate.expect(wire.Joined, ref="j")


async def test_routers_share_the_shards_and_a_new_one_gets_its_own(stage: Stage) -> None:
    """Under load a router joins, another joins, and one leaves in order: each message arrives once, in order, without a break."""
    first = await stage.router(namespaces=LONG)
    gate, other = await stage.gate("g1"), await stage.gate("g2")
    rooms = ("lobby", "den", "garden")
    for number, room in enumerate(rooms, 1):
        await stage.member(gate, room, number)
        await stage.member(other, room, number)
    assert {shard_of(room, stage.topology.shards) for room in rooms} == set(range(stage.topology.shards))
    async with Load(gate, *rooms) as load:
        second = await stage.router(namespaces=LONG)
        await all_owned(stage, first, second)
        third = await stage.router(namespaces=LONG)
        await all_owned(stage, first, second, third)
        await load.more(20)
        await first.stop()
        stage.routers.remove(first)
        await all_owned(stage, second, third)
        await load.more(20)
    await load.arrived(gate, other)


async def test_a_router_that_loses_its_broker_under_load_loses_nothing(stage: Stage) -> None:
    """The owner is cut off in the middle, another takes over, the first comes back and gets its shards again: once, in order, no break."""
    first, second = await stage.router(namespaces=LONG), await stage.router(namespaces=LONG)
    gate, other = await stage.gate("g1"), await stage.gate("g2")
    for room in ("lobby", "garden"):
        await stage.member(gate, room)
        await stage.member(other, room)
    await all_owned(stage, first, second)
    async with Load(gate, "lobby", "garden") as load:
        for victim in (first, second):
            await stage.world.cut(victim._bus)
            await load.more(20)
            await stage.world.restore(victim._bus)
            await all_owned(stage, first, second)
            await load.more(10)
    await load.arrived(gate, other)


async def test_what_a_fenced_owner_still_writes_is_taken_by_nobody(stage: Stage) -> None:
    """An entry that an owner of an older term appends after the new one's marker has no place in the room: the next owner does not see it."""
    first = await stage.router()
    gate = await stage.gate("g1")
    conn = await stage.member(gate, "lobby")
    await gate.send(message("lobby", "1", conn=conn, id="m1"))
    (ack,) = await gate.expect(wire.Ack, id="m1")
    shard = shard_of("lobby", stage.topology.shards)
    ghost = wire.Deliver("lobby", ack.epoch, 2, "CHAT", b'"ghost"', 1, ack.term - 1, conn, "u", "ghost")
    stream = stage.topology.history_stream(shard).name
    await gate.bus.publish("", stream, wire.encode([ghost]), mandatory=True)
    await gate.bus.publish("", stream, b"\xc1 garbage", mandatory=True)
    second = await stage.router()
    await first.stop()
    stage.routers.remove(first)
    await all_owned(stage, second)
    await gate.send(message("lobby", "2", conn=conn, id="m2"))
    (later,) = await gate.expect(wire.Ack, id="m2")
    assert (later.epoch, later.seq) == (ack.epoch, 2)
    assert [taken.payload for taken in gate.taken["lobby"]] == [b'"1"', b'"2"']
    assert gate.got(wire.Deliver, payload=b'"ghost"') == []


async def test_a_claim_of_a_router_that_is_dead_changes_nothing(stage: Stage) -> None:
    """It is read, acknowledged, and the owner goes on under its term."""
    router = await stage.router()
    gate = await stage.gate("g1")
    conn = await stage.member(gate, "lobby")
    shard = shard_of("lobby", stage.topology.shards)
    live = router.possessions[shard].live
    await gate.send(wire.Claim("nobody", 10**15), room="lobby")
    await gate.send(message("lobby", "1", conn=conn, id="m1"))
    await gate.expect(wire.Ack, id="m1")
    assert router.possessions[shard].live is live
    await eventually(lambda: _empty(gate, shard))


async def _empty(gate: Gate, shard: int) -> bool:
    return await gate.bus.depth(gate.topology.shard_queue(shard).name) == 0


async def test_a_backlog_larger_than_the_window_is_taken_over(stage: Stage) -> None:
    """With more deliveries waiting than the broker hands over at once the claim lies behind them, and the shard is taken all the same."""
    gate = await stage.gate("g1")
    for number in range(50):
        await gate.send(message("lobby", str(number), conn="g1~1", id=f"m{number}"))
    await stage.router(prefetch=4)
    await gate.expect(wire.Ack, id="m49")
    assert [ack.seq for ack in gate.got(wire.Ack)] == list(range(1, 51))


async def test_a_log_whose_beginning_is_gone_still_tells_where_each_room_is(stage: Stage) -> None:
    """Only the end of a long log is read; the rooms that are not named there keep their positions by a checkpoint."""
    first = await stage.router(checkpoint_count=64, dedup_age_ms=1_000)
    gate = await stage.gate("g1")
    quiet = await stage.member(gate, "quiet")
    busy = next(f"busy{n}" for n in range(99) if shard_of(f"busy{n}", 2) == shard_of("quiet", 2))
    await gate.send(message("quiet", "1", conn=quiet, id="q1"))
    (ack,) = await gate.expect(wire.Ack, id="q1")
    for number in range(2_500):
        with contextlib.suppress(BusUnavailable):
            await gate.send(message(busy, str(number), conn="g1~1", id=f"b{number}"))
    await gate.expect(wire.Ack, id="b2499")
    second = await stage.router(checkpoint_count=64, dedup_age_ms=1_000)
    await first.stop()
    stage.routers.remove(first)
    await all_owned(stage, second)
    await gate.send(message("quiet", "2", conn=quiet, id="q2"), message(busy, "end", conn="g1~1", id="end"))
    (later,) = await gate.expect(wire.Ack, id="q2")
    (end,) = await gate.expect(wire.Ack, id="end")
    assert (later.epoch, later.seq, end.epoch, end.seq) == (ack.epoch, 2, ack.epoch, 2_501)
    assert gate.breaks == []
