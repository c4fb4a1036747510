"""Plain properties: what is written and read by hand is what pamqp writes and reads."""

from __future__ import annotations

import datetime
from typing import Any

import pamqp.frame
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pamqp import commands as spec
from pamqp.header import ContentHeader

from warren.bus import Properties
from warren.bus.rabbit.frames import decode_header, decode_properties, encode_any, properties_of
from warren.bus.rabbit.plain_properties import decode_plain, encode_plain


def moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


TEXT = st.text(max_size=20)
SHORT = st.none() | TEXT
PLAIN = st.builds(
    Properties,
    content_type=SHORT,
    type=SHORT,
    message_id=SHORT,
    correlation_id=SHORT,
    reply_to=SHORT,
    expiration_ms=st.none() | st.integers(0, 2**40),
    timestamp_ms=st.none() | st.integers(0, 2**32 * 1_000 - 1),
    headers=st.dictionaries(TEXT, TEXT | st.booleans() | st.integers(-128, 127), max_size=5),
)
ANY = (
    st.text(max_size=300) | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(width=32) | st.none()
)
WILD = st.builds(
    Properties,
    content_type=st.none() | st.text(max_size=300),
    correlation_id=st.none() | st.text(max_size=300),
    expiration_ms=st.none() | st.integers(-(2**40), 2**40),
    timestamp_ms=st.none() | st.integers(-(2**40), 2**60),
    headers=st.dictionaries(st.text(max_size=150), ANY, max_size=5),
)
TABLE: st.SearchStrategy[Any] = st.dictionaries(
    TEXT,
    TEXT
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, width=32)
    | st.none()
    | st.binary(max_size=5).map(bytearray)
    | st.lists(st.integers(0, 5), max_size=3)
    | st.dictionaries(TEXT, st.integers(0, 5), max_size=2)
    | st.integers(2**25, 2**32 - 1).map(moment),
    max_size=4,
)
STRANGERS = st.builds(
    spec.Basic.Properties,
    content_type=SHORT,
    content_encoding=SHORT,
    headers=st.none() | TABLE,
    delivery_mode=st.none() | st.integers(1, 2),
    priority=st.none() | st.integers(0, 31),
    correlation_id=SHORT,
    reply_to=SHORT,
    expiration=SHORT | st.integers(0, 9_999).map(str),
    message_id=SHORT,
    timestamp=st.none() | st.integers(2**25, 2**33).map(moment),
    message_type=SHORT,
    user_id=SHORT,
    app_id=SHORT | st.integers(0, 99).map("warren/{}".format),
)


def header_of(properties: spec.Basic.Properties) -> bytes:
    """A content header's payload."""
    return pamqp.frame.marshal(ContentHeader(body_size=5, properties=properties), 1)[7:-1]


def by_pamqp(header: bytes) -> Properties:
    return decode_properties(decode_header(header))


@given(PLAIN, st.booleans())
def test_what_is_plain_is_written_as_pamqp_writes_it(properties: Properties, persistent: bool):
    """Byte for byte, and without pamqp's help."""
    assert encode_plain(properties, persistent) == encode_any(properties, persistent)


@given(WILD, st.booleans())
def test_what_is_not_plain_is_left_to_pamqp(properties: Properties, persistent: bool):
    """There is nothing between: it is written as pamqp does, or not at all."""
    written = encode_plain(properties, persistent)
    if written is not None:
        assert written == encode_any(properties, persistent)


@pytest.mark.parametrize(
    "properties",
    [
        Properties(headers={"x": 1.5}),
        Properties(headers={"x": None}),
        Properties(headers={"x": 128}),
        Properties(headers={"n" * 129: "x"}),
        Properties(headers={"x": "\ud800"}),
        Properties(message_id="é" * 128),
        Properties(timestamp_ms=-1),
        Properties(timestamp_ms=2**32 * 1_000),
    ],
    ids=str,
)
def test_what_pamqp_alone_can_write(properties: Properties):
    """Or can't, and says so."""
    assert encode_plain(properties, persistent=False) is None


@given(PLAIN)
def test_what_is_written_can_be_read(properties: Properties):
    """As what it was; empty texts are none, and times are whole seconds."""
    read = decode_plain(bytes(12) + (encode_plain(properties, persistent=True) or b""))
    stamp = properties.timestamp_ms
    assert read == Properties(
        properties.content_type or None,
        properties.type or None,
        properties.message_id or None,
        properties.correlation_id or None,
        properties.reply_to or None,
        properties.expiration_ms,
        None if stamp is None else stamp // 1_000 * 1_000,
        properties.headers,
    )


@settings(max_examples=300)
@given(STRANGERS)
@example(spec.Basic.Properties(headers={"a": 2**40, "b": -200, "c": 70_000, "d": True}, app_id="warren/7"))
def test_what_strangers_send_is_read_as_pamqp_reads_it(properties: spec.Basic.Properties):
    """Whatever is in it, and whoever reads it in the end."""
    header = header_of(properties)
    expected = by_pamqp(header)
    assert properties_of(header) == expected
    if not properties.headers and not isinstance(properties.timestamp, datetime.datetime):
        assert decode_plain(header) is not None


@settings(max_examples=500)
@given(STRANGERS, st.data())
def test_what_is_broken_is_read_as_pamqp_reads_it(properties: spec.Basic.Properties, data: st.DataObject):
    """Cut, or with bytes changed, behind the flags or in them; nothing is raised."""
    broken = bytearray(header_of(properties))
    for _ in range(data.draw(st.integers(0, 3))):
        broken[data.draw(st.integers(12, len(broken) - 1))] = data.draw(st.integers(0, 255))
    header = bytes(broken[: data.draw(st.integers(0, len(broken)))])
    read = decode_plain(header)
    assert read is None or properties_of(header) == by_pamqp(header)


@given(st.binary(max_size=80))
def test_any_bytes_can_be_read(header: bytes):
    """Or are left to pamqp."""
    decode_plain(header)
