"""Pusher closes: with which codes a connection of the Pusher protocol ends. Its clients go by the range: up
to 4099 they stay away, up to 4199 they come back after a while, up to 4299 at once.
"""

from __future__ import annotations

import enum
from typing import Final

from warren.errors import CloseCode


class PusherClose(enum.IntEnum):
    """The protocol's own codes, each with what is said beside it."""

    reason: str

    def __new__(cls, value: int, reason: str) -> PusherClose:  # noqa: D102
        member = int.__new__(cls, value)
        member._value_ = value
        member.reason = reason
        return member

    NO_APP = 4001, "There is no app with this key"
    DISABLED = 4003, "The app is disabled"
    OVER_QUOTA = 4004, "The app has as many connections as it may have here"
    WRONG_VERSION = 4007, "The protocol's version must be 5, 6 or 7"
    NO_VERSION = 4008, "The protocol's version is missing: ?protocol=7"
    UNAUTHORIZED = 4009, "Unauthorized"
    TOO_LARGE = 4019, "Message too large"
    OVERLOADED = 4100, "Overloaded; come again later"
    AGAIN = 4200, "Connect again"
    NO_PONG = 4201, "No sign of life"
    # Of a client event that is refused; the connection stays.
    EVENT_REFUSED = 4301, "Client event refused"


_CODES: Final = {
    CloseCode.GOING_AWAY: PusherClose.AGAIN,
    CloseCode.INTERNAL_ERROR: PusherClose.OVERLOADED,
    CloseCode.DRAINING: PusherClose.AGAIN,
    CloseCode.OVERLOADED: PusherClose.OVERLOADED,
    CloseCode.UNAUTHORIZED: PusherClose.UNAUTHORIZED,
    CloseCode.RATE_LIMITED: PusherClose.OVERLOADED,
    CloseCode.MESSAGE_TOO_LARGE: PusherClose.TOO_LARGE,
    CloseCode.HEARTBEAT_MISSED: PusherClose.NO_PONG,
    CloseCode.TOO_SLOW: PusherClose.OVERLOADED,
    CloseCode.DISCONNECTED: PusherClose.UNAUTHORIZED,
    CloseCode.REPLACED: PusherClose.UNAUTHORIZED,
}


def of(code: CloseCode) -> int:
    """Return the code that clients of the protocol are closed with where Warren's would be ``code``."""
    return int(_CODES.get(code, code))
