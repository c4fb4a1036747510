"""``warren.v1.msgpack``: the same messages as MessagePack maps. Inside Warren a payload is JSON text or raw bytes, so here it is turned:
a bin is raw bytes both ways; any other value becomes JSON text on entry, and JSON text becomes a value on its way out.

JSON that MessagePack can't hold (a whole number beyond 64 bits) goes out as its text, with ``"encoding": "json"``. This module
keeps nothing and raises nothing but ProtocolError. Session decodes with it, FrameSet and the shell encode.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final, NoReturn

import msgspec
import orjson

from gateway.core import codec_json
from gateway.core.fields import (
    INVALID_FORMAT,
    Fields,
    Head,
    body_of,
    checked,
    delivery_head,
    head_of,
    ref_of,
    refuse,
)
from gateway.core.messages import NULL, ClientMessage, Pong, ServerMessage
from warren.envelope import Deliver
from warren.errors import ErrorCode, ProtocolError
from warren.message import MAX_DEPTH, too_deep

OPCODE: Final = 0x2

_PAYLOAD_KEY = b"\xa7payload"
# What a float that JSON has not looks like. It may match by accident, so it only asks for a closer look.
_NOT_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]|\xca[\x7f\xff][\x80-\xff]")


class _Extension(Exception):
    """A value of an extension type."""


def _refuse_extension(code: int, data: memoryview) -> NoReturn:
    raise _Extension


_frames = msgspec.msgpack.Decoder(Fields)
_values = msgspec.msgpack.Decoder(Any, ext_hook=_refuse_extension)
_encoder = msgspec.msgpack.Encoder()
_json_values = msgspec.json.Decoder()


def decode(data: str | bytes) -> ClientMessage:
    """Return what a client's frame means.

    Raises ProtocolError: INVALID_FORMAT for a text frame, for what is no MessagePack map and for what nests deeper than MAX_DEPTH,
    INVALID_MESSAGE where a field is missing or of the wrong kind, INVALID_PAYLOAD for a payload that JSON can't hold.
    """
    if isinstance(data, str):
        raise ProtocolError(ErrorCode.INVALID_FORMAT, INVALID_FORMAT)
    try:
        found = _frames.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        _explain(data)
    ref = ref_of(found)
    raw = bytes(found.payload)
    payload, binary = _payload_of(raw, ref) if raw else (NULL, False)
    if found.encoding is not None:
        payload, binary = codec_json.decode_base64(found.encoding, payload if not binary else NULL, ref), True
    return checked(found, payload, binary)


def encode(message: ServerMessage, at_ms: int) -> bytes:
    """Return a server message's bytes; ``at_ms`` is its timestamp, ms since the Unix epoch."""
    head = head_of(message, at_ms)
    if isinstance(message, Pong):
        return _with_payload(head, message.payload, message.binary)
    body = body_of(message, encode_delivery)
    return _encoder.encode(head) if body is None else _spliced(head, _encoder.encode(body))


def encode_delivery(deliver: Deliver) -> bytes:
    """Return the bytes of a message that goes to members; a binary payload is a bin, a JSON one the value that it means."""
    return _with_payload(delivery_head(deliver), deliver.payload, deliver.binary)


def _with_payload(head: Head, payload: bytes, binary: bool) -> bytes:
    if binary:
        return _spliced(head, _encoder.encode(payload))
    try:
        value = _encoder.encode(_json_values.decode(payload))
    except (ValueError, OverflowError, RecursionError):  # ValueError is the parent of msgspec's and of UnicodeError
        head.encoding = "json"
        value = _encoder.encode(payload.decode(errors="replace"))
    return _spliced(head, value)


def _spliced(head: Head, value: bytes) -> bytes:
    """Add the payload to the head's map, which has fewer than 15 entries, so that its first byte holds their number."""
    encoded = _encoder.encode(head)
    return b"".join((bytes((encoded[0] + 1,)), encoded[1:], _PAYLOAD_KEY, value))


def _payload_of(raw: bytes, ref: str | None) -> tuple[bytes, bool]:
    """Return a payload as bytes, and whether they are raw ones."""
    try:
        value = _values.decode(raw)
    except _Extension:
        raise _unfit("it holds an extension type", ref) from None
    except (ValueError, RecursionError):
        raise ProtocolError(ErrorCode.INVALID_FORMAT, INVALID_FORMAT, ref=ref) from None
    if isinstance(value, bytes):
        return value, True
    try:
        text = orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except (TypeError, RecursionError):
        text = None
    if text is None or too_deep(text) or _NOT_FINITE.search(raw):
        _refuse_value(value, ref)
    return text or NULL, False


def _refuse_value(value: Any, ref: str | None) -> None:
    """Raise what keeps this value out of JSON, if anything does."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        match item:
            case dict():
                if not all(isinstance(key, str) for key in item):
                    raise _unfit("a key is no text", ref)
                waiting.extend((inner, depth + 1) for inner in item.values())
            case list():
                waiting.extend((inner, depth + 1) for inner in item)
            case float():
                if not math.isfinite(item):
                    raise _unfit("JSON has no NaN and no Infinity", ref)
            case None | bool() | int() | str():
                pass
            case bytes():
                raise _unfit("a bin can be the whole payload, not a part of it", ref)
            case _:
                raise _unfit("it holds an extension type", ref)
        if depth > MAX_DEPTH:
            raise ProtocolError(ErrorCode.INVALID_FORMAT, INVALID_FORMAT, ref=ref)


def _unfit(reason: str, ref: str | None) -> ProtocolError:
    return ProtocolError(ErrorCode.INVALID_PAYLOAD, f"payload: {reason}", ref=ref)


def _explain(data: bytes) -> NoReturn:
    """Say what is wrong with a frame that the typed parser refused."""
    try:
        document = _values.decode(data)
    except (_Extension, ValueError, RecursionError):
        document = None
    refuse(document)
