"""An operator deletes a shard's log under a running installation: its rooms begin a new life, members are
told so, and messages flow again.
"""

from __future__ import annotations

import asyncio

import pika
import pytest
from tests.support.client import Client, connect
from tests.support.eventually import eventually
from tests.support.pods import Pods
from tests.support.rabbit import Rabbit

from warren.address import shard_of
from warren.topology import Topology

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.timeout(180)]

ENV = {"WARREN_GATEWAY_RATE": "0", "WARREN_AMQP_HEARTBEAT_S": "5"}
SENT = 50


def made_anew(rabbit: Rabbit, topology: Topology, shard: int) -> None:
    """Delete a shard's log, and declare it again as it was."""
    log = topology.log(shard)
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        channel = connection.channel()
        channel.queue_delete(log.name)
        channel.queue_declare(log.name, durable=True, arguments={"x-queue-type": "stream", **log.arguments})
        channel.queue_bind(log.name, topology.ingress, topology.shard_key(shard))


def told_of_a_break(client: Client, room: str) -> bool:
    """Whether a member of a room heard that its continuity is lost."""
    return [joined["payload"]["recovered"] for joined in client.of_type("JOINED", room=room)[1:]] == [False]


async def test_a_log_that_is_deleted_is_a_new_life_and_told(
    pods: Pods, rabbit: Rabbit, topology: Topology
) -> None:
    """Members of its rooms hear ``recovered: false`` once, those of other shards nothing; numbers begin again
    in another epoch, and nothing of what comes then is lost.
    """
    gateways, _ = await pods.installation(2, 2, ENV)
    lost = "lost"
    kept = next(f"kept{number}" for number in range(99) if shard_of(f"kept{number}", 4) != shard_of(lost, 4))
    async with (
        await connect(gateways[0].url, user="ann") as ann,
        await connect(gateways[1].url, user="bob") as bob,
    ):
        for room in (lost, kept):
            for client in (ann, bob):
                await client.join(room)
        before = {room: (await ann.publish(room, 0))["payload"] for room in (lost, kept)}
        await asyncio.to_thread(made_anew, rabbit, topology, shard_of(lost, 4))
        after = {room: (await ann.publish(room, 0))["payload"] for room in (lost, kept)}
        assert after[lost]["epoch"] != before[lost]["epoch"]
        assert after[kept] == {**before[kept], "seq": 2}
        await eventually(lambda: all(told_of_a_break(client, lost) for client in (ann, bob)), 20.0)
        acks = [(await ann.publish(lost, number))["payload"] for number in range(1, SENT + 1)]
        assert [ack["seq"] for ack in acks] == list(
            range(after[lost]["seq"] + 1, after[lost]["seq"] + SENT + 1)
        )
        wanted = list(range(1, SENT + 1))
        await eventually(
            lambda: [each["payload"] for each in bob.of_type("CHAT", room=lost)][-SENT:] == wanted, 20.0
        )
        await bob.settle()
        assert len(bob.of_type("JOINED", room=kept)) == 1
