"""One message without a connection."""

from __future__ import annotations

import json

import pytest

from gateway.core import one_message
from gateway.core.client_messages import Acked, error
from gateway.core.one_message import UserRateLimits, checked, closed, status_of
from warren.errors import CloseCode, ErrorCode, ProtocolError
from warren.namespaces import RateLimit


def test_a_message_with_an_id_is_taken_as_it_is():
    """Byte for byte."""
    body = b' {"type":"CHAT","room":"a","id":"m","payload":{"x": 1}} '
    assert checked(body, "n") == (body, "m")


@pytest.mark.parametrize("fields", [{}, {"id": None}])
def test_a_message_without_one_gets_one(fields: dict[str, None]):
    """So that there is an answer."""
    body = json.dumps({"type": "CHAT", "room": "a", **fields}).encode() + b"\n"
    frame, ref = checked(body, "g~1")
    assert ref == "g~1"
    assert json.loads(frame) == {"type": "CHAT", "room": "a", "id": "g~1"}


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"type": "JOIN", "room": "a"}, "needs a connection"),
        ({"type": "PING"}, "needs a connection"),
        ({"type": "NEW", "room": "a"}, "needs a connection"),
        ({"type": "CHAT"}, "room: is missing"),
        ({"type": "CHAT", "room": "a", "receipt": "seen"}, "receipt: comes"),
        ({"type": "CHAT", "room": 7}, "room: must be"),
        ({"room": "a"}, "type: is missing"),
    ],
)
def test_what_needs_a_connection_is_refused(message: dict[str, object], says: str):
    """With the reason, and the id where there is one."""
    with pytest.raises(ProtocolError) as caught:
        checked(json.dumps({**message, "id": "m"}).encode(), "n")
    assert caught.value.code is ErrorCode.INVALID_MESSAGE
    assert says in caught.value.message
    assert caught.value.ref == "m"


@pytest.mark.parametrize("code", list(ErrorCode))
def test_each_error_has_a_status(code: ErrorCode):
    """What may be sent again is 429 or a fault of ours, what is refused for good is the client's."""
    status = status_of(error(code, "why"))
    assert (status == 429 or status >= 500) == code.retry or code in (
        ErrorCode.NO_SERVICE,
        ErrorCode.HEARTBEAT_MISSED,
        ErrorCode.TOO_SLOW,
    )
    assert status_of(Acked("m", "a")) == 200


@pytest.mark.parametrize("code", list(CloseCode))
def test_what_would_close_a_connection_is_an_error(code: CloseCode):
    """Beyond the rate it may be sent again."""
    answer = closed(code, "", "m")
    assert (answer.ref, answer.message, answer.close) == ("m", code.reason, None)
    if code is CloseCode.RATE_LIMITED:
        assert status_of(answer) == 429


def test_each_user_has_a_rate(monkeypatch: pytest.MonkeyPatch):
    """The same for all that it says; who was not heard of for longest is forgotten first."""
    monkeypatch.setattr(one_message, "USERS_MAX", 2)
    limits = UserRateLimits(RateLimit(1, 1_000))
    assert limits.of("ann").take(None, 0.0) is None
    assert limits.of("ann").take(None, 0.0) is not None
    assert limits.of("bob").take(None, 0.0) is None
    assert limits.of("ann").take(None, 0.0) is not None
    limits.of("eve")
    assert limits.of("ann").take(None, 0.0) is not None
    assert limits.of("bob").take(None, 0.0) is None
    assert UserRateLimits(None).of("ann").take(None, 0.0) is None
