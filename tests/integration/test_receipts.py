"""Receipts, with everything real: a stock AMQP publisher, and clients, ask what has become of their messages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.pods import Gateway, Pods, Router
from tests.support.rabbit import Rabbit

from warren.topology import Topology

pytestmark = pytest.mark.rabbit

NAMESPACES = json.dumps(
    [
        {"name": "chat", "pattern": "chat:*", "presence": "users", "receipts": "seen"},
        {"name": "users", "pattern": "@*", "receipts": "seen"},
    ]
)
WATCH = {"presence": {"watch": True}}


class Backend:
    """A backend with a queue for answers and one for events."""

    def __init__(self, notify: AbstractExchange, answers: str) -> None:
        self._notify = notify
        self._queue = answers
        self.answers: list[AbstractIncomingMessage] = []
        self.events: list[AbstractIncomingMessage] = []

    async def publish(self, key: str, ident: str, receipt: str, **headers: int) -> None:
        message = aio_pika.Message(
            b'"x"',
            message_id=ident,
            correlation_id=f"c-{ident}",
            reply_to=self._queue,
            headers={"receipt": receipt, **headers},
        )
        await self._notify.publish(message, key)

    async def answer(self) -> tuple[str | None, dict[str, Any]]:
        """Return the next answer: its correlation id and its fields."""
        await eventually(lambda: self.answers, timeout_s=12.0)
        message = self.answers.pop(0)
        assert message.type == "receipt"
        return message.correlation_id, json.loads(message.body)

    async def event(self) -> tuple[str | None, dict[str, Any]]:
        """Return the next event: its routing key and its fields."""
        await eventually(lambda: self.events)
        message = self.events.pop(0)
        return message.routing_key, json.loads(message.body)


@pytest_asyncio.fixture
async def installation(pods: Pods) -> AsyncIterator[tuple[list[Gateway], list[Router]]]:
    """Two gateways, with two routers behind them."""
    settings = {"WARREN_ROUTER_EVENTS": "undelivered", "WARREN_NAMESPACES": NAMESPACES}
    yield await pods.installation(2, 2, settings)


@pytest_asyncio.fixture
async def backend(
    rabbit: Rabbit, topology: Topology, installation: tuple[list[Gateway], list[Router]]
) -> AsyncIterator[Backend]:
    """A backend, connected once the topology is there."""
    async with await aio_pika.connect(rabbit.url) as connection:
        channel = await connection.channel()
        answers = await channel.declare_queue(exclusive=True)
        events = await channel.declare_queue(exclusive=True)
        await events.bind(topology.events, "message.undelivered.#")
        made = Backend(await channel.get_exchange(topology.notify), answers.name)
        await answers.consume(_kept(made.answers), no_ack=True)
        await events.consume(_kept(made.events), no_ack=True)
        yield made


def _kept(
    messages: list[AbstractIncomingMessage],
) -> Callable[[AbstractIncomingMessage], Awaitable[None]]:
    async def keep(message: AbstractIncomingMessage) -> None:
        messages.append(message)

    return keep


async def test_a_backend_is_told_who_was_there_and_that_it_is_written(
    installation: tuple[list[Gateway], list[Router]], backend: Backend
):
    """Users and connections on both gateways, and the place; a repeat is told the place of the first."""
    (first, second), _ = installation
    async with (
        await connect(first.url, user="ann") as ann,
        await connect(second.url, user="ann") as tablet,
        await connect(second.url, user="bob") as bob,
    ):
        for client in (ann, tablet, bob):
            await client.join("r")
        await backend.publish("room.r", "m1", "written")
        heard = await bob.expect("NOTIFICATION", room="r")
        place = {"id": "m1", "room": "r", "epoch": heard["epoch"], "seq": 1}
        there = {"users": 2, "connections": 3, "gateways": 2}
        expected = place | there | {"duplicate": False, "written": 2, "lost": 0, "complete": True}
        assert await backend.answer() == ("c-m1", expected)
        await backend.publish("room.r", "m1", "accepted")
        _, again = await backend.answer()
        assert again == expected | {"duplicate": True, "written": 0}


async def test_that_nobody_was_there_is_told(
    installation: tuple[list[Gateway], list[Router]], backend: Backend
):
    """In the receipt and, with the payload, as an event: so a push service hears who was away."""
    await backend.publish("user.zoe", "m1", "written")
    _, told = await backend.answer()
    assert (told["users"], told["connections"], told["gateways"], told["complete"]) == (0, 0, 0, True)
    key, event = await backend.event()
    assert key == "message.undelivered.NOTIFICATION.@zoe"
    assert (event["event"], event["id"], event["payload"], event["seq"]) == (
        "message.undelivered",
        "m1",
        "x",
        1,
    )


async def test_a_gateway_that_dies_is_no_time_out(
    installation: tuple[list[Gateway], list[Router]], backend: Backend
):
    """It is frozen while the message comes and dies then: it counts as lost when its lease ends."""
    (first, second), _ = installation
    async with await connect(first.url, user="ann") as ann, await connect(second.url, user="bob") as bob:
        await ann.join("r")
        await bob.join("r")
        second.pause()
        await backend.publish("room.r", "m1", "written")
        await ann.expect("NOTIFICATION", room="r")
        second.kill()
        _, told = await backend.answer()
        assert (told["gateways"], told["written"], told["lost"]) == (2, 1, 1)
        assert told["complete"] is True


async def test_a_refused_notification_says_why(
    installation: tuple[list[Gateway], list[Router]], backend: Backend
):
    """The backend need not look at the dead letters."""
    await backend.publish("nowhere", "m1", "accepted")
    correlation, told = await backend.answer()
    assert correlation == "c-m1"
    assert str(told["refused"]).startswith("invalid address")


async def test_a_client_is_told_when_its_message_is_written_and_seen(
    installation: tuple[list[Gateway], list[Router]],
):
    """On whatever gateway the others are; the sender itself does not count."""
    (first, second), _ = installation
    async with (
        await connect(first.url, user="ann") as ann,
        await connect(second.url, user="bob") as bob,
        await connect(second.url, user="eve") as eve,
    ):
        for client in (ann, bob, eve):
            await client.join("chat:a")
        await ann.send("CHAT", room="chat:a", id="m1", payload="hello?", receipt="seen")
        ack = await ann.expect("ACK", ref="m1")
        written = await ann.expect("RECEIPT", ref="m1")
        assert written["payload"] == {"level": "written", "complete": True}
        place = {"epoch": ack["payload"]["epoch"], "seq": ack["payload"]["seq"]}
        for client in (ann, bob, eve):
            await client.send("SEEN", room="chat:a", payload=place)
        seen = await ann.expect("RECEIPT", ref="m1")
        assert seen["payload"] == {"level": "seen", "complete": True, "readers": 2, "seen": 2}
        await ann.send("CHAT", room="default", id="m2", payload="hello?", receipt="written")
        refused = await ann.expect("ERROR", ref="m2")
        assert refused["payload"]["code"] == "forbidden"


async def test_who_watches_a_room_is_told_who_has_seen_what(
    installation: tuple[list[Gateway], list[Router]],
):
    """With the beat of presence; who comes later, or comes back, reads it with the first page."""
    (first, second), routers = installation
    async with await connect(first.url, user="ann") as ann, await connect(second.url, user="bob") as bob:
        await bob.join("chat:a")
        for number in range(3):
            await bob.publish("chat:a", number)
        await ann.send("JOIN", room="chat:a", id="j", payload=WATCH)
        joined = await ann.expect("JOINED", ref="j")
        place = {"epoch": joined["payload"]["epoch"], "seq": 2}
        await bob.send("SEEN", room="chat:a", payload=place)
        told = {"epoch": place["epoch"], "sum": 2, "users": {"bob": 2}}

        async def reads_it() -> bool:
            """As clients do: what came before the log knows who watches is told by its sum alone."""
            await ann.send("PRESENCE", room="chat:a", payload={"limit": 10}, id="p")
            page = await ann.expect("PRESENCE", ref="p")
            return bool(page["payload"]["seen"] == told)

        await eventually(reads_it, 15.0, every_s=0.5)
        for router in routers:  # what is known of it is in the log
            router.kill()
            await router.start()
        await bob.send("SEEN", room="chat:a", payload=place | {"seq": 3})
        told = told | {"sum": 3, "users": {"bob": 3}}
        await ann.expect("PRESENCE", payload__seen=told, timeout_s=30)
        async with await connect(second.url, user="eve") as eve:
            await eve.send("JOIN", room="chat:a", id="j", payload=WATCH)
            page = await eve.expect("PRESENCE", payload__page=True)
            assert page["payload"]["seen"] == told


async def test_a_backend_is_told_that_its_notification_is_seen(
    installation: tuple[list[Gateway], list[Router]], backend: Backend
):
    """By the user, on one of its connections."""
    (first, second), _ = installation
    async with await connect(first.url, user="ann") as ann, await connect(second.url, user="ann") as tablet:
        for client in (ann, tablet):
            await client.expect("JOINED", room="@ann")
        await backend.publish("user.ann", "m1", "seen")
        heard = await ann.expect("NOTIFICATION", room="@ann")
        await ann.send("SEEN", room="@ann", payload={"epoch": heard["epoch"], "seq": heard["seq"]})
        _, told = await backend.answer()
        assert (told["written"], told["readers"], told["seen"], told["complete"]) == (2, 1, 1, True)


async def test_what_nobody_has_seen_in_time_is_told_as_an_event(
    installation: tuple[list[Gateway], list[Router]], backend: Backend
):
    """With the payload, so that it can be pushed; what was seen is not."""
    (first, _), _ = installation
    async with await connect(first.url, user="ann") as ann:
        await ann.expect("JOINED", room="@ann")
        await backend.publish("user.ann", "m1", "accepted", seen_within_ms=60_000)
        heard = await ann.expect("NOTIFICATION", room="@ann")
        await ann.send("SEEN", room="@ann", payload={"epoch": heard["epoch"], "seq": heard["seq"]})
        await backend.publish("user.ann", "m2", "accepted", seen_within_ms=1_000)
        key, event = await backend.event()
        assert key == "message.undelivered.NOTIFICATION.@ann"
        assert (event["id"], event["reason"], event["payload"]) == ("m2", "unseen", "x")
        await backend.publish("user.ann", "m3", "accepted", seen_within_ms=5)
        for _ in range(2):
            await backend.answer()
        _, refused = await backend.answer()
        assert refused["refused"] == "invalid header seen_within_ms: 1000 to 604800000"
