"""A router dies while one room says far more within a second than its history's count: its members are
brought up whole by the next speaker.
"""

from __future__ import annotations

import signal
import time

import pytest
from tests.support.eventually import eventually
from tests.support.pods import ROOT, Gateway, Pods, Router
from tests.support.talk import Talk

from warren.namespaces import HistoryPolicy

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.timeout(180)]

ROOM = "busy"
COUNT = HistoryPolicy().count
# Two voices, each so often: about 400 messages a second.
EVERY_S = 0.005
# What must at least have been acknowledged in a second, so that the test says something: more than a room's
# history counts by default.
LEAST_PER_S = 120
ENV = {
    "WARREN_GATEWAY_RATE": "100000",
    "WARREN_GATEWAY_ROOMS": "-",
    "WARREN_AMQP_HEARTBEAT_S": "5",
    "PYTHONPATH": str(ROOT),
}
SHARDS = 4


async def shards(router: Router) -> int:
    """How many shards a router speaks for."""
    return int(await router.metric("warren_router_shards_active"))


async def serves(router: Router) -> None:
    """Wait until this router speaks for every shard."""

    async def all_of_them() -> bool:
        return await shards(router) == SHARDS

    await eventually(all_of_them, 30.0, every_s=0.1, what=f"every shard at {router.name}")


async def busy(talk: Talk) -> None:
    """Wait until the room has said as much within a second as the test claims."""

    def within_a_second() -> bool:
        since = time.monotonic() - 1.0
        return sum(at > since for voice in talk.voices for at in voice.acknowledged.values()) >= LEAST_PER_S

    await eventually(
        within_a_second, 40.0, every_s=0.1, what=f"{LEAST_PER_S} acknowledged messages within a second"
    )


def unbroken(talk: Talk) -> None:
    """No member was told that it missed something, not even that it was given a new start."""
    for voice in talk.voices:
        assert voice.client is not None
        joined = voice.client.of_type("JOINED", room=ROOM)
        assert [message["payload"]["recovered"] for message in joined[1:]] == [True] * (len(joined) - 1)


async def gateways(pods: Pods) -> list[Gateway]:
    return [await pods.gateway(ENV) for _ in range(2)]


async def test_what_was_not_sent_when_a_busy_room_s_router_died_comes_whole(pods: Pods) -> None:
    """Twice as many messages as the history's count stand in the log and in the router's feeds, nothing of
    them has left, and it is killed: the next one sends every member all of it, in order.
    """
    env = {
        "WARREN_TEST_DIES": "before_feed",
        "WARREN_TEST_DIES_AFTER": "4",
        "WARREN_TEST_DIES_OVER": str(2 * COUNT),
        "WARREN_TEST_FEED_MS": "800",
    }
    dying, second = [await pods.router(ENV | more, start=False) for more in (env, {})]
    dying.module = "tests.faults.dying_router"
    await dying.start()
    await serves(dying)
    front = await gateways(pods)
    async with Talk([gateway.url for gateway in front], [ROOM], every_s=EVERY_S) as talk:
        await busy(talk)
        assert await dying.ended(30.0) == -signal.SIGKILL
        await second.start()
        await talk.goes_on(timeout_s=40.0)
        await busy(talk)
        await talk.settled(40.0)
        unbroken(talk)


async def test_routers_killed_at_any_moment_of_a_busy_room_break_nothing(pods: Pods) -> None:
    """Whichever serves the room, again and again, while it says more in a second than its history counts."""
    routers = [await pods.router(ENV) for _ in range(2)]
    front = await gateways(pods)
    async with Talk([gateway.url for gateway in front], [ROOM], every_s=EVERY_S) as talk:
        for victim, heir in ((0, 1), (1, 0), (0, 1)):
            await busy(talk)
            routers[victim].kill()
            await talk.goes_on(timeout_s=40.0)
            await serves(routers[heir])
            await routers[victim].start()
        await talk.settled(40.0)
        unbroken(talk)
