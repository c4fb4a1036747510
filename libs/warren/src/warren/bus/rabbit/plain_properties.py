"""Plain properties: AMQP's basic properties as bytes, written and read, where they are like nearly all are.

pamqp looks each of them up by name and type, which costs more than the rest of a publish, and of a delivery
that is looked into. Plain are texts, times, and headers that are texts, truth values or whole numbers;
whatever else there is, or can't be read, is left to pamqp. What is written is what pamqp writes, byte for
byte, and what is read is what it reads. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct, error
from typing import Final

from warren.bus import HeaderValue, Properties

# Flags (AMQP 0-9-1, 4.2.6.1), in the order of the values.
_CONTENT_TYPE: Final = 1 << 15
_CONTENT_ENCODING: Final = 1 << 14
_HEADERS: Final = 1 << 13
_DELIVERY_MODE: Final = 1 << 12
_PRIORITY: Final = 1 << 11
_CORRELATION_ID: Final = 1 << 10
_REPLY_TO: Final = 1 << 9
_EXPIRATION: Final = 1 << 8
_MESSAGE_ID: Final = 1 << 7
_TIMESTAMP: Final = 1 << 6
_TYPE: Final = 1 << 5
_USER_ID: Final = 1 << 4
_APP_ID: Final = 1 << 3
_READABLE: Final = 0xFFF8  # the others: cluster-id, a bit without meaning, and that more flags follow

_FLAGS_AT: Final = 12  # behind the class, the weight and the size of the body
_MAX_NAME: Final = 128  # bytes of a header's name
_MAX_STAMP: Final = 0xFFFF_FFFF  # beyond it pamqp takes a time for milliseconds
_U16, _I16, _I32, _I64, _U32, _U64 = map(Struct, (">H", ">h", ">i", ">q", ">I", ">Q"))
_TEXT: Final = Struct(">cI")
_SMALL: Final = tuple(b"b" + number.to_bytes(1, "big", signed=True) for number in range(-128, 128))
_TRUE, _FALSE = b"t\x01", b"t\x00"


class _NotPlain(Exception):
    """It is pamqp's to deal with."""


def encode_plain(properties: Properties, persistent: bool) -> bytes | None:
    """Return flags and values as they stand in a content header; None where they are not plain."""
    try:
        return _encoded(properties, persistent)
    except (_NotPlain, ValueError, TypeError):
        return None


def decode_plain(header: bytes) -> Properties | None:
    """Return the properties in a content header's payload; None where they are not plain."""
    try:
        return _decoded(header)
    except (_NotPlain, error, IndexError, UnicodeDecodeError):
        return None


# ── written ─────────────────────────────────────────────────────────────────────────────────────────────────


def _encoded(properties: Properties, persistent: bool) -> bytes:
    flags, parts = _DELIVERY_MODE, [b""]
    if properties.content_type:
        flags |= _CONTENT_TYPE
        parts.append(_name(properties.content_type))
    if properties.headers:
        flags |= _HEADERS
        parts.append(_table(properties.headers))
    parts.append(b"\x02" if persistent else b"\x01")
    if properties.correlation_id:
        flags |= _CORRELATION_ID
        parts.append(_short(properties.correlation_id))
    if properties.reply_to:
        flags |= _REPLY_TO
        parts.append(_short(properties.reply_to))
    if properties.expiration_ms is not None:
        flags |= _EXPIRATION
        parts.append(_short(str(properties.expiration_ms)))
    if properties.message_id:
        flags |= _MESSAGE_ID
        parts.append(_short(properties.message_id))
    if properties.timestamp_ms is not None:
        seconds = properties.timestamp_ms // 1_000
        if not 0 <= seconds <= _MAX_STAMP:
            raise _NotPlain
        flags |= _TIMESTAMP
        parts.append(_U64.pack(seconds))
    if properties.type:
        flags |= _TYPE
        parts.append(_short(properties.type))
    parts[0] = _U16.pack(flags)
    return b"".join(parts)


def _short(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(1, "big") + data if len(data) < 256 else _none()


@lru_cache(maxsize=1_024)
def _name(text: str) -> bytes:
    """Return a short text of which there are few."""
    return _short(text)


def _table(headers: Mapping[str, HeaderValue]) -> bytes:
    parts = []
    for name in sorted(headers):
        value, encoded = headers[name], _name(name)
        if len(encoded) > _MAX_NAME + 1:  # and its length
            raise _NotPlain
        parts.append(encoded)
        if type(value) is str:
            text = value.encode()
            parts += (_TEXT.pack(b"S", len(text)), text)
        elif value is True or value is False:
            parts.append(_TRUE if value else _FALSE)
        elif type(value) is int and -128 <= value <= 127:
            parts.append(_SMALL[value + 128])
        else:
            raise _NotPlain
    table = b"".join(parts)
    return _U32.pack(len(table)) + table


def _none() -> bytes:
    raise _NotPlain


# ── read ────────────────────────────────────────────────────────────────────────────────────────────────────


def _decoded(data: bytes) -> Properties:
    flags: int = _U16.unpack_from(data, _FLAGS_AT)[0]
    if flags & ~_READABLE:
        raise _NotPlain
    at = _FLAGS_AT + 2
    content_type = correlation_id = reply_to = expiration = message_id = kind = user_id = app_id = None
    headers: dict[str, HeaderValue] = {}
    stamp = None
    if flags & _CONTENT_TYPE:
        content_type, at = _text(data, at)
    if flags & _CONTENT_ENCODING:
        _, at = _text(data, at)
    if flags & _HEADERS:
        end = at + 4 + _U32.unpack_from(data, at)[0]
        headers, at = _read_table(data, at + 4, end), end
    at += (flags & _DELIVERY_MODE > 0) + (flags & _PRIORITY > 0)
    if flags & _CORRELATION_ID:
        correlation_id, at = _text(data, at)
    if flags & _REPLY_TO:
        reply_to, at = _text(data, at)
    if flags & _EXPIRATION:
        expiration, at = _text(data, at)
    if flags & _MESSAGE_ID:
        message_id, at = _text(data, at)
    if flags & _TIMESTAMP:
        stamp = _U64.unpack_from(data, at)[0]
        at += 8
        if stamp > _MAX_STAMP:
            raise _NotPlain
    if flags & _TYPE:
        kind, at = _text(data, at)
    if flags & _USER_ID:
        user_id, at = _text(data, at)
    if flags & _APP_ID:
        app_id, at = _text(data, at)
    if at > len(data):
        raise _NotPlain
    return Properties(
        content_type,
        kind,
        message_id,
        correlation_id,
        reply_to,
        int(expiration) if expiration is not None and expiration.isdecimal() else None,
        None if stamp is None else stamp * 1_000,
        headers,
        user_id,
        app_id,
    )


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    text = data[at + 1 : end]
    if end > len(data):
        raise _NotPlain
    return text.decode(), end


def _read_table(data: bytes, at: int, end: int) -> dict[str, HeaderValue]:
    table: dict[str, HeaderValue] = {}
    value: HeaderValue
    if end > len(data):
        raise _NotPlain
    while at < end:
        name, at = _text(data, at)
        kind, at = data[at], at + 1
        match kind:
            case 0x53:  # S: a text
                behind = at + 4 + _U32.unpack_from(data, at)[0]
                if behind > end:
                    raise _NotPlain
                value, at = data[at + 4 : behind].decode(), behind
            case 0x62:  # b, s, I and l: whole numbers with a sign, of 1, 2, 4 and 8 bytes
                value, at = int.from_bytes(data[at : at + 1], "big", signed=True), at + 1
            case 0x73:
                value, at = _I16.unpack_from(data, at)[0], at + 2
            case 0x49:
                value, at = _I32.unpack_from(data, at)[0], at + 4
            case 0x6C:
                value, at = _I64.unpack_from(data, at)[0], at + 8
            case 0x74:  # t: a truth value
                value, at = data[at] != 0, at + 1
            case _:
                raise _NotPlain
        table[name] = value
    if at != end:
        raise _NotPlain
    return table
