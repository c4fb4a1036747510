"""What an application registers, and what would get in each other's way."""

from __future__ import annotations

from typing import Any

import pytest

from warren_backend.core.errors import InvalidRoute
from warren_backend.core.routes import Routes


async def anything(_: Any) -> Any:
    """Return nothing."""


def test_decorators_keep_the_function_and_say_what_it_is_for() -> None:
    """The same function may be called as before."""
    routes = Routes()
    assert routes.service("orders.get", concurrency=3)(anything) is anything
    assert routes.on("client.connected", "room.*", queue="audit")(anything) is anything
    assert routes.hook.connect(anything) is anything
    assert routes.hook.join("chat")(anything) is anything
    assert routes.hook.publish()(anything) is anything
    (service,), (event,) = routes.services, routes.events
    assert (service.pattern, service.queue, service.concurrency, service.prefetch) == (
        "orders.get", "orders.get", 3, 6
    )  # fmt: skip
    assert (event.keys, event.queue, event.tries) == (("client.connected", "room.*"), "audit", 5)
    assert [(route.key, route.queue) for route in routes.hooks] == [
        ("connect", "hooks.connect"), ("join.chat", "hooks.join.chat"), ("publish.*", "hooks.publish.+")
    ]  # fmt: skip


def test_parts_of_an_application_come_together() -> None:
    """And are checked against each other."""
    one, other = Routes(), Routes()
    one.service("a")(anything)
    other.service("b")(anything)
    one.include(other)
    assert [route.pattern for route in one.services] == ["a", "b"]
    with pytest.raises(InvalidRoute, match="would both be asked the same"):
        one.include(other)


@pytest.mark.parametrize(
    ("register", "said"),
    [
        (lambda routes: routes.service("orders.*"), "'orders.get' and 'orders.\\*' would both"),
        (lambda routes: routes.service("a b"), "is no service"),
        (lambda routes: routes.service(""), "is no service"),
        (lambda routes: routes.service("x", concurrency=0), "concurrency is 0"),
        (lambda routes: routes.service("x", queue="orders.get"), "is another one's"),
        (lambda routes: routes.service("x", queue="a*"), "no queue can be called 'a"),
        (lambda routes: routes.on("room.left", queue="x" * 161), "no queue can be called"),
        (lambda routes: routes.hook.publish("chat", queue="hooks.join.chat"), "is another one's"),
        (lambda routes: routes.on(), "at least one event"),
        (lambda routes: routes.on("client.gone"), "there is no event 'client.gone'"),
        (lambda routes: routes.on("room.left", queue="audit"), "is another one's"),
        (lambda routes: routes.on("room.left", tries=0), "tries is 0"),
        (lambda routes: routes.hook.join("*"), "would both be asked"),
        (lambda routes: routes.hook.join("a.b"), "is no namespace"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(register: Any, said: str) -> None:
    """When the module is imported, and not when the first request comes."""
    routes = Routes()
    routes.service("orders.get")(anything)
    routes.on("room.joined", queue="audit")(anything)
    routes.hook.join("chat")(anything)
    with pytest.raises(InvalidRoute, match=said):
        register(routes)(anything)


def test_two_may_hear_the_same_event() -> None:
    """Each by a queue of its own."""
    routes = Routes()
    routes.on("#")(anything)
    routes.on("message.CHAT.#")(anything)
    routes.on("message.undelivered.#", queue="push")(anything)
    assert len(routes.events) == 3
