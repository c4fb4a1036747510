"""Routers come and go in order while everyone talks, and gateways die: nothing is lost, and backends are told
who has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.support.client import connect
from tests.support.event_consumer import EventConsumer
from tests.support.eventually import eventually
from tests.support.pods import Gateway, Pods, Router
from tests.support.rabbit import Rabbit
from tests.support.talk import Talk

from warren.topology import Topology

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.timeout(180)]

ROOMS = [f"room{number}" for number in range(6)]
ENV = {"WARREN_GATEWAY_RATE": "100000", "WARREN_GATEWAY_ROOMS": "-", "WARREN_AMQP_HEARTBEAT_S": "2"}


async def shared(*routers: Router) -> None:
    """Wait until the routers share the shards, and each shard has one that speaks for it."""

    async def settled() -> bool:
        counts = [await router.metric("warren_router_shards_active") for router in routers]
        return sum(counts) == 4 and max(counts) <= -(-4 // len(routers))

    await eventually(settled, 30.0, every_s=0.1, what="every shard with its speaker")


async def gateways(pods: Pods) -> list[Gateway]:
    return [await pods.gateway(ENV) for _ in range(2)]


@pytest.fixture
def heard(rabbit: Rabbit, topology: Topology) -> Iterator[EventConsumer]:
    """What backends are told."""
    with EventConsumer(rabbit, topology) as consumer:
        yield consumer


async def test_routers_that_come_and_go_in_order_lose_nothing(pods: Pods) -> None:
    """One joins, another joins, the first leaves, the second leaves: the shards follow, and no member sees a
    gap, a repeat or a break.
    """
    first = await pods.router(ENV)
    await shared(first)
    front = await gateways(pods)
    async with Talk([gateway.url for gateway in front], ROOMS, every_s=0.02) as talk:
        second = await pods.router(ENV)
        await shared(first, second)
        await talk.goes_on()
        third = await pods.router(ENV)
        await shared(first, second, third)
        await talk.goes_on()
        assert await first.terminate() == 0
        await shared(second, third)
        await talk.goes_on()
        assert await second.terminate() == 0
        await shared(third)
        await talk.goes_on()
        await talk.settled()


async def test_all_routers_gone_and_back_again_lose_nothing(pods: Pods) -> None:
    """While there is none the messages wait at the broker; the next one finds everything in the log."""
    routers = [await pods.router(ENV) for _ in range(2)]
    await shared(*routers)
    front = await gateways(pods)
    async with Talk([gateway.url for gateway in front], ROOMS) as talk:
        await talk.goes_on()
        for router in routers:
            router.kill()
        await asyncio.sleep(1.0)
        for router in routers:
            await router.ended()
            await router.start()
        await shared(*routers)
        await talk.goes_on(timeout_s=40.0)
        await talk.settled(40.0)


async def test_members_of_a_killed_gateway_leave_with_events(pods: Pods, heard: EventConsumer) -> None:
    """Within ten seconds, each once, with the connection's generation; those of the other gateway stay."""
    routers = [await pods.router(ENV) for _ in range(2)]
    await shared(*routers)
    front = await gateways(pods)
    doomed = [await connect(front[0].url, user=f"doomed{number}") for number in range(3)]
    async with await connect(front[1].url, user="ann") as ann:
        for client in (*doomed, ann):
            await client.join("lobby")
        await eventually(lambda: len(heard.of("room.joined")) >= 4)
        await eventually(lambda: len(heard.of("client.connected")) >= 4)
        front[0].kill()
        await eventually(
            lambda: min(len(heard.of("client.disconnected")), len(heard.of("room.left"))) >= 3, 10.0
        )
        await ann.publish("lobby", 1)
    await eventually(lambda: len(heard.of("room.left")) >= 4)
    await eventually(lambda: len(heard.of("client.disconnected")) >= 4)
    for key, reason in (("client.disconnected", "gone"), ("room.left", "gone")):
        gone = [event for event in heard.of(key) if event["reason"] == reason]
        assert sorted(event["connection"] for event in gone) == sorted(client.id for client in doomed)
        assert {event["user"] for event in gone} == {client.user for client in doomed}
        assert all(event["generation"] == int(event["connection"].partition("~")[2], 16) for event in gone)
        left = [event for event in heard.of(key) if event["reason"] == "left"]
        assert [event["connection"] for event in left] == [ann.id]
    for client in doomed:
        await client.close()
