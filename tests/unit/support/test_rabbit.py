"""The broker of the tests: one node, fresh names, nothing left."""

from __future__ import annotations

import asyncio

import pika
import pytest
from tests.support.rabbit import Rabbit

from warren.topology import Topology


def queue_names(rabbit: Rabbit) -> set[str]:
    return set(rabbit.ctl("list_queues", "name").split())


@pytest.mark.rabbit
def test_a_fresh_virtual_host_is_usable_and_empty(rabbit: Rabbit) -> None:
    """A fresh virtual host takes declarations, and what is declared there is not seen in the default one."""
    with pika.BlockingConnection(pika.URLParameters(rabbit.vhost())) as connection:
        connection.channel().queue_declare("only-here", durable=True)
    assert "only-here" not in queue_names(rabbit)


@pytest.mark.rabbit
def test_removing_a_topology_removes_its_queues(rabbit: Rabbit, topology: Topology) -> None:
    """What was declared under a prefix is gone after remove, and removing it twice is no error."""
    name = topology.log(0).name
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        connection.channel().queue_declare(name, durable=True)
    assert name in queue_names(rabbit)
    rabbit.remove(topology)
    rabbit.remove(topology)
    assert name not in queue_names(rabbit)


@pytest.mark.rabbit
async def test_a_frozen_node_answers_again_after_resume(rabbit: Rabbit) -> None:
    """A paused node keeps its port but says nothing; a resumed one answers."""
    rabbit.pause()
    try:
        _, writer = await asyncio.open_connection(rabbit.host, rabbit.port)
        writer.close()
        assert rabbit.node.running
    finally:
        rabbit.resume()
    assert await asyncio.to_thread(rabbit.node.answers)
