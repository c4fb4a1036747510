"""Errors: error codes, close codes, the exception tree, and the one map between them.

Everything a client or an operator can be told about a failure is named here once, with what they should do
about it. This module never formats a message for one place only and never imports another module of Warren.

    WarrenError
    ├── SettingsError         the operator's: wrong settings, all of them at once
    ├── TopologyMismatch      the operator's: the broker's topology was made with other settings (shards)
    ├── MalformedEnvelope     the peer's: bytes on the bus that are no envelope
    ├── UnsupportedEnvelope   the peer's: an envelope of a newer wire version
    ├── ProtocolError         the client's: a frame that breaks ``warren.v1``; carries its ErrorCode
    ├── Unauthorized          the client's: no token, or one that does not hold
    ├── BusUnavailable        ours: the broker is away
    ├── NotConfirmed          ours: a publish whose fate is not known; send again under the same id
    ├── Unroutable            ours: a mandatory publish that reached no queue
    ├── Overloaded            ours: a bounded buffer is full
    └── CallFailed            a backend's: it was asked something and did not answer; carries its ErrorCode
"""

from __future__ import annotations

import enum
from typing import ClassVar, Literal

Reconnect = Literal["yes", "no", "fresh token"]


class ErrorCode(enum.StrEnum):
    """The ``code`` of an ERROR frame. ``retry`` says whether the same message may be sent again later."""

    retry: bool

    def __new__(cls, value: str, retry: bool) -> ErrorCode:  # noqa: D102
        member = str.__new__(cls, value)
        member._value_ = value
        member.retry = retry
        return member

    # The frame can't be parsed. The connection stays; mend the frame.
    INVALID_FORMAT = "invalid_format", False
    # The frame parses, but a field is missing or of the wrong kind; ``message`` names it.
    INVALID_MESSAGE = "invalid_message", False
    # A type in UPPER CASE that is reserved for Warren and is not a client's to send.
    UNKNOWN_TYPE = "unknown_type", False
    # A room name out of the rule (1 to 128 of letters, digits and ``. _ - : / @``), or a reserved one.
    INVALID_ROOM = "invalid_room", False
    # The payload can't be carried (bad base64, a value that JSON has not).
    INVALID_PAYLOAD = "invalid_payload", False
    # The token, the namespace or a backend does not allow to join or to publish here.
    FORBIDDEN = "forbidden", False
    # A backend keeps this user out of the room; nothing gets in until it lets the user in again.
    BLOCKED = "blocked", False
    # A message to a room that this connection has not joined, where the namespace asks for membership.
    NOT_JOINED = "not_joined", False
    # More rooms on one connection than the limit.
    TOO_MANY_ROOMS = "too_many_rooms", False
    # Faster than the namespace allows; ``retry_after_ms`` says when to come again.
    RATE_LIMITED = "rate_limited", True
    # No token, a wrong one, or one that has expired; precedes close 4001.
    UNAUTHORIZED = "unauthorized", False
    # Larger than the limit; precedes close 4003.
    MESSAGE_TOO_LARGE = "message_too_large", False
    # No pong since the last ping; precedes close 4004.
    HEARTBEAT_MISSED = "heartbeat_missed", True
    # This connection read too slowly; precedes close 4005.
    TOO_SLOW = "too_slow", True
    # The broker, or the backend that decides, is away, or the message's fate is not known; send it again with
    # the same ``id``.
    UNAVAILABLE = "unavailable", True
    # A buffer is full; send it again later with the same ``id``.
    OVERLOADED = "overloaded", True
    # No answer to a REQUEST in time; whether the service has done what was asked is not known.
    TIMEOUT = "timeout", True
    # Nobody serves what a REQUEST asks for at present.
    NO_SERVICE = "no_service", True
    # A REQUEST that its own client has cancelled.
    CANCELLED = "cancelled", False
    # The pod goes; precedes close 1012.
    DRAINING = "draining", True
    # A backend ended this connection; precedes close 4006.
    DISCONNECTED = "disconnected", False
    # A newer connection took this one's place; precedes close 4007.
    REPLACED = "replaced", False
    # Our fault, without details; the log line has the trace id.
    INTERNAL = "internal", True


class CloseCode(enum.IntEnum):
    """A WebSocket close code (RFC 6455 section 7.4). ``reconnect`` says whether the client should
    come back.
    """

    reconnect: Reconnect
    reason: str

    def __new__(cls, value: int, reconnect: Reconnect, reason: str) -> CloseCode:  # noqa: D102
        member = int.__new__(cls, value)
        member._value_ = value
        member.reconnect = reconnect
        member.reason = reason
        return member

    NORMAL = 1000, "no", "Leaving"
    GOING_AWAY = 1001, "yes", "Going away"
    PROTOCOL_ERROR = 1002, "no", "Protocol error"
    INTERNAL_ERROR = 1011, "yes", "Internal error"
    DRAINING = 1012, "yes", "Draining"
    OVERLOADED = 1013, "yes", "Overloaded"
    UNAUTHORIZED = 4001, "fresh token", "Unauthorized"
    RATE_LIMITED = 4002, "yes", "Rate limit exceeded"
    MESSAGE_TOO_LARGE = 4003, "no", "Message too large"
    HEARTBEAT_MISSED = 4004, "yes", "Heartbeat missed"
    TOO_SLOW = 4005, "yes", "Too slow"
    DISCONNECTED = 4006, "no", "Disconnected by a backend"
    REPLACED = 4007, "no", "Replaced by a newer connection"


# Which ERROR goes before which close, so that a client that reads frames alone knows why and what next.
CLOSE_ERRORS: dict[CloseCode, ErrorCode] = {
    CloseCode.INTERNAL_ERROR: ErrorCode.INTERNAL,
    CloseCode.DRAINING: ErrorCode.DRAINING,
    CloseCode.OVERLOADED: ErrorCode.OVERLOADED,
    CloseCode.UNAUTHORIZED: ErrorCode.UNAUTHORIZED,
    CloseCode.RATE_LIMITED: ErrorCode.RATE_LIMITED,
    CloseCode.MESSAGE_TOO_LARGE: ErrorCode.MESSAGE_TOO_LARGE,
    CloseCode.HEARTBEAT_MISSED: ErrorCode.HEARTBEAT_MISSED,
    CloseCode.TOO_SLOW: ErrorCode.TOO_SLOW,
    CloseCode.DISCONNECTED: ErrorCode.DISCONNECTED,
    CloseCode.REPLACED: ErrorCode.REPLACED,
}


class WarrenError(Exception):
    """The root. ``fault`` says whose it is: "ours" or "peer"."""

    fault: ClassVar[Literal["ours", "peer"]] = "ours"


class SettingsError(WarrenError):
    """Wrong settings. ``problems`` holds one line for each, with the variable's name."""

    def __init__(self, problems: list[str]) -> None:
        """Keep every problem, so that the operator mends all of them at once."""
        self.problems = problems
        super().__init__("\n".join(problems))


class TopologyMismatch(WarrenError):
    """The broker holds a topology made with other settings; the service refuses to start and says which."""


class MalformedEnvelope(WarrenError):
    """Bytes on the bus that are no envelope."""

    fault = "peer"


class UnsupportedEnvelope(MalformedEnvelope):
    """A batch of a wire version that this service does not speak."""


class ProtocolError(WarrenError):
    """A client's frame that breaks the protocol; it is answered with an ERROR of ``code`` and the connection
    stays.
    """

    fault = "peer"

    def __init__(self, code: ErrorCode, message: str, *, ref: str | None = None) -> None:
        """``message`` is for the client's developer; ``ref`` is the ``id`` of the offending message."""
        self.code = code
        self.message = message
        self.ref = ref
        super().__init__(f"{code}: {message}")


class Unauthorized(WarrenError):
    """A token that is missing or does not hold. The text never repeats the token."""

    fault = "peer"


class BusUnavailable(WarrenError):
    """The broker is away; nothing was sent."""


class NotConfirmed(WarrenError):
    """A publish whose fate is not known (nacked, or cut off before its confirm)."""


class Nacked(NotConfirmed):
    """A publish that the broker has refused: a queue that should have it did not take it."""


class Unroutable(WarrenError):
    """A mandatory publish that reached no queue (AMQP ``basic.return``)."""


class Overloaded(WarrenError):
    """A bounded buffer is full."""


class CallFailed(WarrenError):
    """A backend was asked something and no answer came; ``code`` says why, ``retry_after_ms`` when it may be
    worth asking again (None: nobody knows).
    """

    def __init__(self, code: ErrorCode, message: str, retry_after_ms: int | None = None) -> None:
        """``message`` is for whoever asked."""
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms
        super().__init__(f"{code}: {message}")


def code_of(error: BaseException) -> ErrorCode:
    """Turn any exception into the code that a client is told; what is unknown is INTERNAL."""
    match error:
        case ProtocolError() | CallFailed():
            return error.code
        case Unauthorized():
            return ErrorCode.UNAUTHORIZED
        case BusUnavailable() | NotConfirmed() | Unroutable():
            return ErrorCode.UNAVAILABLE
        case Overloaded():
            return ErrorCode.OVERLOADED
        case MalformedEnvelope():
            return ErrorCode.INVALID_MESSAGE
        case _:
            return ErrorCode.INTERNAL
