"""Whether a client keeps to the rate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warren_conformance.rate import RateWindow


def test_the_frame_that_is_one_too_many_is_seen() -> None:
    """Five in a second are right, the sixth is not, and a second later all is well."""
    window = RateWindow(5, 1.0)
    assert [window.exceeds(0.1 * n, 0.1 * n) for n in range(6)] == [False] * 5 + [True]
    assert window.exceeds(3.0, 3.0) is False


def test_without_a_rate_nothing_exceeds_it() -> None:
    """0: no limit."""
    window = RateWindow(0, 1.0)
    assert not any(window.exceeds(0.0, 0.0) for _ in range(1_000))


def test_frames_that_waited_for_the_kit_count_when_they_may_have_arrived() -> None:
    """Ten that are read at once after two seconds of sleep may have come five a second; fifteen may not."""
    window = RateWindow(5, 1.0)
    assert [window.exceeds(2.0, 0.0) for _ in range(15)] == [False] * 15
    assert window.exceeds(2.0, 0.0) is True


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 2)), max_size=40))
def test_whoever_keeps_to_the_rate_is_never_accused(gaps: list[tuple[float, float]]) -> None:
    """However late the kit reads: a client that sends three in each window, and what it sent is read in order."""
    window, sent, read, times = RateWindow(3, 1.0), 0.0, 0.0, []
    for wait, late in gaps:
        sent = max(sent + wait / 10, times[-3] + 1.0 if len(times) >= 3 else 0.0)
        times.append(sent)
        read = max(read, sent + late)
        assert window.exceeds(read, sent) is False


@given(st.integers(1, 8), st.integers(1, 30), st.floats(0, 0.5))
def test_whoever_sends_all_at_once_is_seen(rate: int, count: int, lag: float) -> None:
    """At the first frame that can't have come in time."""
    window = RateWindow(rate, 1.0)
    found = [window.exceeds(1.0, 1.0 - lag) for _ in range(count)]
    assert found[:rate] == [False] * min(rate, count)
    assert all(found[rate:])
