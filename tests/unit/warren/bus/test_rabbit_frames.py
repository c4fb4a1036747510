"""AMQP bytes: what is built by hand here is what pamqp would build, and what comes back is what was sent."""

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from warren.bus import Properties
from warren.bus.rabbit_frames import content, decode_properties, encode_properties, mark, marked, publish_method

SHORT = st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), min_size=1, max_size=60)
VALUES = st.one_of(
    st.text(max_size=20), st.integers(-(2**40), 2**40), st.booleans(), st.floats(allow_nan=False, width=32), st.none()
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


def header_of(encoded: bytes) -> ContentHeader:
    frame = unframe(b"".join(content(1, encoded, b"", 4096)))[0]
    assert isinstance(frame, ContentHeader)
    return frame


@given(PROPERTIES, st.booleans())
def test_properties_come_back_as_they_went(properties: Properties, persistent: bool) -> None:
    """Encoding and decoding gives the same properties, and the delivery mode says whether to keep the message."""
    raw = header_of(encode_properties(properties, persistent)).properties
    assert decode_properties(raw) == properties
    assert raw.delivery_mode == (2 if persistent else 1)


@given(PROPERTIES, st.integers(1, 2**63))
def test_the_mark_is_read_back_and_changes_nothing_else(properties: Properties, tag: int) -> None:
    """A marked message carries its publish's number in app-id, and every other property as before."""
    encoded = encode_properties(properties, True)
    raw = header_of(mark(encoded, tag)).properties
    assert marked(raw.app_id) == tag
    assert decode_properties(raw) == properties
    assert header_of(encoded).properties.app_id is None


@pytest.mark.parametrize("app_id", [None, "", "somebody", "warren/", "warren/x", "warren/-1"])
def test_what_is_no_mark_is_none(app_id: str | None) -> None:
    """An app-id that another program wrote is taken for no mark."""
    assert marked(app_id) is None


@pytest.mark.parametrize("size", [0, 1, 4087, 4088, 4089, 8176, 8177, 100_000])
def test_a_body_is_cut_to_the_frame_size(size: int) -> None:
    """Body frames are as large as was agreed with the broker, never larger, and together they are the body."""
    body = bytes(index % 251 for index in range(size))
    header, *parts = unframe(b"".join(content(3, encode_properties(Properties(), True), body, 4096)))
    assert isinstance(header, ContentHeader)
    assert header.body_size == size
    bodies = [part.value for part in parts if isinstance(part, ContentBody)]
    assert len(bodies) == len(parts) == -(-size // 4088)
    assert b"".join(bodies) == body


def test_a_publish_is_what_pamqp_would_write() -> None:
    """The method frame is that of pamqp, for each pair of exchange and key."""
    for mandatory in (True, False):
        method = spec.Basic.Publish(exchange="ex", routing_key="key", mandatory=mandatory)
        assert publish_method(7, "ex", "key", mandatory) == pamqp.frame.marshal(method, 7)


def test_a_key_has_a_limit() -> None:
    """A routing key of more than 255 bytes is refused before anything is sent."""
    publish_method(1, "ex", "k" * 255, True)
    for key in ("k" * 256, "ü" * 128):
        with pytest.raises(ValueError, match="255"):
            publish_method(1, "ex", key, True)


def test_values_of_foreign_types_become_text() -> None:
    """Tables, arrays and times in headers are given as their text, and an expiration that is no number as none."""
    raw = spec.Basic.Properties(headers={"list": [1, 2], "table": {"a": 1}, "plain": "x"}, expiration="soon")
    properties = decode_properties(raw)
    assert properties.headers == {"list": "[1, 2]", "table": "{'a': 1}", "plain": "x"}
    assert properties.expiration_ms is None


@pytest.mark.parametrize(
    ("flags", "values"),
    [
        (1 << 6, b"\xff" * 8),  # a timestamp beyond any calendar
        (1 << 5, b"\x02a\xff"),  # a type that is no UTF-8
        (1 << 13, b"\0\0\0\x09\x01\xffS\0\0\0\x01x\0"),  # a header's name that is none
        (1 << 13, b"\0\0\0\x03\x01aZ"),  # a value of an unknown kind
        (1 << 13, b"\0\0\0\x0b\x01aT" + b"\xff" * 8),
        (1 << 13, (lambda t: len(t).to_bytes(4, "big") + t)(b"\x01aA" + b"\0\0\x10\0A" * 3_000)),
    ],
)
def test_no_properties_of_a_stranger_end_the_connection(flags: int, values: bytes) -> None:
    """What AMQP lets a client write can be read, or is left out: a frame that raises would end the connection with all its consumers."""
    raw = header_of(flags.to_bytes(2, "big") + values).properties
    assert decode_properties(raw).message_id is None


def test_a_routing_key_that_is_no_text_is_no_address() -> None:
    """What can't be read of a routing key becomes a character that no address has."""
    deliver = spec.Basic.Deliver("c", 7, False, "x", "room.abc")
    frame = pamqp.frame.marshal(deliver, 1).replace(b"abc", b"a\xffc")
    _, _, found = pamqp.frame.unmarshal(frame)
    assert (found.delivery_tag, found.routing_key) == (7, "room.a?c")
