"""The client's options and their defaults; times are in seconds. A frozen record that checks itself.

It reads no environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from warren_client.errors import InvalidError
from warren_client.messages import Overflow

_TIMES = (
    "backoff", "backoff_cap", "stable", "welcome_timeout", "ping_every", "pong_timeout", "ack_timeout",
    "refresh_before", "gap_wait",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a client behaves. Every number has a default that fits the server's own."""

    token_in: Literal["header", "subprotocol", "query"] = "header"
    backoff: float = 1.0  # the first delay is a random part of this; each further one of twice as much …
    backoff_cap: float = 30.0  # … and of no more than this
    max_tries: int | None = None  # attempts in a row before the client gives up; None: it never does
    stable: float = 5.0  # a connection that has lasted so long resets the back-off
    welcome_timeout: float = 10.0  # for one attempt, up to WELCOME
    ping_every: float = 30.0
    pong_timeout: float = 10.0
    ack_timeout: float = 15.0  # then a frame without an answer is sent again under its id
    refresh_before: float = 30.0  # so long before the token expires, the next one is shown
    gap_wait: float = 1.0  # so long a missing message may be one of our own whose ACK is under way
    outbox_limit: int = 100  # messages and requests without an answer; beyond: OutboxFullError
    queue_limit: int = 1_000  # messages of a room that wait for the application
    queue_bytes: int = 4 * 1024 * 1024  # and how large their frames are together
    overflow: Overflow = "catch_up"
    max_frame_bytes: int = 16 * 1024 * 1024  # a larger frame of the server ends the connection

    def __post_init__(self) -> None:
        """Refuse what can't be meant."""
        for name in _TIMES:
            if not getattr(self, name) > 0:
                raise _invalid(name, "must be more than 0 seconds")
        for name in ("outbox_limit", "queue_limit", "queue_bytes", "max_frame_bytes"):
            if getattr(self, name) < 1:
                raise _invalid(name, "must be at least 1")
        if self.max_tries is not None and self.max_tries < 0:
            raise _invalid("max_tries", "must be None, or a number of attempts")
        if self.token_in not in ("header", "subprotocol", "query"):
            raise _invalid("token_in", "must be header, subprotocol or query")
        check_overflow(self.overflow)


def check_overflow(overflow: str) -> None:
    """Raise InvalidError if there is no such policy for a full queue."""
    if overflow not in ("catch_up", "drop_oldest"):
        raise _invalid("overflow", "must be catch_up or drop_oldest")


def _invalid(name: str, rule: str) -> InvalidError:
    return InvalidError("invalid_option", f"{name}: {rule}")
