"""What one client has asked services: what it may ask, and for how long it waits."""

import pytest

from gateway.core.actions import Request
from gateway.core.client_messages import ClientMessage
from gateway.core.open_requests import OpenRequests
from gateway.core.permissions import Identity
from warren.errors import ErrorCode, ProtocolError
from warren.services import ServicePolicy, Services

SERVICES = Services([ServicePolicy("orders.*", "token", 2_000), ServicePolicy("echo")])
ANN = Identity("ann", call=("orders.*", "echo"))


def ask(requests: OpenRequests, identity: Identity = ANN, **fields) -> Request:
    message = ClientMessage("REQUEST", **{"id": "r1", "service": "orders.get", **fields})
    return requests.ask(message, identity, SERVICES)


def refusal(requests: OpenRequests, identity: Identity = ANN, **fields) -> ErrorCode:
    with pytest.raises(ProtocolError) as refused:
        ask(requests, identity, **fields)
    return refused.value.code


def test_a_request_is_named_by_its_user_and_its_id() -> None:
    """So a backend knows a repeat, also of another connection, and nobody can take another's name."""
    asked = ask(OpenRequests(8), payload=b"7", traceparent="t")
    assert asked == Request("r1", "orders.get", b"7", False, "ann", "ann~r1", 2.0, True, False, "t")


@pytest.mark.parametrize(
    ("timeout_ms", "seconds", "judged"),
    [(None, 2.0, True), (2_000, 2.0, True), (60_000, 2.0, True), (1_999, 1.999, False), (1, 0.001, False)],
)
def test_a_client_may_shorten_the_time_and_not_lengthen_it(timeout_ms, seconds, judged) -> None:
    """A service is not to be blamed for a time that a client has made up."""
    asked = ask(OpenRequests(8), timeout_ms=timeout_ms)
    assert (asked.timeout_s, asked.judged) == (seconds, judged)


@pytest.mark.parametrize(
    "fields",
    [
        {"id": ""},
        {"id": "x" * 121},
        {"id": "\U0001f407" * 31},
        {"service": ""},
        {"service": "orders.*"},
        {"service": "orders.get.cancel"},
        {"timeout_ms": 0},
        {"timeout_ms": -5},
        {"timeout_ms": 60_001},
    ],
)
def test_what_is_no_request_is_refused(fields) -> None:
    """And is not open."""
    requests = OpenRequests(8)
    assert refusal(requests, **fields) is ErrorCode.INVALID_MESSAGE
    assert requests.refs() == ()


@pytest.mark.parametrize(
    ("identity", "service", "may"),
    [
        (ANN, "orders.get", True),
        (ANN, "echo", True),
        (ANN, "users.get", False),
        (Identity("ann"), "orders.get", False),
        (Identity("ann"), "echo", True),
        (Identity("ann", call=()), "echo", False),
        (Identity("ann", call=("*",)), "users.get", False),
    ],
)
def test_token_and_list_both_have_to_allow_it(identity, service, may) -> None:
    """What nobody has listed may not be called, whatever a token says."""
    requests = OpenRequests(8)
    if may:
        assert ask(requests, identity, service=service).service == service
    else:
        assert refusal(requests, identity, service=service) is ErrorCode.FORBIDDEN


def test_so_many_are_open_at_a_time() -> None:
    """Each until it is closed, which happens once."""
    requests = OpenRequests(2)
    ask(requests, id="a")
    ask(requests, id="b")
    assert refusal(requests, id="c") is ErrorCode.OVERLOADED
    assert (requests.close("a"), requests.close("a"), requests.close("c")) == (True, False, False)
    ask(requests, id="c")
    assert (requests.refs(), "a" in requests, "b" in requests) == (("b", "c"), False, True)
