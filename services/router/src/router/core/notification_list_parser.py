"""Notification list: many notifications in one body, opened into entries, each of which is judged by itself
as a single one is.

Pure: bytes in; entries, an envelope or a reason out, never an exception, in time that is linear in the bytes.
What is beyond the limits is not built. It has no rules of its own on what a notification may be: they are
those of ``notification_parser.py``.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import msgspec

from router.core.notification_parser import Notification, parse
from warren.contract.notifications import LIST_TYPE, MAX_ENTRIES, NotificationEntry
from warren.envelope import Publish
from warren.payloads import BINARY_TYPE, JSON_TYPE

MIN_LIST_BYTES = (
    4 * 1024 * 1024
)  # a list may have these, or twice the largest payload where that is more (base64 takes 4/3)

# An array decoded as a struct builds no more items than that has fields, however many there are; the last
# field tells that there are too many.
_Head = msgspec.defstruct(
    "_Head", [(f"entry{number}", msgspec.Raw, None) for number in range(MAX_ENTRIES + 1)], array_like=True
)
_head = msgspec.json.Decoder(_Head)
_string = msgspec.json.Decoder(str)
_entry = msgspec.json.Decoder(NotificationEntry)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one entry becomes, or the reason why it becomes nothing."""

    made: Publish | str
    traceparent: str = ""


def is_list(content_type: str | None) -> bool:
    """Say whether a body of this content type is a list of notifications."""
    return bool(content_type) and str(content_type).partition(";")[0].strip().lower() == LIST_TYPE


def max_list_bytes(max_bytes: int) -> int:
    """Return how large a whole list may be where a payload has at most ``max_bytes``."""
    return max(MIN_LIST_BYTES, 2 * max_bytes)


def split_list(body: bytes, *, max_bytes: int) -> list[bytes] | str:
    """Return each entry's JSON text, in order, or the reason why the body as a whole is no list.
    ``max_bytes`` is the largest payload.
    """
    if len(body) > max_list_bytes(max_bytes):
        return f"too large: a list of {len(body)} bytes, at most {max_list_bytes(max_bytes)}"
    try:
        entries = [raw for raw in msgspec.structs.astuple(_head.decode(body)) if raw is not None]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "invalid list: no JSON array, or one that nests too deep to be read"
    if len(entries) > MAX_ENTRIES:
        return f"too many: a list has at most {MAX_ENTRIES} notifications"
    return [bytes(raw) for raw in entries]


def parse_entry(entry: bytes, *, now_us: int, max_bytes: int) -> Parsed:
    """Judge one entry's JSON text. ``now_us`` is wall time."""
    try:
        entry.decode()
        fields = _entry.decode(entry)
    except msgspec.ValidationError as error:
        return Parsed(f"invalid entry: {error}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Parsed("invalid entry: no JSON object in UTF-8")
    body, content_type = bytes(fields.payload), JSON_TYPE
    if fields.encoding is not None:
        if fields.encoding != "base64":
            return Parsed("invalid encoding: base64, or none")
        try:
            body, content_type = base64.b64decode(_string.decode(body), validate=True), BINARY_TYPE
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            return Parsed("invalid payload: encoding base64 asks for a string of base64")
    notification = Notification(
        key=fields.address,
        body=body,
        content_type=content_type,
        type=fields.type,
        id=fields.id,
        expiration_ms=fields.expiration,
        latest_key=fields.key,
        seen_within_ms=fields.seen_within_ms,
    )
    return Parsed(parse(notification, now_us=now_us, max_bytes=max_bytes), fields.traceparent or "")
