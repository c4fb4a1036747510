"""FeedTimeouts: when the routers are asked for the feed of one shard.

At once where a gap is seen, and again with back-off while it lasts; where no feed has come for a while, since
at least an empty one comes twice a second. A life that has had no feed at all for long after it began was
never heard of (its beginning was lost with the log): it is to begin anew, less and less often. It asks nobody
itself, and time is an argument.
"""

from __future__ import annotations

from warren.retry import Backoff

SILENCE_S = 2.0
AGAIN_FIRST_S = 0.1
AGAIN_LAST_S = 2.0
BARREN_FIRST_S = 30.0
BARREN_LAST_S = 600.0


class FeedTimeouts:
    """One shard's."""

    __slots__ = ("_again", "_asked_at", "_barren", "_barren_s", "_began_at", "_fed_at", "_gap", "_wait_s")

    def __init__(self, now: float) -> None:
        """Begin; ``now`` is monotonic seconds everywhere."""
        self._fed_at = now
        self._asked_at: float | None = None
        self._again = Backoff(AGAIN_FIRST_S, AGAIN_LAST_S)
        self._wait_s = AGAIN_FIRST_S
        self._gap = False
        self._began_at: float | None = None
        self._barren = Backoff(BARREN_FIRST_S, BARREN_LAST_S)
        self._barren_s = self._barren.next()

    def fed(self, now: float) -> None:
        """A feed has come that joins on to what is known."""
        self._fed_at = now
        self._gap = False
        self._asked_at = None
        self._again.reset()
        self._began_at = None
        self._barren.reset()
        self._barren_s = self._barren.next()

    def gap(self, now: float) -> bool:
        """A feed has come that leaves a gap; True where it has to be asked for now."""
        self._fed_at = now
        self._gap = True
        return self.due(now)

    def asked(self, now: float) -> None:
        """The feed was asked for, for whatever reason."""
        self._wait_s = self._again.next()
        self._asked_at = now

    @property
    def has_gap(self) -> bool:
        """Whether something is missing (and somebody speaks); else it is silence that is asked about."""
        return self._gap

    def due(self, now: float) -> bool:
        """Say whether the feed has to be asked for (again) now; then it counts as asked for."""
        if self._gap:
            late = self._asked_at is None or now - self._asked_at >= self._wait_s
        else:
            since = self._fed_at if self._asked_at is None else max(self._fed_at, self._asked_at)
            late = now - since >= SILENCE_S
        if late:
            self.asked(now)
        return late

    def barren(self, now: float, *, fed: bool) -> bool:
        """Say whether a life that has begun, and was never ``fed``, should begin anew; call it while it is
        known to have begun.
        """
        if fed:
            self._began_at = None
            return False
        if self._began_at is None:
            self._began_at = now
        if now - self._began_at < self._barren_s:
            return False
        self._began_at = None
        self._barren_s = self._barren.next()
        return True

    def anew(self, now: float) -> None:
        """A new life begins, in which nothing is missing yet."""
        self._fed_at = now
        self._asked_at = None
        self._again.reset()
        self._gap = False
        self._began_at = None
