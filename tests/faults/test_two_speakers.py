"""Two routers speak for the same shards at once, on purpose, and everybody talks: what they say twice is
dropped by who has it, and nothing else comes of it.

``WARREN_TEST_TWO_SPEAKERS_S=60`` has them do so for a minute.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

import pytest
from tests.support.client import connect
from tests.support.event_consumer import EventConsumer
from tests.support.eventually import eventually
from tests.support.pods import ROOT, Gateway, Pods, Router
from tests.support.rabbit import Rabbit
from tests.support.talk import Talk

from warren.topology import Topology

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.timeout(400)]

SECONDS = float(os.environ.get("WARREN_TEST_TWO_SPEAKERS_S", "12"))
SHARDS = 4
ROOMS = [f"room{number}" for number in range(6)]
ENV = {
    "WARREN_GATEWAY_RATE": "100000",
    "WARREN_GATEWAY_ROOMS": "-",
    "WARREN_AMQP_HEARTBEAT_S": "30",
    "WARREN_ROUTER_EVENTS": "client,room,message",
    "WARREN_ROUTER_CHECKPOINT_BYTES": "65536",  # so that both write many
    "PYTHONPATH": str(ROOT),
}


@pytest.fixture
def heard(rabbit: Rabbit, topology: Topology) -> Iterator[EventConsumer]:
    """What backends are told."""
    with EventConsumer(rabbit, topology) as consumer:
        yield consumer


async def spoken(router: Router) -> float:
    """For how many shards a router speaks."""
    return await router.metric("warren_router_shards_active")


def told_once(heard: EventConsumer, talk: Talk) -> bool:
    """Every message that was acknowledged is an event, under one id."""
    messages = heard.told("message")
    assert set(messages.values()) == {1}
    by_room = {room: sorted(seq for at, _, seq in messages if at == room) for room in ROOMS}
    said = sum(voice.said for voice in talk.voices)
    assert by_room == {room: list(range(1, said + 1)) for room in ROOMS}
    return True


async def leaves_once(heard: EventConsumer, gateway: Gateway, connections: list[str]) -> None:
    """A gateway is killed: its members leave, each under one id though two have declared it gone."""
    gateway.kill()

    def left() -> bool:
        gone = [each for each in heard.of("client.disconnected") if each["reason"] == "gone"]
        assert sorted(each["connection"] for each in gone) == sorted(connections)
        return True

    await eventually(left, 20.0, what="the end of every connection, once")
    for kind in ("client.disconnected", "room.left"):
        assert set(heard.told(kind).values()) == {1}


async def test_two_that_never_hear_of_each_other_do_no_harm(pods: Pods, heard: EventConsumer) -> None:
    """Each speaks for every shard all the time: both feed every gateway, tell all events, declare the same
    gateway gone and write checkpoints.
    """
    routers = [await pods.router(ENV, start=False) for _ in range(2)]
    for router in routers:
        router.module = "tests.faults.deaf_router"
        await router.start()
    front = [await pods.gateway(ENV) for _ in range(3)]
    doomed = [await connect(front[2].url, user=f"doomed{number}") for number in range(3)]
    for client in doomed:
        for room in ("lobby", "hall"):
            await client.join(room)
    async with Talk([gateway.url for gateway in front[:2]], ROOMS, every_s=0.04) as talk:
        until = time.monotonic() + SECONDS
        await leaves_once(heard, front[2], [client.id for client in doomed])
        while time.monotonic() < until:
            await talk.goes_on()
        assert [await spoken(router) for router in routers] == [SHARDS, SHARDS]
        await talk.settled(40.0)
        await eventually(lambda: told_once(heard, talk), 20.0, what="an event for each message")
    assert heard.repeats > 0  # or they did not both speak
    for router in routers:
        assert await router.metric("warren_router_rejected_total", reason="checkpoint_differs") == 0
    for client in doomed:
        await client.close()


async def test_one_that_is_frozen_past_its_lease_again_and_again_does_no_harm(
    pods: Pods, heard: EventConsumer
) -> None:
    """Each time it wakes it takes itself for the speaker still, and says what it has in its hands: then there
    are two for a moment.
    """
    routers = [await pods.router(ENV) for _ in range(2)]
    front = [await pods.gateway(ENV) for _ in range(2)]
    async with Talk([gateway.url for gateway in front], ROOMS, every_s=0.04) as talk:
        await talk.goes_on()
        until, rounds = time.monotonic() + SECONDS, 0
        while rounds < 2 or time.monotonic() < until:
            frozen, other = routers[rounds % 2], routers[1 - rounds % 2]
            frozen.pause()
            try:

                async def alone(other: Router = other) -> bool:
                    return await spoken(other) == SHARDS

                await eventually(alone, 30.0, every_s=0.05, what="the other one speaks for all")
                await talk.goes_on(timeout_s=30.0)
            finally:
                frozen.resume()
            await talk.goes_on(timeout_s=30.0)
            await asyncio.sleep(0.2)
            rounds += 1
        await talk.settled(40.0)
        await eventually(lambda: told_once(heard, talk), 20.0, what="an event for each message")
