"""Codec: frames as JSON text or as MessagePack, by the subprotocol of the connection. Pure."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import msgspec

JSON: Final = "warren.v1"
MSGPACK: Final = "warren.v1.msgpack"
SUBPROTOCOLS: Final = (JSON, MSGPACK)

Frame = dict[str, Any]


class Unreadable(Exception):
    """What the client sent is no frame."""


def encode(frame: Frame, subprotocol: str) -> str | bytes:
    """Return the frame as it goes over the WebSocket."""
    if subprotocol == MSGPACK:
        return msgspec.msgpack.encode(_binary(frame))
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


def decode(data: str | bytes, subprotocol: str) -> Frame:
    """Return the frame, with a binary payload as base64. Raises Unreadable with the reason."""
    if subprotocol == MSGPACK:
        if isinstance(data, str):
            raise Unreadable("the client sent a text frame on a connection that speaks MessagePack")
        try:
            frame = msgspec.msgpack.decode(data)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise Unreadable(f"the client sent a frame that is not MessagePack ({error})") from None
    else:
        try:
            frame = json.loads(data, parse_constant=_not_json)
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"the client sent a frame that is not JSON ({error})") from None
    if not isinstance(frame, dict):
        raise Unreadable("the client sent a frame that is not an object")
    if isinstance(frame.get("payload"), bytes):
        frame |= {"payload": base64.b64encode(frame["payload"]).decode(), "encoding": "base64"}
    return frame


def _binary(frame: Frame) -> Frame:
    """Return a frame whose binary payload is bytes, as MessagePack has it."""
    if frame.get("encoding") != "base64":
        return frame
    rest = {name: value for name, value in frame.items() if name != "encoding"}
    return rest | {"payload": base64.b64decode(frame["payload"])}


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
