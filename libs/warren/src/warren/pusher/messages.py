"""Messages: an event of Pusher and the message of Warren that it is, both ways.

The event's name is the message's type, and its data the payload: data that is JSON as it stands, byte for
byte, and any other text as a JSON string. So a JSON string always stands for a text, and each text comes out
as it went in. A name that can't be a type (a blank or a backslash in it, UPPER CASE, too long), and every
event of a channel whose name its room can't tell, goes as the type ``pusher.event``, with the name, the data
and perhaps the channel in the payload.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Final

import msgspec

from warren.message_rules import is_reserved_type, is_type, too_deep

WRAPPED: Final = "pusher.event"
NAME_MAX: Final = 200
NAME_RULE: Final = f"1 to {NAME_MAX} characters; pusher: and pusher_internal: first are reserved"
CLIENT: Final = "client-"
_RESERVED: Final = ("pusher:", "pusher_internal:")
_json = msgspec.json.Decoder()
_text = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode


class Event(msgspec.Struct, frozen=True):
    """One event. ``data`` is what clients get as its data; ``channel`` is empty where the message names
    none.
    """

    name: str
    data: str
    channel: str = ""


class _Wrapped(msgspec.Struct, omit_defaults=True):
    event: str
    data: msgspec.Raw
    channel: str = ""


_wrapped = msgspec.json.Decoder(_Wrapped)


def is_name(name: str) -> bool:
    """Say whether an event may be called so (see NAME_RULE)."""
    return 0 < len(name) <= NAME_MAX and not is_reserved(name)


def is_reserved(name: str) -> bool:
    """Say whether an event is the protocol's own, which nobody may trigger."""
    return name.startswith(_RESERVED)


def payload_of(data: str) -> bytes:
    """Return the payload that an event's data is, as JSON. Raises UnicodeEncodeError for half of a surrogate
    pair.
    """
    raw = data.encode()
    if not data.lstrip(" \t\r\n").startswith('"') and _is_json(raw):
        return raw
    return _encode(data)


def message_of(event: str, data: str, channel: str = "") -> tuple[str, bytes]:
    """Return the type and the payload of the message that an event is; ``channel`` where its room does not
    tell it. Raises UnicodeEncodeError as ``payload_of`` does.
    """
    payload = payload_of(data)
    if not channel and is_type(event) and not is_reserved_type(event) and event != WRAPPED:
        return event, payload
    event.encode()
    return WRAPPED, _encode(_Wrapped(event, msgspec.Raw(payload), channel))


def event_of(type: str, payload: bytes, *, binary: bool = False) -> Event | None:  # noqa: A002 - the protocol's own word
    """Return the event that a message is; None where it is none that clients of Pusher may be given. Bytes
    come as base64.
    """
    if binary:
        return None if _is_withheld(type) else Event(type, b64encode(payload).decode())
    if type == WRAPPED:
        try:
            found = _wrapped.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if is_reserved(found.event):
            return None
        return Event(found.event, _data(bytes(found.data)), found.channel)
    return None if _is_withheld(type) else Event(type, _data(payload))


def _is_withheld(type: str) -> bool:  # noqa: A002 - as above
    return is_reserved(type) or is_reserved_type(type)


def _data(payload: bytes) -> str:
    if payload.lstrip(b" \t\r\n")[:1] != b'"':
        return payload.decode()
    return _text.decode(payload)


def _is_json(raw: bytes) -> bool:
    try:
        _json.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return not too_deep(raw)
