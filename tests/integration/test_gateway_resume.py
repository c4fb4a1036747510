"""Positions: clients that come back, gateways that lack something, and lives that are over."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.client import Client, connect
from tests.support.eventually import eventually
from tests.support.gateways import House, gateway_settings

from warren import envelope
from warren.clock import SystemClock


def position(client: Client, room: str) -> dict[str, Any]:
    """Return the position that a client would keep: of the last message, or of JOINED."""
    last = [m for m in client.received if m.get("room") == room and (m.get("seq") or m["type"] == "JOINED")][
        -1
    ]
    return {
        "epoch": last.get("epoch") or last["payload"]["epoch"],
        "seq": last.get("seq") or last["payload"]["seq"],
    }


def payloads(client: Client, room: str) -> list[Any]:
    """Return what a client was given in a room, in order."""
    return [message["payload"] for message in client.of_type("NOTIFICATION", room=room)]


async def test_a_client_resumes_on_another_gateway(home: House) -> None:
    """It joins by hand with its positions, also its own room, and gets what it missed, in order, before what
    is live.
    """
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
    await home.router.settled()
    async with await connect(home.url(), user="ann") as ann:
        for since in ({"epoch": "old", "seq": 1}, {"epoch": home.router.epoch, "seq": 99}):
            joined = await ann.join("x", since)
            assert joined["payload"] == {
                "epoch": home.router.epoch,
                "seq": 3,
                "recovered": False,
                "missed": 0,
            }
        home.publish("x", "4")
        await ann.expect("NOTIFICATION", payload=4)
        assert payloads(ann, "x") == [4]


async def test_a_gap_is_healed_and_nobody_is_told(home: House) -> None:
    """What comes behind it waits for what is missing; members get all of it, in order."""
    gateway = await home.gateway()
    async with await connect(home.url(), user="ann") as ann:
        await ann.join("x")
        home.publish("x", "1")
        await ann.expect("NOTIFICATION", payload=1)
        home.router.loses = True
        home.publish("x", "2", "3")
        await home.router.settled()
        home.router.loses = False
        home.publish("x", "4")
        await ann.expect("NOTIFICATION", payload=4)
        assert payloads(ann, "x") == [1, 2, 3, 4]
        assert len(ann.of_type("JOINED", room="x")) == 1
    assert b"feed_gaps_total 0.0" not in gateway.metrics.render()[0]


async def test_what_is_lost_with_nothing_behind_it_comes_too(home: House) -> None:
    """An ACK, a JOINED and a message: the next empty feed shows that they are missing."""
    await home.gateway()
    async with await connect(home.url(), user="ann") as ann, await connect(home.url(), user="bob") as bob:
        await ann.join("x")
        await ann.expect("JOINED", room="default")
        home.router.loses = True
        await ann.send("CHAT", "x", "hello", id="m1")
        await bob.send("JOIN", "x", id="j1")
        await eventually(
            lambda: home.router.of(envelope.Join, ref="j1") and home.router.of(envelope.Publish, id="m1")
        )
        home.router.loses = False
        await ann.expect("ACK", ref="m1")
        await bob.expect("JOINED", ref="j1")


async def test_a_gap_that_cannot_be_filled_is_told_before_what_lies_behind_it(home: House) -> None:
    """JOINED with recovered false and the position from which to go on."""
    gateway = await home.gateway()
    async with await connect(home.url(), user="ann") as ann:
        await ann.join("x")
        home.publish("x", "1")
        await ann.expect("NOTIFICATION", payload=1)
        home.router.loses = True
        home.publish("x", "2", "3", "4")
        await home.router.settled()
        home.router.loses = False
        home.router.forget(home.shard("x"))
        await eventually(lambda: len(ann.of_type("JOINED", room="x")) == 2)
        home.publish("x", "5")
        await ann.expect("NOTIFICATION", payload=5)
        told = [m for m in ann.received if m.get("room") == "x"][1:]
        lost = {"epoch": home.router.epoch, "seq": 4, "recovered": False, "missed": 0}
        assert [m["payload"] for m in told] == [1, lost, 5]
    assert b"resets_total 1.0" in gateway.metrics.render()[0]


async def test_a_page_that_was_lost_is_asked_for_again(home: House) -> None:
    """JOINED says what follows once that can be had; all of it comes before anything newer, though that came
    first.
    """
    await home.gateway()
    home.publish("x", "1", "2", "3")
    await home.router.settled()
    async with await connect(home.url(), user="ann") as ann, await connect(home.url(), user="bob") as bob:
        await bob.join("x")
        home.router.answers = False
        await ann.send("JOIN", "x", {"since": {"epoch": home.router.epoch, "seq": 1}}, id="j1")
        await eventually(lambda: home.router.of(envelope.Read, room="x"))
        home.publish("x", "4")
        await bob.expect("NOTIFICATION", payload=4)
        assert payloads(ann, "x") == []
        home.router.answers = True
        await ann.expect("NOTIFICATION", payload=4)
        assert payloads(ann, "x") == [2, 3, 4]
        (joined,) = ann.of_type("JOINED", room="x")
        assert joined["payload"] == {"epoch": home.router.epoch, "seq": 1, "recovered": True, "missed": 2}


async def test_who_comes_back_to_a_room_that_is_known_here_costs_the_routers_nothing(home: House) -> None:
    """What it missed comes from this gateway's own memory, and so does HISTORY."""
    gateway = await home.gateway()
    async with await connect(home.url(), user="ann") as ann, await connect(home.url(), user="bob") as bob:
        await bob.join("x")
        home.publish("x", "1", "2", "3")
        await bob.expect("NOTIFICATION", payload=3)
        joined = await ann.join("x", {"epoch": home.router.epoch, "seq": 1})
        assert (joined["payload"]["recovered"], joined["payload"]["missed"]) == (True, 2)
        await eventually(lambda: payloads(ann, "x") == [2, 3])
        await ann.send("HISTORY", "x", {"limit": 2}, id="h1")
        page = (await ann.expect("HISTORY", ref="h1"))["payload"]
        assert [one["seq"] for one in page["messages"]] == [2, 3]
    assert home.router.of(envelope.Read) == home.router.of(envelope.HistoryQuery) == []
    assert b'reads_total{source="memory"} 2.0' in gateway.metrics.render()[0]


async def test_after_an_outage_every_room_proves_continuity(home: House) -> None:
    """What was said meanwhile comes in order, also to everyone; a room that can't be continued is told; joins
    are answered once.
    """
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
        home.publish("x", "2", "3")
        home.publish("*", "1")
        home.publish("y", "2")
        await home.router.settled()
        kept = dict(home.router.kept)
        home.router.forget(home.shard("y"))
        home.router.kept |= {room: messages for room, messages in kept.items() if room != "y"}
        home.broker.restore(gateway.bus)
        await ann.expect("RESTORED")
        await eventually(lambda: payloads(ann, "x") == [1, 2, 3])
        await eventually(lambda: len(ann.of_type("JOINED", room="y")) == 2)
        await ann.expect("JOINED", ref="j1")
        await ann.publish("y", "mine")
        home.publish("*", "2")
        await ann.expect("NOTIFICATION", room="*", payload=2)
        assert (payloads(ann, "y"), payloads(ann, "*")) == ([1], [0, 1, 2])
        assert [len(ann.of_type("JOINED", room=room)) for room in ("x", "z", "default", "@ann")] == [
            1,
            1,
            1,
            1,
        ]


async def test_a_gateway_that_was_declared_gone_goes_on_and_clients_notice_nothing(home: House) -> None:
    """It begins a new life; members get what was said meanwhile, once and in order, and what they sent into
    the old life counts once.
    """
    gateway = await home.gateway()
    async with await connect(home.url(), user="ann") as ann, await connect(home.url(), user="bob") as bob:
        await ann.join("x")
        await bob.join("x")
        home.publish("x", "1")
        await eventually(lambda: payloads(ann, "x") == payloads(bob, "x") == [1])
        home.router.reads = False
        home.router.gone(gateway.id, home.shard("x"))
        await ann.send("CHAT", "x", "mine", id="m1")
        await ann.settle()
        home.publish("x", "2")
        home.router.go_on()
        await ann.expect("ACK", ref="m1")
        home.publish("x", "3")
        await eventually(lambda: payloads(ann, "x") == payloads(bob, "x") == [1, 2, 3])
        assert [len(bob.of_type("CHAT")), len(ann.of_type("ACK"))] == [1, 1]
        assert [len(one.of_type("JOINED", room="x")) for one in (ann, bob)] == [1, 1]
    assert b"lives_ended_total 1.0" in gateway.metrics.render()[0]


@pytest.mark.parametrize("heard", [True, False])
async def test_what_is_said_to_everyone_while_a_gateway_was_declared_gone_comes(
    home: House, heard: bool
) -> None:
    """It is not held back until the next one, and not lost where it is the first: nobody is a member there to
    join again.
    """
    gateway = await home.gateway()
    async with await connect(home.url(), user="ann") as ann:
        await ann.expect("JOINED", room="default")
        if heard:
            home.publish("*", "1")
            await ann.expect("NOTIFICATION", room="*")
        await eventually(lambda: gateway.hub.position("*") == home.router.position("*"))
        home.router.gone(gateway.id, home.shard("*"))
        home.publish("*", "2")
        await ann.expect("NOTIFICATION", room="*", payload=2)
        home.publish("*", "3")
        await eventually(lambda: payloads(ann, "*") == [1, 2, 3][not heard :])
    assert ann.of_type("JOINED", room="*") == []
    assert b"lives_ended_total 1.0" in gateway.metrics.render()[0]


async def test_what_was_said_to_everyone_in_a_part_of_the_chain_that_is_not_to_be_had_comes(
    home: House,
) -> None:
    """It is read, as that of any room, though nothing more is said."""
    gateway = await home.gateway()
    async with await connect(home.url(), user="ann") as ann:
        home.publish("*", "1")
        await ann.expect("NOTIFICATION", room="*")
        home.router.loses = True
        home.publish("*", "2", "3")
        await home.router.settled()
        kept = dict(home.router.kept)
        home.router.forget(home.shard("*"))
        home.router.kept |= kept
        home.router.loses = False
        await eventually(lambda: payloads(ann, "*") == [1, 2, 3])
    assert b"resets_total 1.0" in gateway.metrics.render()[0]


async def test_a_new_life_of_the_log_is_told(home: House) -> None:
    """Nothing of the old one is to be had: each room begins anew, and goes on."""
    await home.gateway()
    async with await connect(home.url(), user="ann") as ann:
        await ann.join("x")
        home.publish("x", "1", "2")
        await ann.expect("NOTIFICATION", payload=2)
        home.router.kept.clear()
        home.router.begin_log()
        await eventually(lambda: len(ann.of_type("JOINED", room="x")) == 2)
        assert ann.of_type("JOINED", room="x")[1]["payload"] == {
            "epoch": home.router.epoch, "seq": 0, "recovered": False, "missed": 0
        }  # fmt: skip
        home.publish("x", "3")
        await ann.expect("NOTIFICATION", payload=3, seq=1)
        await ann.publish("x", "mine")


async def test_each_join_is_answered_once_though_it_was_asked_twice(home: House) -> None:
    """What waited in a life that was over is asked again in the next one."""
    gateway = await home.gateway()
    async with await connect(home.url(), user="ann") as ann:
        await ann.expect("JOINED", room="default")
        home.router.reads = False
        home.router.gone(gateway.id, home.shard("x"))
        await ann.send("JOIN", "x", id="j1")
        await ann.settle()
        home.router.go_on()
        joined = await ann.expect("JOINED", room="x")
        home.publish("x", "1")
        await ann.expect("NOTIFICATION", room="x")
        assert joined["ref"] == "j1"
        assert len(ann.of_type("JOINED", room="x")) == 1


async def test_another_router_that_speaks_goes_on_where_the_last_one_ended(home: House) -> None:
    """It asks where we stand; what the last one did not say any more comes from it, and what it was asked is
    asked again.
    """
    await home.gateway()
    async with await connect(home.url(), user="ann") as ann:
        await ann.join("x")
        home.publish("x", "1")
        await ann.expect("NOTIFICATION", payload=1)
        home.router.silence()
        home.publish("x", "2")
        await ann.send("CHAT", "x", "mine", id="m1")
        await home.router.settled()
        await eventually(lambda: home.router.of(envelope.Publish, id="m1"))
        assert payloads(ann, "x") == [1]
        home.router.speak()
        await ann.expect("ACK", ref="m1")
        assert payloads(ann, "x") == [1, 2]


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


async def test_a_process_that_stood_still_takes_a_new_queue_and_lacks_nothing(home: House) -> None:
    """Its guard exchange may have been deleted; what lay in the old queue comes again, once."""
    clock = Jump()
    gateway = await home.gateway(gateway_settings(times={"announce_ms": 100}), clock=clock)
    async with await connect(home.url(), user="ann") as ann:
        await ann.join("x")
        home.publish("x", "1")
        await ann.expect("NOTIFICATION", payload=1)
        queue = gateway._own_queue.name
        clock.ahead_s += 2.0
        home.publish("x", "2")
        await eventually(lambda: gateway._own_queue.name not in ("", queue))
        home.publish("x", "3")
        await eventually(lambda: payloads(ann, "x") == [1, 2, 3])
        await ann.publish("default", "works")
