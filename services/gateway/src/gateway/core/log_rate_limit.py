"""LogRateLimit: what strangers can cause as often as they like is logged once in a while, for each of a
bounded number of causes.

It owns no clock and logs nothing.
"""

from __future__ import annotations


class LogRateLimit:
    """When each cause is due again, and how often it came unlogged."""

    def __init__(self, every_s: float, causes_max: int) -> None:
        """At most ``causes_max`` lines in ``every_s``, and one for each cause."""
        self._every_s = every_s
        self._causes_max = causes_max
        self._logged: dict[str, float] = {}  # the oldest first
        self._passed: dict[str, int] = {}
        self._others = 0

    def due(self, cause: str, now: float) -> int | None:
        """``cause`` came: return how often anything came unlogged that belongs to the line that is
        due now; None: no line is due.
        """
        while self._logged and now - next(iter(self._logged.values())) >= self._every_s:
            old = next(iter(self._logged))
            del self._logged[old]
            if old != cause:
                self._others += self._passed.pop(old, 0)
        if cause in self._logged:
            self._passed[cause] = self._passed.get(cause, 0) + 1
            return None
        if len(self._logged) >= self._causes_max:
            self._others += 1
            return None
        self._logged[cause] = now
        unlogged, self._others = self._passed.pop(cause, 0) + self._others, 0
        return unlogged
