"""``warren.v1`` in JSON: a frame ▶ ClientMessage, and server messages ▶ bytes. The payload stays bytes both
ways.

One pass of a typed parser checks the syntax of the whole frame, cuts the payload out and builds no object for
it. What it has let pass is asked how deep it is; whatever it refuses goes to ``codec_errors``, which says
what is wrong. This module keeps nothing and raises nothing but ProtocolError.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from gateway.core import codec_errors
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
from warren.message_rules import too_deep

OPCODE: Final = 0x1
_frames = msgspec.json.Decoder(Fields)
_strings = msgspec.json.Decoder(str)
_encoder = msgspec.json.Encoder()


def decode(data: str | bytes) -> ClientMessage:
    """Return what a client's frame means. A binary frame is read as UTF-8 JSON.

    Raises ProtocolError: INVALID_FORMAT where it can't be parsed (not UTF-8, not JSON, no object, nested too
    deep), INVALID_MESSAGE where a field is missing or of the wrong kind, INVALID_ROOM, INVALID_PAYLOAD for
    bad base64.
    """
    try:
        found = _frames.decode(data if isinstance(data, str) else data.decode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        codec_errors.refuse_json(data)
    ref = ref_of(found)
    payload = bytes(found.payload) or NULL
    if too_deep(payload):
        raise ProtocolError(ErrorCode.INVALID_FORMAT, INVALID_FORMAT, ref=ref)
    binary = False
    if found.encoding is not None:
        payload, binary = decode_base64(found.encoding, payload, ref), True
    return checked(found, payload, binary)


def encode(message: ServerMessage, at_ms: int) -> bytes:
    """Return a server message's bytes; ``at_ms`` is its timestamp, ms since the Unix epoch."""
    head = head_of(message, at_ms)
    if isinstance(message, Pong | Response):
        return _spliced(head, message.payload, message.binary)
    if isinstance(message, Presence):
        return _spliced(head, message.payload, binary=False)
    body = body_of(message, encode_delivery)
    encoded = _encoder.encode(head)
    return encoded if body is None else encoded[:-1] + b',"payload":' + _encoder.encode(body) + b"}"


def encode_delivery(deliver: Deliver) -> bytes:
    """Return the bytes of a message that goes to members; the payload is as the sender gave it, or base64
    where it is binary.
    """
    return _spliced(delivery_head(deliver), deliver.payload, deliver.binary)


def decode_base64(encoding: str, payload: bytes, ref: str | None) -> bytes:
    """Return the bytes that a payload (JSON text) of this ``encoding`` stands for; raises ProtocolError."""
    if encoding != "base64":
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, "encoding: must be base64", ref=ref)
    try:
        text = _strings.decode(payload)
        found = binascii.a2b_base64(text)
        if (
            base64.b64encode(found) == text.encode()
        ):  # one way to write it; what the parser tolerates is its version's business
            return found
    except ValueError:  # the parent of binascii.Error and of msgspec's
        pass
    reason = "payload: must be a string of base64 (RFC 4648 section 4, padded)"
    raise ProtocolError(ErrorCode.INVALID_PAYLOAD, reason, ref=ref)


def _spliced(head: Head, payload: bytes, binary: bool) -> bytes:
    if binary:
        head.encoding = "base64"
        return _encoder.encode(head)[:-1] + b',"payload":"' + base64.b64encode(payload) + b'"}'
    return _encoder.encode(head)[:-1] + b',"payload":' + payload + b"}"
