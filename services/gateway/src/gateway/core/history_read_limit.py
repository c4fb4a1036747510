"""HistoryReadLimit: what one connection may have sent from the histories of rooms, by JOIN with a position
and by HISTORY.

An answer may be ten thousand times as large as its question, so the answers are charged: a question reserves
an estimate, which its answer gives back, and the answer costs its bytes. Who has used up what it may read is
left unread until that has grown again, and so is for a moment who asks for a room of which it has asked
already: what is on its way nobody can stop. So nothing is refused and a client that comes back gets
everything, only later. All connections of a gateway share a second allowance; while that is used up, those
wait that have read much, and who asks for little does not. It sends nothing, and time is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.work_rate_limit import WorkRateLimit
from warren.envelope import HistoryQuery, Join, PresenceQuery

# What a question reserves until its answer has come.
ESTIMATE_BYTES = 128 * 1024
# Who asks for a room again before it was answered waits for that, but not longer: the answer may never come.
AGAIN_S = 5.0
# Who has used less than this part of its own allowance does not wait for the gateway's.
SMALL_SHARE = 0.25
# The gateway's allowance lasts for so many seconds of its rate. Those who ask for little wait for nobody's,
# so it may be overdrawn by any number of them, for instance where all come back: who has read much waits for
# that, but not longer than this.
BURST_S = 2
DEBT_S = 10


def everyones(per_s: int) -> WorkRateLimit:
    """Return the allowance that all connections of a gateway share."""
    return WorkRateLimit(BURST_S * per_s, per_s, DEBT_S)


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What each connection may read: so many bytes at once, and so many more each second."""

    bytes: int = 4 * 1024 * 1024
    per_s: int = 1024 * 1024


class HistoryReadLimit:
    """One connection's."""

    __slots__ = ("_again_until", "_all", "_asked", "_limits", "_own")

    def __init__(self, limits: ReadLimits, everyone: WorkRateLimit) -> None:
        """``everyone`` is the allowance that all connections share."""
        self._limits = limits
        self._all = everyone
        self._own: WorkRateLimit | None = None  # who has asked for nothing needs none
        # (room, ref) ▶ how many of these questions are not answered yet; a client may use an id again.
        self._asked: dict[tuple[str, str], int] | None = None
        self._again_until = 0.0

    def asked(self, question: Join | HistoryQuery | PresenceQuery, now: float) -> None:
        """Reserve an estimate for what the client asks; a JOIN without a position is answered by a few bytes,
        and costs nothing.
        """
        if isinstance(question, Join) and question.since is None:
            return
        if self._own is None:
            self._own = WorkRateLimit(self._limits.bytes, self._limits.per_s)
        if self._asked is None:
            self._asked = {}
        self._spend(self._own, ESTIMATE_BYTES, now)
        if any(room == question.room for room, _ in self._asked):
            self._again_until = now + AGAIN_S
        key = question.room, question.ref
        self._asked[key] = self._asked.get(key, 0) + 1

    def answered(self, ref: str, now: float, room: str = "") -> None:
        """Give back the estimate of a question that is answered, or refused; what the answer brings is
        charged by ``came``. A refusal names no ``room``.
        """
        if self._own is None or not self._asked:
            return
        key = (room, ref) if room else next((one for one in self._asked if one[1] == ref), ("", ref))
        if key in self._asked:
            self._asked[key] -= 1
            if not self._asked[key]:
                del self._asked[key]
            self._own.give_back(ESTIMATE_BYTES, now)
            self._all.give_back(ESTIMATE_BYTES, now)
            self._again_until = 0.0

    def close(self, now: float) -> None:
        """End with the connection: what was kept for its questions is everyone's again."""
        if self._asked:
            self._all.give_back(ESTIMATE_BYTES * sum(self._asked.values()), now)
            self._asked = None

    def came(self, size: int, now: float) -> None:
        """Charge so many bytes of a history that go to the client. What came unasked is not charged to it."""
        if self._own is not None:
            self._spend(self._own, size, now)

    def wait(self, now: float) -> float:
        """Return for how many seconds nothing more is to be read from the client."""
        if self._own is None:
            return 0.0
        wait = self._own.wait(now)
        if self._own.used(now) > SMALL_SHARE:
            wait = max(wait, self._all.wait(now))
        return max(wait, self._again_until - now)

    def _spend(self, own: WorkRateLimit, size: int, now: float) -> None:
        own.spend(size, now)
        self._all.spend(size, now)
