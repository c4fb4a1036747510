"""What is bad in itself: a notification that ends whatever router handles it is set aside after its second
try, and what is no entry of a log is passed over by all its readers. What stands around it arrives once and
in order.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pika
import pytest
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.pods import ROOT, Pod, Pods
from tests.support.rabbit import Rabbit

from warren import envelope as wire
from warren.topology import Topology

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.timeout(240)]

ENV = {
    "WARREN_GATEWAY_RATE": "0",
    "WARREN_AMQP_HEARTBEAT_S": "2",
    "PYTHONPATH": str(ROOT),
}


def notify(rabbit: Rabbit, topology: Topology, bodies: Sequence[str]) -> None:
    """Publish notifications to one room, in order and confirmed."""
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body in bodies:
            # With an id, by which what a dead router had handed on already counts once.
            properties = pika.BasicProperties(message_id=body.replace(" ", "-"))
            channel.basic_publish(
                topology.notify, "room.r", json.dumps(body).encode(), properties, mandatory=True
            )


def write(rabbit: Rabbit, topology: Topology, bodies: Sequence[bytes]) -> None:
    """Write each of these into every shard's log, confirmed."""
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for shard in range(topology.shards):
            for body in bodies:
                channel.basic_publish(topology.ingress, topology.shard_key(shard), body, mandatory=True)


def set_aside(rabbit: Rabbit, queue: str) -> list[tuple[bytes, str]]:
    """Return what is in a dead-letter queue, with its reasons, and leave it there."""
    found = []
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        channel = connection.channel()
        while True:
            method, properties, body = channel.basic_get(queue)
            if method is None:
                return found
            found.append((body, str((properties.headers or {}).get("x-warren-reason"))))


def kept(rabbit: Rabbit, queue: str) -> int:
    """Return how many are in a dead-letter queue."""
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        return int(connection.channel().queue_declare(queue, passive=True).method.message_count)


@asynccontextmanager
async def restarted(pods: Sequence[Pod]) -> AsyncIterator[list[str]]:
    """Start each pod anew whenever it ends by itself, as Kubernetes does; yield the names of
    those that did.
    """
    ends: list[str] = []

    async def look() -> None:
        while True:
            for pod in pods:
                if not pod.running:
                    ends.append(pod.name)
                    pod.launch()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(look())
    try:
        yield ends
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("way", ["exit", "freeze"])
async def test_a_notification_that_ends_routers(
    pods: Pods, rabbit: Rabbit, topology: Topology, way: str
) -> None:
    """Each piece of poison ends one router at most; all else comes once and in order."""
    routers = [await pods.router(ENV | {"WARREN_TEST_POISON": way}, start=False) for _ in range(3)]
    for router in routers:
        router.module = "tests.faults.poisoned_router"
    await asyncio.gather(*(router.start() for router in routers))
    gateway = await pods.gateway(ENV)
    said = [f"poison {number}" if number in (10, 30) else f"n{number}" for number in range(50)]
    async with await connect(gateway.url, user="bob") as bob, restarted(routers) as ends:
        await bob.join("r")
        await asyncio.to_thread(notify, rabbit, topology, said)
        wanted = [text for text in said if "poison" not in text]
        await eventually(lambda: len(bob.of_type("NOTIFICATION")) == len(wanted), 60.0)
        assert [frame["payload"] for frame in bob.of_type("NOTIFICATION")] == wanted
        await eventually(lambda: kept(rabbit, topology.notify_dead) >= 2, 20.0, every_s=0.5)
        assert len(ends) <= 2
    reason = "poison: it takes longer than 5 s" if way == "freeze" else "poison: it ends the process"
    found = set_aside(rabbit, topology.notify_dead)
    # A router that dies right after it has set something aside may have told nobody: then it is there twice.
    assert {(json.loads(body), why) for body, why in found} == {("poison 10", reason), ("poison 30", reason)}


async def test_what_is_no_entry_is_passed_over_by_all_readers(
    pods: Pods, rabbit: Rabbit, topology: Topology
) -> None:
    """It counts for nobody: not for those who read it as it comes, nor for those who read the log from its
    beginning, and numbers go on.
    """
    (gateway,), routers = await pods.installation(1, 2, ENV)
    strange = wire.Batch("stranger", 7, 3, 1)
    said = wire.Publish("r", "CHAT", b'"poison"', id="p", conn="stranger~1", user="eve", at_us=1)
    bodies = [
        b"no envelope at all",
        wire.encode([said]),  # without a head
        wire.encode([strange, said]),  # of a life that never began
        wire.encode([strange, msgspec.structs.replace(said, conn="somebody~else")]),
        wire.encode([wire.Notified("stranger", 1), said]),
        wire.encode([wire.Leaving("stranger")]),
    ]
    async with await connect(gateway.url, user="bob") as bob:
        await bob.join("r")
        first = (await bob.publish("r", "before"))["payload"]
        await asyncio.to_thread(write, rabbit, topology, bodies)
        second = (await bob.publish("r", "between"))["payload"]
        for router in routers:
            router.kill()
        await asyncio.gather(*(router.start() for router in routers))
        third = (await bob.publish("r", "after"))["payload"]
        assert second == {**first, "seq": first["seq"] + 1}
        assert third == {**first, "seq": first["seq"] + 2}
        await bob.settle()
        assert [frame["payload"] for frame in bob.of_type("CHAT")] == []
        assert bob.of_type("ERROR") == []
    assert all(pod.running for pod in pods.all)


async def test_two_routers_that_are_killed_condemn_nobody(
    pods: Pods, rabbit: Rabbit, topology: Topology
) -> None:
    """Notifications that were in the hands of two routers when they died arrive once and in order."""
    slow = ENV | {"WARREN_TEST_PUBLISH_MS": "3000"}
    routers = [await pods.router(slow, start=False) for _ in range(2)]
    for router in routers:
        router.module = "tests.faults.poisoned_router"
    last = await pods.router(ENV, start=False)
    said = [f"n{number}" for number in range(200)]
    await routers[0].start()
    gateway = await pods.gateway(ENV)
    async with await connect(gateway.url, user="bob") as bob:
        await bob.join("r")
        await asyncio.to_thread(notify, rabbit, topology, said)
        for router, follower in ((routers[0], routers[1]), (routers[1], last)):
            await eventually(lambda r=router: waiting(r), 20.0)
            router.kill()
            await follower.start()
        await eventually(lambda: len(bob.of_type("NOTIFICATION")) == len(said), 60.0)
        assert [frame["payload"] for frame in bob.of_type("NOTIFICATION")] == said
    assert set_aside(rabbit, topology.notify_dead) == []


async def waiting(router: Pod) -> bool:
    """Say whether a router has notifications in its hands."""
    return await router.metric("warren_router_waiting", buffer="intake") > 0
