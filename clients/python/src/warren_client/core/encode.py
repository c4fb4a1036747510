"""Checks and encodes what goes out. It applies the server's rules (docs/protocol.md), so that an invalid
message is refused at once with a reason, and never repeated. It returns text and sends nothing.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

from warren_client.errors import InvalidError

VERSION = "1.0"
RECEIPTS = ("written", "seen")
_ORDINARY = frozenset({"CHAT", "TYPING", "NOTIFICATION", "DATA_UPDATE"})
_DEPTH = 128
_KEY_LENGTH = 128
_ROOM_LENGTH = 128
_REQUEST_ID_BYTES = 120
_TIMEOUT_MS = 60_000

_TYPE = re.compile(r"[A-Za-z0-9_\-.:]{1,64}")
_UPPER_CASE = re.compile(r"[A-Z0-9_]*[A-Z][A-Z0-9_]*")
_ROOM = re.compile(r"[A-Za-z0-9._\-:/][A-Za-z0-9._\-:/@]{0,127}")
_SERVICE = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_LONE = re.compile("[\ud800-\udfff]")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]')

_CUT = "half of a surrogate pair: text was cut inside a character"
_DEEP = f"nested deeper than {_DEPTH} levels"
_ID_RULE = "id: must be 1 to 64 printable characters, not starting with ~"
_TYPE_RULE = "type: must be 1 to 64 letters, digits and _ - . :"
_ROOM_RULE = (
    "room: must be 1 to 128 letters, digits and . _ - : / @; names that start with @ or * are reserved"
)
_SERVICE_RULE = (
    "service: must be 1 to 128 letters, digits and _ - in words with dots between them, "
    "the last of which is not cancel"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message as the application means it. ``id`` None: it wants no answer."""

    type: str
    payload: Any = None
    room: str | None = None
    id: str | None = None
    key: str | None = None
    include_sender: bool = False
    traceparent: str | None = None
    receipt: str | None = None


def message_text(draft: Draft, timestamp: int) -> str:
    """Encode a message; its receipt is checked and not written (``with_receipt``). Raises InvalidError."""
    id = draft.id
    for field in ("type", "room", "id", "key", "traceparent"):
        _check_whole(field, getattr(draft, field), id)
    if id is not None:
        _check_id(id)
    _check(isinstance(draft.type, str) and _TYPE.fullmatch(draft.type), "invalid_message", _TYPE_RULE, id)
    is_reserved = _UPPER_CASE.fullmatch(draft.type) and draft.type not in _ORDINARY
    reserved = f"{draft.type} is reserved: the client sends such frames itself"
    _check(not is_reserved, "unknown_type", reserved, id)
    if draft.room is not None:
        _check_room(draft.room, id)
    if draft.key is not None:
        _check(isinstance(draft.key, str), "invalid_message", "key: must be text", id)
        long = f"key: must be at most {_KEY_LENGTH} characters"
        _check(len(draft.key) <= _KEY_LENGTH, "invalid_message", long, id)
    _check_text("traceparent", draft.traceparent, id)
    if draft.receipt is not None:
        _check(draft.receipt in RECEIPTS, "invalid_message", "receipt: must be written or seen", id)
        _check(id is not None, "invalid_message", "receipt: an ephemeral message has none")
    frame: dict[str, Any] = {"type": draft.type, "timestamp": timestamp, "version": VERSION}
    frame |= _payload(draft.payload)
    _add(frame, room=draft.room, include_sender=draft.include_sender or None, key=draft.key)
    _add(frame, traceparent=draft.traceparent, id=id)
    return _dumps(frame, id)


def with_receipt(text: str, level: str) -> str:
    """Add to a message's text that its sender wants a receipt."""
    return f'{text[:-1]},"receipt":"{level}"}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request to a service as the application means it."""

    service: str
    id: str
    payload: Any = None
    timeout_ms: int | None = None
    durable: bool = False
    traceparent: str | None = None


def request_text(question: Question, timestamp: int) -> str:
    """Encode a request to a service. Raises InvalidError."""
    id, service, timeout_ms = question.id, question.service, question.timeout_ms
    for field in ("id", "service", "traceparent"):
        _check_whole(field, getattr(question, field), id)
    _check_id(id)
    long = f"id: must be at most {_REQUEST_ID_BYTES} bytes of UTF-8"
    _check(len(id.encode()) <= _REQUEST_ID_BYTES, "invalid_message", long, id)
    is_word = isinstance(service, str) and len(service) <= 128 and _SERVICE.fullmatch(service) is not None
    is_service = is_word and service.rpartition(".")[2] != "cancel"
    _check(is_service, "invalid_message", _SERVICE_RULE, id)
    is_whole = isinstance(timeout_ms, int) and not isinstance(timeout_ms, bool)
    late = f"timeout: must be a number of seconds up to {_TIMEOUT_MS // 1_000}"
    is_time = timeout_ms is None or (is_whole and 1 <= timeout_ms <= _TIMEOUT_MS)
    _check(is_time, "invalid_message", late, id)
    _check(isinstance(question.durable, bool), "invalid_message", "durable: must be True or False", id)
    _check_text("traceparent", question.traceparent, id)
    frame: dict[str, Any] = {
        "type": "REQUEST", "service": service, "timestamp": timestamp, "version": VERSION,
    }  # fmt: skip
    frame |= _payload(question.payload)
    _add(frame, timeout_ms=timeout_ms, durable=question.durable or None)
    _add(frame, traceparent=question.traceparent, id=id)
    return _dumps(frame, id)


def cancel_text(ref: str, timestamp: int) -> str:
    """Encode the frame that cancels a request."""
    return _dumps({"type": "CANCEL", "ref": ref, "timestamp": timestamp, "version": VERSION}, ref)


def control_text(type: str, room: str | None, payload: Any, id: str, timestamp: int) -> str:
    """Encode a frame of the client itself. Raises InvalidError."""
    frame: dict[str, Any] = {"type": type, "id": id, "timestamp": timestamp, "version": VERSION}
    _add(frame, room=room, payload=payload)
    return _dumps(frame, id)


def check_room(room: str) -> None:
    """Raise InvalidError unless this is the name of a room that can be joined, left or read."""
    _check_room(room, None)


def check_page(before: int | None, limit: int) -> None:
    """Raise InvalidError unless this is a page of history."""
    for field, value, least in (("before", before, 1), ("limit", limit, 1)):
        is_number = isinstance(value, int) and not isinstance(value, bool) and value >= least
        rule = f"{field}: must be a whole number from {least} on"
        _check(is_number or (value is None and field == "before"), "invalid_message", rule)


def _payload(payload: Any) -> dict[str, Any]:
    if isinstance(payload, bytes | bytearray | memoryview):
        return {"payload": base64.b64encode(payload).decode(), "encoding": "base64"}
    return {"payload": payload}


def _add(frame: dict[str, Any], **fields: Any) -> None:
    frame |= {name: value for name, value in fields.items() if value is not None}


def _check(holds: object, code: str, message: str, ref: Any = None) -> None:
    if not holds:
        raise InvalidError(code, message, ref=ref if isinstance(ref, str) else None)


def _check_room(room: Any, id: str | None) -> None:
    _check(isinstance(room, str), "invalid_message", "room: must be text", id)
    _check_whole("room", room, id)
    _check(_ROOM.fullmatch(room), "invalid_room", _ROOM_RULE if room else "room: is empty", id)


def _check_text(field: str, value: Any, id: str | None) -> None:
    _check(value is None or isinstance(value, str), "invalid_message", f"{field}: must be text", id)


def _check_whole(field: str, value: Any, id: Any) -> None:
    """No field may contain a lone surrogate: the server could not parse the whole frame."""
    is_cut = isinstance(value, str) and _LONE.search(value)
    _check(not is_cut, "invalid_format", f"{field}: has {_CUT}", None if field == "id" else id)


def _check_id(id: Any) -> None:
    is_id = isinstance(id, str) and 1 <= len(id) <= 64 and id.isprintable() and not id.startswith("~")
    _check(is_id, "invalid_message", _ID_RULE, id)


def _dumps(frame: dict[str, Any], id: str | None) -> str:
    try:
        text = json.dumps(frame, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise InvalidError("invalid_format", f"payload: {_DEEP}", ref=id) from None
    except (TypeError, ValueError) as fault:
        raise InvalidError("invalid_format", f"payload: is not JSON: {fault}", ref=id) from fault
    _check(not _LONE.search(text), "invalid_format", f"payload: has {_CUT}", id)
    # the frame itself is one level
    _check(not _is_deeper(text, _DEPTH + 1), "invalid_format", f"payload: {_DEEP}", id)
    return text


def _is_deeper(text: str, levels: int) -> bool:
    if text.count("[") + text.count("{") <= levels:
        return False
    depth = 0
    for found in _BRACKETS.finditer(text):
        match text[found.start()]:
            case "[" | "{":
                depth += 1
                if depth > levels:
                    return True
            case "]" | "}":
                depth -= 1
            case _:
                pass  # a string
    return False
