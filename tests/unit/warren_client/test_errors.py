"""The errors say what was wrong, whether to try again and when."""

import asyncio

import pytest

from warren.errors import CloseCode
from warren_client import errors


def test_every_error_of_the_client_is_one() -> None:
    """With code, retry and delay, and both code and text in what is shown."""
    error = errors.RefusedError("rate_limited", "too fast", retry=True, retry_after=0.2, ref="m1")
    assert isinstance(error, errors.WarrenError)
    assert (error.code, error.retry, error.retry_after, error.ref) == ("rate_limited", True, 0.2, "m1")
    assert str(error) == "too fast (rate_limited)"


def test_a_request_that_is_late_is_a_timeout_as_well() -> None:
    """As of asyncio."""
    with pytest.raises(asyncio.TimeoutError):
        raise errors.RequestTimeoutError(2.0, "q1")


@pytest.mark.parametrize(("reason", "retry"), [("removed", True), ("blocked", False), (None, False)])
def test_who_was_removed_may_join_again(reason: str | None, retry: bool) -> None:
    """Who was blocked may not."""
    assert errors.LeftError("r", reason).retry == retry


def test_the_advice_of_each_close_code_is_the_servers() -> None:
    """Whether to come back, and whether a fresh token is needed."""
    assert {code: errors.advice_of(code.value) for code in CloseCode} == {
        code: code.reconnect for code in CloseCode
    }
    assert errors.advice_of(1006) == "yes"
