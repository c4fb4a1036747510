"""RecentLag: how old the oldest message was that has come lately: the worst of the last few intervals between
two heartbeats.

It keeps one number for each interval, whatever comes. Pure: ages are arguments.
"""

from __future__ import annotations

from collections import deque
from typing import Final

# Whoever looks every few seconds must not miss what was bad in between.
INTERVALS: Final = 4
NONE: Final = -1  # nothing has come


class RecentLag:
    """One process's."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._worst = NONE
        self._before: deque[int] = deque(maxlen=INTERVALS - 1)

    def note(self, age_us: int) -> None:
        """A message has come that is so old; clocks of two machines may differ, so less than 0 counts
        as 0.
        """
        age_ms = max(0, age_us) // 1_000
        if age_ms > self._worst:
            self._worst = age_ms

    def take(self) -> int:
        """Return the worst of this interval and of those before it, in ms, and begin the next one."""
        worst = max(self._worst, *self._before, NONE)
        self._before.append(self._worst)
        self._worst = NONE
        return worst
