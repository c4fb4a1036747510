"""Frames as JSON and as MessagePack."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_conformance.codec import JSON, MSGPACK, SUBPROTOCOLS, Unreadable, decode, encode

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("protocol", SUBPROTOCOLS)
@given(payload=VALUES)
def test_a_frame_is_read_as_it_was_written(protocol: str, payload: object) -> None:
    """In both spellings."""
    frame = {"type": "CHAT", "room": "r", "payload": payload}
    assert decode(encode(frame, protocol), protocol) == frame


@pytest.mark.parametrize("protocol", SUBPROTOCOLS)
def test_bytes_are_base64_between_the_two(protocol: str) -> None:
    """A binary payload is the same frame in both spellings."""
    frame = {"type": "CHAT", "payload": "AP8=", "encoding": "base64"}
    assert decode(encode(frame, protocol), protocol) == frame
    assert (b"\x00\xff" in encode(frame, MSGPACK)) is True


@pytest.mark.parametrize(
    ("data", "protocol", "words"),
    [
        ("{", JSON, "not JSON"),
        ('{"a": NaN}', JSON, "not JSON"),
        ("[" * 100_000, JSON, "not JSON"),
        ("[]", JSON, "not an object"),
        (b"\xc1", MSGPACK, "not MessagePack"),
        (b"\x91" * 100_000, MSGPACK, "not MessagePack"),
        (b"\x90", MSGPACK, "not an object"),
        ("{}", MSGPACK, "text frame"),
    ],
)
def test_what_is_no_frame_is_named(data: str | bytes, protocol: str, words: str) -> None:
    """The sentence says what is wrong with it."""
    with pytest.raises(Unreadable, match=words):
        decode(data, protocol)
