"""When the machine itself was slow: the same short piece of work took several times its usual CPU time.

Virtual machines stand still, or run at a fraction of their speed, for tens of milliseconds when their host has
other work. No process sees that, and what is measured meanwhile is the host's. ``SlowCpu`` works for some
60 µs every 3 ms beside what is measured (2 % of a core), and says when that took too long, by its thread's CPU
time: a wait for a core, which what is measured may cause, does not count.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

EVERY_S = 0.003
# So many times the usual time is slow, and slow moments so near to each other are one.
TIMES = 3.0
NEAR_S = 0.02

Sample = tuple[float, float]  # when (perf_counter), and its CPU time in s


@dataclass(frozen=True, slots=True)
class SlowTimes:
    """Slow times in order, each (begin, end) by ``perf_counter``, and of how many seconds."""

    spans: tuple[tuple[float, float], ...]
    seconds: float

    @property
    def share(self) -> float:
        """Which part of the time was slow."""
        return sum(end - begin for begin, end in self.spans) / self.seconds if self.seconds else 0.0

    def met(self, begin: float, end: float) -> bool:
        """Say whether something between these times met a slow time, or its wake: what had piled up takes
        about as long again.
        """
        at = bisect_right([span[0] for span in self.spans], end) - 1
        return at >= 0 and begin < 2 * self.spans[at][1] - self.spans[at][0]


def slow_times(samples: Sequence[Sample]) -> SlowTimes:
    """Return when it was slow."""
    if not samples:
        return SlowTimes((), 0.0)
    usual = statistics.median(took for _, took in samples)
    spans: list[tuple[float, float]] = []
    for at, took in samples:
        if took < TIMES * usual:
            continue
        if spans and at - spans[-1][1] <= NEAR_S:
            spans[-1] = (spans[-1][0], at + took)
        else:
            spans.append((at, at + took))
    return SlowTimes(tuple(spans), samples[-1][0] - samples[0][0])


class SlowCpu:
    """Watches for as long as it is entered; ``times`` are known then."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._stop, self._samples = context.Event(), context.Queue()
        self._process = context.Process(target=_watch, args=(self._stop, self._samples), daemon=True)
        self.times = SlowTimes((), 0.0)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if kind is None:
            self.times = slow_times(self._samples.get(timeout=30))
        self._process.join(5.0)


def _watch(stop: Any, samples: Any) -> None:
    """Be the process that works a little, again and again."""
    taken: list[Sample] = []
    while not stop.is_set():
        at, before = time.perf_counter(), time.thread_time()
        sum(range(4_000))
        taken.append((at, time.thread_time() - before))
        time.sleep(EVERY_S)
    samples.put(taken)
