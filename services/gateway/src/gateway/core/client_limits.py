"""Client limits: how fast a client may send, and how much may wait for it. Time is an argument.

Each object here belongs to one connection. This module never decides what happens to who exceeds a limit:
Session and Outbox do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from warren.namespaces import RateLimit, RoomPolicy

# Float arithmetic on a monotonic clock of some 10^6 s is good to about 10^-10 s.
_EPSILON_S = 1e-7


class TokenBucket:
    """``count`` at once, and one more each ``per_ms / count`` after that. Kept as one number: when the bucket
    is full again.
    """

    __slots__ = ("_burst_s", "_full_at", "_interval_s")

    def __init__(self, count: int, per_ms: int) -> None:
        """Begin full. ``count`` and ``per_ms`` are at least 1."""
        self._interval_s = per_ms / count / 1_000
        self._burst_s = per_ms / 1_000 - self._interval_s
        self._full_at = -math.inf

    def take(self, now: float, since: float | None = None) -> int:
        """Take one at ``now`` (monotonic seconds), or at the first moment from ``since`` on at which there
        was one. Return 0 where there was, else in how many ms there will be (at least 1). What is asked for
        at ``now`` may have come at any time since ``since``.
        """
        free_at = self._full_at - self._burst_s
        at = now if since is None or since > now else since
        if free_at > at:
            at = free_at
            if at - now > _EPSILON_S:
                return max(1, math.ceil((at - now) * 1_000 - 1e-4))
        self._full_at = (self._full_at if self._full_at > at else at) + self._interval_s
        return 0


def rate_limit(count: int, per_ms: int) -> RateLimit | None:
    """Return the limit of ``count`` messages in ``per_ms``; None, which is no limit, for a count of 0."""
    return RateLimit(count, per_ms) if count else None


@dataclass(frozen=True, slots=True)
class Excess:
    """A message that came too fast: the limit it broke, when to come again, and whether the connection ends
    for it.
    """

    limit: RateLimit
    wait_ms: int

    @property
    def says(self) -> str:
        """The limit in words."""
        return f"More than {self.limit.count} messages in {self.limit.per_ms} ms"


class RateLimits:
    """One connection's limits: its own, and one for each namespace that has a limit of its own."""

    __slots__ = ("_buckets", "_own")

    def __init__(self, own: RateLimit | None) -> None:
        """``own`` None: no limit, except where a namespace has one."""
        self._own = own
        self._buckets: dict[str | None, TokenBucket] | None = None  # who sends nothing needs none

    def take(self, policy: RoomPolicy | None, now: float, since: float | None = None) -> Excess | None:
        """Count a message to a room of ``policy`` (None: to none) that came at ``since`` at the earliest.
        Where the namespace has a limit, that counts instead of the own one.
        """
        if policy is not None and policy.rate is not None:
            name: str | None = policy.name
            limit = policy.rate
        elif self._own is not None:
            name, limit = None, self._own
        else:
            return None
        if self._buckets is None:
            self._buckets = {}
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = TokenBucket(limit.count, limit.per_ms)
        wait_ms = bucket.take(now, since)
        return Excess(limit, wait_ms) if wait_ms else None


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """How much may wait for one connection, beyond what its transport holds. Above ``soft_bytes`` ephemeral
    messages are dropped.
    """

    count: int = 4_096
    bytes: int = 1024 * 1024
    soft_bytes: int = 256 * 1024
