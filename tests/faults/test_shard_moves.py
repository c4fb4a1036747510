"""Routers come and go in order while everyone talks, and gateways die: nothing is lost, and backends are told who has left."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from tests.support.client import connect
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


class Backend:
    """Binds ``#`` on the events' exchange and keeps what comes, each event once, by its id."""

    def __init__(self, rabbit: Rabbit, topology: Topology) -> None:
        self.connection = pika.BlockingConnection(pika.URLParameters(rabbit.url))
        self.channel = self.connection.channel()
        self.queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.queue_bind(self.queue, topology.events, "#")
        self.events: dict[str, tuple[str, dict[str, Any]]] = {}

    def of(self, key: str) -> list[dict[str, Any]]:
        """Return the events under a routing key so far."""
        while (got := self.channel.basic_get(self.queue, auto_ack=True))[0] is not None:
            self.events.setdefault(got[1].message_id, (got[0].routing_key, json.loads(got[2])))
        return [event for each, event in self.events.values() if each == key]


@pytest.fixture
def backend(rabbit: Rabbit, topology: Topology) -> Iterator[list[Backend]]:
    """A list that takes backends to be closed."""
    made: list[Backend] = []
    yield made
    for each in made:
        each.connection.close()


async def test_routers_that_come_and_go_in_order_lose_nothing(pods: Pods) -> None:
    """One joins, another joins, the first leaves, the second leaves: the shards follow, and no member sees a gap, a repeat or a break."""
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


async def test_members_of_a_killed_gateway_leave_with_events(
    pods: Pods, rabbit: Rabbit, topology: Topology, backend: list[Backend]
) -> None:
    """Within ten seconds, each once, with the connection's generation; those of the other gateway stay."""
    routers = [await pods.router(ENV) for _ in range(2)]
    await shared(*routers)
    front = await gateways(pods)
    heard = Backend(rabbit, topology)
    backend.append(heard)
    doomed = [await connect(front[0].url, user=f"doomed{number}") for number in range(3)]
    async with await connect(front[1].url, user="ann") as ann:
        for client in (*doomed, ann):
            await client.join("lobby")
        await eventually(lambda: len(heard.of("room.joined")) >= 4)
        await eventually(lambda: len(heard.of("client.connected")) >= 4)
        front[0].kill()
        began = time.monotonic()
        await eventually(lambda: len(heard.of("client.disconnected")) >= 3, 10.0)
        await eventually(lambda: len(heard.of("room.left")) >= 3, 10.0)
        assert time.monotonic() - began < 10.0
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
