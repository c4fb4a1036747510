"""The broker has a memory alarm, or no router reads what is sent: clients are told, and what they send fills
no memory of ours: it is refused with an error that says to come again, or waits in their sockets.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from tests.support.client import Client, connect
from tests.support.eventually import MS, eventually
from tests.support.pods import Gateway, Pod, Pods
from tests.support.rabbit import Rabbit
from tests.support.recorder import Recorder

pytestmark = [pytest.mark.rabbit, pytest.mark.slow]

KILOBYTES = 4
TEXT = "x" * (KILOBYTES * 1_024)
MOST = 20_000
ENV = {
    "WARREN_GATEWAY_RATE": "0",
    "WARREN_GATEWAY_MESSAGE_BYTES": "65536",
    "WARREN_GATEWAY_UPLINK_BYTES": "2097152",
    # All that was held back comes at once in the end, and the member shares its process with the sender: it
    # has room for all of it.
    "WARREN_GATEWAY_OUTBOX_COUNT": str(2 * MOST),
    "WARREN_GATEWAY_OUTBOX_BYTES": str(2 * MOST * KILOBYTES * 1_024),
    "WARREN_GATEWAY_BUFFER_BYTES": str(8 * MOST * KILOBYTES * 1_024),
    "WARREN_GATEWAY_PUBLISH_TIMEOUT_MS": "60000",
}
SHORT_LEASE = {
    "WARREN_GATEWAY_ANNOUNCE_MS": "200",
    "WARREN_ROUTER_LEASE_MS": "1700",
}


@pytest.fixture
def watermark(rabbit: Rabbit) -> Iterator[Rabbit]:
    """The broker; whatever the test sets, its memory limit is as before afterwards."""
    yield rabbit
    rabbit.node.ctl("set_vm_memory_high_watermark", "0.4")


async def flood(client: Client, room: str, limit: int) -> int:
    """Send until the socket takes no more for a second, at most ``limit`` messages; return how many went."""
    for number in range(1, limit + 1):
        try:
            async with asyncio.timeout(1_000 * MS):
                await client.send("CHAT", room, {"n": number, "text": TEXT}, id=f"m{number}")
        except TimeoutError:
            return number  # this one is in the socket's own buffer
    raise AssertionError(f"{limit} messages were taken, and nobody held the client back")


async def until_refused(client: Client, room: str) -> int:
    """Send until something is refused; return how many went."""
    for number in range(1, MOST + 1):
        await client.send("CHAT", room, {"n": number, "text": TEXT}, id=f"m{number}")
        if client.of_type("ERROR"):
            await client.settle()
            return number
        await asyncio.sleep(0)
    raise AssertionError(f"{MOST} messages were taken, and none was refused")


async def rss_mib(gateway: Gateway) -> float:
    """Return the memory of a gateway's process."""
    _, text = await gateway.get("/websocket-stats")
    return json.loads(text)["memory"]["rss"] / 2**20


async def blocked(pod: Pod) -> bool:
    return await pod.metric(f"warren_{pod.module}_bus_blocked") == 1


async def unready(pod: Pod) -> bool:
    """Say whether a pod is not ready because of the alarm."""
    status, text = await pod.get("/readyz")
    return status == 503 and "memory or disk alarm" in text


@pytest.mark.parametrize("lease", [{}, SHORT_LEASE], ids=["", "longer than a lease"])
async def test_what_waits_during_a_memory_alarm_is_bounded(
    pods: Pods, watermark: Rabbit, lease: dict[str, str]
):
    """Everyone is told DEGRADED, who connects meanwhile too, and no pod is ready. What finds no place is
    refused with an error that says to come again, the gateway's memory stays where it was and others are
    served. After the alarm all are told RESTORED, and all that was taken arrives, once and in order, and is
    acknowledged, also where it lasts longer than a gateway's lease.
    """
    (first, second), (router,) = await pods.installation(2, 1, ENV | lease)
    recorder = Recorder()
    async with (
        await connect(first.url, user="ann") as ann,
        await connect(first.url, user="carl") as carl,
        await connect(second.url, user="bob", listener=recorder) as bob,
    ):
        await bob.join("r")
        await ann.publish("r", {"n": 0})
        await bob.expect("CHAT", payload__n=0)
        before = await rss_mib(first)
        await asyncio.to_thread(watermark.node.ctl, "set_vm_memory_high_watermark", "0.0001")
        offered = await until_refused(ann, "r")
        refused = ann.of_type("ERROR")
        assert {error["payload"]["retry"] for error in refused} == {True}
        sent = offered - len(refused)
        assert {error["ref"] for error in refused} == {
            f"m{number}" for number in range(sent + 1, offered + 1)
        }
        assert sent * KILOBYTES > 500  # it was the bound, not the first message
        # Also those of the gateway that nobody sends to: a broker tells a connection of an alarm when that one
        # publishes, and so does this gateway's sign of life.
        for client in (ann, bob, carl):
            await client.expect("DEGRADED", timeout_s=20.0)
        await carl.settle()
        for pod in (first, router):
            assert (await pod.get("/healthz"))[0] == 200
            await eventually(lambda pod=pod: unready(pod), 20.0, what="a pod that says why it is not ready")
            await eventually(
                lambda pod=pod: blocked(pod), 20.0, what="a pod whose metric says that it is held back"
            )
        assert json.loads((await first.get("/websocket-stats"))[1])["bus"] == "blocked"
        async with await connect(first.url, user="dora") as dora:
            await dora.expect("DEGRADED")
        assert await rss_mib(first) - before < 64
        await asyncio.to_thread(watermark.node.ctl, "set_vm_memory_high_watermark", "0.4")
        await eventually(lambda: len(ann.of_type("ACK")) == sent + 1, 60.0)
        await eventually(lambda: recorder.delivered("r") == sent + 1, 60.0)
        recorder.check("r")
        assert len(ann.of_type("ERROR")) == len(refused)
        for client in (ann, bob, carl):
            await client.expect("RESTORED", timeout_s=20.0)
        for pod in (first, second, router):
            await pod.ready()
        assert "holds publishing back" in first.log(10_000)


async def test_senders_sockets_are_held_where_no_router_answers(pods: Pods):
    """Without a router all is confirmed and nothing is answered; what waits for that is bounded, and arrives
    once a router comes.
    """
    (first,), (router,) = await pods.installation(1, 1, ENV)
    recorder = Recorder()
    async with (
        await connect(first.url, user="ann") as ann,
        await connect(first.url, user="bob", listener=recorder) as bob,
    ):
        await bob.join("r")
        await ann.publish("r", {"n": 0})
        await router.terminate()
        before = await rss_mib(first)
        sent = await flood(ann, "r", MOST)
        assert sent * KILOBYTES > 500
        assert await rss_mib(first) - before < 64
        await bob.settle()
        assert not ann.of_type("ERROR")
        await router.start()
        await eventually(lambda: len(ann.of_type("ACK")) == sent + 1, 60.0)
        await eventually(lambda: recorder.delivered("r") == sent + 1, 60.0)
        recorder.check("r")
