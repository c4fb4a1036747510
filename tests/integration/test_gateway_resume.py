"""Positions: clients that come back, gateways that lack something, and a gateway whose own lease has ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.client import Client, connect
from tests.support.eventually import eventually
from tests.support.gateways import SHARDS, House, gateway_settings

from gateway.app import Gateway
from warren import envelope
from warren.clock import SystemClock
from warren.topology import ALL


def position(client: Client, room: str) -> dict[str, Any]:
    """Return the position that a client would keep: of the last message, or of JOINED."""
    last = [m for m in client.received if m.get("room") == room and (m.get("seq") or m["type"] == "JOINED")][-1]
    return {"epoch": last.get("epoch") or last["payload"]["epoch"], "seq": last.get("seq") or last["payload"]["seq"]}


def payloads(client: Client, room: str) -> list[Any]:
    """Return what a client was given in a room, in order."""
    return [message["payload"] for message in client.of_type("NOTIFICATION", room=room)]


async def test_a_client_resumes_on_another_gateway(home: House) -> None:
    """It joins by hand with its positions, also its own room, and gets what it missed, in order, before what is live."""
    here, there = await home.gateway(), await home.gateway()
    ann = await connect(home.url(here), user="ann")
    await ann.join("x")
    await ann.expect("JOINED", room="@ann")
    home.publish("x", "1", "2")
    home.publish("@ann", "1")
    await ann.expect("NOTIFICATION", room="@ann")
    await eventually(lambda: payloads(ann, "x") == [1, 2])
    before = {room: position(ann, room) for room in ("x", "@ann")}
    await ann.close()
    home.publish("x", "3", "4")
    home.publish("@ann", "2")
    async with await connect(home.url(there) + "?join=manual", user="ann") as again:
        assert again.welcome["payload"]["rooms"] == []
        for room, since in before.items():
            joined = await again.join(room, since)
            missed = {"x": 2, "@ann": 1}[room]
            assert joined["payload"] == {**since, "recovered": True, "missed": missed}
        home.publish("x", "5")
        await again.expect("NOTIFICATION", payload=5)
        assert (payloads(again, "x"), payloads(again, "@ann")) == ([3, 4, 5], [2])
        assert not again.of_type("JOINED", room="default")


async def test_a_client_replays_on_its_own_connection(home: House) -> None:
    """JOIN with a position in a room that it is in gives that client alone what came after it."""
    await home.gateway()
    async with await connect(home.url(), user="ann") as ann, await connect(home.url(), user="bob") as bob:
        await ann.join("x")
        await bob.join("x")
        home.publish("x", "1", "2", "3")
        await bob.expect("NOTIFICATION", payload=3)
        joined = await ann.join("x", {"epoch": home.router.epoch, "seq": 1})
        assert joined["payload"] == {"epoch": home.router.epoch, "seq": 1, "recovered": True, "missed": 2}
        home.publish("x", "4")
        for client in (ann, bob):
            await eventually(lambda client=client: client.of_type("NOTIFICATION", payload=4))
        assert (payloads(ann, "x"), payloads(bob, "x")) == ([1, 2, 3, 2, 3, 4], [1, 2, 3, 4])


async def test_a_position_that_is_not_known_any_more_is_not_recovered(home: House) -> None:
    """The client hears it and gets none of the partial rest."""
    await home.gateway()
    home.publish("x", "1", "2", "3")
    async with await connect(home.url(), user="ann") as ann:
        for since in ({"epoch": "old", "seq": 1}, {"epoch": home.router.epoch, "seq": 99}):
            joined = await ann.join("x", since)
            assert joined["payload"] == {"epoch": home.router.epoch, "seq": 3, "recovered": False, "missed": 0}
        home.publish("x", "4")
        await ann.expect("NOTIFICATION", payload=4)
        assert payloads(ann, "x") == [4]


async def test_a_gap_is_healed_and_nobody_is_told(home: House) -> None:
    """What comes behind it waits for what is missing; members get all of it, in order."""
    gateway = await home.gateway()
    async with await connect(home.url(), user="ann") as ann:
        await ann.join("x")
        home.publish("x", "1")
        home.router.loses = True
        home.publish("x", "2", "3")
        home.router.loses = False
        home.publish("x", "4")
        await ann.expect("NOTIFICATION", payload=4)
        assert payloads(ann, "x") == [1, 2, 3, 4]
        assert len(ann.of_type("JOINED", room="x")) == 1
    assert b'resumes_total{of="room"} 1.0' in gateway.metrics.render()[0]


async def test_a_gap_that_cannot_be_filled_is_told_before_what_lies_behind_it(home: House) -> None:
    """JOINED with recovered false and the position from which to go on."""
    await home.gateway()
    async with await connect(home.url(), user="ann") as ann:
        await ann.join("x")
        home.publish("x", "1")
        home.router.loses = home.router.forgets = True
        home.publish("x", "2", "3")
        home.router.loses = False
        home.publish("x", "4")
        await eventually(lambda: len(ann.of_type("JOINED", room="x")) == 2)
        home.publish("x", "5")
        await ann.expect("NOTIFICATION", payload=5)
        told = [m for m in ann.received if m.get("room") == "x"][1:]
        assert [m["payload"] for m in told] == [1, {"epoch": "1-0", "seq": 4, "recovered": False, "missed": 0}, 5]


async def test_catching_up_that_was_lost_is_asked_for_again(home: House) -> None:
    """The client was promised it; it comes before anything newer, though that came first."""
    await home.gateway()
    home.publish("x", "1", "2", "3")
    async with await connect(home.url(), user="ann") as ann, await connect(home.url(), user="bob") as bob:
        await bob.join("x")
        home.router.loses = True
        await ann.join("x", {"epoch": home.router.epoch, "seq": 1})
        home.router.loses = False
        home.publish("x", "4")
        await bob.expect("NOTIFICATION", payload=4)
        assert payloads(ann, "x") == []
        await ann.expect("NOTIFICATION", payload=4)
        assert payloads(ann, "x") == [2, 3, 4]
        assert len(ann.of_type("JOINED", room="x")) == 1


async def test_after_an_outage_every_room_proves_continuity(home: House) -> None:
    """What was said meanwhile comes in order, also to everyone; a room that can't be continued is told; joins are answered once."""
    gateway = await home.gateway()
    async with await connect(home.url(), user="ann") as ann:
        for room in ("x", "y"):
            await ann.join(room)
        home.publish("*", "0")
        await ann.expect("NOTIFICATION", room="*")
        home.publish("x", "1")
        home.publish("y", "1")
        await eventually(lambda: payloads(ann, "x") == [1] and payloads(ann, "y") == [1])
        home.broker.cut(gateway.bus)
        await ann.expect("DEGRADED")
        await ann.send("JOIN", "z", id="j1")
        home.router.loses = True  # nobody is there to get it
        home.publish("x", "2", "3")
        home.publish("*", "1")
        home.publish("y", "2")
        home.router.loses = False
        home.router.kept["y"].clear()  # its history does not reach back so far
        kept = home.router.since
        home.router.since = lambda room, at: None if room == "y" and at.seq < 2 else kept(room, at)  # type: ignore[method-assign]
        home.broker.restore(gateway.bus)
        await ann.expect("RESTORED")
        await ann.expect("NOTIFICATION", room="*", payload=1)
        await eventually(lambda: payloads(ann, "x") == [1, 2, 3])
        await eventually(lambda: len(ann.of_type("JOINED", room="y")) == 2)
        await ann.expect("JOINED", ref="j1")
        await ann.publish("y", "mine")
        await ann.settle()
        assert (payloads(ann, "y"), payloads(ann, "*")) == ([1], [0, 1])
        assert [len(ann.of_type("JOINED", room=room)) for room in ("x", "z", "default", "@ann")] == [1, 1, 1, 1]


async def test_each_join_is_answered_once_though_a_router_answers_twice(home: House) -> None:
    """Right after a start the join that waited and the one that was sent again are both answered."""
    gateway = await home.gateway()
    async with await connect(home.url(), user="ann") as ann:
        home.router.answers = False
        await ann.send("JOIN", "x", id="j1")
        await eventually(lambda: home.router.of(envelope.Join, room="x"))
        home.router.answers = True
        for shard in range(SHARDS):
            home.router.tell(gateway.id, envelope.Ask("plain", shard, 1, 5))
        await eventually(lambda: len(home.router.of(envelope.Join, room="x")) == 2)
        joined = await ann.expect("JOINED", room="x")
        home.router._apply(home.router.of(envelope.Join, room="x")[0])
        home.publish("x", "1")
        await ann.expect("NOTIFICATION", room="x")
        assert joined["ref"] == "j1"
        assert len(ann.of_type("JOINED", room="x")) == 1


async def test_history_is_paged_backwards(home: House) -> None:
    """Messages as they were delivered, the newest page first, and whether there are older ones."""
    await home.gateway()
    home.publish("x", *(str(number) for number in range(1, 8)))
    async with await connect(home.url(), user="ann") as ann:
        await ann.send("HISTORY", "x", id="h0")
        await ann.expect("ERROR", ref="h0", payload__code="not_joined")
        await ann.join("x")
        await ann.publish("x", "mine")
        await ann.send("HISTORY", "x", {"limit": 3}, id="h1")
        page = (await ann.expect("HISTORY", ref="h1", room="x"))["payload"]
        assert [(one["seq"], one["payload"]) for one in page["messages"]] == [(6, 6), (7, 7), (8, "mine")]
        assert (page["more"], page["messages"][2]["sender"]) == (True, "ann")
        await ann.send("HISTORY", "x", {"before": 6}, id="h2")
        page = (await ann.expect("HISTORY", ref="h2"))["payload"]
        assert ([one["seq"] for one in page["messages"]], page["more"]) == ([1, 2, 3, 4, 5], False)
        assert len(ann.of_type("NOTIFICATION", room="x")) == 0


class Jump(SystemClock):
    """A clock that can be set forward, as it looks to a process that was frozen."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


@pytest.fixture
async def frozen(home: House) -> tuple[Gateway, Jump]:
    """A gateway that believes that it was frozen for ten seconds each time its clock is set forward."""
    clock = Jump()
    settings = gateway_settings(times={"announce_ms": 200, "lease_ms": 4_000})
    return await home.gateway(settings, clock=clock), clock


async def test_after_its_lease_a_gateway_takes_nothing_before_it_is_asked(
    home: House, frozen: tuple[Gateway, Jump]
) -> None:
    """Not what piled up, nor what a former owner still sends; once asked it gets what it lacks, in order and once."""
    gateway, clock = frozen
    async with await connect(home.url(), user="ann") as ann:
        await ann.join("x")
        home.publish("x", "1")
        await ann.expect("NOTIFICATION", payload=1)
        home.router.asks = False
        clock.ahead_s += 10.0
        home.publish("x", '"forked"')  # of an owner that is none any more: this seq is another message's
        home.router.tell(ALL, envelope.Ask("old", home.shard("x"), 1, 9))  # it had been lying there
        await eventually(lambda: b'drops_total{reason="suspended"} 1.0' in gateway.metrics.render()[0])
        home.router.kept["x"].pop()
        home.router.seqs["x"] -= 1
        home.router.term = 2
        home.publish("x", "2")
        await asyncio.sleep(0)
        home.router.asks = True
        await ann.expect("NOTIFICATION", payload=2)
        home.publish("x", "3")
        await ann.expect("NOTIFICATION", payload=3)
        assert payloads(ann, "x") == [1, 2, 3]
        await ann.publish("default", "works")
    assert b"warren_gateway_lapses_total 1.0" in gateway.metrics.render()[0]
