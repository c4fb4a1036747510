"""What the two spellings of ``warren.v1`` have in common. Which fields a frame has, of what kind, and
what they may hold.

It knows no JSON and no MessagePack. It raises nothing but ProtocolError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

import msgspec

from gateway.core.client_messages import (
    ID_RULE,
    Acked,
    Authenticated,
    ClientMessage,
    Dropped,
    Error,
    History,
    Joined,
    Left,
    Pong,
    Presence,
    Reconnect,
    ServerMessage,
    Welcome,
    type_of,
)
from warren.envelope import INTERNAL_ID, Deliver
from warren.errors import ErrorCode, ProtocolError
from warren.message_rules import KEY_MAX, TYPE_RULE, is_type

VERSION: Final = "1.0"
ID_MAX: Final = 64
# How long an id that the rule refuses may be to come back as the ``ref`` of its ERROR: the sender has to know
# which message was refused, and nobody is sent long things back.
REF_MAX: Final = 256
# The fixed part of a W3C traceparent; what a later version appends says nothing to us.
TRACEPARENT_MAX: Final = 55
INVALID_FORMAT: Final = "Invalid message format"

_ABSENT = msgspec.Raw()
_TEXT = (str, "text")
_KINDS: Final[dict[str, tuple[type, str]]] = {
    "type": _TEXT,
    "room": _TEXT,
    "id": _TEXT,
    "version": _TEXT,
    "encoding": _TEXT,
    "key": _TEXT,
    "include_sender": (bool, "true or false"),
    "traceparent": _TEXT,
}


class Fields(msgspec.Struct):
    """What is read of a client's frame. ``null`` counts as left out; a payload that is left out is empty."""

    type: str
    payload: msgspec.Raw = _ABSENT
    room: str | None = None
    id: str | None = None
    version: str | None = None
    encoding: str | None = None
    key: str | None = None
    include_sender: bool | None = None
    traceparent: str | None = None


class Head(msgspec.Struct, omit_defaults=True):
    """All of a server message but its payload. The fields come in this order; what has its default is left
    out.
    """

    type: str
    timestamp: int
    version: str
    room: str = ""
    seq: int = 0
    epoch: str = ""
    id: str = ""
    sender: str = ""
    key: str = ""
    ref: str = ""
    encoding: str = ""
    traceparent: str = ""


def ref_of(found: Fields) -> str | None:
    """Return a frame's ``id``; raises ProtocolError where it is out of the rule."""
    if found.id is not None and not _is_id(found.id):
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, ID_RULE, ref=readable(found.id))
    return found.id


def checked(found: Fields, payload: bytes, binary: bool) -> ClientMessage:
    """Return the message of a parsed frame whose fields are of the right kinds (after ``ref_of``); raise
    ProtocolError where one's value is wrong.
    """
    ref = found.id
    if not is_type(found.type):
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, f"type: {TYPE_RULE}", ref=ref)
    if found.room == "":
        raise ProtocolError(ErrorCode.INVALID_ROOM, "room: is empty", ref=ref)
    if found.version is not None and found.version != VERSION:
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, f"version: must be {VERSION}", ref=ref)
    if found.key is not None and len(found.key) > KEY_MAX:
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, f"key: at most {KEY_MAX} characters", ref=ref)
    return ClientMessage(
        found.type,
        found.room or "",
        payload,
        binary,
        ref or "",
        found.key or "",
        found.include_sender or False,
        (found.traceparent or "")[:TRACEPARENT_MAX],
    )


def refuse(document: Any) -> NoReturn:
    """Raise what is wrong with a frame that a typed parser refused. ``document`` is what a lenient one made
    of it, None where it made nothing.
    """
    if not isinstance(document, dict):
        raise ProtocolError(ErrorCode.INVALID_FORMAT, INVALID_FORMAT)
    ref = readable(document.get("id"))
    if document.get("type") is None:
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, "type: is missing", ref=ref)
    for name, (kind, says) in _KINDS.items():
        value = document.get(name)
        if value is not None and not isinstance(value, kind):
            raise ProtocolError(ErrorCode.INVALID_MESSAGE, f"{name}: must be {says}", ref=ref)
    raise ProtocolError(ErrorCode.INVALID_FORMAT, INVALID_FORMAT, ref=ref)


def readable(name: object) -> str | None:
    """Return what came as an ``id`` where an ERROR can repeat it, whether the rule allows it or not: text
    that UTF-8 can hold, not too long.
    """
    if not isinstance(name, str) or not 0 < len(name) <= REF_MAX:
        return None
    try:
        name.encode()
    except UnicodeEncodeError:
        return None
    return name


def delivery_head(deliver: Deliver) -> Head:
    """Return all of a delivery but its payload."""
    seq, name = deliver.seq, deliver.id
    return Head(
        deliver.type,
        deliver.at_us // 1_000,
        VERSION,
        deliver.room,
        seq,
        deliver.epoch if seq else "",
        "" if name[:1] == INTERNAL_ID else name,
        deliver.user,
        deliver.key,
        "",
        "",
        deliver.trace,
    )


def head_of(message: ServerMessage, at_ms: int) -> Head:
    """Return all of a server message but its payload; ``at_ms`` is its timestamp, ms since the Unix epoch."""
    head = Head(type_of(message), at_ms, VERSION)
    match message:
        case Joined() | Left() | Acked() | History() | Presence():
            head.room, head.ref = message.room, message.ref
        case Dropped():
            head.room = message.room
        case Pong() | Error() | Authenticated():
            head.ref = message.ref
        case _:
            pass
    return head


def body_of(message: ServerMessage, spell: Callable[[Deliver], bytes]) -> dict[str, Any] | None:
    """Return a server message's payload; None: it has none. ``spell`` makes the bytes of a delivery, in the
    spelling that the payload will have. A Pong's and a Presence's are not made here: they are bytes.
    """
    match message:
        case History():
            return {"messages": [msgspec.Raw(spell(one)) for one in message.messages], "more": message.more}
        case Welcome():
            return {
                "connection": message.connection,
                "user": message.user,
                "heartbeat_ms": message.heartbeat_ms,
                "rooms": message.rooms,
                "limits": {
                    "message_bytes": message.message_bytes,
                    "rate": message.rate,
                    "rate_per_ms": message.rate_per_ms,
                    "rooms": message.rooms_max,
                },
                "expires_at": message.expires_at_ms,
            }
        case Joined():
            joined: dict[str, Any] = {
                "epoch": message.epoch,
                "seq": message.seq,
                "recovered": message.recovered,
                "missed": message.missed,
            }
            if message.watching is not None:
                joined["presence"] = {"watching": message.watching}
            return joined
        case Acked():
            return {"seq": message.seq, "epoch": message.epoch} if message.seq else {}
        case Dropped():
            return {"count": message.count, "seq": message.seq}
        case Error():
            body: dict[str, Any] = {
                "code": str(message.code),
                "message": message.message,
                "retry": message.retry,
            }
            extra = (
                ("retry_after_ms", message.retry_after_ms),
                ("close", message.close),
                ("reconnect", message.reconnect),
            )
            body.update((name, value) for name, value in extra if value is not None)
            return body
        case Authenticated():
            return {"expires_at": message.expires_at_ms}
        case Reconnect():
            return {"after_ms": message.after_ms}
        case _:
            return None


def _is_id(text: str) -> bool:
    return 0 < len(text) <= ID_MAX and text.isprintable() and text[0] != INTERNAL_ID
