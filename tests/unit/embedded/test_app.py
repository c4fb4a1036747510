"""Embedded as a whole: it has begun only when a message goes through, and it says where its probes are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import ClientSession
from tests.support.client import connect
from tests.support.ports import embedded_port

from embedded.app import Embedded
from embedded.settings import read_embedded
from router.core.shard_role import State
from warren.lifecycle import Part


@asynccontextmanager
async def running(embedded: Embedded) -> AsyncIterator[Sequence[Part]]:
    """Start its parts in order; end them backwards."""
    parts = embedded.parts()
    begun: list[Part] = []
    try:
        for part in parts:
            begun.append(part)
            await part.start()
        yield parts
    finally:
        for part in reversed(begun):
            await part.stop()


async def test_its_last_part_has_begun_when_every_shard_is_spoken_for():
    """Then a message is acknowledged without waiting for a router that listens first; before, it says what is
    lacking.
    """
    embedded = Embedded(read_embedded({"PORT": str(embedded_port()), "WARREN_ROUTER_API_PORT": "0"}))
    assert embedded.lacking() is not None
    async with running(embedded) as parts:
        assert parts[-1].name == "first message"
        assert embedded.lacking() is None
        assert {shard.role.state for shard in embedded.router.shards} == {State.SPEAKING}
        async with await connect(f"ws://{embedded.addresses[0]}/ws") as client:
            await client.join("chat:x")
            await client.publish("chat:x", "hi")


async def test_alone_in_its_process_a_router_does_not_listen_for_others():
    """With a broker of one's own there may be others, whose heartbeats have to be heard first."""
    alone = read_embedded({})
    shared = read_embedded({"WARREN_AMQP_URL": "amqp://h/"})
    told = read_embedded({"WARREN_ROUTER_LISTEN_MS": "300"})
    assert [each.router.takeover.listen_ms for each in (alone, shared, told)] == [0, 1_500, 300]


async def test_the_probes_addresses_answer():
    """Each of the three internal ports that it names has probes and metrics."""
    embedded = Embedded(read_embedded({"PORT": str(embedded_port()), "WARREN_ROUTER_API_PORT": "0"}))
    async with running(embedded), ClientSession() as session:
        assert [name for name, _ in embedded.internal] == ["router", "gateway 1", "gateway 2"]
        for _, address in embedded.internal:
            for path in ("metrics", "readyz", "healthz"):
                async with session.get(f"http://{address}/{path}") as answer:
                    assert answer.status == 200


async def test_its_service_answers_and_a_durable_answer_is_a_message():
    """With nothing but Python: REQUEST goes by the bus as it would by RabbitMQ."""
    embedded = Embedded(read_embedded({"PORT": str(embedded_port()), "WARREN_ROUTER_API_PORT": "0"}))
    async with (
        running(embedded),
        await connect(f"ws://{embedded.addresses[0]}/ws", user="ann") as ann,
        await connect(f"ws://{embedded.addresses[1]}/ws", user="ann") as other,
    ):
        await ann.send("REQUEST", service="echo", id="a", payload={"x": 1})
        assert (await ann.expect("RESPONSE", ref="a"))["payload"] == {"x": 1}
        await ann.send("REQUEST", service="nobody", id="b")
        await ann.expect("ERROR", ref="b", payload__code="forbidden")
        await other.expect("JOINED", room="@ann")
        await ann.send("REQUEST", service="echo", id="c", payload=2, durable=True)
        await ann.expect("ACCEPTED", ref="c")
        for client in (ann, other):
            answer = await client.expect("RESPONSE", ref="c", room="@ann")
            assert (answer["seq"], answer["payload"]) == (1, 2)
