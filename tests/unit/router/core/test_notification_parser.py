"""Notification: what a backend may publish, and the reason for what it may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.cost import STEP, is_linear, lines

from router.core.notification_parser import Notification, address_of, parse
from warren.envelope import Publish, decode, encode

NOW = 1_764_000_000_000_000


def make(key="room.lobby", body=b"1", max_bytes=100, **more):
    return parse(Notification(key, body, **more), now_us=NOW, max_bytes=max_bytes)


def test_a_bare_json_notification_has_the_defaults():
    """JSON, NOTIFICATION, no id, never expires, nobody's, taken in now."""
    assert make(body=b' {"a": [1]} ') == Publish("lobby", "NOTIFICATION", b' {"a": [1]} ', NOW)


def test_every_property_is_carried():
    """type, message_id, expiration, content_type and key become fields of the envelope."""
    made = parse(
        Notification("user.ann", b"\xff", "application/octet-stream", "deal.done", "m1", 1_500, "EURUSD"),
        now_us=NOW,
        max_bytes=10,
    )
    assert made == Publish(
        "@ann", "deal.done", b"\xff", NOW, id="m1", binary=True, key="EURUSD",
        expires_ms=NOW // 1_000 + 1_500
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "address"),
    [
        ("room.lobby", "lobby"),
        ("room.a.b:c/d@e", "a.b:c/d@e"),
        ("user.auth0|ann+x@example.org", "@auth0|ann+x@example.org"),
        ("conn.g1-abc~1f", "g1-abc~1f"),
        ("all", "*"),
        ("all.", None),
        ("room.", None),
        ("room", None),
        ("", None),
        ("room.@ann", None),
        ("room.*", None),
        ("room.g1~1", None),
        ("user.@ann", None),
        ("conn.lobby", None),
        ("conn.g1~", None),
        ("group.x", None),
        ("room.a b", None),
        ("room." + "a" * 129, None),
    ],
)
def test_a_routing_key_names_an_address_or_none(key, address):
    """room, user, conn and all; reserved addresses only by their own kind."""
    assert address_of(key) == address


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"key": "nowhere"}, "invalid address"),
        ({"type": "with space"}, "invalid type"),
        ({"type": "x" * 65}, "invalid type"),
        ({"type": "JOIN"}, "reserved type"),
        ({"type": "MY_OWN_2"}, "reserved type"),
        ({"id": "x" * 256}, "invalid message_id"),
        ({"id": "a\nb"}, "invalid message_id"),
        ({"id": "~"}, "reserved message_id"),
        ({"id": "~m1"}, "reserved message_id"),
        ({"latest_key": 7}, "invalid header key"),
        ({"latest_key": "a\0"}, "invalid header key"),
        ({"latest_key": "k" * 129}, "invalid header key"),
        ({"expiration_ms": -1}, "invalid expiration"),
        ({"expiration_ms": 1 << 32}, "invalid expiration"),
        ({"body": b"1" * 101}, "too large"),
        ({"content_type": "text/plain"}, "unsupported content_type"),
        ({"body": b""}, "invalid payload"),
        ({"body": b"{"}, "invalid payload"),
        ({"body": b'"\xff"'}, "invalid payload"),
        ({"body": b"NaN"}, "invalid payload"),
        ({"body": b"1 2"}, "invalid payload"),
        ({"body": b"[" * 129 + b"]" * 129, "max_bytes": 1_000}, "invalid payload"),
        ({"body": b'{"a":[' * 65 + b"]}" * 65, "max_bytes": 1_000}, "invalid payload"),
        ({"body": b"[" * 5_000 + b"]" * 5_000, "max_bytes": 100_000}, "invalid payload"),
    ],
)
def test_what_is_invalid_has_a_reason(more, reason):
    """The part before the colon is one of a few words, so that it can be counted."""
    made = make(**more)
    assert isinstance(made, str)
    assert made.partition(":")[0] == reason


def test_a_key_is_as_long_as_a_clients_may_be():
    """Whoever publishes, one rule for one field."""
    assert make(latest_key="k" * 128).key == "k" * 128


UNITS = {
    "arrays": b"[],",
    "towers": b"[" * 126 + b"]" * 126 + b",",
    "strings": b'"[",[],',
    "escapes": b'"\\\\\\"[",',
}
ENDS = {
    "valid": b"1]",
    "a string without an end": b'"' + b'\\"' * 30,
    "half": b"",
    "too deep": b"[" * 129 + b"]" * 130,
}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_body_is_judged_in_linear_time(unit, end):
    """Whether it is JSON or not: no backend can keep a router from its work."""
    small, large = (b"[" + unit * (size // len(unit)) + end for size in (20_000, 20_000 * STEP))
    judge = lambda body: make(body=body, max_bytes=400_000)  # noqa: E731
    assert lines(lambda: judge(large)) == lines(lambda: judge(small))
    assert is_linear(judge, small, large)


def test_a_string_without_an_end_is_refused_at_once():
    """The parser looks first, and nothing looks at what is no JSON a second time."""
    small, large = (b"[" * 129 + b'"' + b'\\"' * size for size in (2_000, 2_000 * STEP))
    assert make(body=large, max_bytes=100_000).startswith("invalid payload")
    assert is_linear(lambda body: make(body=body, max_bytes=100_000), small, large)


def test_what_nests_as_deep_as_a_clients_message_may_passes():
    """128 levels, and brackets in strings or side by side count for nothing."""
    assert make(body=b"[" * 128 + b"]" * 128, max_bytes=1_000).payload
    assert make(body=b"[" + b",".join([b"{}"] * 500) + b"]", max_bytes=10_000).payload
    assert make(body=b'"' + b"[" * 5_000 + b'\\""', max_bytes=10_000).payload


@pytest.mark.parametrize("kind", ["CHAT", "TYPING", "DATA_UPDATE", "Order", "order.created", "a", "1", "A-B"])
def test_ordinary_types_and_own_ones_pass(kind):
    """The four predefined ones in UPPER CASE, and whatever is not all UPPER CASE."""
    assert make(type=kind).type == kind


def test_an_id_may_hold_a_tilde_elsewhere():
    """Only the first character tells Warren's own ids from others."""
    assert make(id="m~1").id == "m~1"


@pytest.mark.parametrize("content_type", [None, "", "application/json", "Application/JSON; charset=utf-8"])
def test_json_is_what_is_called_so_or_not_called_anything(content_type):
    """Parameters and case of the content type do not matter."""
    assert not make(content_type=content_type).binary


def test_an_expiration_of_nothing_is_expired_already():
    """As at the broker, 0 means that it must be delivered at once or not at all."""
    assert make(expiration_ms=0).expires_ms == NOW // 1_000


def test_binary_payloads_are_not_looked_into():
    """Anything goes, also nothing."""
    assert make(body=b"", content_type="application/octet-stream").payload == b""


@given(
    st.text(max_size=20), st.binary(max_size=40), st.none() | st.text(max_size=20), st.none() | st.text(max_size=20),
    st.none() | st.text(max_size=20), st.none() | st.integers(), st.none() | st.text(max_size=5) | st.integers(),
)  # fmt: skip
def test_nothing_a_backend_can_send_raises(
    key, body, content_type, kind, message_id, expiration_ms, latest_key
):
    """There is an envelope that survives the wire, or a reason."""
    made = make("room." + key, body, 30, content_type=content_type, type=kind, id=message_id,
                expiration_ms=expiration_ms, latest_key=latest_key)  # fmt: skip
    if isinstance(made, Publish):
        assert decode(encode([made])) == [made]
    else:
        assert made
