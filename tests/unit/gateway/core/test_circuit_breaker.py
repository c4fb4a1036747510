"""Circuit breakers: when a service that does not answer is asked no more, and when it is tried again."""

from __future__ import annotations

from gateway.core.circuit_breaker import FAILURES, KEPT, OF_ONE_CALLER, OPEN_FIRST_S, CircuitBreakers


def fail(breakers: CircuitBreakers, count: int, now: float = 0.0, service: str = "s") -> list[bool]:
    """Fail for so many callers in turn."""
    return [breakers.failed(service, f"caller {number}", now, now) for number in range(count)]


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not():
    """One answer shows that the service is there."""
    breakers = CircuitBreakers()
    assert fail(breakers, FAILURES - 1) == [False] * (FAILURES - 1)
    breakers.succeeded("s")
    assert fail(breakers, FAILURES) == [False] * (FAILURES - 1) + [True]
    assert (breakers.admits("s", 0.0, 5.0), breakers.admits("t", 0.0, 5.0)) == (OPEN_FIRST_S * 1_000, 0)
    assert breakers.open == 1


def test_one_caller_alone_opens_nothing():
    """Who asks for what no service can answer shuts it for nobody."""
    breakers = CircuitBreakers()
    assert not any(breakers.failed("s", "one", 0.0, 0.0) for _ in range(10 * FAILURES))
    others = [breakers.failed("s", f"other {number}", 0.0, 0.0) for number in range(FAILURES - OF_ONE_CALLER)]
    assert others == [False] * (FAILURES - OF_ONE_CALLER - 1) + [True]


def test_when_its_time_is_over_one_call_is_let_through():
    """The others wait for what comes of it, as long as it has for its answer."""
    breakers = CircuitBreakers()
    fail(breakers, FAILURES)
    assert breakers.admits("s", OPEN_FIRST_S - 0.001, 5.0) == 1
    assert breakers.admits("s", OPEN_FIRST_S, 5.0) == 0
    assert breakers.admits("s", OPEN_FIRST_S, 5.0) == 5_000
    breakers.succeeded("s")
    assert (breakers.admits("s", OPEN_FIRST_S, 5.0), len(breakers)) == (0, 0)


def test_a_trial_that_fails_opens_it_for_twice_as_long():
    """And one that nobody tells the end of is followed by another."""
    breakers = CircuitBreakers()
    fail(breakers, FAILURES)
    assert breakers.admits("s", 1.0, 5.0) == 0
    assert breakers.failed("s", "caller", 1.0, 6.0)
    assert breakers.admits("s", 6.0, 5.0) == 2_000
    assert breakers.admits("s", 8.0, 5.0) == 0
    assert breakers.admits("s", 13.0, 5.0) == 0


def test_what_was_asked_before_it_opened_changes_nothing():
    """Many calls may have been under way: their ends are no news."""
    breakers = CircuitBreakers()
    fail(breakers, FAILURES, now=5.0)
    assert not any(breakers.failed("s", f"caller {number}", 4.9, 7.0) for number in range(100))
    assert breakers.admits("s", 7.0, 5.0) == 0


def test_how_many_are_kept_is_bounded():
    """Those that failed last."""
    breakers = CircuitBreakers()
    for number in range(KEPT + 10):
        fail(breakers, FAILURES, service=f"s{number}")
    assert len(breakers) == breakers.open == KEPT
    assert (breakers.admits("s9", 0.0, 1.0), breakers.admits("s10", 0.0, 1.0)) == (0, 1_000)
