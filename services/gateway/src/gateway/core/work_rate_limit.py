"""WorkRateLimit: bytes of work that may be asked for at once, and how many more each second after that. Time
is an argument.

Unlike a rate limit it refuses nothing: what is larger than what is left makes a debt, and it says how long to
wait until that is paid. Its owner waits, which presses back on whoever asks. One object belongs to one
connection, or to a gateway.
"""

from __future__ import annotations

import math


class WorkRateLimit:
    """``burst`` bytes at once, then ``per_s`` each second. Kept as one number: when all of it is
    there again.
    """

    __slots__ = ("_burst_s", "_full_at", "_most_s", "_per_s")

    def __init__(self, burst: int, per_s: int, debt_s: float = math.inf) -> None:
        """Begin full. ``burst`` and ``per_s`` are at least 1; a debt that takes longer than ``debt_s`` to pay
        is let off.
        """
        self._per_s = per_s
        self._burst_s = burst / per_s
        self._most_s = self._burst_s + debt_s
        self._full_at = -math.inf

    def spend(self, count: int, now: float) -> float:
        """Spend ``count`` bytes at ``now`` (monotonic seconds); return for how many seconds nothing more
        should be asked for.
        """
        self._full_at = min(max(self._full_at, now) + count / self._per_s, now + self._most_s)
        return self.wait(now)

    def give_back(self, count: int, now: float) -> None:
        """Take back what was spent and not used."""
        self._full_at = max(self._full_at - count / self._per_s, now)

    def wait(self, now: float) -> float:
        """Return how many seconds it takes until the debt is paid; 0: there is none."""
        return max(0.0, self._full_at - now - self._burst_s)

    def used(self, now: float) -> float:
        """Return which share of the burst is used up; above 1: there is a debt."""
        return max(0.0, self._full_at - now) / self._burst_s
