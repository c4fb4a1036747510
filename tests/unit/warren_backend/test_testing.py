"""An application's own tests need no broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from warren_backend import (
    AllowConnect,
    AllowPublish,
    Backend,
    ConnectQuestion,
    Deny,
    Event,
    InvalidNotification,
    InvalidRoute,
    JoinQuestion,
    Last,
    NotConfirmed,
    Notification,
    PublishQuestion,
    Receipt,
    Refused,
    Request,
)
from warren_backend.testing import Recording

backend = Backend("amqp://nobody.example/%2F")
heard: list[Event] = []


@backend.service("orders.*")
async def orders(request: Request) -> Any:
    if request.payload is None:
        raise Refused("not_found")
    await backend.notify(f"user.{request.user}", request.payload)
    return (request.service, request.payload)


@backend.service("count")
def count(request: Request) -> Any:
    yield 1
    yield Last(2)


@backend.service("endless")
async def endless(request: Request) -> AsyncIterator[int]:
    yield 1


@backend.on("client.disconnected", "message.CHAT.#")
async def hear(event: Event) -> None:
    heard.append(event)


@backend.hook.connect
async def connect(question: ConnectQuestion) -> AllowConnect | Deny:
    return AllowConnect(ttl_s=5) if question.user == "ann" else Deny(reason="no")


@backend.hook.publish("chat")
async def publish(question: PublishQuestion) -> AllowPublish:
    return AllowPublish(payload=question.payload.upper())


async def test_services_are_asked_as_clients_do() -> None:
    """What goes over the wire as JSON comes back as JSON does."""
    async with Recording(backend) as warren:
        assert await warren.ask("orders.get", {"id": 7}, user="bob") == ["orders.get", {"id": 7}]
        assert [(each.address, each.payload) for each in warren.notifications] == [("user.bob", {"id": 7})]
        assert await warren.ask("count") == [1, 2]
        assert await warren.ask("endless") == [1]
        with pytest.raises(Refused, match="not_found"):
            await warren.ask("orders.get")
        with pytest.raises(InvalidRoute, match="no service"):
            await warren.ask("nobody.here")
        with pytest.raises(ValueError, match="no JSON"):
            await warren.ask("orders.get", object())


async def test_events_are_told_once() -> None:
    """To all who hear them."""
    heard.clear()
    async with Recording(backend) as warren:
        assert await warren.tell("client.disconnected", event_id="1", user="ann", connections=0) == 1
        assert await warren.tell("client.disconnected", event_id="1", user="ann", connections=0) == 0
        assert await warren.tell("message.CHAT.room.a", payload={"x": 1}, room="room.a", type="CHAT") == 1
        assert await warren.tell("room.joined", user="ann") == 0
    assert [(event.event, event.payload, event.went) for event in heard] == [
        ("client.disconnected", None, True), ("message", {"x": 1}, False)
    ]  # fmt: skip


async def test_hooks_decide() -> None:
    """The answer is what Warren would read."""
    async with Recording(backend) as warren:
        assert await warren.decide(ConnectQuestion(connection="g~1", user="ann")) == {"allow": True, "ttl": 5}
        said = await warren.decide(ConnectQuestion(connection="g~1", user="eve"))
        assert said == {"allow": False, "reason": "no"}
        question = PublishQuestion(
            connection="g~1", room="chat:a", namespace="chat", type="CHAT", payload="a"
        )
        assert await warren.decide(question) == {"allow": True, "payload": "A"}
        with pytest.raises(InvalidRoute, match=r"join\.chat"):
            await warren.decide(JoinQuestion(connection="g~1", room="chat:a", namespace="chat"))


async def test_what_is_sent_is_kept_and_answered_as_the_test_says() -> None:
    """Invalid things are refused as the real one does; failures can be had."""
    async with Recording(backend) as warren:
        warren.receipt = Receipt(users=3, complete=True)
        sent = await backend.notify("room.a", 1, receipt="seen")
        assert (await sent.receipt()).users == 3
        assert (await sent.receipt()).id == sent.id
        assert warren.receipts == ["seen"]
        with pytest.raises(InvalidNotification):
            await backend.notify("room.a", object())
        with pytest.raises(InvalidNotification):
            await backend.notify_many([Notification(address="room.a", payload=object())])
        warren.results["count"] = {"connections": 7}
        assert (await backend.control.count("room.a"))["connections"] == 7
        assert [(each.verb, each.address) for each in warren.commands] == [("count", "room.a")]
        warren.failure = NotConfirmed("the broker is away")
        for sending in (
            backend.notify("room.a", 1),
            backend.notify_many([Notification(address="room.a", payload=1)]),
            backend.control.count("room.a"),
        ):
            with pytest.raises(NotConfirmed):
                await sending
        assert len(warren.notifications) == 1
