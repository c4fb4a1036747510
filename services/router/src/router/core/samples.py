"""Samples: the installation's figures of the last minutes, one sample every two seconds, so that they can be
drawn without a Prometheus.

Samples are taken at even seconds of the wall clock, so those of several routers are of the same moments and
can be joined by their times. The ring has a fixed number of them: the oldest go. Pure: the time is an
argument.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from warren.contract.installation import SAMPLES_MAX, Sample, SampleList

EVERY_MS: Final = 2_000


class Samples:
    """One router's."""

    def __init__(self) -> None:
        """None was taken yet."""
        self._ring: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self._last_ms = 0

    def due(self, now_ms: int) -> int:
        """Return the time that a sample of now is to have; 0: none is due."""
        at = now_ms - now_ms % EVERY_MS
        return at if at != self._last_ms else 0

    def skip(self, at_ms: int) -> None:
        """Take none for this time."""
        self._last_ms = at_ms

    def take(self, sample: Sample) -> None:
        """Keep a sample. Where the clock was set back those of the future go."""
        while self._ring and self._ring[-1].at >= sample.at:
            self._ring.pop()
        self._last_ms = sample.at
        self._ring.append(sample)

    def after(self, at_ms: int) -> SampleList:
        """Return those that were taken after a time."""
        return SampleList(every_ms=EVERY_MS, samples=[each for each in self._ring if each.at > at_ms])
