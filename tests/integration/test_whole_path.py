"""The main job with everything real: gateways and routers as processes, RabbitMQ, stock clients, stock AMQP
publishers.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pika
import pytest
import pytest_asyncio
from tests.support.client import MSGPACK, Client, connect
from tests.support.eventually import eventually
from tests.support.otlp import OtlpReceiver
from tests.support.pods import ROOT, Gateway, Pods
from tests.support.rabbit import Rabbit
from tests.support.recorder import Recorder

from warren.envelope import Ack, Deliver, Feed, decode
from warren.topology import Topology

pytestmark = pytest.mark.rabbit

FREE = {"WARREN_GATEWAY_RATE": "0"}  # no limit: one client sends what many would


@pytest_asyncio.fixture
async def gateways(pods: Pods) -> AsyncIterator[list[Gateway]]:
    """Two gateways, with two routers behind them."""
    front, _ = await pods.installation(2, 2, FREE)
    yield front


class Publisher:
    """A backend: plain pika."""

    def __init__(self, url: str, topology: Topology) -> None:
        self._exchange = topology.notify
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def publish(self, key: str, body: bytes, **properties: object) -> None:
        self._channel.basic_publish(
            self._exchange, key, body, pika.BasicProperties(**properties), mandatory=True
        )

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def backend(rabbit: Rabbit, topology: Topology, gateways: list[Gateway]) -> Iterator[Publisher]:
    """A backend, connected once the topology is there."""
    publisher = Publisher(rabbit.url, topology)
    yield publisher
    publisher.close()


async def test_a_message_crosses_gateways(gateways: list[Gateway]):
    """What one says on a gateway reaches the member on the other, numbered and acknowledged, and not the
    sender.
    """
    async with (
        await connect(gateways[0].url, user="ann") as ann,
        await connect(gateways[1].url, user="bob") as bob,
    ):
        await ann.join("chat:lobby")
        await bob.join("chat:lobby")

        ack = await ann.publish("chat:lobby", {"text": "hello", "n": 1.50})
        heard = await bob.expect("CHAT", room="chat:lobby")
        await ann.settle()

        assert heard["payload"] == {"text": "hello", "n": 1.5}
        assert heard["sender"] == "ann"
        assert (
            (heard["seq"], heard["epoch"])
            == (ack["payload"]["seq"], ack["payload"]["epoch"])
            == (1, heard["epoch"])
        )
        assert ann.of_type("CHAT") == []


async def test_the_sender_gets_its_own_where_it_asks(gateways: list[Gateway]):
    """include_sender brings the sender its own copy."""
    async with await connect(gateways[0].url, user="ann") as ann:
        await ann.join("r")

        await ann.publish("r", "x", include_sender=True)

        assert (await ann.expect("CHAT", room="r"))["payload"] == "x"


async def test_typing_is_not_numbered_and_own_types_pass(gateways: list[Gateway]):
    """TYPING has no seq; a type that the application invents is numbered like CHAT."""
    async with await connect(gateways[0].url, user="ann") as ann, await connect(gateways[1].url) as bob:
        await bob.join("r")
        await ann.send("TYPING", "r")
        await ann.send("cursor.moved", "r", {"x": 1})

        assert "seq" not in await bob.expect("TYPING", room="r", sender="ann")
        assert (await bob.expect("cursor.moved", room="r"))["seq"] == 1


async def test_a_repeat_is_counted_once(gateways: list[Gateway]):
    """The same id again, from another connection of the user on another gateway, is acknowledged with the
    first seq and delivered once.
    """
    async with (
        await connect(gateways[0].url, user="ann") as first,
        await connect(gateways[1].url, user="ann") as again,
        await connect(gateways[1].url, user="bob") as bob,
    ):
        await bob.join("r")
        await first.send("CHAT", "r", 1, id="m1")
        one = await first.expect("ACK", ref="m1")
        await again.send("CHAT", "r", 1, id="m1")
        two = await again.expect("ACK", ref="m1")
        await again.publish("r", 2)
        await bob.expect("CHAT", payload=2)

        assert one["payload"] == two["payload"]
        assert [message["payload"] for message in bob.of_type("CHAT", room="r")] == [1, 2]


async def test_binary_payloads_cross_protocols(gateways: list[Gateway]):
    """Bytes from a MessagePack client reach a MessagePack client as they are, and a JSON client as base64;
    and back.
    """
    blob = bytes(range(256)) * 8
    async with (
        await connect(gateways[0].url, subprotocol=MSGPACK, deflate=True) as packed,
        await connect(gateways[1].url, subprotocol=MSGPACK) as packed_too,
        await connect(gateways[1].url, deflate=True) as plain,
    ):
        for client in (packed, packed_too, plain):
            await client.join("bin")
        await packed.publish("bin", blob)

        assert (await packed_too.expect("CHAT", room="bin"))["payload"] == blob
        heard = await plain.expect("CHAT", room="bin")
        assert (heard["encoding"], base64.b64decode(heard["payload"])) == ("base64", blob)

        await plain.publish("bin", base64.b64encode(blob[:100]).decode(), encoding="base64")
        assert (await packed.expect("CHAT", room="bin"))["payload"] == blob[:100]


async def test_a_gateway_without_members_gets_no_message(
    gateways: list[Gateway], rabbit: Rabbit, topology: Topology
):
    """Counted at the broker: what is published to the gateway without members holds no message of
    the room.
    """
    async with (
        await connect(gateways[0].url, user="ann") as ann,
        await connect(gateways[1].url, user="bob") as bob,
    ):
        with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
            channel = connection.channel()
            copies = {}
            for client in (ann, bob):
                gateway = client.id.partition("~")[0]
                copies[gateway] = channel.queue_declare("", exclusive=True).method.queue
                channel.queue_bind(copies[gateway], topology.egress, gateway)
            with_members, without = copies
            await ann.join("quiet")
            for number in range(20):
                await ann.publish("quiet", number, include_sender=True)

            def items(gateway: str) -> list[object]:
                found: list[object] = []
                while (got := channel.basic_get(copies[gateway], auto_ack=True))[0] is not None:
                    feeds = [each for each in decode(got[2]) if isinstance(each, Feed)]
                    found += [item for feed in feeds for _, _, item in feed.items]
                return found

            here, there = items(with_members), items(without)
            assert [one.seq for one in here if isinstance(one, Deliver)] == list(range(1, 21))
            assert [one for one in there if isinstance(one, Deliver | Ack)] == []


async def test_notifications_reach_room_user_connection_and_all(gateways: list[Gateway], backend: Publisher):
    """A stock AMQP client reaches the members of a room, all connections of a user, one connection, and
    everyone.
    """
    async with (
        await connect(gateways[0].url, user="ann") as ann,
        await connect(gateways[1].url, user="ann") as ann_too,
        await connect(gateways[1].url, user="bob") as bob,
    ):
        await bob.join("news")
        for client in (ann, ann_too, bob):
            await client.expect("JOINED", room=f"@{client.user}")

        backend.publish("room.news", b'{"for": "room"}')
        backend.publish("user.ann", b'{"for": "user"}', type="DATA_UPDATE")
        backend.publish(f"conn.{ann_too.id}", b'{"for": "conn"}', type="own.type")
        backend.publish("all", b'{"for": "all"}')
        for client in (ann, ann_too, bob):
            await client.expect("NOTIFICATION", room="*")

        def heard(client: Client) -> list[tuple[str, str]]:
            return sorted(
                (one["payload"]["for"], one["type"])
                for one in client.received
                if "for" in (one.get("payload") or {})
            )

        # each room has a shard of its own: one may be later than the other
        await eventually(lambda: [len(heard(one)) for one in (ann, ann_too, bob)] == [2, 3, 2])
        assert heard(ann) == [("all", "NOTIFICATION"), ("user", "DATA_UPDATE")]
        assert heard(ann_too) == [("all", "NOTIFICATION"), ("conn", "own.type"), ("user", "DATA_UPDATE")]
        assert heard(bob) == [("all", "NOTIFICATION"), ("room", "NOTIFICATION")]


async def test_a_notification_is_counted_once_by_its_message_id(gateways: list[Gateway], backend: Publisher):
    """The same message_id in the same room is delivered once; a binary body arrives as base64; one that has
    expired does not arrive.
    """
    async with await connect(gateways[0].url) as client:
        await client.join("news")
        backend.publish("room.news", b'"once"', message_id="m1")
        backend.publish("room.news", b'"once"', message_id="m1")
        backend.publish("room.news", b"\x00\xff", content_type="application/octet-stream")
        backend.publish("room.news", b'"late"', expiration="0")
        backend.publish("room.news", b'"last"', expiration="60000")
        await client.expect("NOTIFICATION", payload="last")

        payloads = [one["payload"] for one in client.of_type("NOTIFICATION", room="news")]
        assert payloads == ["once", base64.b64encode(b"\x00\xff").decode(), "last"]


async def test_an_invalid_notification_is_set_aside_with_a_reason(
    gateways: list[Gateway], backend: Publisher, rabbit: Rabbit, topology: Topology
):
    """What is invalid lands in the dead queue with its reason and its key, and does not block what comes
    behind it.
    """
    async with await connect(gateways[0].url) as client:
        await client.join("news")
        backend.publish("room.news", b"{no json")
        backend.publish("room.bad room", b"1")
        backend.publish("nonsense", b"1")
        backend.publish("room.news", b"1", type="WELCOME")
        backend.publish("room.news", b'"good"')
        await client.expect("NOTIFICATION", payload="good")

        with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
            channel = connection.channel()
            dead = [channel.basic_get(topology.notify_dead, auto_ack=True) for _ in range(4)]
        headers = [properties.headers for _, properties, _ in dead]
        assert [one["x-warren-routing-key"] for one in headers] == [
            "room.news",
            "room.bad room",
            "nonsense",
            "room.news",
        ]
        assert all(one["x-warren-reason"] for one in headers)


@pytest.mark.parametrize("example", ["notify_aio_pika.py", "notify_pika.py"])
async def test_the_example_publishers_work(example: str, pods: Pods, rabbit: Rabbit, tmp_path: Path):
    """Each example publisher of the docs, run as its head says, reaches a client."""
    url = rabbit.vhost()  # the examples name the default exchange, so they get a virtual host of their own
    own = Pods(url, "warren", 16, tmp_path)
    try:
        (gateway,), _ = await own.installation(1, 1)
        async with await connect(gateway.url) as client:
            await client.expect("JOINED", room="default")
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(ROOT / "docs" / "examples" / example),
                url,
                "room.default",
                '{"text": "hi"}',
            )
            assert await process.wait() == 0
            assert (await client.expect("NOTIFICATION", room="default"))["payload"] == {"text": "hi"}
    finally:
        own.close()


async def test_one_trace_with_five_spans_parent_to_child(pods: Pods):
    """A real OTLP receiver gets receive, send, process, send, process as one chain below the client's own
    span.
    """
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    async with OtlpReceiver() as receiver:
        telemetry = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_TRACES_SAMPLER": "parentbased_always_off",
            "WARREN_GATEWAY_TRUST_TRACEPARENT": "true",
        }
        (first, second), _ = await pods.installation(2, 1, telemetry)
        async with await connect(first.url, user="ann") as ann, await connect(second.url) as bob:
            await bob.join("r")
            await ann.publish("r", "unsampled")
            await ann.send("CHAT", "r", "sampled", id="m1", traceparent=f"00-{trace}-{parent}-01")
            plain = await bob.expect("CHAT", payload="unsampled")
            traced = await bob.expect("CHAT", payload="sampled")
            spans = await receiver.trace(trace, 5)

        assert [span.name.split()[0] for span in spans] == ["receive", "send", "process", "send", "process"]
        assert [span.service.split(".")[-1].removeprefix("warren-") for span in spans] == [
            "gateway",
            "gateway",
            "router",
            "router",
            "gateway",
        ]
        assert [span.parent_id for span in spans] == [parent, *(span.span_id for span in spans[:-1])]
        assert spans[-1].attributes["warren.recipients"] == 1
        assert traced["traceparent"].split("-")[1:3] == [trace, spans[-1].span_id]
        assert "traceparent" not in plain
        assert {span.trace_id for span in receiver.received} == {trace}


async def test_statistics_and_probes(gateways: list[Gateway]):
    """/websocket-stats has the article's fields per pod; /healthz, /readyz and /metrics answer on the
    internal port.
    """
    async with await connect(gateways[0].url, user="ann") as ann:
        await ann.publish("default", 1)
        _, text = await gateways[0].get("/websocket-stats")
        stats = json.loads(text)

        assert stats["connections"] == 1
        assert stats["messages"] >= 1
        assert stats["errors"] == 0
        assert stats["uptime"] > 0
        assert stats["memory"]
        assert (await gateways[0].get("/healthz"))[0] == 200
        assert (await gateways[0].get("/readyz"))[0] == 200
        assert await gateways[0].metric("warren_gateway_connections") == 1


@pytest.mark.slow
async def test_a_hundred_thousand_messages_over_fifty_rooms_once_and_in_order(gateways: list[Gateway]):
    """100,000 messages of 50 senders on one gateway reach 50 members on the other, each once and in order."""
    rooms, count, window = 50, 2_000, 64

    async def room(number: int) -> None:
        name, recorder = f"load:{number}", Recorder()
        sender = await connect(gateways[0].url, user=f"sender{number}")
        member = await connect(gateways[1].url, listener=recorder)
        async with sender, member:
            await member.join(name)
            for n in range(1, count + 1):
                await sender.send("CHAT", name, {"n": n}, id=f"m{n}")
                if n % window == 0:
                    await eventually(lambda n=n: len(sender.received) >= n - window, timeout_s=60)
            await eventually(lambda: recorder.delivered(name) >= count, timeout_s=120)
            await eventually(lambda: len(sender.of_type("ACK")) == count, timeout_s=60)
            recorder.check(name, sent={sender.user: count})

    await asyncio.gather(*(room(number) for number in range(rooms)))
