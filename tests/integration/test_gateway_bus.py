"""A gateway while its broker goes and comes back, while routers change, and while it goes itself."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.gateways import (
    SHARDS,
    House,
    gateway_settings,
    get,
    upgrade_refusal,
)

from gateway.app import Gateway
from warren import envelope
from warren.bus.memory.bus import MemoryBus


async def test_the_broker_may_go_and_come_back(home: House) -> None:
    """Clients are told DEGRADED and RESTORED, sockets stay, what was sent meanwhile arrives, and
    joins wait.
    """
    gateway = await home.gateway()
    async with await connect(home.url(), user="ann") as ann, await connect(home.url(), user="bob") as bob:
        await bob.join("x")
        home.broker.cut(gateway.bus)
        await ann.expect("DEGRADED")
        assert gateway.readiness.reasons() == {"bus": "the broker is away"}
        await ann.send("CHAT", "x", "meanwhile", id="m1")
        await ann.send("JOIN", "y", id="j1")
        async with await connect(home.url(), user="late") as late:
            await late.expect("DEGRADED")
            await ann.settle()
            assert not ann.of_type("ACK")
            home.broker.restore(gateway.bus)
            for client in (ann, bob, late):
                await client.expect("RESTORED")
            await ann.expect("ACK", ref="m1")
            await ann.expect("JOINED", ref="j1")
            await bob.expect("CHAT", payload="meanwhile")
            await late.expect("JOINED", room="default")
        await eventually(lambda: not gateway.readiness.reasons())


async def test_a_broker_with_an_alarm_is_told(home: House) -> None:
    """A broker that holds publishers back is like one that is away: DEGRADED, not ready, shown in stats and
    metrics; who connects meanwhile hears of it with the WELCOME; afterwards RESTORED, and all that waited
    goes through.
    """
    gateway = await home.gateway()
    assert isinstance(gateway.bus, MemoryBus)
    async with await connect(home.url(), user="ann") as ann, await connect(home.url(), user="bob") as bob:
        await bob.join("x")
        assert gateway.presence.state == "up"
        gateway.bus.alarm(True)
        await ann.expect("DEGRADED")
        reason = "the broker holds back what is published (a memory or disk alarm)"
        assert gateway.readiness.reasons() == {"bus": reason}
        assert gateway.presence.state == "blocked"
        assert "warren_gateway_bus_blocked 1.0" in gateway.metrics.render()[0].decode()
        await ann.send("CHAT", "x", "meanwhile", id="m1")
        await ann.send("JOIN", "y", id="j1")
        async with await connect(home.url(), user="late") as late:
            await late.expect("DEGRADED")
            await ann.settle()
            assert not ann.of_type("ACK")
            gateway.bus.alarm(False)
            for client in (ann, bob, late):
                await client.expect("RESTORED")
            await ann.expect("ACK", ref="m1")
            await ann.expect("JOINED", ref="j1")
            await bob.expect("CHAT", payload="meanwhile")
            await late.expect("JOINED", room="default")
        assert not gateway.readiness.reasons()
        assert gateway.presence.state == "up"
        assert "warren_gateway_bus_blocked 0.0" in gateway.metrics.render()[0].decode()
        assert len(bob.of_type("DEGRADED")) == len(bob.of_type("RESTORED")) == 1


async def test_a_broker_that_is_lost_in_an_alarm_is_back_once_it_takes_publishes(home: House) -> None:
    """Nobody is told RESTORED while it holds publishers back."""
    gateway = await home.gateway()
    assert isinstance(gateway.bus, MemoryBus)
    async with await connect(home.url(), user="ann") as ann:
        gateway.bus.alarm(True)
        await ann.expect("DEGRADED")
        home.broker.cut(gateway.bus)
        await eventually(lambda: gateway.presence.state == "down")
        home.broker.restore(gateway.bus)
        await eventually(lambda: gateway.presence.state == "blocked")
        await ann.settle()
        assert not ann.of_type("RESTORED")
        gateway.bus.alarm(False)
        await ann.expect("RESTORED")


async def test_a_message_that_waits_too_long_in_an_alarm_is_an_error(home: House) -> None:
    """Past the publish time-out the sender gets ERROR unavailable with retry."""
    gateway = await home.gateway(gateway_settings(times={"publish_timeout_ms": 150}))
    assert isinstance(gateway.bus, MemoryBus)
    async with await connect(home.url()) as ann:
        await ann.expect("JOINED", room="default")
        gateway.bus.alarm(True)
        await ann.send("CHAT", "default", 1, id="m1")
        error = await ann.expect("ERROR", ref="m1")
        assert (error["payload"]["code"], error["payload"]["retry"]) == ("unavailable", True)
        gateway.bus.alarm(False)


async def test_a_message_that_waits_too_long_is_an_error(home: House) -> None:
    """Past the publish time-out the sender gets ERROR unavailable with retry, once, while its join still
    waits.
    """
    gateway = await home.gateway(gateway_settings(times={"publish_timeout_ms": 150}))
    async with await connect(home.url()) as ann:
        await ann.expect("JOINED", room="default")
        home.broker.cut(gateway.bus)
        await ann.send("CHAT", "default", 1, id="m1")
        await ann.send("JOIN", "y", id="j1")
        error = await ann.expect("ERROR", ref="m1")
        assert (error["payload"]["code"], error["payload"]["retry"]) == ("unavailable", True)
        home.broker.restore(gateway.bus)
        await ann.expect("JOINED", ref="j1")
        await ann.publish("default", 2)
        assert len(ann.of_type("ERROR")) == 1
        assert [item.payload for item in home.router.of(envelope.Publish)] == [b"2"]


async def test_an_answer_that_never_comes_is_an_error(home: House) -> None:
    """A message with an id that no router acknowledges in time gets ERROR unavailable; one without gets
    nothing.
    """
    await home.gateway(gateway_settings(times={"publish_timeout_ms": 150}))
    async with await connect(home.url()) as ann:
        await ann.expect("JOINED", room="default")
        home.router.reads = False
        await ann.send("CHAT", "default", 1)
        await ann.send("CHAT", "default", 2, id="m2")
        await ann.expect("ERROR", ref="m2", payload__code="unavailable")
        assert len(ann.of_type("ERROR")) == 1


async def test_a_broker_that_is_dead_at_the_start(home: House) -> None:
    """The ports are open and healthy but not ready, clients are let in DEGRADED, and all is well once the
    broker comes.
    """
    settings = gateway_settings()
    await home.gateway(settings)
    bus = MemoryBus(home.broker, home.topology)
    home.broker.cut(bus)
    late = Gateway(settings, bus)
    home.gateways.append(late)
    await late.start()
    assert (await get(f"http://127.0.0.1:{late.probes.port}/healthz"))[0] == 200
    assert (await get(f"http://127.0.0.1:{late.probes.port}/readyz"))[0] == 503
    async with await connect(home.url(late)) as ann:
        await ann.expect("DEGRADED")
        home.broker.restore(bus)
        await ann.expect("RESTORED")
        await ann.expect("JOINED", room="default")
        await eventually(lambda: not late.readiness.reasons())
    assert (await get(f"http://127.0.0.1:{late.probes.port}/readyz"))[0] == 200


async def test_a_router_that_begins_to_speak_is_told_where_we_stand(home: House) -> None:
    """On each shard, in our life there."""
    gateway = await home.gateway()
    await eventually(lambda: gateway.hub.position("*"))  # what the gateway says by itself is said
    home.publish("x", "1", "2")
    await home.router.settled()
    shard = home.shard("x")
    await eventually(lambda: gateway.presence.number(shard).mine.offset >= home.router.folds[shard].offset)
    before = len(home.router.inbox)
    home.router.speak()
    await eventually(lambda: len(numbers(home, before)) == SHARDS)
    for said in numbers(home, before):
        assert (said.gateway, said.life) == (gateway.id, 1)
        assert said.mine == gateway.presence.number(said.shard).mine


def numbers(home: House, begin: int) -> list[envelope.Number]:
    """Return what the router was told since then of where gateways stand."""
    return [item for item in home.router.inbox[begin:] if isinstance(item, envelope.Number)]


async def test_a_gateway_is_not_ready_before_it_was_told_of_each_shard(home: House) -> None:
    """Which ones are lacking is said; nobody asks before our beginning is in the log."""
    home.router.reads = False
    late = Gateway(gateway_settings(), MemoryBus(home.broker, home.topology))
    home.gateways.append(late)
    await late.start()
    await eventually(
        lambda: late.readiness.reasons() == {"log": "no router has told of shard 0, 1, 2, 3 yet"}
    )
    home.router.go_on()
    await eventually(lambda: not late.readiness.reasons())


async def test_members_take_no_place_in_the_log_that_routers_do_not_count(home: House) -> None:
    """While no router counts, what may be sent is bounded; the rest is an error, and all is well once one
    does.
    """
    await home.gateway(gateway_settings(limits={"uplink_count": 16}))
    async with await connect(home.url()) as ann:
        await ann.expect("JOINED", room="default")
        home.router.reads = False
        for number in range(9):
            await ann.send("CHAT", "default", number, id=f"m{number}")
        await ann.send("CHAT", "default", "held back", id="last")  # it is read once there is place
        home.router.go_on()
        for ref in (*(f"m{number}" for number in range(9)), "last"):
            await ann.expect("ACK", ref=ref)


async def test_bad_bodies_do_not_end_the_downlink(home: House) -> None:
    """What is no envelope is counted and passed over; the rest of its batch and what follows arrive."""
    gateway = await home.gateway()
    async with await connect(home.url(), user="ann") as ann:
        await ann.expect("JOINED", room="@ann")
        other = envelope.LifeEnded(0, 99, 0)
        mixed = msgspec.msgpack.encode(
            (1, [["Z", 1], other, envelope.HistoryPage(ann.id, "x", "h", (), more=False)])
        )
        for body in (b"garbage", b"\x92\x09\x90", mixed):
            await home.router.bus.publish(home.topology.egress, gateway.id, body)
        home.router.tell(gateway.id, envelope.Leaving("nobody"))
        home.publish("@ann", "1")
        await ann.expect("NOTIFICATION", payload=1)
    exposition = gateway.metrics.render()[0]
    assert b'warren_gateway_drops_total{reason="malformed"} 3.0' in exposition
    assert b'warren_gateway_drops_total{reason="misplaced"} 1.0' in exposition


async def test_a_full_uplink_refuses_and_recovers(home: House) -> None:
    """While the broker is away messages beyond half of a shard's buffer are ERROR unavailable; after its
    return all goes on.
    """
    gateway = await home.gateway(gateway_settings(limits={"uplink_count": 16}))
    async with await connect(home.url()) as ann:
        await ann.expect("JOINED", room="default")
        home.broker.cut(gateway.bus)
        await ann.expect("DEGRADED")
        for number in range(12):
            await ann.send("CHAT", "default", number, id=f"m{number}")
        refused = await ann.expect_all("ERROR", 3, payload__code="unavailable")
        assert [error["ref"] for error in refused] == ["m9", "m10", "m11"]
        home.broker.restore(gateway.bus)
        for number in range(9):
            await ann.expect("ACK", ref=f"m{number}")
        await ann.publish("default", "after")


async def test_drain_sends_clients_away_in_their_own_slots(home: House) -> None:
    """Going, a pod is not ready, refuses upgrades, gives each client a slot, closes those that stay with
    1012, and its leaves arrive.
    """
    gateway = await home.gateway(gateway_settings(times={"drain_ms": 400, "drain_deadline_ms": 5_000}))
    clients = [await connect(home.url(), user=f"u{number}") for number in range(4)]
    for client in clients:
        await client.expect("JOINED", room="default")
    stopping = asyncio.create_task(gateway.stop())
    slots = [(await client.expect("RECONNECT"))["payload"]["after_ms"] for client in clients]
    assert slots == [0, 100, 200, 300]
    assert gateway.readiness.reasons()["pod"] == "draining"
    assert (await get(f"http://127.0.0.1:{gateway.probes.port}/readyz"))[0] == 503
    status, _, headers = await upgrade_refusal(home.url())
    assert (status, headers["Retry-After"]) == (503, "1")
    await clients[0].close()
    for client in clients[1:]:
        await client.expect("ERROR", payload__code="draining", payload__close=1012)
        assert await client.closed() == (1012, "Draining")
        await client.close()
    await asyncio.wait_for(stopping, 5)
    home.gateways.clear()
    await eventually(lambda: not home.router.rooms)
    await eventually(lambda: home.router.of(envelope.Leaving))


async def test_drain_has_a_deadline(home: House) -> None:
    """A drain that can't finish (the broker is away) ends at its deadline, and nothing is left behind."""
    settings = gateway_settings(times={"drain_deadline_ms": 600, "close_timeout_ms": 100})
    gateway = await home.gateway(settings)
    client = await connect(home.url())
    home.broker.cut(gateway.bus)
    await asyncio.wait_for(gateway.stop(), 5)
    home.gateways.clear()
    await client.closed()
    await client.close()


async def test_a_port_that_is_taken_is_an_oserror(home: House) -> None:
    """Starting on a port that is taken raises OSError which names the address, and stop tidies up."""
    first = await home.gateway()
    second = Gateway(
        gateway_settings(listen={"port": first.port}),
        MemoryBus(home.broker, home.topology),
    )
    with pytest.raises(OSError, match=str(first.port)):
        await second.start()
    await second.stop()
