"""Clock: monotonic time for durations, wall time for timestamps, a thread's time for what work costs.

The only module that reads the system's clocks besides the event loop. Core code never imports it: there, time is an argument.
Shells and composition roots pass one Clock around, so that a test can hold time in its hand.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time."""

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        ...

    def wall_us(self) -> int:
        """Return microseconds since the Unix epoch."""
        ...

    def thread(self) -> float:
        """Return how many seconds this thread has had of a processor; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Return ``time.monotonic()``."""
        return time.monotonic()

    def wall_us(self) -> int:
        """Return the wall clock in microseconds."""
        return time.time_ns() // 1_000

    def thread(self) -> float:
        """Return ``time.thread_time()``."""
        return time.thread_time()
