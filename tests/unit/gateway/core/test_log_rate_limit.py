"""seldom: one line for each cause in a while, and not more lines than that for all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.log_rate_limit import LogRateLimit


def test_a_cause_is_due_once_in_a_while():
    """And then says how often it came unlogged."""
    seldom = LogRateLimit(60.0, 4)
    assert [seldom.due("a", now) for now in (0.0, 1.0, 59.9, 60.0, 61.0)] == [0, None, None, 2, None]


def test_causes_do_not_wait_for_each_other():
    """Up to as many as are kept."""
    seldom = LogRateLimit(60.0, 2)
    assert [seldom.due(cause, 1.0) for cause in "abc"] == [0, 0, None]
    assert seldom.due("d", 61.0) == 1


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 20)), max_size=200))
def test_lines_are_bounded_and_nothing_is_forgotten(came: list[tuple[str, float]]):
    """In any time of the length there are at most as many lines as causes are kept, and every coming is in a
    line or still counted.
    """
    seldom, now, lines, told = LogRateLimit(60.0, 3), 0.0, [], 0
    for cause, after in came:
        now += after
        unlogged = seldom.due(cause, now)
        if unlogged is not None:
            lines.append(now)
            told += 1 + unlogged
        assert sum(1 for line in lines if now - line < 60.0) <= 3
    assert told <= len(came)
    seldom.due("flush", now + 60.0)
    assert len(seldom._logged) <= 3
    assert len(seldom._passed) <= 3
