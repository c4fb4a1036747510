"""Backoff: how long to wait before something that failed is tried again.

The pause doubles from a first to a longest one, and jitter keeps those who failed together from coming back
together. It waits for nobody and knows no time: whoever tries again waits, and chance is an argument.
"""

from __future__ import annotations

from collections.abc import Callable


def certain() -> float:
    """Stand for a chance that nobody gave: the whole pause, always."""
    return 1.0


class Backoff:
    """The pauses between the attempts at one thing, in seconds.

    For example ``Backoff(0.1, 1.0)`` gives 0.1, 0.2, 0.4, 0.8, 1.0, 1.0 …, and 0.1 again after ``reset``.
    """

    __slots__ = ("_chance", "_first_s", "_most_s", "_pause_s")

    def __init__(self, first_s: float, most_s: float, chance: Callable[[], float] = certain) -> None:
        """``chance()`` is between 0 and 1: each pause is cut by up to a half, and stays whole at 1."""
        self._first_s = first_s
        self._most_s = most_s
        self._chance = chance
        self._pause_s = first_s

    def next(self) -> float:
        """Return how long to wait now; the next pause is twice as long, up to the longest."""
        pause_s = self._pause_s
        self._pause_s = min(self._most_s, 2 * pause_s)
        return pause_s * (0.5 + self._chance() / 2)

    def reset(self) -> None:
        """Begin with the first pause again: it has succeeded, or something else is tried."""
        self._pause_s = self._first_s
