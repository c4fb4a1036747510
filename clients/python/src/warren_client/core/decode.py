"""Reads what the server sends. What is not a frame of the protocol raises InvalidError, whatever it is."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from warren_client.errors import InvalidError, RefusedError
from warren_client.messages import Limits, Message, Welcome

Frame = dict[str, Any]


def read_frame(text: str | bytes) -> Frame:
    """Return the fields of a frame; ``payload`` is bytes if it is binary. ``type`` is text, and so are
    ``room``, ``ref`` and ``epoch`` where they are there; ``seq`` is a number.
    """
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise _invalid(str(fault)) from fault
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise _invalid("it has no type")
    for name in ("room", "ref", "epoch", "id", "sender"):
        if not isinstance(frame.get(name) or "", str):
            raise _invalid(f"{name} is not text")
    for name in ("seq", "n", "timestamp"):
        if not isinstance(frame.get(name) or 0, int):
            raise _invalid(f"{name} is not a number")
    if frame.get("seq") and not frame.get("epoch"):
        raise _invalid("it has a seq and no epoch")
    if frame.get("encoding") == "base64":
        try:
            frame["payload"] = base64.b64decode(frame["payload"], validate=True)
        except (KeyError, TypeError, binascii.Error) as fault:
            raise _invalid("its payload is not base64") from fault
    return frame


def payload_of(frame: Frame) -> Mapping[str, Any]:
    """Return the payload of a frame whose payload is an object."""
    payload = frame.get("payload")
    if payload is None:
        return {}
    if not isinstance(payload, dict):
        raise _invalid("its payload is not an object")
    return payload


def message_of(frame: Frame, size: int = 0) -> Message:
    """Return the message that a frame brings."""
    return Message(
        frame["type"],
        frame.get("payload"),
        room=frame.get("room"),
        sender=frame.get("sender"),
        seq=frame.get("seq") or None,
        epoch=frame.get("epoch") if frame.get("seq") else None,
        id=frame.get("id"),
        key=frame.get("key"),
        timestamp=frame.get("timestamp"),
        traceparent=frame.get("traceparent"),
        ref=frame.get("ref"),
        n=frame.get("n") or 1,
        more=frame.get("more") is True,
        size=size,
    )


def page_of(frame: Frame) -> tuple[list[Message], bool]:
    """Return the messages of a HISTORY, and whether there are older ones."""
    payload = payload_of(frame)
    found = payload.get("messages")
    if not isinstance(found, list):
        raise _invalid("a HISTORY without messages")
    # each has the form of a frame of its own
    messages = [message_of(read_frame(json.dumps(each))) for each in found]
    return messages, payload.get("more") is True


def welcome_of(frame: Frame) -> Welcome:
    """Return what a WELCOME says."""
    payload = payload_of(frame)
    limits = payload.get("limits") or {}
    known = {
        name: limits[name] for name in ("message_bytes", "rate", "rate_per_ms", "rooms") if name in limits
    }
    if not all(isinstance(each, int) for each in known.values()):
        raise _invalid("a limit is not a number")
    return Welcome(
        connection=str(payload["connection"]),
        user=str(payload["user"]),
        limits=Limits(**known),
        rooms=tuple(str(room) for room in payload.get("rooms") or ()),
        heartbeat_ms=payload.get("heartbeat_ms"),
        expires_at=payload.get("expires_at"),
    )


def error_of(frame: Frame) -> RefusedError:
    """Return what an ERROR says."""
    payload = payload_of(frame)
    after = payload.get("retry_after_ms")
    return RefusedError(
        str(payload.get("code", "internal")),
        str(payload.get("message", "refused")),
        retry=payload.get("retry") is True,
        retry_after=after / 1_000 if isinstance(after, int | float) else None,
        ref=frame.get("ref"),
    )


def _invalid(what: str) -> InvalidError:
    return InvalidError("invalid_format", f"the server sent an invalid frame: {what}")
