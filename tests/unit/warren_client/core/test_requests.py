"""Requests to services: each gets one last word, and its parts once and in order."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.client_scene import Scene

from warren_client.core.encode import Question
from warren_client.core.feed import Feed
from warren_client.core.requests import PARTS, Asked, Part
from warren_client.errors import ClosedError, ConnectError, OutboxFullError, RefusedError, RequestTimeoutError


def opened(**options: Any) -> Scene:
    scene = Scene(**options)
    scene.open()
    scene.joined("@ann")
    return scene


def ask(scene: Scene, **more: Any) -> Asked:
    question = Question(**({"service": "orders.get", "id": "q1", "payload": {"id": 7}} | more))
    return scene.do(lambda: scene.session.request(question))


def stream(scene: Scene, **more: Any) -> tuple[Asked, Feed[Part]]:
    question = Question(**({"service": "orders.get", "id": "q1"} | more))
    return scene.do(lambda: scene.session.stream(question))


def respond(scene: Scene, payload: Any, **more: Any) -> None:
    scene.say({"type": "RESPONSE", "ref": "q1", "payload": payload} | more)


def parts(feed: Feed[Part]) -> list[Any]:
    found = []
    while (part := feed.take()) is not None:
        found.append((part.payload, part.is_last))
    return found


def test_the_answer_settles_it() -> None:
    """Once."""
    scene = opened()
    asked = ask(scene, timeout_ms=2_000)
    frame = scene.socket.last
    assert (frame["service"], frame["payload"], frame["timeout_ms"]) == ("orders.get", {"id": 7}, 2_000)
    respond(scene, {"total": 12})
    respond(scene, "again")
    assert asked.outcome.value == {"total": 12}
    scene.wait(10_000)
    assert scene.socket.of("CANCEL") == []


def test_an_error_settles_it_and_is_no_notice() -> None:
    """With the service's code."""
    scene = opened()
    asked = ask(scene)
    scene.refuse({"id": "q1"}, "out_of_stock")
    assert isinstance(asked.outcome.error, RefusedError)
    assert (asked.outcome.error.code, scene.errors()) == ("out_of_stock", [])


def test_parts_come_in_order_and_once_and_the_last_one_ends_them() -> None:
    """A repeated part is none."""
    scene = opened()
    asked, feed = stream(scene)
    respond(scene, "Hel", n=1, more=True)
    respond(scene, "Hel", n=1, more=True)
    respond(scene, "lo", n=2)
    assert parts(feed) == [("Hel", False), ("lo", True)]
    assert asked.outcome.value == "lo"


def test_a_reader_that_is_too_slow_ends_the_answer() -> None:
    """What waits is bounded; the service is told."""
    scene = opened()
    asked, feed = stream(scene)
    for n in range(1, PARTS + 3):
        respond(scene, n, n=n, more=True)
    assert len(feed.items) == PARTS
    assert feed.error is not None
    assert feed.error.code == "overloaded"
    assert asked.outcome.error is feed.error
    assert [frame["ref"] for frame in scene.socket.of("CANCEL")] == ["q1"]


def test_without_an_answer_it_is_asked_again_on_the_next_connection_under_its_id() -> None:
    """On the same connection it is asked once, however long it takes."""
    scene = opened(ack_timeout=5)
    ask(scene)
    scene.wait(20_000)
    assert len(scene.socket.of("REQUEST")) == 1
    assert [frame["id"] for frame in scene.again().of("REQUEST")] == ["q1"]


def test_in_the_middle_of_an_answer_a_lost_connection_ends_it() -> None:
    """The rest can't come on another one."""
    scene = opened()
    asked, feed = stream(scene)
    respond(scene, "Hel", n=1, more=True)
    scene.drop()
    assert isinstance(asked.outcome.error, ConnectError)
    assert (parts(feed), feed.error) == ([("Hel", False)], asked.outcome.error)
    assert scene.again().of("REQUEST") == []


def test_to_cancel_tells_the_service_if_it_was_asked() -> None:
    """And nobody if it was not, or has answered."""
    scene = opened()
    asked = ask(scene)
    scene.do(lambda: scene.session.cancel(asked))
    assert scene.socket.last["type"] == "CANCEL"
    assert asked.outcome.error is not None
    assert asked.outcome.error.code == "cancelled"
    scene.refuse({"id": "q1"}, "cancelled")
    assert scene.errors() == []
    answered = ask(scene)
    respond(scene, 1)
    scene.do(lambda: scene.session.cancel(answered))
    scene.drop()
    unsent = ask(scene)
    scene.do(lambda: scene.session.cancel(unsent))
    assert scene.again().of("REQUEST") == []
    assert scene.socket.of("CANCEL") == []


def test_a_timeout_ends_it_even_if_the_connection_is_lost() -> None:
    """Each part begins it anew; the server's own comes a second earlier."""
    scene = opened()
    asked, _ = stream(scene, timeout_ms=2_000)
    scene.wait(2_500)
    respond(scene, 1, n=1, more=True)
    scene.wait(2_999)
    assert not asked.outcome.is_done
    scene.wait(1)
    assert isinstance(asked.outcome.error, RequestTimeoutError)
    assert isinstance(asked.outcome.error, TimeoutError)
    assert scene.socket.last["type"] == "CANCEL"
    scene.drop()
    lost = ask(scene, timeout_ms=2_000)
    scene.wait(3_000)
    assert isinstance(lost.outcome.error, RequestTimeoutError)


def test_the_answer_to_a_durable_request_comes_as_a_message_also_after_a_reconnect() -> None:
    """It is no message of the application then; that to another client's request is one."""
    scene = opened()
    asked = ask(scene, durable=True, timeout_ms=1_000)
    scene.say({"type": "ACCEPTED", "ref": "q1"})
    scene.wait(30_000)
    scene.again()
    assert scene.socket.of("REQUEST") == []
    scene.joined("@ann", seq=0, recovered=True, missed=2)
    respond(scene, 12, room="@ann", seq=1, epoch="e1")
    respond(scene, 12, room="@ann", seq=1, epoch="e1")
    scene.say({"type": "RESPONSE", "ref": "theirs", "payload": 13, "room": "@ann", "seq": 2, "epoch": "e1"})
    assert asked.outcome.value == 12
    assert [item.payload for item in scene.session.mailbox.items] == [13]  # type: ignore[union-attr]


def test_accepted_requests_are_bounded() -> None:
    """As what waits in the outbox is."""
    scene = opened(outbox_limit=2)
    for name in ("a", "b"):
        ask(scene, id=name, durable=True)
        scene.say({"type": "ACCEPTED", "ref": name})
    with pytest.raises(OutboxFullError):
        ask(scene, id="c")


def test_close_ends_everything_accepted_or_not() -> None:
    """Each caller is told."""
    scene = opened()
    first, second = ask(scene, id="a", durable=True), ask(scene, id="b")
    scene.say({"type": "ACCEPTED", "ref": "a"})
    scene.do(scene.session.close)
    assert isinstance(first.outcome.error, ClosedError)
    assert isinstance(second.outcome.error, ClosedError)


def test_a_request_in_flight_holds_up_nothing() -> None:
    """Its slot of the rate is free although it has no answer."""
    scene = Scene()
    scene.open(limits={"rate": 3, "rate_per_ms": 100})
    ask(scene)
    for number in range(3):
        scene.send(number)
    for _ in range(20):
        scene.wait(100)
        for frame in scene.socket.of("CHAT"):
            scene.ack(frame, 1)
    assert len(scene.socket.of("CHAT")) == 3
