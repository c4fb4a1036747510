"""AMQP 0-9-1 frames and properties as bytes, written and read.

A publish is built here as one byte string (method, header, body frames): building it from aiormq's and
pamqp's objects costs about as much CPU as all the rest of a publish. Pure: it opens nothing and keeps nothing
but small caches.
"""

from __future__ import annotations

import datetime
import struct
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import pamqp.frame
import pamqp.header
from pamqp import commands as spec

import warren.bus.rabbit.pamqp_patch  # noqa: F401 - or a stranger's message would end the connection
from warren.bus import HeaderValue, Properties
from warren.bus.rabbit.plain_properties import decode_plain, encode_plain

METHOD: Final = 1  # types of frames (AMQP 0-9-1, 4.2.3)
HEADER: Final = 2
BODY: Final = 3
# Class and method of those that come by the thousand, as one number.
DELIVER: Final = 60 << 16 | 60
RETURN: Final = 60 << 16 | 50
ACK: Final = 60 << 16 | 80
NACK: Final = 60 << 16 | 120
_REJECT: Final = 60 << 16 | 90
CHANNEL_CLOSE: Final = 20 << 16 | 40
CHANNEL_CLOSE_OK: Final = 20 << 16 | 41

_FRAME_END: Final = b"\xce"
_FRAME = struct.Struct(">BHI")
_HEADER = struct.Struct(">HxxQ")
_FLAGS = struct.Struct(">H")
_METHOD = struct.Struct(">I")
_SETTLED = struct.Struct(">QB")  # delivery tag, bits
_SETTLE = struct.Struct(">BHIIQBB")  # a whole frame
_HEAD_BYTES: Final = 7
FRAME_OVERHEAD: Final = 8
HEADER_OVERHEAD: Final = FRAME_OVERHEAD + _HEADER.size  # of a header frame, besides the properties
# AMQP writes properties in the order of their flags; only cluster-id comes after app-id
_APP_ID_FLAG: Final = 1 << 3
_MARK: Final = "warren/"
# A table whose only entry is the offset of a record, up to its eight bytes; behind the flags, and the content
# type where there is one.
_OFFSET_ALONE: Final = b"\x00\x00\x00\x19\x0fx-stream-offsetl"
_TABLE_AT: Final = _HEADER.size + _FLAGS.size
_UP_TO_HEADERS: Final = 0xE0  # flags, first byte: content type, content encoding, headers
_HEADERS: Final = 0x20
_TYPE_AND_HEADERS: Final = 0xA0
MAX_BODY_BYTES: Final = 512 * 1024 * 1024  # RabbitMQ's own bound, whatever it is set to


@lru_cache(maxsize=4096)
def publish_method(channel: int, exchange: str, key: str, mandatory: bool) -> bytes:
    """Return the frame of ``basic.publish``. Raises ValueError where the key is longer than
    AMQP's 255 bytes.
    """
    if len(key.encode()) > 255:
        raise ValueError("a routing key has at most 255 bytes")
    method = spec.Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory)
    return pamqp.frame.marshal(method, channel)


def encode_properties(properties: Properties, persistent: bool) -> bytes:
    """Return flags and values as they stand in a content header. AMQP's timestamps are whole seconds, and
    pamqp writes a float in headers with 32 bits. Raises ValueError, TypeError or OverflowError for what AMQP
    can't carry.
    """
    plain = encode_plain(properties, persistent)
    return encode_any(properties, persistent) if plain is None else plain


def encode_any(properties: Properties, persistent: bool) -> bytes:
    """Return the same, whatever they are like; pamqp's work."""
    stamp = properties.timestamp_ms
    expiration = properties.expiration_ms
    return spec.Basic.Properties(
        content_type=properties.content_type,
        headers=dict(properties.headers) or None,
        delivery_mode=2 if persistent else 1,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        expiration=None if expiration is None else str(expiration),
        message_id=properties.message_id,
        timestamp=None if stamp is None else datetime.datetime.fromtimestamp(stamp // 1_000, datetime.UTC),
        message_type=properties.type,
    ).marshal()


def mark(properties: bytes, tag: int) -> bytes:
    """Add the publish's number as ``app-id``, by which a returned message tells which publish it was."""
    value = f"{_MARK}{tag}".encode()
    flags: int = _FLAGS.unpack_from(properties)[0]
    return b"".join((_FLAGS.pack(flags | _APP_ID_FLAG), properties[2:], bytes((len(value),)), value))


def marked(app_id: str | None) -> int | None:
    """Return the number that ``mark`` wrote, None where there is none."""
    number = (app_id or "").removeprefix(_MARK)
    return int(number) if number.isdecimal() else None


def content(channel: int, properties: bytes, body: bytes, frame_max: int) -> list[bytes]:
    """Return the header frame and the body frames of a message."""
    header = _HEADER.pack(60, len(body)) + properties
    parts = [_FRAME.pack(HEADER, channel, len(header)), header, _FRAME_END]
    step = frame_max - FRAME_OVERHEAD
    for begin in range(0, len(body), step):
        chunk = body if len(body) <= step else body[begin : begin + step]
        parts += (_FRAME.pack(BODY, channel, len(chunk)), chunk, _FRAME_END)
    return parts


class MalformedFrame(Exception):
    """What came is no AMQP frame, or none that may come here: the connection can't be read any further."""


def method_of(data: bytes, at: int, end: int) -> int:
    """Return class and method of the method frame whose payload is ``data[at:end]``, as one number. Raises
    MalformedFrame.
    """
    if end - at < _METHOD.size:
        raise MalformedFrame("a method frame without a method")
    method: int = _METHOD.unpack_from(data, at)[0]
    return method


def end_of(frame: bytes) -> int:
    """Return CHANNEL_CLOSE or CHANNEL_CLOSE_OK where a whole frame of ours is that, and so ends its channel;
    else 0.
    """
    method: int = _METHOD.unpack_from(frame, _HEAD_BYTES)[0] if frame[:1] == b"\x01" else 0
    return method if method in (CHANNEL_CLOSE, CHANNEL_CLOSE_OK) else 0


def deliver_of(data: bytes, at: int, end: int) -> tuple[int, bool, bytes, bytes]:
    """Read a ``basic.deliver`` whose payload is ``data[at:end]``: delivery tag, redelivered, exchange,
    routing key. Raises MalformedFrame.
    """
    _, at = _text(data, at + 4, end)  # the consumer's tag
    _room(at + _SETTLED.size, end)
    tag, bits = _SETTLED.unpack_from(data, at)
    exchange, at = _text(data, at + _SETTLED.size, end)
    return tag, bool(bits & 1), exchange, _text(data, at, end)[0]


def return_of(data: bytes, at: int, end: int) -> tuple[bytes, bytes]:
    """Read a ``basic.return``: exchange and routing key. Raises MalformedFrame."""
    _, at = _text(data, at + 6, end)  # behind the reply's code: its text
    exchange, at = _text(data, at, end)
    return exchange, _text(data, at, end)[0]


def settled_of(data: bytes, at: int, end: int) -> tuple[int, bool]:
    """Read the broker's ``basic.ack`` or ``basic.nack``: the publish's number, and whether those before it
    are meant too. Raises MalformedFrame.
    """
    _room(at + 4 + _SETTLED.size, end)
    tag, bits = _SETTLED.unpack_from(data, at + 4)
    return tag, bool(bits & 1)


def size_of_body(data: bytes, at: int, end: int) -> int:
    """Return the size of the body that follows the content header whose payload is ``data[at:end]``. Raises
    MalformedFrame.
    """
    _room(at + _HEADER.size, end)
    size: int = _HEADER.unpack_from(data, at)[1]
    if size > MAX_BODY_BYTES:
        raise MalformedFrame(f"a body of {size} bytes; no broker takes more than {MAX_BODY_BYTES}")
    return size


def check(frame: bytes) -> None:
    """Look whether a whole frame can be read at all; for the rare ones, which aiormq decodes. Raises
    MalformedFrame.
    """
    try:
        pamqp.frame.unmarshal(frame)
    except Exception as error:
        raise MalformedFrame(
            f"a frame of type {frame[0]} can't be decoded: {type(error).__name__}"
        ) from error


def ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    """Return the frame of our ``basic.ack``."""
    return _SETTLE.pack(METHOD, channel, 13, ACK, tag, multiple, _FRAME_END[0])


def reject(channel: int, tag: int, *, requeue: bool) -> bytes:
    """Return the frame of our ``basic.reject``."""
    return _SETTLE.pack(METHOD, channel, 13, _REJECT, tag, requeue, _FRAME_END[0])


def _text(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Read a short string: its bytes, and where the next field begins. Raises MalformedFrame."""
    _room(at + 1, end)
    behind = at + 1 + data[at]
    _room(behind, end)
    return data[at + 1 : behind], behind


def _room(needed: int, end: int) -> None:
    if needed > end:
        raise MalformedFrame("a frame ends in the middle of a field")


def plain_text(raw: bytes) -> str:
    """Return a short string as text; what can't be read is ``?``, which no address has."""
    return raw.decode("utf-8", "replace").replace("\ufffd", "?")


def stream_offset(header: bytes) -> int | None:
    """Return the offset that the broker put into the headers of a record of a stream; None where there is
    none. Where it is the only one there, and nothing but a content type stands before the headers, nothing is
    decoded.
    """
    if len(header) > _TABLE_AT:
        before = header[_HEADER.size] & _UP_TO_HEADERS
        at = _TABLE_AT + 1 + header[_TABLE_AT] if before == _TYPE_AND_HEADERS else _TABLE_AT
        behind = at + len(_OFFSET_ALONE)
        if (
            before in (_HEADERS, _TYPE_AND_HEADERS)
            and header[at:behind] == _OFFSET_ALONE
            and len(header) >= behind + 8
        ):
            return int.from_bytes(header[behind : behind + 8], "big", signed=True)
    offset = (decode_header(header).headers or {}).get("x-stream-offset")
    return offset if isinstance(offset, int) else None


def decode_header(payload: bytes) -> spec.Basic.Properties:
    """Return the properties in a content header. They are a stranger's: none where they can't be read."""
    header = pamqp.header.ContentHeader()
    try:
        header.unmarshal(payload)
    except Exception:  # noqa: BLE001 - whatever is in it: it is shorter than it says, has unknown flags, …
        return spec.Basic.Properties()
    return header.properties


def properties_of(header: bytes) -> Properties:
    """Return what Warren uses of the properties in a content header's payload."""
    plain = decode_plain(header)
    if plain is None:
        return decode_properties(decode_header(header))
    return plain if plain.app_id is None or marked(plain.app_id) is None else replace(plain, app_id=None)


def decode_properties(raw: spec.Basic.Properties) -> Properties:
    """Return what Warren uses of a message's properties, whatever they are like."""
    stamp: datetime.datetime | None = raw.timestamp
    expiration = raw.expiration or ""
    return Properties(
        content_type=raw.content_type,
        type=raw.message_type,
        message_id=raw.message_id,
        correlation_id=raw.correlation_id,
        reply_to=raw.reply_to,
        expiration_ms=int(expiration) if expiration.isdecimal() else None,
        timestamp_ms=None if stamp is None else int(stamp.timestamp() * 1_000),
        user_id=raw.user_id,
        app_id=raw.app_id if marked(raw.app_id) is None else None,
        headers=_plain(raw.headers or {}),
    )


def _plain(headers: Mapping[str, Any]) -> Mapping[str, HeaderValue]:
    """Keep header values of Warren's types and give the others (tables, arrays, decimals, times) as their
    text.
    """
    return {
        name: value if value is None or isinstance(value, str | int | float | bytes) else str(value)
        for name, value in headers.items()
    }
