"""OpenCalls: what backends are being asked at the moment, and what comes of it: each call gets one final
answer or one failure, whatever the service, the broker and the clock do.

A call is sent until the broker has taken it, and again where answers to it may be lost, under the same id and
as the next attempt. An answer may come in parts, numbered 1, 2, 3 …: a repeat is passed over, and a call
from whose parts one is missing fails. Bounded: so many calls and bytes in all, and half of both for one
service. Inputs go in, steps come out, to be done in their order. It knows no broker, no payload and no
client; the time is an argument, in monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.core.circuit_breaker import CircuitBreakers
from warren.errors import ErrorCode
from warren.retry import Backoff

# What the broker has not taken is sent again after this, doubled each time.
RETRY_FIRST_S: Final = 0.1
RETRY_LAST_S: Final = 1.0

_FULL: Final = "Too many calls wait for their answers; ask again later"
_BROKEN: Final = "The service does not answer at present"
_AWAY: Final = "The broker was away, or did not say whether it took the request"
_LATE: Final = "No answer came in time"
_NOBODY: Final = "Nobody serves this"
_REFUSED: Final = "The service's queue is full; ask again later"
_INCOMPLETE: Final = "A part of the answer was lost"


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How many calls of one kind may be open, and how many bytes they may hold."""

    count: int
    bytes: int = 64 * 1024 * 1024


class _Held:
    """What the calls to one service, or all of them, hold."""

    __slots__ = ("bytes", "count")

    def __init__(self) -> None:
        self.count = self.bytes = 0

    def fits(self, size: int, count: int, most_bytes: int) -> bool:
        """Say whether one more finds place; the first one always does."""
        return not self.count or (self.count < count and self.bytes + size <= most_bytes)

    def add(self, size: int) -> None:
        self.count += 1
        self.bytes += size

    def take(self, size: int) -> None:
        self.count -= 1
        self.bytes -= size


class Send(msgspec.Struct, frozen=True):
    """Send the request: for the ``attempt``-th time (1, 2 …), worth an answer for so much longer."""

    id: str
    attempt: int
    left_ms: int


class Answer(msgspec.Struct, frozen=True):
    """The ``n``-th part of the answer has come; the last one unless there is ``more``."""

    id: str
    n: int
    more: bool


class Accepted(msgspec.Struct, frozen=True):
    """The broker has the request, and the answer will come by another way: the call is over."""

    id: str


class Failed(msgspec.Struct, frozen=True):
    """The call is over without an answer. ``cancel``: the service may be at work on it, and is to be told."""

    id: str
    code: ErrorCode
    message: str
    retry_after_ms: int | None = None
    cancel: bool = False


Step = Send | Answer | Accepted | Failed


class _Call:
    """One that is open."""

    __slots__ = (
        "asked_at", "attempt", "backoff", "caller", "deadline", "judged", "n", "numbered", "one_way",
        "retry_at", "service", "size", "taken", "timeout_s",
    )  # fmt: skip

    def __init__(
        self, service: str, caller: str, timeout_s: float, size: int, now: float, judged: bool, one_way: bool
    ) -> None:
        self.service = service
        self.size = size
        self.caller = caller
        self.timeout_s = timeout_s
        self.asked_at = now
        self.deadline = now + timeout_s
        self.judged = judged
        self.one_way = one_way
        self.attempt = 0
        self.taken = False  # the broker has some attempt
        self.retry_at: float | None = None
        self.backoff: Backoff | None = None
        self.n = 0  # the last part that came
        self.numbered = True  # by the service, so far


class OpenCalls:
    """Those of one kind in a gateway."""

    def __init__(self, limits: CallLimits) -> None:
        """Nothing that is to be answered is sent before ``answerable``."""
        self._limits = limits
        self._calls: dict[str, _Call] = {}
        self._held = _Held()
        self._by_service: dict[str, _Held] = {}
        self._breakers = CircuitBreakers()
        self._answerable = False

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._calls)

    def __contains__(self, name: str) -> bool:
        """Say whether a call is open."""
        return name in self._calls

    @property
    def broken(self) -> int:
        """How many services are not asked at present, since they do not answer."""
        return self._breakers.open

    # ── a call's life ───────────────────────────────────────────────────────────────────────────────────────

    def open(
        self,
        name: str,
        service: str,
        caller: str,
        timeout_s: float,
        now: float,
        *,
        size: int = 0,
        judged: bool = True,
        one_way: bool = False,
    ) -> Step | None:
        """Begin a call under a new ``name``, which holds ``size`` bytes while it is open: what is to be done
        at once, or why it can't be.

        ``judged``: that no answer comes in this time is the service's fault. ``one_way``: it is over when the
        broker has it.
        """
        if not self._has_place(service, size):
            return Failed(name, ErrorCode.OVERLOADED, _FULL)
        wait_ms = 0 if one_way else self._breakers.admits(service, now, timeout_s)
        if wait_ms:
            return Failed(name, ErrorCode.UNAVAILABLE, _BROKEN, wait_ms)
        call = self._calls[name] = _Call(service, caller, timeout_s, size, now, judged, one_way)
        self._held.add(size)
        self._by_service.setdefault(service, _Held()).add(size)
        return self._send(name, call, now)

    def taken(self, name: str) -> Step | None:
        """The broker has the request."""
        call = self._calls.get(name)
        if call is None:
            return None
        call.taken = True
        if not call.one_way:
            return None
        self._close(name, call)
        return Accepted(name)

    def returned(self, name: str) -> Step | None:
        """No queue is there for the request."""
        return self._failed(name, ErrorCode.NO_SERVICE, _NOBODY)

    def refused(self, name: str) -> Step | None:
        """The queue for the request is full."""
        return self._failed(name, ErrorCode.OVERLOADED, _REFUSED)

    def unknown(self, name: str, now: float) -> None:
        """Nobody knows whether the broker has the request: it is sent again in a moment."""
        call = self._calls.get(name)
        if call is None:
            return
        if call.backoff is None:
            call.backoff = Backoff(RETRY_FIRST_S, RETRY_LAST_S)
        call.retry_at = now + call.backoff.next()

    def answered(self, name: str, n: int | None, more: bool, now: float) -> Step | None:
        """A part of an answer has come, numbered by the service (None: it is the next one). None where nobody
        waits for it: it is late, or a repeat.
        """
        call = self._calls.get(name)
        if call is None or call.one_way:
            return None
        call.taken = True
        call.numbered = call.numbered and n is not None
        number = call.n + 1 if n is None else n
        if number <= call.n:
            return None
        self._breakers.succeeded(call.service)
        if number > call.n + 1:
            return self._failed(name, ErrorCode.UNAVAILABLE, _INCOMPLETE, cancel=more)
        call.n = number
        if more:
            call.deadline = now + call.timeout_s
            call.retry_at = None
        else:
            self._close(name, call)
        return Answer(name, number, more)

    def close(self, name: str) -> bool:
        """Forget a call, whose answer nobody wants any more; say whether the service may be at work on it."""
        call = self._calls.get(name)
        if call is None:
            return False
        self._close(name, call)
        return call.attempt > 0 and not call.one_way

    # ── where answers come ──────────────────────────────────────────────────────────────────────────────────

    def answerable(self, now: float) -> Sequence[Step]:
        """There is a new place where answers come: what was answered elsewhere is lost, so it is asked
        again.
        """
        self._answerable = True
        steps: list[Step] = []
        for name, call in list(self._calls.items()):
            if call.one_way:
                continue
            if call.n and not call.numbered:  # nobody knows which of its parts would come next
                step = self._failed(name, ErrorCode.UNAVAILABLE, _INCOMPLETE, cancel=True)
            else:
                step = self._send(name, call, now)
            if step is not None:
                steps.append(step)
        return steps

    def unanswerable(self) -> None:
        """There is no place where answers would come."""
        self._answerable = False

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float) -> Sequence[Step]:
        """Return what is due."""
        steps: list[Step] = []
        for name, call in list(self._calls.items()):
            if call.deadline <= now:
                steps.append(self._over(name, call, now))
            elif call.retry_at is not None and call.retry_at <= now:
                step = self._send(name, call, now)
                if step is not None:
                    steps.append(step)
        return steps

    def _over(self, name: str, call: _Call, now: float) -> Step:
        self._close(name, call)
        if not call.taken:
            return Failed(name, ErrorCode.UNAVAILABLE, _AWAY, cancel=call.attempt > 0 and not call.one_way)
        if call.judged:
            self._breakers.failed(call.service, call.caller, call.asked_at, now)
        return Failed(name, ErrorCode.TIMEOUT, _LATE, cancel=True)

    def _send(self, name: str, call: _Call, now: float) -> Step | None:
        if not (self._answerable or call.one_way):
            return None
        call.attempt += 1
        call.retry_at = None
        return Send(name, call.attempt, max(1, round((call.deadline - now) * 1_000)))

    def _failed(self, name: str, code: ErrorCode, message: str, *, cancel: bool = False) -> Step | None:
        call = self._calls.get(name)
        if call is None:
            return None
        self._close(name, call)
        return Failed(name, code, message, None, cancel)

    def _has_place(self, service: str, size: int) -> bool:
        limits, held = self._limits, self._by_service.get(service)
        of_one = held is None or held.fits(size, max(1, limits.count // 2), limits.bytes // 2)
        return of_one and self._held.fits(size, limits.count, limits.bytes)

    def _close(self, name: str, call: _Call) -> None:
        del self._calls[name]
        self._held.take(call.size)
        held = self._by_service[call.service]
        held.take(call.size)
        if not held.count:
            del self._by_service[call.service]
