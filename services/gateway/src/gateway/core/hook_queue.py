"""HookQueue: the questions that wait for one backend, and how many of them it is asked at a time.

Users take turns, whoever has asked how much, and none has more than a part of what is out. How much that is
follows the answers: more while they come fast, less when they slow down or fail, so that a storm waits here,
in turn, and not in a queue of the backend where it would be too old when it is read. Bounded; a question that
has waited for too long is given up. It knows no question's content. Time is an argument, in monotonic
seconds.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Final

# Questions that may wait for one backend.
WAITING_MAX: Final = 16_384
# For how long one may.
WAIT_S: Final = 5.0
# How many are out at a time: at the beginning, at least, at most.
WINDOW_FIRST: Final = 16.0
WINDOW_LEAST: Final = 2.0
WINDOW_MOST: Final = 512.0
# One in so many of them is a user's at most: questions that a backend can't answer leave places for those
# that it can.
USER_PART: Final = 4
# Of the time-out: answers that come within this part of it are fast, those that take longer than that slow.
FAST: Final = 0.25
SLOW: Final = 0.5
# By how much one slow answer, or one that does not come, narrows the window.
NARROWS: Final = 0.98
HALVES: Final = 0.5


class HookQueue:
    """Those for one backend. A question is known by a number."""

    def __init__(self, timeout_s: float) -> None:
        """An answer is waited for that long."""
        self._timeout_s = timeout_s
        self._window = WINDOW_FIRST
        self._failed_user: str | None = None  # whose question failed last, with no answer since
        self._narrowed_at = float("-inf")
        self._out: dict[int, tuple[str, float]] = {}  # whose, and since when
        self._out_of: Counter[str] = Counter()  # a user
        self._waiting: dict[int, tuple[str, float]] = {}  # in the order in which they came: whose, since when
        self._turns: OrderedDict[str, OrderedDict[int, None]] = OrderedDict()  # whose turn it is, with what

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    @property
    def out(self) -> int:
        """How many the backend is asked at present."""
        return len(self._out)

    @property
    def window(self) -> int:
        """How many it may be asked at a time."""
        return int(self._window)

    def offer(self, number: int, user: str, now: float) -> bool:
        """Add a question of ``user``; False where there is no place."""
        if len(self._waiting) >= WAITING_MAX:
            return False
        self._waiting[number] = (user, now)
        self._turns.setdefault(user, OrderedDict())[number] = None
        return True

    def next(self, now: float) -> int | None:
        """Return the question that is to be asked now; None: none is."""
        if len(self._out) >= self.window:
            return None
        most = max(1, self.window // USER_PART)
        user = next((user for user in self._turns if self._out_of[user] < most), None)
        if user is None:
            return None
        number = next(iter(self._turns[user]))
        self._turns.move_to_end(user)
        self.drop(number)
        self._out[number] = (user, now)
        self._out_of[user] += 1
        return number

    def answered(self, number: int, now: float) -> None:
        """The backend has answered."""
        _, since = self._back(number)
        if since is None:
            return
        self._failed_user = None
        took_s = now - since
        if took_s <= FAST * self._timeout_s:
            self._window = min(WINDOW_MOST, self._window + 1)
        elif took_s > SLOW * self._timeout_s:
            self._window = max(WINDOW_LEAST, self._window * NARROWS)

    def failed(self, number: int, now: float) -> None:
        """The backend has not answered."""
        user, since = self._back(number)
        if since is None:
            return
        # One user may well ask what no backend can answer: that says nothing of how fast it is.
        alone, self._failed_user = self._failed_user in (None, user), user
        # Nor does what was asked before the window became narrower say anything of the new one.
        if not alone and since >= self._narrowed_at:
            self._window = max(WINDOW_LEAST, self._window * HALVES)
            self._narrowed_at = now

    def _back(self, number: int) -> tuple[str, float | None]:
        """Take back a question that is out; return whose it is, and since when it was out (None: it was
        not).
        """
        user, since = self._out.pop(number, ("", None))
        if since is not None:
            self._out_of[user] -= 1
            if not self._out_of[user]:
                del self._out_of[user]
        return user, since

    def late(self, now: float) -> list[int]:
        """Give up the questions that have waited for too long, and return them."""
        found: list[int] = []
        for number, (_, since) in self._waiting.items():
            if now - since < WAIT_S:
                break
            found.append(number)
        for number in found:
            self.drop(number)
        return found

    def drop(self, number: int) -> None:
        """Give up a question that waits, where it does."""
        found = self._waiting.pop(number, None)
        if found is None:
            return
        own = self._turns[found[0]]
        del own[number]
        if not own:
            del self._turns[found[0]]

    def drain(self) -> list[int]:
        """Give up all that wait, and return them."""
        found = list(self._waiting)
        self._waiting.clear()
        self._turns.clear()
        return found
