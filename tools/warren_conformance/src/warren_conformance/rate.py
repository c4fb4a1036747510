"""Rate: whether a client keeps to the announced rate. Pure: times in, an answer out.

The window that is judged is a tenth shorter than the announced one, so that a late kit accuses nobody.
"""

from __future__ import annotations

from collections import deque
from typing import Final

TOLERANCE: Final = 0.9


class RateWindow:
    """At most ``rate`` frames within ``per_s`` seconds; rate 0: no limit."""

    def __init__(self, rate: int, per_s: float) -> None:
        self._rate = rate
        self._per_s = per_s * TOLERANCE
        self._times: deque[float] = deque()

    def exceeds(self, now: float) -> bool:
        """Count a frame; say whether it is one too many."""
        if not self._rate:
            return False
        while self._times and self._times[0] <= now - self._per_s:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) > self._rate
