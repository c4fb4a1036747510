"""SystemClock: seconds that never go back, and microseconds since the epoch."""

import threading
import time
from pathlib import Path

import pytest

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


def test_a_thread_that_sleeps_has_nothing_to_do() -> None:
    """What it works, and what it waits for a processor, is counted; its sleep is not."""
    clock = SystemClock()
    began, wall = clock.busy(), clock.monotonic()
    time.sleep(0.02)
    assert clock.busy() >= began
    worked, thread = clock.busy(), clock.thread()
    while clock.thread() - thread < 0.01:
        pass
    assert clock.busy() - worked >= 0.01
    assert clock.busy() - began <= 2 * (clock.monotonic() - wall)


@pytest.mark.parametrize("content", [None, b"", b"1 2", b"no numbers here"])
def test_where_the_system_does_not_tell_what_was_waited_a_threads_own_time_counts(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No such file (other systems), or one of another form."""
    file = tmp_path / "schedstat"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr("warren.clock._SCHEDULED", str(file))
    monkeypatch.setattr("warren.clock._opened", threading.local())
    clock = SystemClock()
    before = clock.thread()
    reading = clock.busy()
    assert before <= reading <= clock.thread() + 2e-9 + 1e-6


def test_what_was_waited_for_a_processor_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of the numbers, in nanoseconds."""
    file = tmp_path / "schedstat"
    file.write_bytes(b"7 5000000000 3\n")
    monkeypatch.setattr("warren.clock._SCHEDULED", str(file))
    monkeypatch.setattr("warren.clock._opened", threading.local())
    clock = SystemClock()
    before = clock.thread()
    assert before + 5.0 <= clock.busy() <= clock.thread() + 5.0
