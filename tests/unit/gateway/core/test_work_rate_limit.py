"""allowance: bytes of work, and the debt that somebody waits for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.work_rate_limit import WorkRateLimit


def test_beyond_the_burst_there_is_a_debt_that_time_pays():
    """1,000 at once, then 100 a second."""
    allowance = WorkRateLimit(1_000, 100)
    assert allowance.spend(1_000, 50.0) == pytest.approx(0.0)
    assert allowance.used(50.0) == pytest.approx(1.0)
    assert allowance.spend(300, 50.0) == pytest.approx(3.0)
    assert allowance.wait(52.0) == pytest.approx(1.0)
    assert allowance.wait(53.5) == 0.0
    assert allowance.used(1e6) == 0.0


def test_what_is_given_back_was_not_spent_and_never_makes_more_than_the_burst():
    """An estimate is corrected; giving back too much does not save up."""
    allowance = WorkRateLimit(1_000, 100)
    allowance.spend(900, 0.0)
    allowance.give_back(800, 0.0)
    assert allowance.used(0.0) == pytest.approx(0.1)
    allowance.give_back(5_000, 0.0)
    assert allowance.spend(1_100, 0.0) == pytest.approx(1.0)


def test_a_debt_beyond_what_is_asked_for_is_let_off():
    """With ``debt_s`` nobody waits longer than that, whatever was spent."""
    allowance = WorkRateLimit(1_000, 100, 5.0)
    allowance.spend(1_000_000, 0.0)
    assert allowance.wait(0.0) == pytest.approx(5.0)
    assert allowance.spend(1_000, 2.0) == pytest.approx(5.0)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 3_000)), max_size=50))
def test_who_waits_as_told_never_has_more_than_the_burst_and_the_rate_and_one_thing(spent):
    """The last thing may be larger than what was left, nothing else is ahead of the rate."""
    allowance, now, total = WorkRateLimit(1_000, 500), 0.0, 0
    for pause_ms, count in spent:
        now += pause_ms / 1_000
        now += allowance.wait(now)
        assert total <= 1_000 + 500 * now + 0.01
        allowance.spend(count, now)
        total += count
