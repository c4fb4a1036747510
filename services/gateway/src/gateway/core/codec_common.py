"""What the two spellings of ``warren.v1`` have in common. Which fields a frame has, of what kind, and
what they may hold.

It knows no JSON and no MessagePack. It raises nothing but ProtocolError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NoReturn

import msgspec

from gateway.core.client_messages import (
    ID_RULE,
    Accepted,
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
    Receipt,
    Reconnect,
    Response,
    ServerMessage,
    Welcome,
    type_of,
)
from warren.contract.server_frames import (
    AckPayload,
    AuthenticatedPayload,
    ClientLimits,
    ClientReceiptPayload,
    DroppedPayload,
    ErrorPayload,
    JoinedPayload,
    JoinedPresence,
    LeftPayload,
    ReconnectPayload,
    WelcomePayload,
)
from warren.durable_answers import RESPONSE_TYPE, answer_of
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
LEVELS: Final = ("written", "seen")  # what a sender may want to know of its message

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
    "service": _TEXT,
    "timeout_ms": (int, "a whole number"),
    "durable": (bool, "true or false"),
    "ref": _TEXT,
    "receipt": _TEXT,
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
    service: str | None = None
    timeout_ms: int | None = None
    durable: bool | None = None
    ref: str | None = None
    receipt: str | None = None


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
    n: int = 0
    more: bool = False


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
    if found.receipt is not None and found.receipt not in LEVELS:
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, "receipt: must be written or seen", ref=ref)
    return ClientMessage(
        found.type,
        found.room or "",
        payload,
        binary,
        ref or "",
        found.key or "",
        found.include_sender or False,
        (found.traceparent or "")[:TRACEPARENT_MAX],
        found.service or "",
        found.timeout_ms,
        found.durable or False,
        found.ref or "",
        found.receipt or "",
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
        if value is not None and type(value) is not kind:
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
    if deliver.type == RESPONSE_TYPE:
        return _answer_head(deliver)
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


def _answer_head(deliver: Deliver) -> Head:
    """Return the head of an answer that comes as a message, since it was to outlive its connection."""
    answer = answer_of(deliver.id)
    return Head(
        deliver.type,
        deliver.at_us // 1_000,
        VERSION,
        deliver.room,
        deliver.seq,
        deliver.epoch if deliver.seq else "",
        ref=answer.ref,
        traceparent=deliver.trace,
        n=answer.n,
        more=answer.more,
    )


def head_of(message: ServerMessage, at_ms: int) -> Head:
    """Return all of a server message but its payload; ``at_ms`` is its timestamp, ms since the Unix epoch."""
    head = Head(type_of(message), at_ms, VERSION)
    match message:
        case Joined() | Left() | Acked() | Receipt() | History() | Presence():
            head.room, head.ref = message.room, message.ref
        case Dropped():
            head.room = message.room
        case Pong() | Error() | Authenticated() | Accepted():
            head.ref = message.ref
        case Response():
            head.ref, head.n, head.more = message.ref, message.n, message.more
        case _:
            pass
    return head


def body_of(
    message: ServerMessage, spell: Callable[[Deliver], bytes]
) -> msgspec.Struct | dict[str, Any] | None:
    """Return what a server message's payload is encoded from; None: it has none. ``spell`` makes the bytes of
    a delivery, in the spelling that the payload will have. A Pong's and a Presence's are not made here: they
    are bytes.
    """
    match message:
        case History():
            return {"messages": [msgspec.Raw(spell(one)) for one in message.messages], "more": message.more}
        case Welcome():
            limits = ClientLimits(message.message_bytes, message.rate, message.rate_per_ms, message.rooms_max)
            return WelcomePayload(
                message.connection,
                message.user,
                message.heartbeat_ms,
                message.rooms,
                limits,
                message.expires_at_ms,
                message.grant,
                message.post,
            )
        case Joined():
            return JoinedPayload(
                message.epoch,
                message.seq,
                message.recovered,
                message.missed,
                message.grant,
                None if message.watching is None else JoinedPresence(message.watching),
            )
        case Left(reason=reason) if reason:
            return LeftPayload(reason)
        case Acked():
            return AckPayload(message.seq, message.epoch if message.seq else "")
        case Receipt():
            level: Literal["written", "seen"] = "written" if message.seen is None else "seen"
            return ClientReceiptPayload(level, message.complete, message.readers, message.seen)
        case Dropped():
            return DroppedPayload(message.count, message.seq)
        case Error():
            return ErrorPayload(
                str(message.code),
                message.message,
                message.retry,
                message.retry_after_ms,
                message.close,
                message.reconnect,
            )
        case Authenticated():
            return AuthenticatedPayload(message.expires_at_ms)
        case Reconnect():
            return ReconnectPayload(message.after_ms)
        case _:
            return None


def _is_id(text: str) -> bool:
    return 0 < len(text) <= ID_MAX and text.isprintable() and text[0] != INTERNAL_ID
