"""ConnectionDeadlines: one connection from open to closed, and what time, the pod and a token's end do to it.

    new ──▶ ready ──drain──▶ draining        any of them ──end──▶ closed

It owns no timer: ``tick`` says what is due. It knows nothing of rooms and messages; Session builds on it, and
the shell's ticker and drain call it through Session.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gateway.core.actions import Action, Close, Ping, Send
from gateway.core.client_messages import Degraded, Reconnect, Restored, farewell
from gateway.core.permissions import Identity
from warren.errors import CloseCode
from warren.namespaces import RateLimit

Actions = list[Action]


class State(enum.Enum):
    """Where a session is in its life."""

    NEW = "new"  # the client is not known yet
    READY = "ready"
    DRAINING = "draining"  # it was told to go elsewhere; everything still works
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What all sessions of a gateway have in common."""

    heartbeat_ms: int = 30_000
    auth_timeout_ms: int = 10_000
    message_bytes: int = 1024 * 1024
    rate: RateLimit | None = RateLimit(count=5, per_ms=1_000, policy="close")  # None: no limit
    rooms_max: int = 100  # those a client joins and those joined at connect, without its own @user
    # joined at connect, where the client may; the first is the default room
    rooms: tuple[str, ...] = ("default",)


class ConnectionDeadlines:
    """A connection's state and its deadlines."""

    __slots__ = ("_alive", "_config", "_degraded", "_expires", "_opened", "_ping_at", "identity", "state")

    def __init__(self, config: SessionConfig) -> None:
        """Begin as a client that is not known."""
        self.identity: Identity | None = None
        self.state = State.NEW
        self._config = config
        self._opened = 0.0
        self._ping_at = 0.0
        self._alive = True  # a sign of life came since the last ping
        self._expires: float | None = None  # monotonic
        self._degraded = False

    @property
    def user(self) -> str:
        """The user's name; empty while the client is not known."""
        return "" if self.identity is None else self.identity.user

    def heard(self, now: float) -> None:
        """Take any sign of life: a pong, a ping, a part of a frame."""
        self._alive = True

    def tick(self, now: float) -> Actions:
        """Do what is due. Call it several times in ``heartbeat_ms``; how punctual things are depends on how
        often.
        """
        if self.state is State.CLOSED:
            return []
        if self.state is State.NEW and now >= self._opened + self._config.auth_timeout_ms / 1_000:
            return self.end(CloseCode.UNAUTHORIZED, "No token came in time")
        if self._expires is not None and now >= self._expires:
            return self.end(CloseCode.UNAUTHORIZED, "The token has expired")
        if now < self._ping_at:
            return []
        if not self._alive:
            return self.end(CloseCode.HEARTBEAT_MISSED)
        self._alive = False
        self._ping_at = now + self._config.heartbeat_ms / 1_000
        return [Ping()]

    def degraded(self, up: bool) -> Actions:
        """Take that the bus is back (``up``) or away; a client that is not known yet hears of it with its
        WELCOME.
        """
        changed = self._degraded == up
        self._degraded = not up
        if not changed or self.state in (State.NEW, State.CLOSED):
            return []
        return [Send(Restored() if up else Degraded())]

    def drain(self, after_ms: int) -> Actions:
        """Ask the client to connect again after ``after_ms``. Who is not known yet has nothing to lose and is
        closed at once.
        """
        if self.state is State.NEW:
            return self.end(CloseCode.DRAINING)
        if self.state is not State.READY:
            return []
        self.state = State.DRAINING
        return [Send(Reconnect(after_ms))]

    def too_large(self, limit: int = 0) -> Actions:
        """Take that a message was refused for its size before it was read whole; ``limit`` is the one that it
        broke (0: the one for everyone).
        """
        before = " before the token was checked" if self.state is State.NEW else ""
        return self.end(
            CloseCode.MESSAGE_TOO_LARGE, f"More than {limit or self._config.message_bytes} bytes{before}"
        )

    def end(self, code: CloseCode, message: str = "", ref: str = "") -> Actions:
        """Close from our side: the ERROR that says why, where the code has one, then the close. Nothing comes
        out after it.
        """
        if self.state is State.CLOSED:
            return []
        self.state = State.CLOSED
        reason = farewell(code, message, ref)
        return [Close(code)] if reason is None else [Send(reason), Close(code)]

    def _begin(self, now: float) -> None:
        self._opened = now
        self._ping_at = now + self._config.heartbeat_ms / 1_000

    def _live_until(self, expires_at: float | None, now: float, now_us: int) -> bool:
        """Set the end of the token's life, which comes in wall clock; False where that is past."""
        if expires_at is None:
            self._expires = None
            return True
        left_s = expires_at - now_us / 1_000_000
        self._expires = now + left_s
        return left_s > 0
