"""REQUEST with everything real: gateways and routers as processes, RabbitMQ, a service on stock aio-pika.
Whatever dies, each REQUEST has one final answer, or one ERROR.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from typing import Any

import pytest
from aio_pika.abc import AbstractIncomingMessage
from tests.support.client import Client, connect
from tests.support.eventually import eventually, stretched
from tests.support.pods import Pods
from tests.support.proxy import Proxy
from tests.support.rabbit import Rabbit
from tests.support.service import Service, echo, silence

from warren.topology import Topology

pytestmark = pytest.mark.rabbit

ENV = {
    "WARREN_GATEWAY_RATE": "0",  # no limit: one client asks what many would
    "WARREN_NAMESPACES": "services: [{pattern: 'quick.*', timeout_ms: 400}, {pattern: '*', timeout_ms: 60000}]",
}
FINAL = ("RESPONSE", "ERROR", "ACCEPTED")


def finals(client: Client) -> Counter[str]:
    """Return how often each ref had its last word."""
    return Counter(
        str(one["ref"])
        for one in client.received
        if one["type"] in FINAL and one.get("ref") and not one.get("more")
    )


async def ask(client: Client, service: str, id: str, payload: Any = None, **fields: Any) -> None:  # noqa: A002
    await client.send("REQUEST", service=service, id=id, payload=payload, **fields)


async def test_a_service_that_answers_twice_or_late_is_heard_once(
    pods: Pods, rabbit: Rabbit, topology: Topology
):
    """What comes behind the last word is counted, and nobody is told of it."""
    late: list[AbstractIncomingMessage] = []

    async def twice(service: Service, asked: AbstractIncomingMessage) -> None:
        await echo(service, asked)
        await echo(service, asked)

    async def keep(_: Service, asked: AbstractIncomingMessage) -> None:
        late.append(asked)

    (gateway,), _ = await pods.installation(1, 1, ENV)
    async with (
        Service(rabbit.url, topology, "twice", twice),
        Service(rabbit.url, topology, "quick.late", keep) as service,
        await connect(gateway.url, user="ann") as ann,
    ):
        await ask(ann, "twice", "a", 1)
        assert (await ann.expect("RESPONSE", ref="a"))["payload"] == 1
        await ask(ann, "quick.late", "b", 2)
        await ann.expect("ERROR", ref="b", payload__code="timeout")
        await eventually(lambda: service.cancelled == [late[0].correlation_id])
        await service.answer(late[0], 3)

        async def both() -> bool:
            return await gateway.metric("warren_gateway_drops_total", reason="reply_late") == 2

        await eventually(both)
        await ann.settle()
        assert finals(ann) == {"a": 1, "b": 1}


async def test_a_service_that_is_killed_in_the_middle_of_an_answer(
    pods: Pods, rabbit: Rabbit, topology: Topology
):
    """Its queue gives the request to the next one, which begins anew: the client has each part once, and one
    end. A service that answers in one piece likewise.
    """

    async def half(service: Service, asked: AbstractIncomingMessage) -> None:
        for n in range(1, 21):
            await service.answer(asked, n, n=n, more=True)
        await asyncio.Future()  # it is killed here, before its ack

    async def whole(service: Service, asked: AbstractIncomingMessage) -> None:
        for n in range(1, 41):
            await service.answer(asked, n, n=n, more=n < 40)

    queue = f"{topology.prefix}.test.parts"
    (gateway,), _ = await pods.installation(1, 1, ENV)
    async with await connect(gateway.url, user="ann") as ann:
        async with Service(rabbit.url, topology, "parts", half, queue=queue) as first:
            await ask(ann, "parts", "a")
            await ann.expect("RESPONSE", ref="a", n=20)
            await first._connection.transport.connection.close(ConnectionError("killed"))  # type: ignore[union-attr]
        async with Service(rabbit.url, topology, "parts", whole, queue=queue) as second:
            await ann.expect("RESPONSE", ref="a", n=40)
            assert [asked.redelivered for asked in second.asked] == [True]
            assert second.message_ids() == first.message_ids() == {"ann~a": 1}
        parts = [(one["n"], one["payload"]) for one in ann.of_type("RESPONSE", ref="a")]
        assert parts == [(n, n) for n in range(1, 41)]
        assert finals(ann) == {"a": 1}


async def test_ten_thousand_parts_for_a_client_that_reads_slowly(
    pods: Pods, rabbit: Rabbit, topology: Topology
):
    """It is told that it was too slow, the service is told to stop, and its neighbour has every part."""
    count = 10_000

    async def stream(service: Service, asked: AbstractIncomingMessage) -> None:
        for n in range(1, count + 1):
            if asked.correlation_id in service.cancelled:
                return
            await service.answer(asked, "x" * 1_000, n=n, more=n < count)

    # who reads nothing sends no pongs either
    (gateway,), _ = await pods.installation(1, 1, ENV | {"WARREN_GATEWAY_HEARTBEAT_MS": "600000"})
    async with (
        Service(rabbit.url, topology, "stream", stream) as service,
        await connect(gateway.url, user="slow") as slow,
        await connect(gateway.url, user="ann") as ann,
    ):
        slow.stop_reading()
        await ask(slow, "stream", "s")
        await service.has(1)
        await ask(ann, "stream", "a")
        await eventually(lambda: len(service.cancelled) == 1, timeout_s=60)
        await eventually(lambda: ann.received[-1].get("n") == count, timeout_s=60, every_s=0.1)
        assert [one["n"] for one in ann.of_type("RESPONSE")] == [*range(1, count + 1)]
        slow.go_on_reading()
        await eventually(lambda: slow.received[-1]["type"] == "ERROR", timeout_s=30, every_s=0.1)
        assert slow.received[-1]["payload"]["code"] == "overloaded"
        await slow.settle()  # the connection is as good as before
        parts = [one["n"] for one in slow.of_type("RESPONSE")]
        assert parts == [*range(1, len(parts) + 1)]
        assert len(parts) < count
        assert (finals(slow), finals(ann)) == ({"s": 1}, {"a": 1})


async def test_a_gateway_that_is_killed_with_a_thousand_open(pods: Pods, rabbit: Rabbit, topology: Topology):
    """Its clients ask again elsewhere, under the same ids: each has one answer there, and the services know
    all of them again.
    """
    clients, each = 20, 50
    hold = asyncio.Event()

    async def held(service: Service, asked: AbstractIncomingMessage) -> None:
        if not hold.is_set():
            await hold.wait()
        await echo(service, asked)

    env = ENV | {"WARREN_GATEWAY_CALLS_PER_CONNECTION": str(each)}
    (doomed, other), _ = await pods.installation(2, 1, env)
    async with (
        Service(rabbit.url, topology, "a", held) as a,
        Service(rabbit.url, topology, "b", held) as b,
    ):
        before = [await connect(doomed.url, user=f"u{number}") for number in range(clients)]
        work = [(number, f"r{ref}", "ab"[ref % 2]) for number in range(clients) for ref in range(each)]
        for number, ref, service in work:
            await ask(before[number], service, ref, number)
        await eventually(lambda: len(a.asked) + len(b.asked) == clients * each, timeout_s=30)
        doomed.kill()
        for client in before:
            await client.closed(timeout_s=10)
        assert all(not finals(client) for client in before)
        after = [await connect(other.url, user=f"u{number}") for number in range(clients)]
        hold.set()
        for number, ref, service in work:
            await ask(after[number], service, ref, number)
        refs = {f"r{ref}": 1 for ref in range(each)}
        await eventually(lambda: all(finals(client) == refs for client in after), timeout_s=30)
        for client in after:
            await client.settle()
            assert finals(client) == refs
            assert len(client.of_type("RESPONSE")) == each
        assert a.message_ids() + b.message_ids() == {f"u{number}~{ref}": 2 for number, ref, _ in work}
        for client in (*before, *after):
            await client.close()


async def test_durable_answers_reach_a_user_who_was_away(pods: Pods, rabbit: Rabbit, topology: Topology):
    """On another gateway, in order, once each though the service says all of it twice, with the request's
    ref; the gateway that was asked is gone by then.
    """
    asked: list[AbstractIncomingMessage] = []

    async def keep(_: Service, message: AbstractIncomingMessage) -> None:
        asked.append(message)

    (first, second), _ = await pods.installation(2, 2, ENV)
    async with Service(rabbit.url, topology, "report", keep) as service:
        async with await connect(first.url, user="ann") as ann:
            own = await ann.expect("JOINED", room="@ann")
            await ask(ann, "report", "r1", {"year": 2026}, durable=True)
            await ann.expect("ACCEPTED", ref="r1")
            await ask(ann, "report", "r2", durable=True)
            await ann.expect("ACCEPTED", ref="r2")
        first.kill()
        await eventually(lambda: len(asked) == 2)
        assert [message.reply_to for message in asked] == [topology.rpc_replies] * 2
        for _ in range(2):
            for n in (1, 2, 3):
                await service.answer(asked[0], n, n=n, more=n < 3)
            await service.answer(asked[1], b'{"done":true}')
        since = {"epoch": own["payload"]["epoch"], "seq": own["payload"]["seq"]}
        async with await connect(f"{second.url}?join=manual", user="ann") as ann:

            async def back() -> bool:
                joined = await ann.join("@ann", since)
                return bool(joined["payload"]["seq"] + joined["payload"]["missed"] >= since["seq"] + 4)

            await eventually(back, timeout_s=20)
            await ann.settle()
            known: dict[int, Any] = {one["seq"]: one for one in ann.of_type("RESPONSE", room="@ann")}
            told = [
                (one["seq"] - since["seq"], one["ref"], one.get("n"), one.get("more", False), one["payload"])
                for _, one in sorted(known.items())
            ]
            assert told == [
                (1, "r1", 1, True, 1),
                (2, "r1", 2, True, 2),
                (3, "r1", 3, False, 3),
                (4, "r2", None, False, {"done": True}),
            ]


async def test_the_brokers_connection_is_cut_while_much_is_open(
    pods: Pods, rabbit: Rabbit, topology: Topology
):
    """What was asked is asked again, and answered once."""
    hold = asyncio.Event()

    async def held(service: Service, asked: AbstractIncomingMessage) -> None:
        await hold.wait()
        await echo(service, asked)

    async with Proxy(rabbit.host, rabbit.port) as proxy:
        url = rabbit.url.replace(f":{rabbit.port}", f":{proxy.port}")
        await pods.router()
        gateway = await pods.gateway(
            ENV | {"WARREN_AMQP_URL": url, "WARREN_GATEWAY_CALLS_PER_CONNECTION": "200"}
        )
        async with (
            Service(rabbit.url, topology, "s", held) as service,
            await connect(gateway.url, user="ann") as ann,
        ):
            for number in range(200):
                await ask(ann, "s", f"r{number}", number)
            await service.has(200)
            proxy.reset()
            await service.has(400, timeout_s=30)
            hold.set()
            refs = {f"r{number}": 1 for number in range(200)}
            await eventually(lambda: finals(ann) == refs, timeout_s=20)
            await ann.settle()
            assert finals(ann) == refs
            answers = {one["ref"]: one["payload"] for one in ann.of_type("RESPONSE")}
            assert answers == {f"r{number}": number for number in range(200)}
            assert service.message_ids() == {f"ann~r{number}": 2 for number in range(200)}


async def test_a_service_that_hangs_takes_no_places_that_others_need(
    pods: Pods, rabbit: Rabbit, topology: Topology
):
    """It has half of them; then its breaker opens, and its callers are told when it may be worth asking
    again. The others' answers come as ever.
    """
    env = ENV | {"WARREN_GATEWAY_CALLS": "64", "WARREN_GATEWAY_CALLS_PER_CONNECTION": "64"}
    (gateway,), _ = await pods.installation(1, 1, env)
    async with (
        Service(rabbit.url, topology, "quick.hung", silence) as hung,
        Service(rabbit.url, topology, "well", echo) as well,
        await connect(gateway.url, user="ann") as ann,
    ):
        others = [await connect(gateway.url, user=f"u{number}") for number in range(8)]
        for number, client in itertools.product(range(8), others):
            await ask(client, "quick.hung", f"h{number}")
        await eventually(lambda: sum(finals(client).total() for client in others) >= 32)
        for number in range(32):
            await ask(ann, "well", f"w{number}", number)
        await ann.expect_all("RESPONSE", 32)
        await eventually(lambda: sum(finals(client).total() for client in others) == 64)
        codes = Counter(one["payload"]["code"] for client in others for one in client.of_type("ERROR"))
        assert codes == {"overloaded": 32, "timeout": 32}
        await ask(ann, "quick.hung", "x")
        broken = await ann.expect("ERROR", ref="x", payload__code="unavailable")
        assert 0 < broken["payload"]["retry_after_ms"] <= 1_000
        assert len(hung.asked) == 32
        await ask(ann, "well", "y")
        await ann.expect("RESPONSE", ref="y")
        assert len(well.asked) == 33
        for client in others:
            await client.close()


async def test_a_client_that_goes_takes_what_it_asked_with_it(pods: Pods, rabbit: Rabbit, topology: Topology):
    """Whether it says good-bye or not, the service hears of each."""
    (gateway,), _ = await pods.installation(1, 1, ENV)
    async with Service(rabbit.url, topology, "s", silence) as service:
        polite, rude = await connect(gateway.url), await connect(gateway.url)
        for number in range(8):
            await ask(polite, "s", f"r{number}")
            await ask(rude, "s", f"r{number}")
        await service.has(16)
        await ask(polite, "s", "more")
        await polite.expect("ERROR", ref="more", payload__code="overloaded")
        rude.abort()
        await polite.close()
        wanted = {asked.correlation_id for asked in service.asked}
        await eventually(lambda: set(service.cancelled) == wanted)

        async def none() -> bool:
            return await gateway.metric("warren_gateway_waiting", buffer="calls") == 0

        await eventually(none)
        await rude.close()


async def test_what_the_operator_has_not_listed_may_not_be_called(
    pods: Pods, rabbit: Rabbit, topology: Topology
):
    """Nor what is no service; nobody waits for that."""
    gateway = await pods.gateway(ENV | {"WARREN_NAMESPACES": "services: [{pattern: 'a.*'}]"}, start=False)
    router = await pods.router(start=False)
    await asyncio.gather(gateway.start(40), router.start(40))
    async with Service(rabbit.url, topology, "#"), await connect(gateway.url) as ann:
        began = time.monotonic()
        for service, code in (("b", "forbidden"), ("a.cancel", "invalid_message"), ("", "invalid_message")):
            await ask(ann, service, code)
            await ann.expect("ERROR", ref=code, payload__code=code)
        assert time.monotonic() - began < stretched(4)
        await ask(ann, "a.b", "good")
        await ann.expect("RESPONSE", ref="good")
