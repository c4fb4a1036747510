"""Limits of attempts: a rate for each key, and for wrong keys from one address."""

from router.core.api_keys import KeyRate
from router.core.attempt_limits import ADDRESSES_MAX, FAILURES, NAMES_MAX, Failures, KeyUse


def test_a_key_may_be_used_at_its_rate():
    """What is over is told when to come again; what was refused costs nothing."""
    use, rate = KeyUse(), KeyRate(2, 1_000)
    assert [use.take("a", rate, 1, 0.0) for _ in range(4)] == [0, 0, 500, 500]
    assert use.take("a", rate, 1, 0.5) == 0
    assert use.take("b", rate, 1, 0.5) == 0
    assert use.take("c", None, 1_000_000, 0.5) == 0


def test_a_batch_larger_than_the_rate_is_done_and_paid_off():
    """It is not refused for ever, and those that follow wait for it."""
    use, rate = KeyUse(), KeyRate(10, 1_000)
    assert use.take("a", rate, 50, 0.0) == 0
    assert use.take("a", rate, 1, 0.0) == 4_100
    assert use.take("a", rate, 1, 4.2) == 0


def test_a_rate_that_changes_counts_from_then_on():
    """What was used before is not."""
    use = KeyUse()
    assert use.take("a", KeyRate(1, 1_000), 1, 0.0) == 0
    assert use.take("a", KeyRate(1, 1_000), 1, 0.0) == 1_000
    assert use.take("a", KeyRate(5, 1_000), 1, 0.0) == 0


def test_names_are_forgotten_in_the_end():
    """However often the file with keys changes."""
    use = KeyUse()
    for number in range(NAMES_MAX + 50):
        use.take(f"key{number}", KeyRate(1, 1_000), 1, 0.0)
    assert len(use) == NAMES_MAX


def test_wrong_keys_from_one_address_are_limited():
    """Another one is not held up; of IPv6 a whole /64 is one."""
    failures = Failures()
    told = [failures.failed("10.0.0.1", 0.0) for _ in range(FAILURES.count + 1)]
    assert told[:-1] == [0] * FAILURES.count
    assert told[-1] > 0
    assert failures.failed("10.0.0.2", 0.0) == 0
    assert failures.failed("10.0.0.1", 60.0) == 0
    for number in range(FAILURES.count):
        failures.failed(f"2001:db8::{number:x}", 0.0)
    assert failures.failed("2001:db8::ffff", 0.0) > 0
    assert failures.failed("2001:db8:0:1::1", 0.0) == 0
    for _ in range(FAILURES.count):
        failures.failed("::ffff:10.0.0.9", 0.0)
    assert failures.failed("10.0.0.9", 0.0) > 0


def test_addresses_are_forgotten_in_the_end():
    """Whoever has many of them costs no more memory."""
    failures = Failures()
    for number in range(ADDRESSES_MAX + 50):
        failures.failed(f"10.0.{number >> 8}.{number & 255}", 0.0)
    failures.failed("no address", 0.0)
    assert len(failures) == ADDRESSES_MAX
