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


def test_a_threads_time_does_not_pass_while_it_waits() -> None:
    """Work moves it on; what passes while the thread sleeps, or others have the processor, does not."""
    clock = SystemClock()
    began, wall = clock.thread(), clock.monotonic()
    time.sleep(0.02)
    slept, passed = clock.thread() - began, clock.monotonic() - wall
    assert 0 <= slept < passed
    while clock.thread() == began:
        pass
