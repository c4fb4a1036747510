"""A log whose beginning the broker has dropped: a router that begins knows as much as one that has read all
of it, or says that something is lost.
"""

from __future__ import annotations

import json
from typing import Any

import pika
import pytest
from tests.support.client import Client, connect
from tests.support.eventually import eventually
from tests.support.pods import Pods, Router
from tests.support.rabbit import Rabbit

from warren.address import shard_of
from warren.topology import Topology

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.timeout(300)]

SHARDS = 4
MIB = 1024 * 1024
LOG_MIB = 4
ENV = {
    "WARREN_GATEWAY_RATE": "0",
    "WARREN_GATEWAY_ROOMS": "-",
    "WARREN_AMQP_HEARTBEAT_S": "30",
    "WARREN_BROKER_LOG_BYTES": str(LOG_MIB * MIB),
    "WARREN_ROUTER_HISTORY_BYTES": str(MIB),
    "WARREN_ROUTER_CHECKPOINT_BYTES": "262144",
}
QUIET = "quiet"
BUSY = next(
    f"busy{number}" for number in range(99) if shard_of(f"busy{number}", SHARDS) == shard_of(QUIET, SHARDS)
)
TEXT = "x" * 32 * 1024


def offset_at(rabbit: Rabbit, topology: Topology, end: str) -> int:
    """Return the offset of the ``first`` entry that the shard's log still has, or of one of its ``last``."""
    log = topology.log(shard_of(QUIET, SHARDS)).name
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for _, properties, _ in channel.consume(
            log, arguments={"x-stream-offset": end}, inactivity_timeout=10
        ):
            assert properties is not None
            return int(properties.headers["x-stream-offset"])
    raise AssertionError("the log is empty")


async def fill(client: Client, mib: int) -> None:
    """Say so much that the beginning of a log goes, each message acknowledged."""
    for _ in range(mib * MIB // len(TEXT)):
        await client.publish(BUSY, TEXT)


async def say_again(client: Client, room: str, payload: Any, ident: str) -> dict[str, Any]:
    """Publish under a given id; return what the ACK says."""
    await client.send("CHAT", room, payload, id=ident)
    ack = await client.expect("ACK", ref=ident, timeout_s=20.0)
    return dict(ack["payload"])


async def anew(router: Router) -> None:
    """Kill a router, and start it without anything that it knew."""
    router.kill()
    await router.ended()
    await router.start(timeout_s=40.0)


async def test_a_log_without_its_beginning_tells_as_much_as_a_whole_one(
    pods: Pods, rabbit: Rabbit, topology: Topology
) -> None:
    """All routers are killed; the one that begins has read neither the joins nor the first messages: members
    are there, numbers go on, and a repeat from the dropped part is known.
    """
    gateways, (router,) = await pods.installation(2, 1, ENV)
    async with (
        await connect(gateways[0].url, user="ann") as ann,
        await connect(gateways[1].url, user="bob") as bob,
    ):
        for client in (ann, bob):
            await client.join(QUIET)
        first = [await say_again(ann, QUIET, number, f"q{number}") for number in range(3)]
        began = offset_at(rabbit, topology, "first")
        await fill(ann, 2 * LOG_MIB)
        await eventually(lambda: offset_at(rabbit, topology, "first") > began + 100, 20.0, every_s=0.5)
        await anew(router)
        later = await say_again(ann, QUIET, 3, "q3")
        assert (later["epoch"], later["seq"]) == (first[-1]["epoch"], 4)
        assert [await say_again(ann, QUIET, number, f"q{number}") for number in range(3)] == first
        await eventually(
            lambda: [each["payload"] for each in bob.of_type("CHAT", room=QUIET)] == [0, 1, 2, 3], 20.0
        )
        await ann.settle()
        assert [len(client.of_type("JOINED", room=QUIET)) for client in (ann, bob)] == [1, 1]


async def test_a_log_without_a_checkpoint_begins_a_new_life(
    pods: Pods, rabbit: Rabbit, topology: Topology
) -> None:
    """While there is no router so much is said that the broker drops all that any had read: members are told
    so, and messages flow again.
    """
    gateways, (router,) = await pods.installation(2, 1, ENV)
    async with (
        await connect(gateways[0].url, user="ann") as ann,
        await connect(gateways[1].url, user="bob") as bob,
    ):
        for client in (ann, bob):
            await client.join(QUIET)
        before = await say_again(ann, QUIET, 0, "q0")
        router.kill()
        await router.ended()
        last = offset_at(rabbit, topology, "last")
        number = 0

        async def dropped() -> bool:
            nonlocal number
            for _ in range(32):
                number += 1
                await ann.send("CHAT", BUSY, TEXT, id=f"b{number}")
            return offset_at(rabbit, topology, "first") > last

        await eventually(dropped, 60.0, every_s=0.5, what="all that was read is dropped")
        await router.start(timeout_s=40.0)
        after = await say_again(ann, QUIET, 1, "q1")
        assert after["epoch"] != before["epoch"]

        def told(client: Client) -> bool:
            # What did not count goes again, and may be too much for the log once more: then another life follows.
            recovered = [each["payload"]["recovered"] for each in client.of_type("JOINED", room=QUIET)[1:]]
            return bool(recovered) and not any(recovered)

        await eventually(lambda: told(ann) and told(bob), 30.0, what="members told of the break")
        wanted = await say_again(ann, QUIET, "last", "q2")
        assert wanted["epoch"] != before["epoch"]
        await eventually(lambda: bob.of_type("CHAT", room=QUIET)[-1]["payload"] == "last", 20.0)
        assert "log_beginning_lost" in {
            json.loads(line).get("event") for line in router.log(10_000).splitlines()
        }
