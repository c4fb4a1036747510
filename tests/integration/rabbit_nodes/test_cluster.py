"""The private cluster that other tests stand on: it forms, it loses a node and gets it back."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit

import pika
import pika.exceptions
import pytest
from tests.support.eventually import eventually

from rabbit_nodes.cluster import RabbitCluster

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.xdist_group("cluster")]


def declare(url: str, name: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})


async def publish(url: str, name: str, body: bytes) -> None:
    """Publish until it is confirmed: a nack says "not known", as while the queue elects another leader."""

    def once() -> bool:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            with contextlib.suppress(pika.exceptions.NackError):
                channel.basic_publish("", name, body, mandatory=True)
                return True
        return False

    await eventually(lambda: asyncio.to_thread(once), 20.0, every_s=0.2)


def get(url: str, name: str) -> bytes | None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        body: bytes | None = connection.channel().basic_get(name, auto_ack=True)[2]
        return body


async def test_the_nodes_are_one_broker(cluster: RabbitCluster) -> None:
    """What is published on one node is there on another; each node has a port of its own."""
    assert len({urlsplit(url).port for url in cluster.urls}) == 3
    declare(cluster.urls[0], "one")
    await publish(cluster.urls[1], "one", b"x")
    assert get(cluster.urls[2], "one") == b"x"


@pytest.mark.parametrize("index", [0, 1])
async def test_a_killed_node_loses_nothing_and_comes_back(cluster: RabbitCluster, index: int) -> None:
    """With a node killed (the first one too) the other two take and give messages; started again it is one of
    them.
    """
    others = [url for number, url in enumerate(cluster.urls) if number != index]
    name = f"lost-{index}"
    declare(cluster.urls[index], name)
    cluster.kill(index)
    try:
        await publish(others[0], name, b"x")
    finally:
        cluster.start(index)
    assert cluster.together()
    assert get(cluster.urls[index], name) == b"x"
