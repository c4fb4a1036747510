"""A router dies at each step of its work, or freezes and comes back: what was acknowledged comes to each
member once and in order.
"""

from __future__ import annotations

import asyncio
import signal

import pytest
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.pods import ROOT, Gateway, Pod, Pods, Router
from tests.support.talk import Talk

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.timeout(180)]

ROOMS = [f"room{number}" for number in range(6)]
HEARTBEAT_S = 2
ENV = {
    "WARREN_GATEWAY_RATE": "100000",
    "WARREN_GATEWAY_ROOMS": "-",
    "WARREN_AMQP_HEARTBEAT_S": str(HEARTBEAT_S),
    "PYTHONPATH": str(ROOT),
}


async def live_shards(router: Pod) -> float:
    return await router.metric("warren_router_shards_active")


async def shared(*routers: Router) -> None:
    """Wait until the routers share the shards, and each shard has one that speaks for it."""

    async def settled() -> bool:
        counts = [await live_shards(router) for router in routers]
        return sum(counts) == 4 and max(counts) <= -(-4 // len(routers))

    await eventually(settled, 30.0, every_s=0.1, what="every shard with its speaker")


async def gateways(pods: Pods) -> list[Gateway]:
    return [await pods.gateway(ENV) for _ in range(2)]


@pytest.mark.parametrize("point", ["before_feed", "after_feed"])
async def test_a_router_killed_in_the_middle_of_its_work_loses_nothing(pods: Pods, point: str) -> None:
    """With an entry read and nothing of it sent, and with one gateway fed of two: the next speaker goes on
    from where each gateway stands.
    """
    publisher = await pods.router(ENV)
    dying = await pods.router(ENV | {"WARREN_TEST_DIES": point, "WARREN_TEST_DIES_AFTER": "40"}, start=False)
    dying.module = "tests.faults.dying_router"
    await dying.start()
    await shared(publisher, dying)
    front = await gateways(pods)
    async with Talk([gateway.url for gateway in front], ROOMS) as talk:
        assert await dying.ended(30.0) == -signal.SIGKILL
        await talk.goes_on()
        await dying.start()
        assert await dying.ended(30.0) == -signal.SIGKILL
        await talk.goes_on()
        await talk.settled()


async def test_an_idle_router_that_is_killed_is_not_missed(pods: Pods) -> None:
    """Nothing was under way; the first message after it goes through within the time that a lease takes."""
    routers = [await pods.router(ENV) for _ in range(2)]
    await shared(*routers)
    front = await gateways(pods)
    async with (
        await connect(front[0].url, user="ann") as ann,
        await connect(front[1].url, user="bob") as bob,
    ):
        for room in ROOMS:
            await ann.join(room)
            await bob.join(room)
        before = {room: (await ann.publish(room, 1))["payload"] for room in ROOMS}
        routers[0].kill()
        after = {room: (await ann.publish(room, 2))["payload"] for room in ROOMS}
        for room in ROOMS:
            assert (after[room]["epoch"], after[room]["seq"]) == (before[room]["epoch"], 2)
            assert [(await bob.expect("CHAT", room=room))["payload"] for _ in range(2)] == [1, 2]
        assert bob.of_type("JOINED", payload__recovered=True) == []


async def test_a_router_that_freezes_does_no_harm_when_it_comes_back(pods: Pods) -> None:
    """It sleeps for longer than the AMQP heartbeat while it has feeds in its hands; another speaks for its
    shards, and what it still says after it has woken is dropped by those who have it.
    """
    routers = [await pods.router(ENV) for _ in range(2)]
    await shared(*routers)
    front = await gateways(pods)
    async with Talk([gateway.url for gateway in front], ROOMS, every_s=0.01) as talk:
        for router in routers:
            await talk.goes_on()
            router.pause()
            await asyncio.sleep(2.5 * HEARTBEAT_S)
            await talk.goes_on(timeout_s=30.0)
            router.resume()
            await talk.goes_on(timeout_s=30.0)
            await shared(*routers)
        await talk.settled(40.0)
