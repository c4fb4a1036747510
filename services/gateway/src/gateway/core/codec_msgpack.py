"""``warren.v1.msgpack``: the same messages as MessagePack maps. Inside Warren a payload is JSON text or raw
bytes, so here it is turned: a bin is raw bytes both ways; any other value becomes JSON text on entry, and
JSON text becomes a value on its way out.

JSON that MessagePack can't hold (a whole number beyond 64 bits) goes out as its text, with ``"encoding":
"json"``. ``payload_transcoding`` turns the payloads, ``codec_errors`` says what is wrong with a frame. This
module keeps nothing and raises nothing but ProtocolError.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.core import codec_errors, codec_json, payload_transcoding
from gateway.core.client_messages import NULL, ClientMessage, Pong, Presence, Response, ServerMessage
from gateway.core.codec_common import (
    INVALID_FORMAT,
    Fields,
    Head,
    body_of,
    checked,
    delivery_head,
    head_of,
    ref_of,
)
from warren.envelope import Deliver
from warren.errors import ErrorCode, ProtocolError

OPCODE: Final = 0x2

_PAYLOAD_KEY = b"\xa7payload"

_frames = msgspec.msgpack.Decoder(Fields)
_encoder = msgspec.msgpack.Encoder()


def decode(data: str | bytes) -> ClientMessage:
    """Return what a client's frame means.

    Raises ProtocolError: INVALID_FORMAT for a text frame, for what is no MessagePack map and for what nests
    deeper than MAX_DEPTH, INVALID_MESSAGE where a field is missing or of the wrong kind, INVALID_PAYLOAD for
    a payload that JSON can't hold.
    """
    if isinstance(data, str):
        ref = codec_errors.id_in_json(data.encode(errors="replace"))
        raise ProtocolError(ErrorCode.INVALID_FORMAT, INVALID_FORMAT, ref=ref)
    try:
        found = _frames.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        codec_errors.refuse_msgpack(data)
    ref = ref_of(found)
    raw = bytes(found.payload)
    payload, binary = _payload_of(raw, ref) if raw else (NULL, False)
    if found.encoding is not None:
        payload, binary = codec_json.decode_base64(found.encoding, payload if not binary else NULL, ref), True
    return checked(found, payload, binary)


def encode(message: ServerMessage, at_ms: int) -> bytes:
    """Return a server message's bytes; ``at_ms`` is its timestamp, ms since the Unix epoch."""
    head = head_of(message, at_ms)
    if isinstance(message, Pong | Response):
        return _with_payload(head, message.payload, message.binary)
    if isinstance(message, Presence):
        return _with_payload(head, message.payload, binary=False)
    body = body_of(message, encode_delivery)
    return _encoder.encode(head) if body is None else _spliced(head, _encoder.encode(body))


def encode_delivery(deliver: Deliver) -> bytes:
    """Return the bytes of a message that goes to members; a binary payload is a bin, a JSON one the value
    that it means.
    """
    return _with_payload(delivery_head(deliver), deliver.payload, deliver.binary)


def _with_payload(head: Head, payload: bytes, binary: bool) -> bytes:
    if binary:
        return _spliced(head, _encoder.encode(payload))
    value = payload_transcoding.to_msgpack(payload)
    if value is None:
        head.encoding = "json"
        value = _encoder.encode(payload.decode(errors="replace"))
    return _spliced(head, value)


def _spliced(head: Head, value: bytes) -> bytes:
    """Add the payload to the head's map, which has fewer than 15 entries, so that its first byte holds their
    number.
    """
    encoded = _encoder.encode(head)
    return b"".join((bytes((encoded[0] + 1,)), encoded[1:], _PAYLOAD_KEY, value))


def _payload_of(raw: bytes, ref: str | None) -> tuple[bytes, bool]:
    """Return a payload as bytes, and whether they are raw ones."""
    binary = payload_transcoding.bin_of(raw)
    if binary is not None:
        return binary, True
    try:
        return payload_transcoding.to_json(raw), False
    except payload_transcoding.Unfit as unfit:
        raise ProtocolError(ErrorCode.INVALID_PAYLOAD, f"payload: {unfit}", ref=ref) from None
    except ValueError:
        raise ProtocolError(ErrorCode.INVALID_FORMAT, INVALID_FORMAT, ref=ref) from None
