"""What every Bus keeps when consumers, connections and queues go: take-over, supervision. One suite, two
buses.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.support.buses import (
    ContractTopology,
    Inbox,
    NewBus,
    World,
    depth_is,
    durable,
    fill,
    gateway,
    numbers,
)
from tests.support.eventually import eventually

from warren.bus import Bus
from warren.errors import BusUnavailable, NotConfirmed, TopologyMismatch, Unroutable
from warren.topology import Queue

# ── one consumer at a time ──────────────────────────────────────────────────────────────────────────────────


async def test_the_next_consumer_takes_over_in_order(bus_factory: NewBus, topology: ContractTopology) -> None:
    """Of two consumers of the notify queue one gets all; when it closes, the other gets what was not
    acknowledged, in order, then the rest.
    """
    one, two = await bus_factory(), await bus_factory()
    first, second = Inbox(), Inbox(ack=True)
    shard = topology.notify_queue()
    owner = await one.subscribe(durable(shard), first, prefetch=4)
    await two.subscribe(durable(shard), second, prefetch=4)
    await asyncio.gather(*(one.publish(topology.notify, "0", body) for body in numbers(8)))
    assert await first.holds(4) == numbers(4)
    first.deliveries[0].ack()
    await first.holds(5)
    assert second.bodies == []
    await owner.close()
    assert await second.holds(7) == numbers(7, begin=1)
    assert [delivery.redelivered for delivery in second.deliveries] == [True] * 4 + [False] * 3


async def test_a_bus_that_is_cut_off_loses_its_turn(
    world: World, bus_factory: NewBus, topology: ContractTopology
) -> None:
    """When the owner's connection is lost the next consumer gets the unacknowledged messages in order, before
    the rest.
    """
    one, two = await bus_factory(), await bus_factory()
    first, second = Inbox(), Inbox(ack=True)
    shard = topology.notify_queue()
    await one.subscribe(durable(shard), first, prefetch=5)
    await first_active(one, topology, first)
    await two.subscribe(durable(shard), second, prefetch=5)
    await asyncio.gather(*(two.publish(topology.notify, "1", body) for body in numbers(9)))
    await first.holds(6)
    await world.cut(one)
    assert await second.holds(9) == numbers(9)


async def first_active(bus: Bus, topology: ContractTopology, inbox: Inbox) -> None:
    """See one message go through a consumer, so that it is certain who is the active one."""
    await bus.publish(topology.notify, "1", b"who", mandatory=True)
    await inbox.holds(1)
    inbox.deliveries[0].ack()


# ── supervision ─────────────────────────────────────────────────────────────────────────────────────────────


async def is_unroutable(bus: Bus, exchange: str, key: str) -> bool:
    """Say whether a mandatory message comes back; for some ms RabbitMQ 4.3 refuses it instead (its fate is
    "not known" then).
    """
    try:
        await bus.publish(exchange, key, b"x", mandatory=True)
    except Unroutable:
        return True
    except NotConfirmed:
        return False
    raise AssertionError("the queue is still there")


async def test_an_exclusive_queue_goes_with_its_subscription(bus: Bus, topology: ContractTopology) -> None:
    """When a subscription to an exclusive queue closes, its queue and bindings are gone."""
    subscription = await bus.subscribe(gateway(topology, "g"), Inbox(ack=True), prefetch=1)
    assert subscription.active
    await bus.publish(topology.egress, "g", b"x", mandatory=True)
    await subscription.close()
    assert not subscription.active
    await eventually(lambda: is_unroutable(bus, topology.egress, "g"))


async def test_a_retired_queue_gets_nothing_more(bus_factory: NewBus, topology: ContractTopology) -> None:
    """Anybody can retire an exclusive queue: nothing is routed to it, others still get theirs; one that does
    not exist is no error.
    """
    one, two = await bus_factory(), await bus_factory()
    dead, other = Inbox(ack=True), Inbox(ack=True)
    subscription = await one.subscribe(gateway(topology, "dead"), dead, prefetch=10)
    await two.subscribe(gateway(topology, "other"), other, prefetch=10)
    await two.publish(topology.egress, "all", b"to both", mandatory=True)
    assert await dead.holds(1) == [b"to both"]
    for _ in range(2):
        await two.retire(subscription.queue)
    await eventually(lambda: is_unroutable(two, topology.egress, "dead"))
    await two.publish(topology.egress, "all", b"to one", mandatory=True)
    assert await other.holds(2) == [b"to both", b"to one"]
    assert await dead.holds(1) == [b"to both"]


async def test_a_renewed_subscription_is_reached_again(
    bus_factory: NewBus, topology: ContractTopology
) -> None:
    """A subscription whose queue was retired is told of a loss and a start when it is renewed, and consumes
    under another name.
    """
    one, two = await bus_factory(), await bus_factory()
    moments: list[str] = []
    inbox = Inbox(ack=True)
    subscription = await one.subscribe(
        gateway(topology, "g"), inbox, prefetch=10,
        on_start=lambda: moments.append("start"), on_lost=lambda: moments.append("lost"),
    )  # fmt: skip
    former = subscription.queue
    await two.retire(former)
    subscription.renew()
    await eventually(lambda: moments == ["start", "lost", "start"])
    assert subscription.queue != former
    await two.publish(topology.egress, "g", b"here", mandatory=True)
    assert await inbox.holds(1) == [b"here"]


async def test_an_exclusive_queue_goes_with_its_bus(bus_factory: NewBus, topology: ContractTopology) -> None:
    """When a bus closes, its exclusive queues are gone and what it had not acknowledged is in the durable
    ones.
    """
    one, two = await bus_factory(), await bus_factory()
    held = Inbox()
    await one.subscribe(gateway(topology, "g"), Inbox(), prefetch=1)
    await one.subscribe(durable(topology.plain), held, prefetch=5)
    await fill(two, topology.plain, numbers(5))
    await held.holds(5)
    await one.close()
    await eventually(lambda: is_unroutable(two, topology.egress, "g"))
    await eventually(lambda: depth_is(two, topology.plain, 5))


async def test_after_a_cut_all_is_as_before(
    world: World, bus: Bus, bus_factory: NewBus, topology: ContractTopology
) -> None:
    """A cut is told (False, then True when all is consumed again), the exclusive queue has a new name, and
    messages flow.
    """
    told: list[tuple[bool, bool]] = []
    moments: list[str] = []
    inbox = Inbox(ack=True)
    other = await bus_factory()
    subscription = await bus.subscribe(
        gateway(topology, "g"), inbox, prefetch=10,
        on_start=lambda: moments.append(f"start {len(inbox.deliveries)}"), on_lost=lambda: moments.append("lost"),
    )  # fmt: skip
    bus.watch(lambda up: told.append((up, subscription.active)))
    await other.publish(topology.egress, "g", b"before", mandatory=True)
    await inbox.holds(1)
    name = subscription.queue
    await world.cut(bus)
    await eventually(lambda: [up for up, _ in told] == [False] and not subscription.active)
    assert not bus.up
    with pytest.raises(BusUnavailable):
        await bus.publish(topology.egress, "all", b"x")
    assert await bus.depth(topology.plain.name) is None
    await world.restore(bus)
    await eventually(lambda: told[1:] == [(True, True)])
    assert bus.up
    assert subscription.queue != name
    await other.publish(topology.egress, "g", b"after", mandatory=True)
    assert await inbox.holds(2) == [b"before", b"after"]
    assert moments == ["start 0", "lost", "start 1"]


async def test_a_subscription_made_while_the_broker_is_away_begins_when_it_is_back(
    world: World, bus: Bus, topology: ContractTopology
) -> None:
    """To subscribe while cut off is no error: it is consumed as soon as the broker is back."""
    await world.cut(bus)
    inbox = Inbox(ack=True)
    subscription = await bus.subscribe(gateway(topology, "late"), inbox, prefetch=1)
    assert not subscription.active
    await world.restore(bus)
    await eventually(lambda: subscription.active and bus.up)
    await bus.publish(topology.egress, "late", b"x", mandatory=True)
    await inbox.holds(1)


async def test_a_deleted_queue_is_made_and_consumed_again(
    world: World, bus: Bus, topology: ContractTopology
) -> None:
    """When an operator deletes a consumed queue it is declared, bound and consumed anew, and the
    subscription's owner is told.
    """
    moments: list[str] = []
    inbox = Inbox(ack=True)
    queue = topology.notify_queue()
    await bus.subscribe(
        durable(queue), inbox, prefetch=10,
        on_start=lambda: moments.append("start"), on_lost=lambda: moments.append("lost"),
    )  # fmt: skip
    await world.delete(queue.name)
    await eventually(lambda: moments == ["start", "lost", "start"])
    await bus.publish(topology.notify, "1", b"x", mandatory=True)
    assert await inbox.holds(1) == [b"x"]


async def test_another_number_of_shards_is_a_mismatch(
    world: World, bus: Bus, topology: ContractTopology
) -> None:
    """A service that is set to another number of shards than the broker's topology is refused, and the
    message says so.
    """
    assert bus.up
    other = await world.bus(ContractTopology(topology.prefix, shards=topology.shards + 1))
    with pytest.raises(TopologyMismatch, match=r"guard"):
        await other.start()
    assert not other.up


class Former(ContractTopology):
    """What an older Warren declared."""

    def queues(self) -> tuple[Queue, ...]:
        return (*super().queues(), *(Queue(name, "quorum", {}) for name in super().former()[:1]))

    def former(self) -> tuple[str, ...]:
        return ()


async def test_an_older_warrens_broker_is_refused(world: World, topology: ContractTopology) -> None:
    """A service that finds the queues of an older Warren under its prefix does not start, and says what to
    do; once they are gone it does.
    """
    old = await world.bus(Former(topology.prefix))
    await old.start()
    await old.close()
    fresh = await world.bus()
    with pytest.raises(TopologyMismatch, match=rf"{topology.former()[0]}.*delete its queues"):
        await fresh.start()
    await world.delete(topology.former()[0])
    again = await world.bus()
    await again.start()
    assert again.up


async def test_depth_counts_what_is_ready(bus: Bus, topology: ContractTopology) -> None:
    """The depth of a queue is what no consumer has yet; a queue that is not there has none."""
    assert await bus.depth(topology.plain.name) == 0
    await fill(bus, topology.plain, numbers(4))
    await eventually(lambda: depth_is(bus, topology.plain, 4))
    await bus.subscribe(durable(topology.plain), Inbox(), prefetch=1)
    await eventually(lambda: depth_is(bus, topology.plain, 3))
    assert await bus.depth(f"{topology.prefix}.nothing") is None


async def test_an_alarm_holds_publishers_back_and_is_told(
    world: World, bus: Bus, topology: ContractTopology
) -> None:
    """A publish waits and arrives nowhere, deliveries and acks go on; afterwards all that waited arrives in
    its order.
    """
    told: list[tuple[str, bool]] = []
    bus.watch(lambda up: told.append(("up", up)))
    bus.watch_blocked(lambda blocked: told.append(("blocked", blocked)))
    await fill(bus, topology.plain, numbers(4))
    inbox, held = Inbox(ack=True), Inbox(ack=True)
    await bus.subscribe(durable(topology.roomy), held, prefetch=10)
    await world.alarm(True)
    try:
        waiting = [asyncio.create_task(bus.publish("", topology.roomy.name, body)) for body in numbers(5)]
        await eventually(lambda: told == [("blocked", True)], 20.0)
        assert (bus.up, bus.blocked) == (True, True)
        await bus.subscribe(durable(topology.plain), inbox, prefetch=1)
        assert await inbox.holds(4) == numbers(4)
        assert held.bodies == []
        assert not any(publish.done() for publish in waiting)
    finally:
        await world.alarm(False)
    await asyncio.wait_for(asyncio.gather(*waiting), 20.0)
    assert await held.holds(5) == numbers(5)
    await eventually(lambda: told == [("blocked", True), ("blocked", False)])
    assert (bus.up, bus.blocked) == (True, False)


async def test_a_bus_that_is_cut_off_in_an_alarm_is_away_and_not_blocked(
    world: World, bus: Bus, topology: ContractTopology
) -> None:
    """What waited has an unknown fate, as at any cut."""
    blocked: list[bool] = []
    bus.watch_blocked(blocked.append)
    await world.alarm(True)
    try:
        waiting = asyncio.create_task(bus.publish("", topology.roomy.name, b"x"))
        await asyncio.sleep(0)  # it is under way
        await eventually(lambda: blocked == [True], 20.0)
        await world.cut(bus)
        with pytest.raises(NotConfirmed):
            await waiting
        await eventually(lambda: blocked == [True, False])
        assert (bus.up, bus.blocked) == (False, False)
    finally:
        await world.alarm(False)
