"""RecentLag: the worst of the last intervals."""

from warren.recent_lag import INTERVALS, NONE, RecentLag


def test_nothing_has_come():
    """There is no age of nothing."""
    assert RecentLag().take() == NONE


def test_the_worst_is_told_for_some_intervals_and_then_no_more():
    """Later ones, which are better, do not hide it."""
    lag = RecentLag()
    lag.note(5_000)
    lag.note(700_000)
    lag.note(3_000)
    told = []
    for _ in range(INTERVALS):
        told.append(lag.take())
        lag.note(2_000)
    assert told == [700] * INTERVALS
    assert lag.take() == 2


def test_a_clock_that_is_ahead_makes_no_age_below_none():
    """A message from the future is as old as one of now."""
    lag = RecentLag()
    lag.note(-5_000)
    assert lag.take() == 0
