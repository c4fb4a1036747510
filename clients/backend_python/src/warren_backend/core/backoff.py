"""Backoff: how long to wait before something that failed is tried again.

The pause doubles from a first to a longest one; chance is an argument, so that those who failed together do
not come back together. It waits for nobody and knows no time.
"""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """``Backoff(0.1, 1.0, chance)`` gives up to 0.1, 0.2, 0.4, 0.8, 1.0, 1.0 … seconds, each cut by up to a
    half.
    """

    def __init__(self, first_s: float, most_s: float, chance: Callable[[], float]) -> None:
        """``chance()`` is between 0 and 1."""
        self._first_s = first_s
        self._most_s = most_s
        self._chance = chance
        self._pause_s = first_s

    def next(self) -> float:
        """Return how long to wait now."""
        pause_s = self._pause_s
        self._pause_s = min(self._most_s, 2 * pause_s)
        return pause_s * (0.5 + self._chance() / 2)

    def reset(self) -> None:
        """Begin with the first pause again."""
        self._pause_s = self._first_s
