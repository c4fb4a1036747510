"""AMQP bytes: what is built by hand here is what pamqp would build, and what comes back is what was sent."""

from typing import Any

import pamqp.frame
import pytest
from hypothesis import strategies as st
from pamqp import commands as spec
from pamqp.header import ContentHeader

from warren.bus import Properties
from warren.bus.rabbit.frames import (
    decode_properties,
    encode_properties,
    mark,
    marked,
    stream_offset,
)

SHORT = st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), min_size=1, max_size=60)
VALUES = st.one_of(
    st.text(max_size=20),
    st.integers(-(2**40), 2**40),
    st.booleans(),
    st.floats(allow_nan=False, width=32),
    st.none(),
)
PROPERTIES = st.builds(
    Properties,
    content_type=st.none() | SHORT,
    type=st.none() | SHORT,
    message_id=st.none() | SHORT,
    correlation_id=st.none() | SHORT,
    reply_to=st.none() | SHORT,
    expiration_ms=st.none() | st.integers(0, 2**31),
    timestamp_ms=st.none() | st.integers(0, 4_000_000_000).map(lambda seconds: seconds * 1_000),
    headers=st.dictionaries(SHORT, VALUES, max_size=5),
)


def unframe(data: bytes) -> list[object]:
    """Return the frames in a byte string."""
    frames = []
    while data:
        used, _, frame = pamqp.frame.unmarshal(data)
        frames.append(frame)
        data = data[used:]
    return frames


LONG = 2**40 + 7  # pamqp writes it with eight bytes, as RabbitMQ does every offset


def header_of(**properties: Any) -> bytes:
    """A content header's payload."""
    return pamqp.frame.marshal(ContentHeader(body_size=5, properties=spec.Basic.Properties(**properties)), 1)[
        7:-1
    ]


@pytest.mark.parametrize("offset", [0, 1, 255, 2**31, LONG, 2**63 - 1])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"app_id": "warren/17", "delivery_mode": 2},
        {"content_type": "text/plain"},
        {"content_encoding": "x-stream-offset"},
        {"headers": {"first": 1}},
        {"headers": {"text": "\x0fx-stream-offsetl12345678"}},
    ],
    ids=str,
)
def test_the_offset_of_a_record_is_read(offset: int, more: dict[str, Any]) -> None:
    """Whatever else is in a record's properties, the offset is the header of that name."""
    whole = header_of(**{**more, "headers": {**more.get("headers", {}), "x-stream-offset": LONG}})
    assert stream_offset(whole.replace(LONG.to_bytes(8, "big"), offset.to_bytes(8, "big"))) == offset


@pytest.mark.parametrize(
    "properties",
    [{}, {"headers": {"x": 1}}, {"headers": {"x-stream-offset": "7"}}, {"content_type": "x-stream-offset"}],
    ids=str,
)
def test_what_is_no_record_has_no_offset(properties: dict[str, Any]) -> None:
    """No header of that name, or one that is no number."""
    assert stream_offset(header_of(**properties)) is None


@pytest.mark.parametrize(
    "before", [{}, {"content_type": "application/vnd.warren"}, {"content_type": ""}], ids=str
)
def test_the_offset_of_a_record_is_read_in_place(
    before: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also behind a content type, which all that stands in a log has."""
    monkeypatch.setattr("warren.bus.rabbit.frames.decode_header", None)
    assert stream_offset(header_of(headers={"x-stream-offset": LONG}, **before)) == LONG


@pytest.mark.parametrize("before", [{}, {"content_type": "application/vnd.warren"}], ids=str)
def test_an_offset_that_is_cut_is_none(before: dict[str, Any]) -> None:
    """A header that ends in the middle of the offset has none."""
    whole = header_of(headers={"x-stream-offset": LONG}, **before)
    assert [stream_offset(whole[:end]) for end in range(14, len(whole))] == [None] * (len(whole) - 14)


def test_who_has_published_is_told_but_not_our_own_mark():
    """The user's name, which the broker has checked, and what an application calls itself."""
    told = decode_properties(spec.Basic.Properties(user_id="ops", app_id="shop"))
    assert (told.user_id, told.app_id) == ("ops", "shop")
    encoded = mark(encode_properties(Properties(), persistent=True), 7)
    raw = spec.Basic.Properties()
    raw.unmarshal(int.from_bytes(encoded[:2], "big"), encoded[2:])
    assert marked(raw.app_id) == 7
    assert decode_properties(raw).app_id is None
