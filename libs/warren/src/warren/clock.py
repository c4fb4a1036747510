"""Clock: monotonic time for durations, wall time for timestamps, a thread's time for what work costs, and how
long it had work to do.

The only module that reads the system's clocks besides the event loop. Core code never imports it: there, time
is an argument. One Clock is passed around, so that a test can set the time.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Protocol

# Linux: a thread's nanoseconds on a processor, its nanoseconds of waiting for one, and how often it got one.
_SCHEDULED = "/proc/thread-self/schedstat"
_opened = threading.local()


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

    def busy(self) -> float:
        """Return for how many seconds this thread had something to do: had a processor, or waited for one;
        only differences mean anything.
        """
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

    def busy(self) -> float:
        """Return ``thread``, and where the system tells it (Linux) for how long a processor was
        waited for.
        """
        return time.thread_time() + _waited_ns() / 1e9


def _waited_ns() -> int:
    """Return for how many nanoseconds this thread has waited for a processor; 0 where that is not told."""
    try:
        file = getattr(_opened, "file", None)
        if file is None:  # it stays open: finding it takes ten times as long as reading it
            file = _opened.file = os.open(_SCHEDULED, os.O_RDONLY | os.O_CLOEXEC)
        return int(os.pread(file, 96, 0).split()[1])
    except (OSError, IndexError, ValueError):
        return 0
