"""``warren.v1``: what a client may say and what it hears, as frozen structs.

A struct here is the meaning, a codec (``codec_json``, ``codec_msgpack``) the bytes. Payloads stay bytes: JSON
text, or raw bytes where ``binary``. This module never parses and never decides.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from warren.envelope import Deliver
from warren.errors import CLOSE_ERRORS, CloseCode, ErrorCode
from warren.errors import Reconnect as Advice

ID_RULE: Final = "id: 1 to 64 printable characters, ~ not first"
NULL: Final = b"null"


class ClientMessage(msgspec.Struct, frozen=True):
    """One message from a client. ``payload`` is JSON text, or raw bytes where ``binary``; empty strings are
    "left out".
    """

    type: str
    room: str = ""
    payload: bytes = NULL
    binary: bool = False
    id: str = ""
    key: str = ""
    include_sender: bool = False
    traceparent: str = ""
    service: str = ""  # what a REQUEST asks for
    timeout_ms: int | None = None
    durable: bool = False
    ref: str = ""  # the ``id`` of an earlier message that this one is about
    receipt: str = ""  # what its sender wants to know of it: ``written`` or ``seen``


class Welcome(msgspec.Struct, frozen=True):
    """The client is known. ``expires_at_ms`` is when its token ends, ms since the Unix epoch; None: never.
    ``grant`` (empty: none) is what it may show when it connects again, ``post`` (empty: it has a WebSocket)
    what it shows with each of its posts.
    """

    connection: str
    user: str
    heartbeat_ms: int
    rooms: tuple[str, ...]
    message_bytes: int
    rate: int
    rate_per_ms: int
    rooms_max: int
    expires_at_ms: int | None = None
    grant: str = ""
    post: str = ""


class Joined(msgspec.Struct, frozen=True):
    """The client is a member of ``room`` and stands at this position; ``missed`` messages after it follow
    where ``recovered``. ``grant`` (empty: none) is what it may show at its next JOIN of the room.
    """

    room: str
    epoch: str
    seq: int
    recovered: bool
    missed: int = 0
    ref: str = ""
    grant: str = ""
    watching: bool | None = None  # whether it is told of the presence there; None: it did not ask


class Left(msgspec.Struct, frozen=True):
    """The client is no member of ``room`` any more; ``reason``: why, where it did not ask for that."""

    room: str
    ref: str = ""
    reason: str = ""


class Acked(msgspec.Struct, frozen=True):
    """The message ``ref`` is accepted; seq 0 (and epoch empty): not numbered."""

    ref: str
    room: str
    epoch: str = ""
    seq: int = 0


class Receipt(msgspec.Struct, frozen=True):
    """What has become of the message ``ref``: whether it is written, or how many of its ``readers`` have
    ``seen`` it (None: this is not about that). ``complete`` False: it is not so, or not known.
    """

    ref: str
    room: str
    complete: bool
    readers: int | None = None
    seen: int | None = None


class Pong(msgspec.Struct, frozen=True):
    """The answer to PING, with its payload."""

    payload: bytes = NULL
    binary: bool = False
    ref: str = ""


class Response(msgspec.Struct, frozen=True):
    """The answer to the REQUEST ``ref``, or the ``n``-th part of one (1, 2, 3 …; 0: it has no parts).
    ``more``: parts follow.
    """

    ref: str
    payload: bytes = NULL
    binary: bool = False
    n: int = 0
    more: bool = False


class Accepted(msgspec.Struct, frozen=True):
    """The REQUEST ``ref`` is on its way, and its answer will be a message of the user's own room."""

    ref: str


class Authenticated(msgspec.Struct, frozen=True):
    """A fresh token was taken."""

    expires_at_ms: int | None = None
    ref: str = ""


class History(msgspec.Struct, frozen=True):
    """Older messages of ``room`` in their order; ``more``: there are older ones still."""

    room: str
    messages: tuple[Deliver, ...]
    more: bool = False
    ref: str = ""


class Presence(msgspec.Struct, frozen=True):
    """Who is in ``room`` or what has changed there, or the answer to a PRESENCE; ``payload`` is JSON text."""

    room: str
    payload: bytes
    ref: str = ""

    @classmethod
    def of(cls, room: str, ref: str = "", *, watching: bool | None = None) -> Presence:
        """Return the answer to a PRESENCE that asked for something else than who is there."""
        return cls(room, _TAKEN[watching], ref)


_TAKEN: Final = {None: b"{}", True: b'{"watching":true}', False: b'{"watching":false}'}


class Dropped(msgspec.Struct, frozen=True):
    """``count`` messages of ``room`` were withheld because the client read too slowly, none with a seq above
    ``seq`` (0: none has one).
    """

    room: str
    count: int
    seq: int = 0


class Degraded(msgspec.Struct, frozen=True):
    """The broker is away; the socket stays open."""


class Restored(msgspec.Struct, frozen=True):
    """The broker is back."""


class Reconnect(msgspec.Struct, frozen=True):
    """The pod is going: connect again after ``after_ms``."""

    after_ms: int


class Error(msgspec.Struct, frozen=True):
    """Something was refused; with ``close`` the connection ends next with that code. ``error()``
    builds one.
    """

    code: str  # an ErrorCode, or a service's own
    message: str
    ref: str = ""
    retry: bool = False
    retry_after_ms: int | None = None
    close: int | None = None
    reconnect: Advice | None = None


ServerMessage = (
    Welcome | Joined | Left | Acked | Receipt | Pong | Response | Accepted | Authenticated | History
    | Presence | Dropped | Degraded | Restored | Reconnect | Error
)  # fmt: skip


_CODES: Final = {str(code): code for code in ErrorCode}
_TYPES: Final[dict[type, str]] = {
    kind: kind.__name__.upper()
    for kind in (
        Welcome,
        Joined,
        Left,
        Receipt,
        Pong,
        Response,
        Accepted,
        Authenticated,
        History,
        Presence,
        Dropped,
        Degraded,
        Restored,
        Reconnect,
        Error,
    )
} | {Acked: "ACK"}


def type_of(message: ServerMessage) -> str:
    """Return the message type that a server message has on the wire."""
    return _TYPES[type(message)]


def error(code: ErrorCode, message: str, ref: str = "", retry_after_ms: int | None = None) -> Error:
    """Return the ERROR for ``code``; the connection stays."""
    return Error(code, message, ref, code.retry, retry_after_ms)


def service_error(code: str, message: str, ref: str, retry_after_ms: int | None = None) -> Error:
    """Return the ERROR for a REQUEST. ``code`` is one of ours, or the service's own: then only the client
    knows whether to ask again.
    """
    known = _CODES.get(code)
    if known is None:
        return Error(code, message, ref, False, retry_after_ms)
    return error(known, message, ref, retry_after_ms)


def farewell(
    code: CloseCode, message: str = "", ref: str = "", retry_after_ms: int | None = None
) -> Error | None:
    """Return the ERROR that goes before a close with ``code``; None for closes that need no reason."""
    kind = CLOSE_ERRORS.get(code)
    if kind is None:
        return None
    return Error(kind, message or code.reason, ref, kind.retry, retry_after_ms, int(code), code.reconnect)


class Codec(Protocol):
    """One spelling of the protocol; the modules ``codec_json`` and ``codec_msgpack`` are codecs."""

    OPCODE: int

    def decode(self, data: str | bytes) -> ClientMessage:
        """Return what a frame means. Text frames come as str, binary ones as bytes.

        Raises ProtocolError and nothing else, with the message's ``id`` as its ref where that could be read.
        """
        ...

    def encode(self, message: ServerMessage, at_ms: int) -> bytes:
        """Return a server message's bytes; ``at_ms`` is its timestamp, ms since the Unix epoch."""
        ...

    def encode_delivery(self, deliver: Deliver) -> bytes:
        """Return the bytes of a message that goes to members."""
        ...
