"""Routers that come, go, die and lose their broker, memory and RabbitMQ: who speaks for a shard, and that
nothing is lost, doubled or reordered.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from tests.support.buses import Inbox
from tests.support.eventually import eventually
from tests.support.stage import BUSES, Gate, Stage, message, staged

from router.app import Router
from router.core.fold import FOLD_VERSION, Fold
from router.core.shard_role import State
from warren import envelope as wire
from warren.address import shard_of
from warren.bus import Source
from warren.namespaces import Namespaces
from warren.position import Position
from warren.settings import NamespaceSettings
from warren.topology import Binding, Queue


@pytest_asyncio.fixture(params=BUSES)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with staged(request) as stage:
        yield stage


def speaker_of(stage: Stage, room: str) -> Router | None:
    """Return the router that alone speaks for a room's shard."""
    shard = shard_of(room, stage.topology.shards)
    speaking = [router for router in stage.routers if router.shards[shard].speaks]
    return speaking[0] if len(speaking) == 1 else None


async def spoken_for(stage: Stage, room: str) -> Router:
    return await eventually(lambda: speaker_of(stage, room), 10.0, what=f"a speaker for {room}")


async def all_placed(*routers: Router) -> None:
    """Wait until each shard is spoken for where the placement of these routers wants it and nowhere else, and
    its standby reads along.
    """
    ids = {router.id for router in routers}

    def settled() -> bool:
        return all(
            router.placement.routers == ids
            and router.placement.announced
            and all(
                shard.prepared and shard.speaks == (router.placement.of(shard.number).speaker == router.id)
                for shard in router.shards
            )
            for router in routers
        )

    await eventually(settled, 15.0, what="every shard with its speaker and its standby")


async def test_a_router_is_ready_once_it_does_its_part(stage: Stage) -> None:
    """Before that a rollout must not end the one that serves: readiness says what is waited for. Then the
    first message waits for nothing.
    """
    router = await stage.router(listen_ms=1_500)
    assert router.readiness.reasons() == {"shards": "listening to the other routers"}
    await eventually(lambda: not router.readiness.reasons())
    assert {shard.role.state for shard in router.shards} == {State.SPEAKING}
    assert all(shard.fold.life for shard in router.shards)


async def test_a_new_router_reads_its_logs_before_it_is_given_a_shard(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The speaker before goes on meanwhile, and nobody hears of the new one, which is not ready."""
    old = await stage.router()
    await all_placed(old)
    read, slow = asyncio.Event(), stage.topology.log(0).name
    starting = Router.start

    async def started(router: Router) -> None:
        tail_at_once = router._bus.tail

        async def late(stream: str, start: Any, *rest: Any, **more: Any) -> None:
            if stream == slow and start != "last":
                await read.wait()
            await tail_at_once(stream, start, *rest, **more)

        monkeypatch.setattr(router._bus, "tail", late)
        await starting(router)

    monkeypatch.setattr(Router, "start", started)
    new = await stage.router()
    await eventually(lambda: new.shards[1].role.state is State.FOLLOWING)
    assert new.shards[0].role.state is State.STARTING
    assert old.placement.routers == {old.id}
    assert {shard.role.state for shard in old.shards} == {State.SPEAKING}
    assert new.readiness.reasons() == {"shards": "reading the logs of its shards"}
    read.set()
    await all_placed(old, new)
    await eventually(lambda: not new.readiness.reasons())


# Load sends some 500 messages a second to each room; what is kept must outlast a take-over on a slow machine,
# or a break is right.
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
            conn = f"{self.gate.name}~1"
            await self.gate.send(
                *(message(room, str(number), conn=conn, id=f"m{number}") for room in self.rooms)
            )
            await asyncio.sleep(0.002)

    async def arrived(self, *gates: Gate) -> None:
        """Each message at each gate, once, in order, and acknowledged with the seq that it has there."""
        wanted = [f'"{number}"'.encode() for number in range(1, self.sent + 1)]
        for gate in gates:
            for room in self.rooms:
                await eventually(
                    lambda gate=gate, room=room: len(gate.taken.get(room, ())) >= self.sent, 20.0
                )
                assert [taken.payload for taken in gate.taken[room]] == wanted
                assert [taken.seq for taken in gate.taken[room]] == list(range(1, self.sent + 1))
            assert gate.breaks == []
        for room in self.rooms:
            for number in range(1, self.sent + 1):
                await self.gate.expect(wire.Ack, room=room, id=f"m{number}")
            assert {(ack.id, ack.seq) for ack in self.gate.got(wire.Ack, room=room)} == {
                (f"m{number}", number) for number in range(1, self.sent + 1)
            }


async def test_another_router_goes_on_where_the_last_one_ended(stage: Stage) -> None:
    """Epoch and seq go on, a repeat is answered with its first seq and not delivered again, and what was
    missed can be read.
    """
    first = await stage.router()
    gate = await stage.gate("g1")
    conn = await stage.member(gate, "lobby")
    second = await stage.router()
    await all_placed(first, second)
    await gate.send(*(message("lobby", f"{number}", conn=conn, id=f"m{number}") for number in range(1, 4)))
    (ack, *_) = await gate.expect(wire.Ack, id="m3")
    old = await spoken_for(stage, "lobby")
    other = second if old is first else first
    await old._bus.close()
    await gate.send(message("lobby", "4", conn=conn, id="m4"), message("lobby", "2", conn=conn, id="m2"))
    (later,) = await gate.expect(wire.Ack, id="m4")
    assert other.shards[shard_of("lobby", stage.topology.shards)].speaks
    assert (later.epoch, later.seq) == (ack.epoch, 4)
    await gate.expect(wire.Ack, 2, id="m2")
    assert [each.seq for each in gate.got(wire.Ack, id="m2")] == [2, 2]
    assert [taken.payload for taken in await gate.given("lobby", 4)] == [b'"1"', b'"2"', b'"3"', b'"4"']
    assert gate.breaks == []
    await gate.read("lobby", Position(ack.epoch, 1), 4)
    (page,) = await gate.expect(wire.Page)
    assert ([each.payload for each in page.messages], page.whole) == ([b'"2"', b'"3"', b'"4"'], True)


async def test_a_speaker_that_dies_is_followed_without_its_lease_ending(stage: Stage) -> None:
    """Nobody is behind its inbox any more, and the one that stands by for it sees that at once."""
    first, second = await stage.router(peer_lease_ms=60_000), await stage.router(peer_lease_ms=60_000)
    gate = await stage.gate("g1")
    conn = await stage.member(gate, "lobby")
    await all_placed(first, second)
    old = await spoken_for(stage, "lobby")
    other = second if old is first else first
    await old._bus.close()
    await gate.send(message("lobby", "1", conn=conn, id="m1"))
    await gate.expect(wire.Ack, id="m1")
    assert other.placement.routers == {other.id}


async def test_routers_share_the_shards_and_a_new_one_gets_its_own(stage: Stage) -> None:
    """Under load a router joins, another joins, and one leaves in order: each message arrives once, in order,
    without a break.
    """
    first = await stage.router(namespaces=LONG)
    gate, other = await stage.gate("g1"), await stage.gate("g2")
    rooms = ("lobby", "den", "garden")
    for number, room in enumerate(rooms, 1):
        await stage.member(gate, room, number)
        await stage.member(other, room, number)
    assert {shard_of(room, stage.topology.shards) for room in rooms} == set(range(stage.topology.shards))
    async with Load(gate, *rooms) as load:
        second = await stage.router(namespaces=LONG)
        await all_placed(first, second)
        third = await stage.router(namespaces=LONG)
        await all_placed(first, second, third)
        await load.more(20)
        await first.stop()
        stage.routers.remove(first)
        await all_placed(second, third)
        await load.more(20)
    await load.arrived(gate, other)


async def test_a_router_that_loses_its_broker_under_load_loses_nothing(stage: Stage) -> None:
    """The speaker is cut off in the middle, another takes over, the first comes back and gets its shards
    again: once, in order, no break.
    """
    first, second = await stage.router(namespaces=LONG), await stage.router(namespaces=LONG)
    gate, other = await stage.gate("g1"), await stage.gate("g2")
    for room in ("lobby", "garden"):
        await stage.member(gate, room)
        await stage.member(other, room)
    await all_placed(first, second)
    async with Load(gate, "lobby", "garden") as load:
        for victim in (first, second):
            await stage.world.cut(victim._bus)
            await load.more(20)
            await stage.world.restore(victim._bus)
            await all_placed(first, second)
            await load.more(10)
    await load.arrived(gate, other)


async def test_two_that_speak_at_once_do_no_harm(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither ever hears of the other's heartbeats, so both say everything: each message arrives once, in
    order.
    """
    monkeypatch.setattr("router.core.router_leases.RouterLeases.heartbeat", lambda *_: False)
    monkeypatch.setattr("router.core.router_leases.RouterLeases.end", lambda *_: False)
    first, second = await stage.router(namespaces=LONG), await stage.router(namespaces=LONG)
    gate, other = await stage.gate("g1"), await stage.gate("g2")
    for each in (gate, other):
        await stage.member(each, "lobby")
    await eventually(lambda: all(shard.speaks for router in (first, second) for shard in router.shards))
    async with Load(gate, "lobby") as load:
        await load.more(30)
    await load.arrived(gate, other)


async def test_a_router_that_is_older_than_a_log_leaves_all_shards(stage: Stage) -> None:
    """It lives and is not ready, says why, speaks for none, takes no notification, and no fault ends it."""
    router = await stage.router()
    await all_placed(router)
    fold = router.shards[0].fold
    assert fold.rules is not None
    newer = msgspec.structs.replace(fold.rules, version=FOLD_VERSION + 1)
    topology = stage.topology
    await router._bus.publish(topology.ingress, topology.shard_key(0), wire.encode([newer]), mandatory=True)
    (reason,) = (await eventually(lambda: router.readiness.reasons())).values()
    assert f"shard 0: the log's rules are of version {FOLD_VERSION + 1}" in reason
    await eventually(lambda: {shard.role.state for shard in router.shards} == {State.IDLE})
    assert router.placement.routers == frozenset()
    await eventually(lambda: router.notifications._subscription is None)


async def test_a_gateway_that_was_there_before_any_router_is_served(stage: Stage) -> None:
    """What it said to a log that had no life yet did not count; it hears so, and says it again."""
    gate = await stage.gate("g1")
    for number in range(50):
        await gate.send(message("lobby", str(number), conn="g1~1", id=f"m{number}"))
    await stage.router(prefetch=4)
    await gate.expect(wire.Ack, id="m49")
    assert [ack.seq for ack in gate.got(wire.Ack)] == list(range(1, 51))


async def test_a_router_begins_at_a_checkpoint_and_knows_all_that_is_known(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not read the beginning of a long log; rooms keep their positions, members are there, and a
    repeat is known.
    """
    begun: list[tuple[int, int]] = []  # shard, offset
    restoring = Fold.restoring

    def noted(shard: int, shards: int, offset: int, bodies: Sequence[bytes]) -> Any:
        begun.append((shard, offset))
        return restoring(shard, shards, offset, bodies)

    monkeypatch.setattr(Fold, "restoring", noted)
    first = await stage.router(checkpoint_bytes=65_536)
    gate = await stage.gate("g1")
    quiet = await stage.member(gate, "quiet")
    shard = shard_of("quiet", 2)
    busy = next(f"busy{n}" for n in range(99) if shard_of(f"busy{n}", 2) == shard)
    await gate.send(message("quiet", "1", conn=quiet, id="q1"))
    (ack,) = await gate.expect(wire.Ack, id="q1")
    for number in range(300):
        await gate.send(message(busy, f"{number}" + "x" * 1_000, conn="g1~1", id=f"b{number}"))
    await gate.expect(wire.Ack, id="b299")
    await eventually(lambda: first.shards[shard]._maintainer.newest > 200)
    begun.clear()
    second = await stage.router(checkpoint_bytes=65_536)
    await all_placed(first, second)
    assert next(offset for at, offset in begun if at == shard) > 100
    await first.stop()
    stage.routers.remove(first)
    await all_placed(second)
    await gate.send(message("quiet", "2", conn=quiet, id="q2"), message("quiet", "1", conn=quiet, id="q1"))
    (later,) = await gate.expect(wire.Ack, id="q2")
    await gate.expect(wire.Ack, 2, id="q1")
    assert (later.epoch, later.seq) == (ack.epoch, 2)
    assert [each.seq for each in gate.got(wire.Ack, id="q1")] == [1, 1]
    assert [each.payload for each in await gate.given("quiet", 2)] == [b'"1"', b'"2"']
    assert gate.breaks == []


async def test_events_go_on_where_the_last_speaker_was(stage: Stage) -> None:
    """Over a death and a goodbye no event is lost, and one that comes twice has the same id."""
    first, second = await stage.router(events=("message",)), await stage.router(events=("message",))
    bus = await stage.world.bus()
    await bus.start()
    queue = Queue(f"{stage.topology.prefix}.told", "quorum", {})
    told = Inbox(ack=True)
    await bus.subscribe(
        lambda: Source(queue, (Binding(stage.topology.events, queue.name, "#"),)), told, prefetch=100
    )
    gate = await stage.gate("g1")
    await stage.member(gate, "lobby")
    await all_placed(first, second)
    async with Load(gate, "lobby") as load:
        old = await spoken_for(stage, "lobby")
        await old._bus.close()
        await load.more(20)
        third = await stage.router(events=("message",))
        (left,) = [router for router in (first, second) if router is not old]
        await all_placed(left, third)
        await left.stop()
        stage.routers.remove(left)
        await load.more(20)

    def seqs() -> dict[str, int]:
        return {str(each.properties.message_id): json.loads(each.body)["seq"] for each in told.deliveries}

    await eventually(lambda: len(seqs()) >= load.sent, 20.0)
    assert sorted(seqs().values()) == list(range(1, load.sent + 1))


async def test_a_gateway_and_its_speaker_that_die_together_leave_nobody_behind(stage: Stage) -> None:
    """The next speaker declares the gateway gone; each end is told under one id."""
    routers = [await stage.router(), await stage.router()]
    bus = await stage.world.bus()
    await bus.start()
    queue = Queue(f"{stage.topology.prefix}.told", "quorum", {})
    told = Inbox(ack=True)
    await bus.subscribe(
        lambda: Source(queue, (Binding(stage.topology.events, queue.name, "#"),)), told, prefetch=100
    )
    await all_placed(*routers)
    gate = await stage.gate("g1")
    members = {await stage.member(gate, "lobby", number) for number in range(1, 20)}
    speaker = await spoken_for(stage, "lobby")
    await asyncio.gather(gate.bus.close(), speaker._bus.close())

    def left() -> dict[str, str]:
        said = {str(each.properties.message_id): json.loads(each.body) for each in told.deliveries}
        return {ident: each["connection"] for ident, each in said.items() if each.get("reason") == "gone"}

    await eventually(lambda: len(left()) >= len(members), 20.0, what="the end of each member")
    (living,) = [router for router in routers if router is not speaker]
    await eventually(lambda: "g1" not in living.peers.gateways.living)
    assert sorted(left().values()) == sorted(members)


async def test_a_goodbye_that_fails_keeps_nothing_from_its_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with it: the router ends, and the next one speaks, as after one that died."""
    first, second = await stage.router(), await stage.router()
    await all_placed(first, second)

    async def broken() -> None:
        raise RuntimeError("scripted")

    monkeypatch.setattr(first.heartbeat, "leave", broken)
    await first.stop()
    stage.routers.remove(first)
    assert {shard.role.state for shard in first.shards} == {State.IDLE}
    assert not first._bus.up
    await eventually(lambda: all(shard.speaks for shard in second.shards), 20.0)


async def test_a_router_that_has_stopped_writes_nothing_more(stage: Stage) -> None:
    """It hands over at once, and the next one speaks without a pause."""
    first, second = await stage.router(), await stage.router()
    gate = await stage.gate("g1")
    conn = await stage.member(gate, "lobby")
    await all_placed(first, second)
    old = await spoken_for(stage, "lobby")
    await old.stop()
    stage.routers.remove(old)
    (left,) = stage.routers
    assert all(shard.speaks for shard in left.shards)
    assert {shard.role.state for shard in old.shards} == {State.IDLE}
    await gate.send(message("lobby", "1", conn=conn, id="m1"))
    await gate.expect(wire.Ack, id="m1")
