"""A gateway dies, and in the same second the router that was to declare it gone: backends are told of every
end once, by id.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.client import Client, connect
from tests.support.event_consumer import EventConsumer
from tests.support.eventually import eventually
from tests.support.pods import Gateway, Pods, Router
from tests.support.rabbit import Rabbit

from warren.address import shard_of
from warren.topology import Topology

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.timeout(300)]

SHARDS = 4
ENV = {"WARREN_GATEWAY_RATE": "0", "WARREN_GATEWAY_ROOMS": "-", "WARREN_AMQP_HEARTBEAT_S": "5"}
CLIENTS = 6
ROUNDS = 3


def one_room_each() -> list[str]:
    """Return a room of every shard."""
    rooms: dict[int, str] = {}
    for number in range(99):
        rooms.setdefault(shard_of(f"hall{number}", SHARDS), f"hall{number}")
    return [rooms[shard] for shard in range(SHARDS)]


ROOMS = one_room_each()


@pytest.fixture
def heard(rabbit: Rabbit, topology: Topology) -> Iterator[EventConsumer]:
    """What backends are told."""
    with EventConsumer(rabbit, topology) as consumer:
        yield consumer


async def busiest(routers: list[Router]) -> Router:
    """Return the router that speaks for the most shards, once each shard is spoken for by one."""

    async def settled() -> Router | None:
        counts = {router: await router.metric("warren_router_shards_active") for router in routers}
        return max(counts, key=lambda router: counts[router]) if sum(counts.values()) == SHARDS else None

    found = await eventually(settled, 30.0, every_s=0.1, what="every shard with its speaker")
    assert found is not None
    return found


async def guests(gateway: Gateway, names: str) -> list[Client]:
    """Connect some clients, each in a room of every shard."""
    clients = [await connect(gateway.url, user=f"{names}{number}") for number in range(CLIENTS)]
    for client in clients:
        for room in ROOMS:
            await client.join(room)
    return clients


@pytest.mark.parametrize("count", [2, 3])
async def test_every_end_is_told_once(pods: Pods, heard: EventConsumer, count: int) -> None:
    """Round after round, now the gateway first and now the router: each member of each room, and each
    connection, whatever had been sent of it when the speaker died.
    """
    routers = [await pods.router(ENV) for _ in range(count)]
    doomed, publisher = await pods.gateway(ENV), await pods.gateway(ENV)
    ended: list[Client] = []
    async with await connect(publisher.url, user="ann") as ann:
        for room in ROOMS:
            await ann.join(room)
        for number in range(ROUNDS):
            speaker = await busiest(routers)
            clients = await guests(doomed, f"guest{number}-")
            victims = [doomed, speaker] if number % 2 else [speaker, doomed]
            for victim in victims:
                victim.kill()
            ended.extend(clients)
            for room in ROOMS:
                await ann.publish(room, number)
            await eventually(
                lambda: told_of(heard, ended), 30.0, what="the end of every member and every connection"
            )
            for pod in (doomed, speaker):
                await pod.ended()
                await pod.start()
    for kind in ("client.connected", "client.disconnected", "room.joined", "room.left"):
        assert set(heard.told(kind).values()) == {1}, kind
    for client in ended:
        await client.close()


def told_of(heard: EventConsumer, ended: list[Client]) -> bool:
    """Say whether everything that has ended is told, with the reason."""
    gone = [event for event in heard.of("room.left") if event["reason"] == "gone"]
    assert {(event["room"], event["connection"]) for event in gone} == {
        (room, client.id) for room in ROOMS for client in ended
    }
    offline = [event for event in heard.of("client.disconnected") if event["reason"] == "gone"]
    assert {event["connection"] for event in offline} == {client.id for client in ended}
    return True
