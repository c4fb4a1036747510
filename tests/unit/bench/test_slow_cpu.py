"""When the machine was slow, and what met that."""

from __future__ import annotations

import pytest
from bench.http_api import figures_of
from bench.slow_cpu import SlowTimes, slow_times


def test_slow_is_what_takes_several_times_the_usual_time():
    """What is near to each other is one; a single slow piece of work counts as well."""
    usual = 0.0001
    samples = [(0.003 * number, usual) for number in range(1_000)]
    for at in (100, 101, 104, 500):
        samples[at] = (samples[at][0], 10 * usual)
    found = slow_times(samples)
    assert [each for span in found.spans for each in span] == pytest.approx([0.3, 0.313, 1.5, 1.501])
    assert found.share == pytest.approx(0.014 / 2.997)


def test_nothing_was_slow_where_all_is_alike():
    """However slow all of it was, and where nothing was seen."""
    assert slow_times([(0.003 * number, 0.5) for number in range(10)]).spans == ()
    assert slow_times([]) == SlowTimes((), 0.0)
    assert SlowTimes((), 0.0).share == 0.0


def test_what_met_a_slow_time_or_its_wake():
    """It began before the end of the time, and as long again, and ended behind its begin."""
    times = SlowTimes(((1.0, 1.5), (5.0, 5.1)), 10.0)
    met = [(0.9, 1.1), (0.5, 3.0), (1.4, 1.6), (1.9, 2.1), (5.15, 5.16)]
    assert [times.met(*each) for each in met] == [True] * len(met)
    missed = [(0.1, 0.9), (2.1, 2.2), (4.8, 4.9), (5.3, 6.0)]
    assert [times.met(*each) for each in missed] == [False] * len(missed)


def test_figures_tell_of_all_and_of_those_that_met_no_slow_time():
    """Half of these met one."""
    fast = [(number / 100, number / 100 + 0.001) for number in range(100)]
    slow = [(number / 100, number / 100 + 0.1) for number in range(100, 200)]
    figures = figures_of(fast + slow, 0, 2.0, 0.2, SlowTimes(((1.0, 2.0),), 2.0))
    assert (figures.rate, figures.p99_ms, figures.p99_undisturbed_ms, figures.cpu_us) == (
        100.0,
        100.0,
        1.0,
        1_000,
    )
    assert figures.slow == 0.5
