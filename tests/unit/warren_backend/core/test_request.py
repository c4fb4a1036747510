"""Requests as gateways write them, and answers as they read them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from warren_backend.core.errors import Refused
from warren_backend.core.messages import Incoming
from warren_backend.core.request import part_of, refusal, repeat_key, request_of

ASKED = Incoming(
    routing_key="orders.get",
    body=b'{"id":7}',
    type="REQUEST",
    message_id="ann~a",
    correlation_id="c1",
    reply_to="q",
    expiration_ms=1_500,
    headers={"user": "ann", "connection": "g1~1", "attempt": 2, "traceparent": "t"},
)


def test_a_request_says_who_asks_what() -> None:
    """And for how long an answer is wanted."""
    request = request_of(ASKED, "durable")
    assert (request.service, request.payload, request.user, request.connection) == (
        "orders.get", {"id": 7}, "ann", "g1~1"
    )  # fmt: skip
    assert (request.id, request.attempt, request.timeout_s, request.durable) == ("ann~a", 2, 1.5, False)
    assert request.traceparent == "t"


def test_a_repeat_asks_the_same_under_the_same_id() -> None:
    """Another payload, service or way of answering is another request, whatever its id."""
    key = repeat_key(ASKED, "durable")
    assert (
        repeat_key(replace(ASKED, correlation_id="c2", headers={}, expiration_ms=9, reply_to="r"), "durable")
        == key
    )
    others = [
        replace(ASKED, message_id="ann~b"),
        replace(ASKED, body=b"{}"),
        replace(ASKED, routing_key="orders.put"),
        replace(ASKED, reply_to="durable"),
    ]
    assert len({key, *(repeat_key(other, "durable") for other in others)}) == 5


def test_a_durable_one_has_no_end() -> None:
    """It is told by the queue that it names."""
    asked = Incoming(routing_key="a", body=b"", reply_to="durable", correlation_id="c")
    request = request_of(asked, "durable")
    assert (request.durable, request.timeout_s, request.payload, request.id) == (True, None, None, "c")
    assert part_of(1, 1).reply(asked).persistent
    assert not part_of(1, 1).reply(ASKED).persistent


def test_a_payload_that_can_not_be_read_is_refused() -> None:
    """The client gets an ERROR."""
    with pytest.raises(Refused) as refused:
        request_of(Incoming(routing_key="a", body=b"{"), "durable")
    assert refused.value.code == "invalid_payload"


def test_an_answer_goes_where_the_request_says() -> None:
    """With its number, and whether more comes."""
    reply = part_of({"x": 1}, 3, more=True).reply(ASKED)
    assert (reply.routing_key, reply.correlation_id, reply.body) == ("q", "c1", b'{"x":1}')
    assert (dict(reply.headers), reply.mandatory) == ({"n": 3, "more": True}, False)
    assert dict(part_of(b"\x00").reply(ASKED).headers) == {}


@pytest.mark.parametrize(
    ("refused", "code", "text"),
    [
        (Refused("not_found", "é"), "not_found", "é".encode()),
        (Refused("Not Found!"), "refused", b""),
        (Refused("x" * 65), "refused", b""),
        (Refused("a", "\ud800"), "a", b"?"),
    ],
)
def test_a_refusal_is_an_error_of_the_clients(refused: Refused, code: str, text: bytes) -> None:
    """A code that Warren would not pass on becomes one that it does."""
    part = refusal(refused, 4, durable=False)
    assert (part.error, part.body, part.n) == (code, text, None)


def test_a_durable_refusal_is_a_payload() -> None:
    """Numbered behind what was said."""
    part = refusal(Refused("a", "b"), 4, durable=True)
    assert (part.error, part.body, part.n) == ("", b'{"error":{"code":"a","message":"b"}}', 4)
