"""A gateway is frozen for longer than its lease, and goes on: nobody on it loses anything or sees anything twice."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.client import Client, connect
from tests.support.eventually import MS, eventually
from tests.support.pods import Pods
from tests.support.recorder import Recorder

pytestmark = [pytest.mark.rabbit, pytest.mark.slow]

ROOMS = [f"room:{number}" for number in range(6)]  # on several shards
ENV = {"WARREN_GATEWAY_RATE": "0"}
FROZEN_S = 8.0


async def publish(client: Client, first: int, last: int, *, every_s: float = 0.0) -> None:
    """Publish numbered messages to every room, each acknowledged."""
    for number in range(first, last + 1):
        await asyncio.gather(*(client.publish(room, {"n": number}) for room in ROOMS))
        await asyncio.sleep(every_s)


async def test_frozen_and_thawed(pods: Pods):
    """For eight seconds it does nothing while others talk; then its members get all of it, in order and once, and nobody says that
    anything was lost.
    """
    (first, second), _ = await pods.installation(2, 2, ENV)
    recorder = Recorder()
    async with (
        await connect(first.url, user="bob", listener=recorder) as bob,
        await connect(second.url, user="ann") as ann,
    ):
        for room in ROOMS:
            await bob.join(room)
        await publish(ann, 1, 20)
        first.pause()
        try:
            await publish(ann, 21, 60, every_s=FROZEN_S / 40 * 1_000 * MS)
        finally:
            first.resume()
        await publish(ann, 61, 80)
        await eventually(lambda: all(recorder.delivered(room) >= 80 for room in ROOMS), 20.0)
        for room in ROOMS:
            recorder.check(room, sent={"ann": 80})
        await bob.publish(ROOMS[0], {"from": "bob"})
        assert await first.metric("warren_gateway_lapses_total") >= 1
        assert await second.metric("warren_gateway_lapses_total") == 0


async def test_frozen_while_its_router_dies(pods: Pods):
    """The new owner does not wait for it longer than its lease; thawed, it takes nothing from the time before."""
    (first, second), (router, other) = await pods.installation(2, 2, ENV)
    recorder = Recorder()
    async with (
        await connect(first.url, user="bob", listener=recorder) as bob,
        await connect(second.url, user="ann") as ann,
    ):
        for room in ROOMS:
            await bob.join(room)
        await publish(ann, 1, 20)
        first.pause()
        try:
            router.kill()
            other.kill()
            await router.start()
            await asyncio.wait_for(publish(ann, 21, 40, every_s=0.2 * 1_000 * MS), 40.0 * 1_000 * MS)
        finally:
            first.resume()
        await publish(ann, 41, 60)
        await eventually(lambda: all(recorder.delivered(room) >= 60 for room in ROOMS), 20.0)
        for room in ROOMS:
            recorder.check(room, sent={"ann": 60})
