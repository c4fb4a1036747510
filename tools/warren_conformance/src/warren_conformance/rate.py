"""Rate: whether a client keeps to the announced rate. Pure: times in, an answer out.

A frame counts at the earliest time at which it may have arrived and that accuses nobody: the kit may have
been late to read it. The window that is judged is a tenth shorter than the announced one.
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
        self._times: deque[float] = deque(maxlen=max(1, rate))

    def exceeds(self, now: float, earliest: float) -> bool:
        """Count a frame that was read now and can't have arrived before ``earliest``; say whether it is one
        too many.
        """
        if not self._rate:
            return False
        counts_at = max(earliest, self._times[-1] if self._times else earliest)
        if len(self._times) == self._rate:
            counts_at = max(counts_at, self._times[0] + self._per_s)
        self._times.append(min(counts_at, now))
        return counts_at > now
