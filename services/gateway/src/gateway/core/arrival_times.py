"""ArrivalTimes: since when each byte that waits may have been there, so that a message counts when it came
and not when it is handled.

When the loop stands still, or a connection is not read for a while, the kernel keeps what comes and tells
nobody when it came. So each chunk has a bound: the earliest time at which it may have come. A rate limit
takes a message at the first moment from then on at which it had a place; who sends too fast wins nothing by
that but what the gateway itself was late. Time is an argument.
"""

from __future__ import annotations

# Chunks whose bounds are kept apart; later ones count as having come with the last of these, which is in the
# client's favour.
MARKS_MAX = 16


class ArrivalTimes:
    """The bounds of the bytes of one connection that have come and were not taken yet."""

    __slots__ = ("_came", "_marks")

    def __init__(self) -> None:
        """Begin with nothing."""
        self._came = 0
        self._marks: list[tuple[int, float]] = []  # (up to which byte, since when), the oldest first

    def came(self, size: int, since: float) -> None:
        """``size`` bytes came, at ``since`` at the earliest. ``since`` never goes back."""
        self._came += size
        marks = self._marks
        if marks and (marks[-1][1] == since or len(marks) >= MARKS_MAX):
            marks[-1] = (self._came, marks[-1][1])
        else:
            marks.append((self._came, since))

    def of(self, left: int) -> float:
        """Return since when the last byte that was taken may have been there; ``left`` bytes are not taken
        yet. Something has been taken.
        """
        taken, marks = self._came - left, self._marks
        while marks[0][0] < taken:
            del marks[0]
        since = marks[0][1]
        if not left:
            marks.clear()
            self._came = 0
        elif marks[0][0] == taken:
            del marks[0]
        return since
