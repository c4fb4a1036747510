"""Messages and events: each text comes out as it went in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.message_rules import MAX_DEPTH, is_reserved_type, is_type
from warren.pusher import messages
from warren.pusher.messages import Event

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    st.recursive(
        st.none() | st.integers() | st.text('ab\\"é', max_size=3), lambda inner: st.lists(inner, max_size=3)
    ).map(json.dumps),
)


@given(TEXTS, st.sampled_from(["sold", "App\\Events\\Sold", "with blank", "LOUD", "x" * 100, "pusher.event"]))
def test_an_event_comes_out_as_it_went_in(data, name):
    """Whatever its data and its name; the message is one that Warren takes, with a payload that is JSON."""
    kind, payload = messages.message_of(name, data)
    assert is_type(kind)
    assert not is_reserved_type(kind)
    json.loads(payload)
    assert messages.event_of(kind, payload) == Event(name, data)
    kind, payload = messages.message_of(name, data, "a-channel")
    assert (kind, messages.event_of(kind, payload)) == ("pusher.event", Event(name, data, "a-channel"))


def test_data_that_is_json_is_the_payload_as_it_stands():
    """Byte for byte, so that clients of Warren read what was meant; other text is a JSON string."""
    assert messages.message_of("sold", '{"n": 1.50}') == ("sold", b'{"n": 1.50}')
    assert messages.message_of("sold", "hello") == ("sold", b'"hello"')
    assert messages.message_of("sold", '"hello"') == ("sold", b'"\\"hello\\""')
    deep = "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)
    assert messages.payload_of(deep) == json.dumps(deep).encode()


@pytest.mark.parametrize("kind", ["pusher:error", "pusher_internal:member_added", "PRESENCE", "RESPONSE"])
def test_nothing_that_looks_like_the_protocols_own_is_an_event(kind):
    """Whoever publishes it, by itself or wrapped."""
    assert messages.event_of(kind, b"{}") is None
    assert messages.event_of(kind, b"x", binary=True) is None
    if kind.startswith("pusher"):
        assert messages.event_of("pusher.event", json.dumps({"event": kind, "data": 1}).encode()) is None
        assert not messages.is_name(kind)


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"null", b'{"event":1,"data":2}', b'{"event":"a"}'])
def test_a_wrapped_event_that_is_none_is_none(payload):
    """Clients of Warren may publish anything under that type."""
    assert messages.event_of("pusher.event", payload) is None


def test_messages_of_warren_are_events():
    """By their types; bytes as base64."""
    assert messages.event_of("CHAT", b'{"text":"hi"}') == Event("CHAT", '{"text":"hi"}')
    assert messages.event_of("blob", b"\x00\xff", binary=True) == Event("blob", "AP8=")
    assert messages.event_of("n", b' "x" ') == Event("n", "x")


def test_half_of_a_surrogate_pair_is_no_text():
    """Its sender is told."""
    with pytest.raises(UnicodeEncodeError):
        messages.message_of("a", "\ud83d")
    with pytest.raises(UnicodeEncodeError):
        messages.message_of("\ud83d", "a")
