"""The broker node that a gateway is connected to goes down while its clients wait for services: each of their
requests has one last word all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from aio_pika.abc import AbstractIncomingMessage
from tests.integration.test_rpc import ask, finals
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.pods import Pods
from tests.support.service import Service, echo

from rabbit_nodes.cluster import RabbitCluster
from warren.topology import Topology

pytestmark = [
    pytest.mark.rabbit,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("cluster"),
]

OPEN = 100
ENV = {
    "WARREN_GATEWAY_RATE": "0",
    "WARREN_GATEWAY_CALLS_PER_CONNECTION": str(OPEN),
    "WARREN_NAMESPACES": "services: [{pattern: '*', timeout_ms: 60000}]",
}


@pytest.fixture
def pods(cluster: RabbitCluster, tmp_path: Path) -> Iterator[Pods]:
    pods = Pods(cluster.urls[0], tmp_path.name, 4, tmp_path)
    yield pods
    pods.close()


async def test_what_was_asked_is_answered_once_though_the_gateways_node_is_lost(
    pods: Pods, cluster: RabbitCluster, tmp_path: Path
) -> None:
    """The queue for its answers is lost with it, and so are the answers there; the gateway asks again by
    another node.
    """
    hold = asyncio.Event()

    async def held(service: Service, asked: AbstractIncomingMessage) -> None:
        await hold.wait()
        await echo(service, asked)

    await pods.router(ENV)
    urls = ",".join([cluster.urls[2], *cluster.urls[:2]])
    gateway = await pods.gateway(ENV | {"WARREN_AMQP_URL": urls})
    topology = Topology(tmp_path.name, 4)
    queue = f"{topology.prefix}.test.calls"
    async with (
        Service(cluster.urls[0], topology, "s", held, queue=queue) as service,
        await connect(gateway.url, user="ann") as ann,
    ):
        for number in range(OPEN):
            await ask(ann, "s", f"r{number}", number)
        await service.has(OPEN)
        cluster.kill(2)
        await eventually(lambda: min(service.message_ids().values()) >= 2, timeout_s=40)
        hold.set()
        refs = {f"r{number}": 1 for number in range(OPEN)}
        await eventually(lambda: finals(ann) == refs, timeout_s=30)
        await ann.settle()
        assert finals(ann) == refs
        answers = {one["ref"]: one["payload"] for one in ann.of_type("RESPONSE")}
        assert answers == {f"r{number}": number for number in range(OPEN)}
