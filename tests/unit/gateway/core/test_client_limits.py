"""limits: the token bucket and who it counts for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.client_limits import RateLimits, TokenBucket
from warren.namespaces import RateLimit, RoomPolicy


def test_a_bucket_gives_its_burst_and_then_one_for_each_interval():
    """Five at once, the sixth 200 ms later."""
    bucket = TokenBucket(5, 1_000)
    assert [bucket.take(100.0) for _ in range(6)] == [0, 0, 0, 0, 0, 200]
    assert bucket.take(100.1) == 100
    assert bucket.take(100.2) == 0
    assert bucket.take(100.2) == 200


def test_a_bucket_that_rested_is_full_and_no_fuller():
    """Waiting an hour does not save up."""
    bucket = TokenBucket(2, 1_000)
    bucket.take(0.0)
    assert [bucket.take(3_600.0) for _ in range(3)] == [0, 0, 500]


def test_a_refused_message_costs_nothing():
    """Asking often does not push the next one away."""
    bucket = TokenBucket(1, 1_000)
    assert bucket.take(0.0) == 0
    assert [bucket.take(0.5) for _ in range(100)] == [500] * 100
    assert bucket.take(1.0) == 0


@given(
    st.integers(1, 20),
    st.integers(1, 5_000),
    st.lists(st.integers(0, 400), max_size=60),
    st.sampled_from([0.0, 12_345.678, 3e6]),
)
def test_who_waits_as_told_is_let_in_and_no_window_holds_more_than_burst_and_refill(
    count, per_ms, steps, start
):
    """The wait is enough, and it is never more than one interval."""
    bucket = TokenBucket(count, per_ms)
    now_ms, taken = 0, []
    for step in steps:
        now_ms += step
        wait = bucket.take(start + now_ms / 1_000)
        if wait:
            assert wait <= per_ms / count + 1
            now_ms += wait
            assert bucket.take(start + now_ms / 1_000) == 0
        taken.append(now_ms)
    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= count + (taken[last] - begin) * count / per_ms + 0.01


@pytest.mark.parametrize("now", [0.0, 1e7])
def test_messages_at_exactly_the_rate_pass_for_ever(now):
    """Rounding never costs a client a message, also after months of uptime."""
    bucket = TokenBucket(5, 1_000)
    for _ in range(5):
        bucket.take(now)
    assert [bucket.take(now + tick * 0.2) for tick in range(1, 10_000)] == [0] * 9_999


def test_a_message_counts_when_it_may_have_come():
    """Ten that came within two seconds pass however late they are handled; the eleventh found no place in
    that time.
    """
    bucket = TokenBucket(5, 1_000)
    assert [bucket.take(102.0, 100.0) for _ in range(16)] == [0] * 15 + [200]
    assert bucket.take(102.2) == 0
    assert bucket.take(102.2) == 200


def test_who_waits_for_nothing_gets_nothing_for_a_bound_in_the_future():
    """A bound that lies after the moment of handling is that moment."""
    bucket = TokenBucket(1, 1_000)
    assert [bucket.take(1.0, 5.0), bucket.take(1.0, 5.0), bucket.take(2.0, 9.0)] == [0, 1_000, 0]


@given(
    st.integers(1, 10),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3_000)), max_size=60),
)
def test_a_late_gateway_refuses_no_fair_client_and_gives_a_flooder_no_more_than_the_rate(count, came):
    """What was sent at the allowed pace is taken however late it is handled, and nobody gets more than burst
    and refill until now.
    """
    interval = 1 / count
    fair, flooder, sent, handled, taken = TokenBucket(count, 1_000), TokenBucket(count, 1_000), 0.0, 0.0, 0
    for early_ms, late_ms in came:
        sent += interval
        handled = max(handled, sent + late_ms / 1_000)
        since = sent - early_ms / 1_000
        assert fair.take(handled, since) == 0
        for _ in range(3):
            taken += not flooder.take(handled, since)
        assert taken <= count + (handled + 0.3) * count + 0.01


def test_a_namespace_with_a_limit_of_its_own_counts_apart():
    """Its messages take nothing from the connection's bucket, nor the other way round."""
    ticker = RoomPolicy("ticker", "t:*", rate=RateLimit(2, 1_000, "reject"))
    limits = RateLimits(RateLimit(1, 1_000, "close"))
    assert limits.take(ticker, 0.0) is None
    assert limits.take(ticker, 0.0) is None
    excess = limits.take(ticker, 0.0)
    assert excess is not None
    assert (excess.limit.policy, excess.wait_ms, excess.says) == (
        "reject",
        500,
        "More than 2 messages in 1000 ms",
    )
    assert limits.take(RoomPolicy(), 0.0) is None
    assert limits.take(None, 0.0) is not None


def test_no_limit_lets_all_pass():
    """None means none."""
    limits = RateLimits(None)
    assert all(limits.take(None, 0.0) is None for _ in range(1_000))
