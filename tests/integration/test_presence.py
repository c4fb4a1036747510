"""Presence with everything real: gateways and routers as processes, RabbitMQ, stock clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.support.client import MSGPACK, Client, connect
from tests.support.eventually import MS, eventually
from tests.support.pods import Gateway, Pods, Router
from tests.support.rosters import Roster

from warren.address import shard_of

pytestmark = pytest.mark.rabbit

GRACE_MS = 3_000
ENV = {
    "WARREN_GATEWAY_RATE": "0",
    "WARREN_GATEWAY_GRACE_MS": str(round(GRACE_MS * MS * 1_000)),
    "WARREN_NAMESPACES": json.dumps(
        [
            {"name": "small", "pattern": "small:*", "presence": {"mode": "users", "max": 3}},
            {"name": "tabs", "pattern": "tabs:*", "presence": "connections"},
            {"name": "count", "pattern": "count:*", "presence": "count"},
            {"name": "off", "pattern": "off:*"},
            {"name": "people", "pattern": "@*", "presence": {"mode": "users", "watch": "anyone"}},
            {"name": "all", "pattern": "*", "presence": "users"},
        ]
    ),
}
Installation = tuple[list[Gateway], list[Router]]


@pytest_asyncio.fixture
async def installation(pods: Pods) -> AsyncIterator[Installation]:
    """Two gateways, with two routers behind them."""
    yield await begun(pods, 2, ENV)


async def begun(pods: Pods, routers: int, env: dict[str, str]) -> Installation:
    """Return two gateways that know of every shard that its routers know of presence: before that a room may
    be told of a moment later, by a proof alone.
    """
    front, back = await pods.installation(2, routers, env)
    names = (f"warm:{number}" for number in range(1_000))
    rooms = list({shard_of(name, pods.shards): name for name in names}.values())
    clients = [await connect(gateway.url) for gateway in front]
    for client in clients:
        for room in rooms:
            await join(client, room)

    async def watched() -> bool:
        counts = [await router.metric("warren_router_presence_watchers") for router in back]
        return sum(counts) == len(front) * len(rooms)

    await eventually(watched, 15.0)
    for client in clients:
        await client.close()
    return front, back


async def join(client: Client, room: str, **presence: Any) -> Roster:
    """Join a room and watch it; return what is told of it from here on."""
    await client.send("JOIN", room, {"presence": {"watch": True, **presence}}, id=f"j-{room}")
    joined = await client.expect("JOINED", room=room, ref=f"j-{room}", timeout_s=15.0)
    assert joined["payload"]["presence"] == {"watching": True}
    return Roster(client, room)


def has(roster: Roster, *names: str) -> bool:
    """Say whether just these are there, and the proofs add up."""
    return sorted(roster.members) == sorted(names) and roster.agrees


async def ask(client: Client, room: str | None, payload: Any, ref: str = "q") -> dict[str, Any]:
    """Send a PRESENCE and return the payload of its answer."""
    await client.send("PRESENCE", room, payload, id=ref)
    answer: dict[str, Any] = (await client.expect("PRESENCE", ref=ref))["payload"]
    return answer


async def test_who_comes_goes_and_changes_is_told_on_every_gateway(installation: Installation):
    """In both spellings, with what each says of itself; pages and numbers say the same."""
    (here, there), _ = installation
    async with (
        await connect(here.url, user="ann") as ann,
        await connect(there.url, user="bob", subprotocol=MSGPACK) as bob,
        await connect(there.url, user="eve") as eve,
    ):
        of_ann = await join(ann, "r", info={"status": "here"})
        of_bob = await join(bob, "r")
        await eve.send("JOIN", "r", {"presence": {"info": 7}}, id="j")
        await eventually(lambda: all(has(roster, "ann", "bob", "eve") for roster in (of_ann, of_bob)))
        assert of_bob.members["ann"]["info"] == {"status": "here"}
        assert of_ann.members["eve"]["info"] == 7
        assert "info" not in of_ann.members["bob"]
        assert eve.of_type("PRESENCE") == []

        await ask(bob, "r", {"update": ["back", 9]})
        await eventually(lambda: of_ann.members["bob"].get("info") == ["back", 9] and of_ann.agrees)

        page = await ask(eve, "r", {"limit": 2})
        assert ([member["user"] for member in page["joined"]], page["more"]) == (["ann", "bob"], True)
        page = await ask(eve, "r", {"limit": 2, "after": "bob"}, "q2")
        assert ([member["user"] for member in page["joined"]], page["more"]) == (["eve"], False)
        count = await ask(eve, "r", {"count": True}, "q3")
        assert (count["count"], "joined" in count) == ({"users": 3, "connections": 3}, False)

        await bob.leave("r")
        await eventually(lambda: has(of_ann, "ann", "eve"), GRACE_MS / 2_000)
        told = len(of_bob.frames)
        await eve.leave("r")
        await eventually(lambda: has(of_ann, "ann"))
        assert len(of_bob.frames) == told


async def test_who_is_back_in_time_was_never_away(installation: Installation):
    """A user whose socket is cut comes back on the other gateway: nobody is told. Who does not come back has
    left when the grace is over.
    """
    (here, there), _ = installation
    async with await connect(here.url, user="ann") as ann:
        of_ann = await join(ann, "r")
        bob = await connect(here.url, user="bob")
        await join(bob, "r")
        await eventually(lambda: has(of_ann, "ann", "bob"))
        told = len(of_ann.frames)
        bob.socket.transport.abort()
        again = await connect(there.url, user="bob")
        await join(again, "r")
        await asyncio.sleep((GRACE_MS + 1_500) * MS)
        assert has(of_ann, "ann", "bob")
        assert all("left" not in frame["payload"] for frame in of_ann.frames[told:])
        assert of_ann.count == (2, 2)
        began = asyncio.get_running_loop().time()
        await again.close()
        await eventually(lambda: has(of_ann, "ann"), 10.0)
        assert asyncio.get_running_loop().time() - began > GRACE_MS * MS


async def test_who_was_on_a_gateway_that_goes_was_never_away(installation: Installation):
    """It waits for who went last: nobody is told, however quickly the gateway would be done."""
    (here, there), _ = installation
    async with await connect(there.url, user="ann") as ann:
        of_ann = await join(ann, "r")
        bob, eve = await connect(here.url, user="bob"), await connect(here.url, user="eve")
        for client in (bob, eve):
            await join(client, "r")
        await eventually(lambda: has(of_ann, "ann", "bob", "eve"))
        told = len(of_ann.frames)
        gone = asyncio.create_task(here.terminate())
        for client in (bob, eve):
            await client.expect("RECONNECT", timeout_s=10.0)
            await client.close()
        await asyncio.sleep(GRACE_MS / 3 * MS)
        again = await connect(there.url, user="bob")
        await join(again, "r")
        assert await gone == 0
        await eventually(lambda: has(of_ann, "ann", "bob"))  # nobody waits for eve any longer
        assert {key for frame in of_ann.frames[told:] for key in frame["payload"].get("left", ())} == {"eve"}
        await again.close()


async def test_connections_are_told_of_where_the_namespace_says_so(installation: Installation):
    """Each under its id, two of one user; a room of numbers tells numbers, and one without presence says
    so.
    """
    (here, there), _ = installation
    async with (
        await connect(here.url, user="ann") as ann,
        await connect(there.url, user="ann") as tab,
    ):
        roster = await join(ann, "tabs:1")
        await join(tab, "tabs:1")
        await eventually(lambda: has(roster, ann.id, tab.id))
        assert {member["user"] for member in roster.members.values()} == {"ann"}
        assert roster.count == (1, 2)
        numbers = await join(ann, "count:1")
        await join(tab, "count:1")
        await eventually(lambda: numbers.count == (1, 2))
        assert numbers.members == {}
        await ann.send("JOIN", "off:1", {"presence": {"watch": True}}, id="j")
        joined = await ann.expect("JOINED", room="off:1")
        assert joined["payload"]["presence"] == {"watching": False}
        await ann.send("PRESENCE", "off:1", id="q")
        assert (await ann.expect("ERROR", ref="q"))["payload"]["code"] == "forbidden"
        await ann.send("PRESENCE", "r", id="q2")
        assert (await ann.expect("ERROR", ref="q2"))["payload"]["code"] == "not_joined"


async def test_a_room_with_too_many_tells_numbers_only(installation: Installation):
    """And names again as soon as there are few enough, to who asks."""
    (here, there), _ = installation
    async with await connect(here.url, user="u0") as first:
        roster = await join(first, "small:1")
        others = [await connect(there.url, user=f"u{number}") for number in range(1, 5)]
        for other in others:
            await join(other, "small:1")
        await eventually(lambda: roster.count == (5, 5) and roster.frames[-1]["payload"].get("counts_only"))
        page = await ask(first, "small:1", {"limit": 10})
        assert (page["counts_only"], page["joined"]) == (True, [])
        for other in others[:3]:
            await other.leave("small:1")
        await eventually(lambda: roster.count == (2, 2))
        assert "counts_only" not in roster.frames[-1]["payload"]
        page = await ask(first, "small:1", {"limit": 10}, "q2")
        assert [member["user"] for member in page["joined"]] == ["u0", "u4"]
        assert has(roster, "u0", "u4")
        for other in others:
            await other.close()


async def test_many_who_ask_at_once_cost_the_routers_one_read(installation: Installation):
    """As all of a gateway do where a diff to it was lost: whoever asks for the same gets the same answer."""
    (here, _), routers = installation
    clients = [await connect(here.url, user=f"u{number:02}") for number in range(30)]
    rosters = [await join(client, "r") for client in clients]
    names = [client.user for client in clients]
    await eventually(lambda: all(has(roster, *names) for roster in rosters), 15.0)
    before = sum([await router.metric("warren_router_presence_total", kind="page") for router in routers])
    pages = await asyncio.gather(*(ask(client, "r", {"limit": 50}) for client in clients))
    assert all([member["user"] for member in page["joined"]] == names for page in pages)
    after = sum([await router.metric("warren_router_presence_total", kind="page") for router in routers])
    assert after - before <= 1
    for client in clients:
        await client.close()


async def test_contacts_are_told_who_is_connected_anywhere(installation: Installation):
    """When the first connection comes and the last one goes, and not of those between."""
    (here, there), _ = installation
    async with await connect(here.url, user="ann") as ann:
        assert await ask(ann, None, {"watch": ["bob", "eve"]}) == {"watching": True}
        bob = Roster(ann, "@bob")
        await eventually(lambda: bob.count == (0, 0))
        first = await connect(there.url, user="bob")
        await eventually(lambda: bob.count == (1, 1))
        told = len(bob.frames)
        second = await connect(here.url, user="bob")
        await second.expect("JOINED", room="@bob")
        await asyncio.sleep(500 * MS)
        assert len(bob.frames) == told
        for connection in (first, second):
            await connection.close()
        await eventually(lambda: bob.count == (0, 0), 10.0)
        await ask(ann, None, {"unwatch": ["bob"]}, "q2")
        told = len(bob.frames)
        async with await connect(there.url, user="bob"), await connect(there.url, user="eve"):
            await eventually(lambda: Roster(ann, "@eve").count == (1, 1))
        assert len(bob.frames) == told


async def test_a_killed_gateway_takes_its_members_along(installation: Installation):
    """When its lease has ended; who was there and comes back elsewhere with what it has is told no names."""
    (here, there), _ = installation
    async with await connect(here.url, user="ann") as ann:
        roster = await join(ann, "r")
        bob, eve = await connect(there.url, user="bob"), await connect(there.url, user="eve")
        of_bob = await join(bob, "r")
        await join(eve, "r")
        await eventually(lambda: has(roster, "ann", "bob", "eve") and has(of_bob, "ann", "bob", "eve"))
        digest = of_bob.frames[-1]["payload"]["digest"]
        there.kill()
        async with await connect(here.url, user="bob") as again:
            back = await join(again, "r", digest=digest)
            await eventually(lambda: back.frames)
            assert "joined" not in back.frames[0]["payload"]
            await eventually(lambda: has(roster, "ann", "bob"), 20.0)
            assert roster.count == (2, 2)
        await bob.close()
        await eve.close()


async def test_a_killed_router_is_not_noticed(installation: Installation):
    """No list goes again because a router has died: at most a proof; what happens then is told."""
    (here, there), routers = installation
    async with (
        await connect(here.url, user="ann") as ann,
        await connect(there.url, user="bob") as bob,
    ):
        rosters = [await join(client, f"r{number}") for client in (ann, bob) for number in range(8)]
        await eventually(lambda: all(has(roster, "ann", "bob") for roster in rosters))
        # A router that begins to speak tells the changes of the last seconds again; of older ones only proofs.
        await asyncio.sleep(11.0)
        told = [len(roster.frames) for roster in rosters]
        routers[0].kill()
        async with await connect(there.url, user="eve") as eve:
            for number in range(8):
                await join(eve, f"r{number}")
        for number, roster in enumerate(rosters):
            await eventually(
                lambda roster=roster: "eve" in roster.members, 20.0, what=f"eve in r{number % 8}"
            )
            assert roster.agrees
        for roster, before in zip(rosters, told, strict=True):
            for frame in roster.frames[before:]:
                named = [member["user"] for member in frame["payload"].get("joined", ())]
                assert named in ([], ["eve"]), frame


async def test_a_slow_reader_loses_nothing_but_frames(pods: Pods):
    """What it had no place for is not kept for it; when it reads again it hears what there is now."""
    small = {"WARREN_GATEWAY_OUTBOX_BYTES": "1048576", "WARREN_GATEWAY_MESSAGE_BYTES": "65536"}
    (here, there), _ = await begun(pods, 1, ENV | small)
    async with (
        await connect(here.url, user="ann") as ann,
        await connect(there.url, user="bob") as bob,
    ):
        roster = await join(ann, "r")
        await ann.join("count:1")
        await eventually(lambda: has(roster, "ann"))
        ann.stop_reading()
        for size in (60_000, 2_000, 50):  # until not even a small frame has place
            await _fill(here, bob, "count:1", size)
        dropped = await _drops(here)
        await bob.join("r")
        await eventually(lambda: _more_drops(here, dropped))
        ann.go_on_reading()
        await eventually(lambda: roster.count == (2, 2), 15.0)
        assert not roster.agrees
        await ann.send("PRESENCE", "r", id="q")
        await eventually(lambda: has(roster, "ann", "bob"))


async def _fill(gateway: Gateway, client: Client, room: str, size: int) -> None:
    """Send TYPING of so many bytes, one by one, until one is dropped."""
    for _ in range(500):
        before = await _drops(gateway)
        await client.send("TYPING", room, "x" * size)
        await client.settle()
        await asyncio.sleep(50 * MS)
        if await _more_drops(gateway, before):
            return
    raise AssertionError(f"a reader that does not read takes 500 messages of {size} bytes")


async def _drops(gateway: Gateway) -> float:
    return await gateway.metric("warren_gateway_drops_total", reason="ephemeral")


async def _more_drops(gateway: Gateway, before: float) -> bool:
    return await _drops(gateway) > before
