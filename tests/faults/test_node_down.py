"""A broker node goes down and stays down: everything goes on without it, also where a gateway and a router
die together with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.support.eventually import MS, eventually
from tests.support.pods import Gateway, Pods
from tests.support.talk import Talk

from rabbit_nodes.cluster import RabbitCluster

pytestmark = [
    pytest.mark.rabbit,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("cluster"),
]

ROOMS = [f"room{number}" for number in range(6)]
ENV = {"WARREN_GATEWAY_RATE": "100000", "WARREN_GATEWAY_ROOMS": "-"}
LEASES_S = 6.0  # longer than any lease


@pytest.fixture
def pods(cluster: RabbitCluster, tmp_path: Path) -> Iterator[Pods]:
    pods = Pods(cluster.urls[0], tmp_path.name, 4, tmp_path)
    yield pods
    pods.close()


def first(cluster: RabbitCluster, index: int) -> dict[str, str]:
    """Return settings of a pod that begins with this node and knows them all."""
    urls = cluster.urls[index:] + cluster.urls[:index]
    return ENV | {"WARREN_AMQP_URL": ",".join(urls)}


async def lives_ended(gateways: Sequence[Gateway]) -> float:
    return sum([await gateway.metric("warren_gateway_lives_ended_total") for gateway in gateways])


async def is_steady(gateways: Sequence[Gateway], talk: Talk) -> None:
    """For longer than any lease messages are acknowledged and delivered, and no gateway is taken for dead."""
    before = await lives_ended(gateways)
    loop = asyncio.get_running_loop()
    until = loop.time() + LEASES_S * 1_000 * MS
    while loop.time() < until:
        await talk.goes_on(10)
    assert await lives_ended(gateways) == before


async def test_all_goes_on_while_a_node_stays_down(pods: Pods, cluster: RabbitCluster) -> None:
    """A gateway and a router that were on it find another node; nothing that they left there holds anybody
    up.
    """
    routers = [await pods.router(first(cluster, index)) for index in (0, 2)]
    gateways = [await pods.gateway(first(cluster, index)) for index in (0, 2)]
    async with Talk([gateway.url for gateway in gateways], ROOMS, every_s=0.1) as talk:
        await talk.goes_on()
        cluster.kill(2)
        await talk.goes_on(timeout_s=30.0)
        await is_steady(gateways, talk)
        await talk.settled()
    assert all(pod.running for pod in (*gateways, *routers))


async def test_a_node_takes_a_gateway_and_a_router_with_it(pods: Pods, cluster: RabbitCluster) -> None:
    """As when a machine is lost that all three were on: their own queues may stay in the broker, but nobody
    waits for them.
    """
    _, doomed = [await pods.router(first(cluster, index)) for index in (0, 2)]
    gateways = [await pods.gateway(first(cluster, index)) for index in (0, 1)]
    lost = await pods.gateway(first(cluster, 2))
    async with Talk([gateway.url for gateway in gateways], ROOMS, every_s=0.1) as talk:
        await talk.goes_on()
        lost.kill()
        doomed.kill()
        cluster.kill(2)
        await talk.goes_on(timeout_s=40.0)
        await eventually(lambda: "door_closed" in "".join(pod.log(10_000) for pod in pods.all), 20.0)
        await is_steady(gateways, talk)
        await talk.settled()


async def test_a_gateway_taken_for_dead_is_reached_again(pods: Pods, cluster: RabbitCluster) -> None:
    """Frozen for longer than its lease its guard exchange is deleted; thawed, it is given all that it missed."""
    await pods.router(first(cluster, 0))
    gateways = [await pods.gateway(first(cluster, index)) for index in (0, 1)]
    async with Talk([gateway.url for gateway in gateways], ROOMS, every_s=0.1) as talk:
        await talk.goes_on()
        gateways[0].pause()
        try:
            await eventually(lambda: "door_closed" in "".join(pod.log(10_000) for pod in pods.all), 20.0)
        finally:
            gateways[0].resume()
        await talk.goes_on(timeout_s=30.0)
        await talk.settled(30.0)
