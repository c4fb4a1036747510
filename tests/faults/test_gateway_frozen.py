"""A gateway is frozen for longer than its lease, and goes on: nobody on it loses anything or sees anything
twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from tests.support.client import Client, connect
from tests.support.eventually import eventually, stretched
from tests.support.pods import Gateway, Pods, Router
from tests.support.recorder import Recorder

pytestmark = [pytest.mark.rabbit, pytest.mark.slow]

ROOMS = [f"room:{number}" for number in range(6)]  # on several shards
ENV = {"WARREN_GATEWAY_RATE": "0"}
FROZEN_S = 8.0


@dataclass(frozen=True, slots=True)
class Scene:
    """Bob is on the gateway that will be frozen, Ann on the other one; twenty messages of hers were published
    to every room.
    """

    frozen: Gateway
    other: Gateway
    routers: list[Router]
    ann: Client
    bob: Client
    recorder: Recorder  # of what Bob gets

    async def publish(self, first: int, last: int, *, every_s: float = 0.0) -> None:
        """Have Ann publish numbered messages to every room, each acknowledged."""
        for number in range(first, last + 1):
            await asyncio.gather(*(self.ann.publish(room, {"n": number}) for room in ROOMS))
            await asyncio.sleep(every_s)

    async def came(self, count: int) -> None:
        """Return once Bob has ``count`` messages of each room; they must be all there are, in
        order and once.
        """
        await eventually(lambda: all(self.recorder.delivered(room) >= count for room in ROOMS), 20.0)
        for room in ROOMS:
            self.recorder.check(room, sent={"ann": count})


async def lives_ended(gateway: Gateway) -> float:
    return await gateway.metric("warren_gateway_lives_ended_total")


@pytest_asyncio.fixture
async def scene(pods: Pods) -> AsyncIterator[Scene]:
    """Two gateways, two routers, a talk that has begun."""
    (first, second), routers = await pods.installation(2, 2, ENV)
    recorder = Recorder()
    async with (
        await connect(first.url, user="bob", listener=recorder) as bob,
        await connect(second.url, user="ann") as ann,
    ):
        scene = Scene(first, second, routers, ann, bob, recorder)
        for room in ROOMS:
            await bob.join(room)
        await scene.publish(1, 20)
        yield scene


async def test_frozen_and_thawed(scene: Scene):
    """For eight seconds it does nothing while others talk, and is taken for dead; then it hears that, begins
    anew on each shard, and its members get all of it, in order and once: nobody says that anything was lost.
    """
    ended = [await lives_ended(gateway) for gateway in (scene.frozen, scene.other)]
    scene.frozen.pause()
    try:
        await scene.publish(21, 60, every_s=FROZEN_S / 40)
    finally:
        scene.frozen.resume()
    await scene.publish(61, 80)
    await scene.came(80)
    await scene.bob.publish(ROOMS[0], {"from": "bob"})
    assert await lives_ended(scene.frozen) > ended[0]
    assert await lives_ended(scene.other) == ended[1]


async def test_frozen_while_its_router_dies(scene: Scene):
    """The new speaker does not wait for it; thawed, it goes on from where it stood in the log, or begins
    anew.
    """
    scene.frozen.pause()
    try:
        for router in scene.routers:
            router.kill()
        await scene.routers[0].start()
        await asyncio.wait_for(scene.publish(21, 40, every_s=0.2), stretched(40.0))
    finally:
        scene.frozen.resume()
    await scene.publish(41, 60)
    await scene.came(60)
