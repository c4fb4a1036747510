"""Backoff: doubling, bounds, jitter, beginning again."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from warren.retry import Backoff


def test_each_pause_is_twice_the_last_one_up_to_the_longest() -> None:
    """Without chance the pauses are exact: doubled, and bounded for ever."""
    backoff = Backoff(0.1, 1.0)
    assert [backoff.next() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert {backoff.next() for _ in range(5_000)} == {1.0}


def test_it_begins_again_after_a_success() -> None:
    """``reset`` makes the next pause the first one."""
    backoff = Backoff(0.1, 1.0)
    for _ in range(4):
        backoff.next()
    backoff.reset()
    assert [backoff.next(), backoff.next()] == [0.1, 0.2]


@given(seed=st.integers(), first_s=st.floats(0.001, 10.0), times=st.floats(1.0, 1_000.0))
def test_jitter_cuts_a_pause_by_up_to_a_half_and_never_stretches_it(
    seed: int, first_s: float, times: float
) -> None:
    """Whatever chance says, a pause lies between a half of the exact one and all of it."""
    exact, jittered = (
        Backoff(first_s, first_s * times),
        Backoff(first_s, first_s * times, Random(seed).random),
    )
    for _ in range(12):
        whole = exact.next()
        assert whole / 2 <= jittered.next() <= whole


def test_two_that_failed_together_do_not_come_back_together() -> None:
    """With chance of their own, two who fail at the same time wait differently."""
    one, other = Backoff(1.0, 60.0, Random(1).random), Backoff(1.0, 60.0, Random(2).random)
    assert all(one.next() != other.next() for _ in range(10))
