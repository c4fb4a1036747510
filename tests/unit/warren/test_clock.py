"""SystemClock: seconds that never go back, and microseconds since the epoch."""

import time

from warren.clock import SystemClock


def test_monotonic_never_goes_back() -> None:
    """Each reading is at least the one before."""
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)


def test_wall_time_is_in_microseconds() -> None:
    """The wall clock's reading lies between two of the system's, in µs."""
    before = time.time_ns() // 1_000
    reading = SystemClock().wall_us()
    assert before <= reading <= time.time_ns() // 1_000
