"""ConnectionDeadlines: when one connection has to be pinged, and when its time is over.

Three clocks run: for the first token, until the client is known; for a sign of life, from ping to ping; for
the token's end. It owns no timer, ends nothing and knows no message: ``due`` says what is due. The time is an
argument, in monotonic seconds.
"""

from __future__ import annotations

import enum


class Due(enum.Enum):
    """What is due at one moment."""

    NOTHING = enum.auto()
    PING = enum.auto()
    NO_TOKEN = enum.auto()  # none came in time
    TOKEN_EXPIRED = enum.auto()
    SILENT = enum.auto()  # no sign of life since the last ping


NOTHING = Due.NOTHING


class ConnectionDeadlines:
    """One connection's."""

    __slots__ = ("_alive", "_expires_at", "_heartbeat_s", "_ping_at", "_token_by")

    def __init__(self, heartbeat_s: float) -> None:
        """Begin with no clock running; a ping is due each ``heartbeat_s``."""
        self._heartbeat_s = heartbeat_s
        self._alive = True  # a sign of life came since the last ping
        self._ping_at = 0.0
        self._token_by: float | None = None
        self._expires_at: float | None = None

    def begin(self, now: float, auth_timeout_s: float) -> None:
        """The connection is open, and its client has so long to send a token."""
        self._ping_at = now + self._heartbeat_s
        self._token_by = now + auth_timeout_s

    def known(self) -> None:
        """The client is known: its first token is waited for no more."""
        self._token_by = None

    def heard(self) -> None:
        """There was a sign of life: a pong, a ping, a part of a frame."""
        self._alive = True

    def live_until(self, expires_at: float | None, now: float, now_us: int) -> bool:
        """Set the end of the token's life (seconds since the Unix epoch; None: it has none); False where that
        is past.
        """
        if expires_at is None:
            self._expires_at = None
            return True
        left_s = expires_at - now_us / 1_000_000
        self._expires_at = now + left_s
        return left_s > 0

    def quiet(self, now: float) -> bool:
        """Say whether nothing is due."""
        return (
            now < self._ping_at
            and (self._token_by is None or now < self._token_by)
            and (self._expires_at is None or now < self._expires_at)
        )

    def due(self, now: float) -> Due:
        """Return what is due now; a ping counts as sent then."""
        if self.quiet(now):
            return NOTHING
        if self._token_by is not None and now >= self._token_by:
            return Due.NO_TOKEN
        if self._expires_at is not None and now >= self._expires_at:
            return Due.TOKEN_EXPIRED
        if not self._alive:
            return Due.SILENT
        self._alive = False
        self._ping_at = now + self._heartbeat_s
        return Due.PING
