"""CircuitBreakers: a service that does not answer is asked no more for a while, so that those who ask it hold
no places that others need.

    closed ──failures in a row──▶ open ──its time is over──▶ half open: one call is let through
    half open ──success──▶ closed      half open ──failure──▶ open, for twice as long

One caller's failures count for a part only: who asks for what no service can answer must not shut it for
everyone. A service without failures is not kept, and how many are is bounded. It owns no timer; the time is
an argument, in monotonic seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from warren.retry import Backoff

# So many failures in a row, none of them answered in between, open the breaker.
FAILURES: Final = 16
# So many of them count of one caller.
OF_ONE_CALLER: Final = 4
OPEN_FIRST_S: Final = 1.0
OPEN_LAST_S: Final = 30.0
# Those that failed last are kept.
KEPT: Final = 1_024


class _Breaker:
    """One service's."""

    __slots__ = ("backoff", "callers", "failures", "open_until", "opened_at", "trial_until")

    def __init__(self) -> None:
        self.callers: dict[Hashable, int] = {}
        self.failures = 0
        self.backoff = Backoff(OPEN_FIRST_S, OPEN_LAST_S)
        self.open_until: float | None = None  # None: closed
        self.opened_at = 0.0
        self.trial_until = 0.0  # a call was let through, and may be answered until then


class CircuitBreakers:
    """Those of all services."""

    def __init__(self) -> None:
        """Begin with all closed."""
        self._breakers: OrderedDict[Hashable, _Breaker] = OrderedDict()

    def __len__(self) -> int:
        """Return how many services have failed of late."""
        return len(self._breakers)

    @property
    def open(self) -> int:
        """How many are open, or half open."""
        return sum(breaker.open_until is not None for breaker in self._breakers.values())

    def admits(self, service: Hashable, now: float, timeout_s: float) -> int:
        """Say whether a service may be asked now: 0 where it may, else in how many ms it is worth trying. One
        that is half open is tried by one call, which has ``timeout_s`` for its answer.
        """
        breaker = self._breakers.get(service)
        if breaker is None or breaker.open_until is None:
            return 0
        until = max(breaker.open_until, breaker.trial_until)
        if until > now:
            return max(1, int((until - now) * 1_000))
        breaker.trial_until = now + timeout_s
        return 0

    def succeeded(self, service: Hashable) -> None:
        """The service has answered."""
        if self._breakers:
            self._breakers.pop(service, None)

    def failed(self, service: Hashable, caller: Hashable, asked_at: float, now: float) -> bool:
        """The service has not answered what ``caller`` had asked at ``asked_at``; say whether its breaker
        opens by that.
        """
        breaker = self._breakers.get(service)
        if breaker is None:
            breaker = self._breakers[service] = _Breaker()
            if len(self._breakers) > KEPT:
                self._breakers.popitem(last=False)
        self._breakers.move_to_end(service)
        if breaker.open_until is None:
            counted = breaker.callers.get(caller, 0)
            if counted >= OF_ONE_CALLER:
                return False
            breaker.callers[caller] = counted + 1
            breaker.failures += 1
            if breaker.failures < FAILURES:
                return False
        elif asked_at < breaker.opened_at:
            return False  # it was open for this already
        breaker.callers = {}
        breaker.opened_at, breaker.trial_until = now, 0.0
        breaker.open_until = now + breaker.backoff.next()
        return True
