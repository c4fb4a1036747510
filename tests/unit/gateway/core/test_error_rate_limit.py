"""patience: a few refusals are answered, then the client is held back, then it goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.error_rate_limit import (
    ANSWERS,
    ANSWERS_PER_MS,
    CALM_S,
    HOLD_MAX_S,
    PATIENCE_S,
    ErrorRateLimit,
)


def test_a_few_are_answered_at_once_and_then_each_is_waited_for():
    """The wait is what the answers' own pace asks for, or the time until something else would not be refused
    again, if longer.
    """
    patience = ErrorRateLimit()
    assert [patience.refused(100.0, 0.2) for _ in range(ANSWERS)] == [0.0] * ANSWERS
    assert patience.refused(100.0, 0.0) == pytest.approx(ANSWERS_PER_MS / ANSWERS / 1_000)
    assert patience.refused(100.0, 0.9) == 0.9
    assert patience.refused(100.0, 3_600.0) == HOLD_MAX_S


def test_who_goes_on_for_long_is_closed_and_who_was_calm_begins_anew():
    """Half a minute of being held back again and again is enough; a pause of ten seconds is calm."""
    for pause, ends in ((0.0, True), (CALM_S + 0.1, False)):
        patience, now, held = ErrorRateLimit(), 100.0, 0.0
        verdicts: list[float | None] = []
        while now < 100.0 + PATIENCE_S + 20 and (not verdicts or verdicts[-1] is not None):
            verdicts.append(patience.refused(now, 1.0))
            if verdicts[-1]:
                now += verdicts[-1]
                held += verdicts[-1]
                if held > PATIENCE_S / 2:
                    now += pause
        assert (verdicts[-1] is None) == ends
        if ends:
            assert PATIENCE_S <= now - 100.0 <= PATIENCE_S + 2


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 5_000)), max_size=200))
def test_no_flood_gets_more_answers_than_the_pace_and_the_first_few(steps):
    """A client that waits exactly as long as it is held back, and sends at once again, gets at most two
    answers for each place.
    """
    patience, now = ErrorRateLimit(), 0.0
    for answers, (pause_ms, wait_ms) in enumerate(steps, 1):
        now += pause_ms / 1_000
        hold_s = patience.refused(now, wait_ms / 1_000)
        if hold_s is None:
            break
        now += hold_s
        assert answers <= 2 * (ANSWERS + now * ANSWERS * 1_000 / ANSWERS_PER_MS) + 1
