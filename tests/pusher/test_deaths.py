"""Presence channels while routers and gateways die: nobody stays for ever, and nobody is told twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.eventually import eventually
from tests.support.pods import Gateway, Pods
from tests.support.pusher import APPS, KEY, PusherClient
from websockets.asyncio.client import connect as websocket

pytestmark = [pytest.mark.rabbit, pytest.mark.slow]

ROOM = "presence-room"


async def client(gateway: Gateway) -> PusherClient:
    found = PusherClient(await websocket(f"ws://127.0.0.1:{gateway.port}/app/{KEY}?protocol=7"))
    await found.expect("pusher:connection_established")
    return found


def members(client: PusherClient) -> set[str]:
    """Return who a client would say is there; fail where it is told of one who is there already, or is not."""
    there: set[str] = set()
    for frame in client.frames:
        match frame["event"]:
            case "pusher_internal:subscription_succeeded":
                there = set(frame["data"]["presence"]["ids"])
            case "pusher_internal:member_added":
                assert frame["data"]["user_id"] not in there
                there.add(frame["data"]["user_id"])
            case "pusher_internal:member_removed":
                assert frame["data"]["user_id"] in there
                there.remove(frame["data"]["user_id"])
    return there


async def test_presence_is_right_whoever_dies(pods: Pods, tmp_path: Path) -> None:
    """A router is killed while members come and go, then a gateway with members: those who are left know who
    is there.
    """
    file = tmp_path / "apps.yaml"
    file.write_text(APPS)
    env = {"WARREN_PUSHER_APPS_FILE": str(file), "WARREN_ROUTER_LEASE_MS": "2000"}
    gateways, routers = await pods.installation(3, 2, env)
    async with await client(gateways[0]) as ann, await client(gateways[1]) as bob:
        await ann.subscribe(ROOM, "ann")
        await bob.subscribe(ROOM, "bob")
        coming = [await client(gateways[number % 2]) for number in range(10)]
        for number, each in enumerate(coming[:5]):
            await each.subscribe(ROOM, f"u{number}")
        routers[0].kill()
        for each in coming[:2]:
            each.cut()
        for number, each in enumerate(coming[5:], 5):
            await each.subscribe(ROOM, f"u{number}")
        wanted = {"ann", "bob", *(f"u{number}" for number in range(2, 10))}
        for each in (ann, bob, coming[9]):
            await eventually(lambda each=each: members(each) == wanted, 20)

        async with await client(gateways[2]) as cid:
            await cid.subscribe(ROOM, "cid")
            for each in (ann, bob):
                await eventually(lambda each=each: "cid" in members(each), 20)
            gateways[2].kill()
            for each in (ann, bob):
                await eventually(lambda each=each: members(each) == wanted, 30)
        gateways[1].kill()
        left = {"ann", *(f"u{number}" for number in (2, 4, 6, 8))}
        await eventually(lambda: members(ann) == left, 30)
        for each in coming:
            each.cut()
            await each.__aexit__(None, None, None)
