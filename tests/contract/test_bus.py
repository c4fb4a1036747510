"""What every Bus keeps: publishing, routing, limits and settling. One suite, two buses (see
``conftest.py``).
"""

from __future__ import annotations

import asyncio

import pytest
from tests.support.buses import (
    ContractTopology,
    Inbox,
    World,
    dead_queue,
    depth_is,
    durable,
    fill,
    gateway,
    numbers,
)
from tests.support.eventually import eventually

from warren.bus import Bus, Delivery, Outgoing, Properties, Source
from warren.errors import BusUnavailable, Nacked, NotConfirmed, Unroutable

# ── publishing and routing ──────────────────────────────────────────────────────────────────────────────────


async def test_direct_exchange_reaches_the_queue_of_its_key_alone(
    bus: Bus, topology: ContractTopology
) -> None:
    """A message with a gateway's key reaches that gateway; with ``all`` it reaches each of them once."""
    one, two = Inbox(ack=True), Inbox(ack=True)
    await bus.subscribe(gateway(topology, "one"), one, prefetch=10)
    await bus.subscribe(gateway(topology, "two"), two, prefetch=10)
    await bus.publish(topology.egress, "one", b"for one", mandatory=True)
    await bus.publish(topology.egress, "all", b"for all", mandatory=True)
    assert await one.holds(2) == [b"for one", b"for all"]
    assert await two.holds(1) == [b"for all"]
    assert (one.deliveries[0].exchange, one.deliveries[0].routing_key) == (topology.egress, "one")


async def test_topic_exchange_takes_every_key_of_backends(bus: Bus, topology: ContractTopology) -> None:
    """What is published to the notify exchange under any key comes to the notify queue, in order."""
    inbox = Inbox(ack=True)
    await bus.subscribe(durable(topology.notify_queue()), inbox, prefetch=10)
    for key in ("room.a.b", "user.u", "conn.g~1", "all"):
        await bus.publish(topology.notify, key, key.encode(), mandatory=True)
    assert await inbox.holds(4) == [b"room.a.b", b"user.u", b"conn.g~1", b"all"]


async def test_fanout_exchange_ignores_the_key(bus: Bus, topology: ContractTopology) -> None:
    """A fanout exchange gives each bound queue one copy whatever the key is."""
    await bus.publish(topology.both.name, "whatever", b"x", mandatory=True)
    small, roomy = Inbox(ack=True), Inbox(ack=True)
    await bus.subscribe(durable(topology.small), small, prefetch=1)
    await bus.subscribe(durable(topology.roomy), roomy, prefetch=1)
    assert await small.holds(1) == await roomy.holds(1) == [b"x"]


async def test_mandatory_publish_to_nowhere_is_unroutable(bus: Bus, topology: ContractTopology) -> None:
    """A mandatory message that reaches no queue raises Unroutable; the same without mandatory is dropped in
    silence.
    """
    with pytest.raises(Unroutable):
        await bus.publish(topology.egress, "nobody", b"x", mandatory=True)
    await bus.publish(topology.egress, "nobody", b"x")


async def test_each_of_many_mandatory_publishes_gets_its_own_answer(
    bus: Bus, topology: ContractTopology
) -> None:
    """Of concurrent mandatory publishes with one message id just those that reached no queue raise
    Unroutable.
    """
    inbox = Inbox(ack=True)
    await bus.subscribe(gateway(topology, "here"), inbox, prefetch=100)
    same = Properties(message_id="same")
    keys = ["here" if number % 3 else "nobody" for number in range(60)]
    results = await asyncio.gather(
        *(bus.publish(topology.egress, key, b"x", same, mandatory=True) for key in keys),
        return_exceptions=True,
    )
    assert [isinstance(result, Unroutable) for result in results] == [key == "nobody" for key in keys]
    await inbox.holds(40)


async def test_publish_to_a_missing_exchange_is_not_confirmed_and_ends_there(
    bus: Bus, topology: ContractTopology
) -> None:
    """A publish to an exchange that is not there raises NotConfirmed, and publishing goes on after it."""
    with pytest.raises(NotConfirmed):
        await bus.publish(f"{topology.prefix}.missing", "key", b"x")
    await eventually(lambda: bus.up)
    await bus.publish("", topology.plain.name, b"x", mandatory=True)


async def test_bodies_of_any_size_arrive_whole(bus: Bus, topology: ContractTopology) -> None:
    """An empty body, and one that takes several AMQP frames, arrive as they were."""
    inbox = Inbox(ack=True)
    bodies = [b"", bytes(range(256)) * 512, b"\xce" * 131_072, bytes(400_001), b"end"]
    await bus.subscribe(durable(topology.plain), inbox, prefetch=10)
    for body in bodies:
        await bus.publish("", topology.plain.name, body, mandatory=True)
    assert await inbox.holds(5) == bodies


async def test_properties_arrive_as_they_were(bus: Bus, topology: ContractTopology) -> None:
    """Every property and header value that Warren uses comes out of the queue as it went in."""
    sent = Properties(
        content_type="application/json",
        type="NOTIFICATION",
        message_id="m-1",
        correlation_id="c-1",
        reply_to="answers",
        expiration_ms=60_000,
        timestamp_ms=1_700_000_000_000,
        headers={
            "text": "ü",
            "number": -5,
            "big": 2**40,
            "real": 0.5,
            "yes": True,
            "no": False,
            "none": None,
        },
    )
    inbox = Inbox(ack=True)
    await bus.subscribe(durable(topology.plain), inbox, prefetch=10)
    await bus.publish("", topology.plain.name, b"x", sent, mandatory=True)
    await bus.publish("", topology.plain.name, b"y", persistent=False)
    await inbox.holds(2)
    first, second = (delivery.properties for delivery in inbox.deliveries)
    assert first == sent
    assert second == Properties()


async def test_concurrent_publishes_keep_the_order_of_the_calls(bus: Bus, topology: ContractTopology) -> None:
    """A thousand publishes that are under way at once reach the queue in the order in which they
    were called.
    """
    inbox = Inbox(ack=True)
    await bus.subscribe(durable(topology.notify_queue()), inbox, prefetch=64)
    bodies = numbers(1_000)
    await asyncio.gather(*(bus.publish(topology.notify, "0", body, mandatory=True) for body in bodies))
    assert await inbox.holds(1_000) == bodies


async def test_what_is_published_together_arrives_in_its_order(bus: Bus, topology: ContractTopology) -> None:
    """Each with its own key and properties."""
    inbox = Inbox(ack=True)
    await bus.subscribe(durable(topology.plain), inbox, prefetch=64)
    name = topology.plain.name
    together = [Outgoing(name, body, Properties(message_id=body.decode())) for body in numbers(300)]
    assert await bus.publish_all("", together) == [None] * 300
    assert await inbox.holds(300) == numbers(300)
    idents = [each.properties.message_id for each in inbox.deliveries]
    assert idents == [body.decode() for body in numbers(300)]
    assert await bus.publish_all("", []) == []


async def test_of_what_is_published_together_each_has_its_own_outcome(
    bus: Bus, topology: ContractTopology
) -> None:
    """What one queue refuses does not concern the others' messages; an exchange that is not there, all.
    RabbitMQ counts what a queue holds with what is in it, not with what is on its way.
    """
    full, plain = topology.small.name, topology.plain.name
    await bus.publish_all("", [Outgoing(full, b"x")] * 6)
    together = [Outgoing(plain if number % 2 else full, b"%d" % number) for number in range(6)]
    outcomes = await bus.publish_all("", together)
    assert [type(outcome) for outcome in outcomes] == [Nacked, type(None)] * 3
    missing = await bus.publish_all("no such exchange", together[:2])
    assert [isinstance(each, NotConfirmed) for each in missing] == [True, True]
    await eventually(lambda: bus.up)
    with pytest.raises(ValueError, match="one by one"):
        await bus.publish_all(topology.ingress, together)


async def test_a_cancelled_publish_leaves_the_others_alone(bus: Bus, topology: ContractTopology) -> None:
    """Cancelling some of many concurrent publishes disturbs neither the confirms nor the order of
    the rest.
    """
    inbox = Inbox(ack=True)
    await bus.subscribe(durable(topology.plain), inbox, prefetch=64)
    tasks = [asyncio.create_task(bus.publish("", topology.plain.name, body)) for body in numbers(400)]
    await asyncio.sleep(0)
    for task in tasks[::7]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    kept = [body for body, result in zip(numbers(400), results, strict=True) if result is None]
    assert len(kept) >= 400 - len(tasks[::7])
    await eventually(lambda: set(kept) <= set(inbox.bodies))
    assert inbox.bodies == sorted(inbox.bodies, key=int)


async def test_a_bus_that_is_not_up_publishes_nothing(world: World, topology: ContractTopology) -> None:
    """Before start and after close a publish raises BusUnavailable."""
    bus = await world.bus()
    with pytest.raises(BusUnavailable):
        await bus.publish("", topology.plain.name, b"x")
    outcomes = await bus.publish_all("", [Outgoing(topology.plain.name, b"x")] * 2)
    assert [type(outcome) for outcome in outcomes] == [BusUnavailable] * 2
    await bus.start()
    assert bus.up
    await bus.close()
    assert not bus.up
    with pytest.raises(BusUnavailable):
        await bus.publish("", topology.plain.name, b"x")


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_full_queue_does_not_confirm(bus: Bus, topology: ContractTopology) -> None:
    """A queue that refuses when it is full makes the publish Nacked (RabbitMQ's count is
    approximate by one).
    """
    with pytest.raises(Nacked):  # noqa: PT012 - which of them is refused is the broker's to choose
        for body in numbers(6):
            await bus.publish("", topology.small.name, body, mandatory=True)


async def test_not_confirmed_does_not_mean_not_delivered(bus: Bus, topology: ContractTopology) -> None:
    """Where one of several queues refuses, the publish is Nacked although the others have the message."""
    inbox = Inbox(ack=True)
    await bus.subscribe(durable(topology.roomy), inbox, prefetch=10)
    with pytest.raises(Nacked):  # noqa: PT012
        for body in numbers(6):
            last = body
            await bus.publish(topology.both.name, "", body)
    await eventually(lambda: last in inbox.bodies)


async def test_prefetch_bounds_what_is_not_acknowledged(bus: Bus, topology: ContractTopology) -> None:
    """A consumer gets at most its prefetch of unacknowledged messages, and one more for each that
    it settles.
    """
    inbox = Inbox()
    await fill(bus, topology.plain, numbers(10))
    await bus.subscribe(durable(topology.plain), inbox, prefetch=3)
    await inbox.holds(3)
    await eventually(lambda: depth_is(bus, topology.plain, 7))
    assert inbox.bodies == numbers(3)
    inbox.deliveries[1].ack()
    inbox.deliveries[2].ack()
    assert await inbox.holds(5) == numbers(5)


async def test_an_expired_message_is_not_delivered(bus: Bus, topology: ContractTopology) -> None:
    """A message whose expiration has passed goes to the dead-letter exchange with the reason, never to a
    consumer.
    """
    dead, inbox = Inbox(ack=True), Inbox(ack=True)
    await bus.subscribe(lambda: Source(dead_queue(topology)), dead, prefetch=10)
    await bus.publish("", topology.plain.name, b"old", Properties(expiration_ms=1), mandatory=True)
    await dead.holds(1)
    assert dead.deliveries[0].properties.headers["x-first-death-reason"] == "expired"
    await bus.subscribe(durable(topology.plain), inbox, prefetch=10)
    await bus.publish("", topology.plain.name, b"new")
    assert await inbox.holds(1) == [b"new"]


# ── settling ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_given_back_is_delivered_again(bus: Bus, topology: ContractTopology) -> None:
    """A message rejected with requeue comes again, marked as redelivered."""
    inbox = Inbox()
    await fill(bus, topology.plain, [b"x"])
    await bus.subscribe(durable(topology.plain), inbox, prefetch=10)
    await inbox.holds(1)
    inbox.deliveries[0].reject(requeue=True)
    assert await inbox.holds(2) == [b"x", b"x"]
    assert [delivery.redelivered for delivery in inbox.deliveries] == [False, True]


async def test_what_is_rejected_goes_to_the_dead_letter_exchange(
    bus: Bus, topology: ContractTopology
) -> None:
    """A message rejected without requeue arrives at the dead-letter exchange's queue with the reason and
    where it came from.
    """
    inbox, dead = Inbox(), Inbox(ack=True)
    await bus.subscribe(durable(topology.plain), inbox, prefetch=10)
    await bus.subscribe(lambda: Source(dead_queue(topology)), dead, prefetch=10)
    await bus.publish("", topology.plain.name, b"bad", Properties(message_id="m", headers={"mine": 1}))
    await inbox.holds(1)
    inbox.deliveries[0].reject(requeue=False)
    assert await dead.holds(1) == [b"bad"]
    properties = dead.deliveries[0].properties
    assert properties.message_id == "m"
    assert properties.headers["mine"] == 1
    assert properties.headers["x-first-death-reason"] == "rejected"
    assert properties.headers["x-first-death-queue"] == topology.plain.name


async def test_a_message_given_back_too_often_is_set_aside(bus: Bus, topology: ContractTopology) -> None:
    """Past the queue's delivery limit a message goes to the dead-letter exchange and the ones behind it go
    on.
    """
    dead = Inbox(ack=True)
    seen: list[bytes] = []

    def take(delivery: Delivery) -> None:
        seen.append(delivery.body)
        if delivery.body == b"poison":
            delivery.reject(requeue=True)
        else:
            delivery.ack()

    await bus.subscribe(lambda: Source(dead_queue(topology)), dead, prefetch=10)
    await fill(bus, topology.poison, [b"poison", b"good"])
    await bus.subscribe(durable(topology.poison), take, prefetch=1)
    assert await dead.holds(1) == [b"poison"]
    await eventually(lambda: b"good" in seen)
    assert seen.count(b"poison") == 3


async def test_only_what_is_not_acknowledged_comes_back(bus: Bus, topology: ContractTopology) -> None:
    """Acks in any order count one by one: after the consumer closes just the others are delivered again, in
    their order.
    """
    first, second = Inbox(), Inbox(ack=True)
    await fill(bus, topology.plain, numbers(10))
    subscription = await bus.subscribe(durable(topology.plain), first, prefetch=10)
    await first.holds(10)
    for index in (7, 0, 1, 4, 0):  # the last one twice: it does nothing
        first.deliveries[index].ack()
    await subscription.close()
    await bus.subscribe(durable(topology.plain), second, prefetch=10)
    assert await second.holds(6) == [b"2", b"3", b"5", b"6", b"8", b"9"]
    assert all(delivery.redelivered for delivery in second.deliveries)
    first.deliveries[2].ack()  # its channel is gone: nothing happens
    await bus.publish("", topology.plain.name, b"still alive")
    assert (await second.holds(7))[-1] == b"still alive"


async def test_a_consumer_that_raises_is_not_the_end(bus: Bus, topology: ContractTopology) -> None:
    """An exception in a callback leaves that delivery unacknowledged, and the next ones are delivered."""
    seen: list[bytes] = []

    def take(delivery: Delivery) -> None:
        seen.append(delivery.body)
        if delivery.body == b"0":
            raise ZeroDivisionError
        delivery.ack()

    await bus.subscribe(durable(topology.plain), take, prefetch=1_000)
    await fill(bus, topology.plain, numbers(3))
    await eventually(lambda: seen == numbers(3))
