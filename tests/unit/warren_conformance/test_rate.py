"""Whether a client keeps to the rate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warren_conformance.rate import TOLERANCE, RateWindow


def test_the_frame_that_is_one_too_many_is_seen() -> None:
    """Five in a second are right, the sixth is not, and a second later all is well."""
    window = RateWindow(5, 1.0)
    assert [window.exceeds(0.1 * n) for n in range(6)] == [False] * 5 + [True]
    assert window.exceeds(2.0) is False


def test_without_a_rate_nothing_exceeds_it() -> None:
    """0: no limit."""
    window = RateWindow(0, 1.0)
    assert not any(window.exceeds(0.0) for _ in range(1_000))


@given(st.lists(st.floats(0, 10), max_size=60))
def test_it_says_what_counting_says(moments: list[float]) -> None:
    """A frame exceeds the rate where more than three came in the window that ends with it."""
    moments.sort()
    window = RateWindow(3, 1.0)
    for index, now in enumerate(moments):
        recent = [each for each in moments[: index + 1] if each > now - TOLERANCE]
        assert window.exceeds(now) is (len(recent) > 3)
