"""Routers on a bus, memory and RabbitMQ: members, order, repeats, gateways and owners that go. The test plays
the gateways.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.stage import BUSES, Stage, message, staged

from warren import envelope as wire
from warren.address import shard_of


@pytest_asyncio.fixture(params=BUSES)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with staged(request) as stage:
        yield stage


async def test_a_message_reaches_the_gateways_with_members_and_no_other(stage: Stage) -> None:
    """Members on two gateways get each message once and numbered; a third gateway gets nothing; the sender is
    told the seq.
    """
    await stage.router()
    one, two, three = [await stage.gate(name) for name in ("g1", "g2", "g3")]
    sender = await stage.member(one, "lobby")
    await stage.member(two, "lobby", 2)
    await one.send(message("lobby", "a", conn=sender, id="m1"), message("lobby", "b", conn=sender, id="m2"))
    (ack, *_) = await one.expect(wire.Ack, id="m2")
    for gate in (one, two):
        delivered = await gate.given("lobby", 2)
        assert [(d.seq, d.payload) for d in delivered] == [(1, b'"a"'), (2, b'"b"')]
    assert (ack.seq, ack.conn) == (2, sender)
    assert three.got(wire.Deliver) == []


async def test_a_repeat_is_answered_and_not_delivered_again(stage: Stage) -> None:
    """The same id of the same user gets the first seq again, and the members hear it once."""
    await stage.router()
    gate = await stage.gate("g1")
    conn = await stage.member(gate, "lobby")
    for _ in range(2):
        await gate.send(message("lobby", "a", conn=conn, id="same"))
    await gate.send(message("lobby", "end", conn=conn, id="end"))
    await gate.expect(wire.Ack, id="end")
    assert [ack.seq for ack in gate.got(wire.Ack, id="same")] == [1, 1]
    await eventually(lambda: [d.payload for d in gate.taken["lobby"]] == [b'"a"', b'"end"'])


async def test_order_is_kept_over_many_batches(stage: Stage) -> None:
    """A thousand messages in batches of different sizes arrive in their order with seqs 1, 2, 3 …"""
    await stage.router()
    gate = await stage.gate("g1")
    conn = await stage.member(gate, "lobby")
    numbers = iter(range(1_000))
    for size in itertools.cycle((1, 7, 40)):
        batch = list(itertools.islice(numbers, size))
        if not batch:
            break
        await gate.send(*(message("lobby", str(number), conn=conn) for number in batch))
    delivered = await gate.given("lobby", 1_000)
    assert [d.seq for d in delivered] == list(range(1, 1_001))
    assert [d.payload for d in delivered] == [f'"{number}"'.encode() for number in range(1_000)]


async def test_a_gateway_whose_lease_ended_begins_a_new_life(stage: Stage) -> None:
    """Without heartbeats its members leave; it hears so, joins again (it may be back at once), and loses and
    repeats nothing.
    """
    router = await stage.router(lease_ms=300, listen_ms=100)
    gate, other = await stage.gate("g1"), await stage.gate("g2")
    conn = await stage.member(gate, "lobby")
    writer = await stage.member(other, "lobby")
    await other.send(message("lobby", "a", conn=writer))
    await gate.given("lobby", 1)
    shard = shard_of("lobby", stage.topology.shards)

    def member() -> bool:
        return conn in router.shards[shard].fold.rooms.members("lobby", "g1")

    gate.beats = False
    await eventually(lambda: gate.feeds[shard].life > 1)
    await other.send(message("lobby", "b", conn=writer))
    await other.given("lobby", 2)
    gate.beats = True
    await gate.send(message("lobby", "c", conn=conn, id="m1"))
    await eventually(member)
    await gate.expect(wire.Ack, id="m1")
    assert [taken.payload for taken in await gate.given("lobby", 3)] == [b'"a"', b'"b"', b'"c"']
    assert gate.breaks == []


async def test_an_unreachable_gateway_is_suspected_and_holds_nobody_up(stage: Stage) -> None:
    """What can't be routed is sent again later, its gateway is suspected, and the others get everything."""
    router = await stage.router()
    gate, ghost = await stage.gate("g1"), await stage.gate("ghost")
    conn = await stage.member(gate, "lobby")
    await stage.member(ghost, "lobby")
    await ghost.bus.close()
    for number in range(3):
        await gate.send(message("lobby", str(number), conn=conn, id=f"m{number}"))
    await gate.expect(wire.Ack, id="m2")
    assert len(await gate.given("lobby", 3)) == 3
    await eventually(
        lambda: 'rejected_total{reason="egress_unroutable"}' in router.metrics.render()[0].decode()
    )


async def test_a_room_on_every_gateway_goes_out_once_for_all(stage: Stage) -> None:
    """With three gateways that all have members, a message leaves as one copy; everyone gets it once."""
    router = await stage.router()
    gates = [await stage.gate(name) for name in ("g1", "g2", "g3")]
    conns = [await stage.member(gate, "lobby", number) for number, gate in enumerate(gates, 1)]
    for number in range(5):
        await gates[0].send(message("lobby", str(number), conn=conns[0], id=f"m{number}"))
    for gate in gates:
        delivered = await gate.given("lobby", 5)
        assert [d.seq for d in delivered] == [1, 2, 3, 4, 5]
    text = router.metrics.render()[0].decode()
    (copies,) = [
        line for line in text.splitlines() if line.startswith('warren_router_delivered_total{to="all"}')
    ]
    assert float(copies.split()[1]) >= 5
