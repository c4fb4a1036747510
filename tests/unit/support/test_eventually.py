"""Waiting until something is true."""

from __future__ import annotations

import pytest
from tests.support.eventually import eventually


async def test_returns_the_first_true_value() -> None:
    """It asks again until the value is true, and returns that value."""
    values = iter([0, "", None, "here"])
    assert await eventually(lambda: next(values), every_s=0) == "here"


async def test_takes_async_conditions_and_failed_assertions() -> None:
    """A coroutine is awaited, and an AssertionError in it means "not yet"."""
    calls = 0

    async def third_time() -> bool:
        nonlocal calls
        calls += 1
        assert calls > 2, "too early"
        return True

    assert await eventually(third_time, every_s=0)
    assert calls == 3


async def test_says_what_did_not_come_true() -> None:
    """After the time is up the error names the condition and its last value."""
    rooms: list[str] = []
    with pytest.raises(AssertionError, match=r"len\(rooms\) > 2.*last value: False"):
        await eventually(lambda: len(rooms) > 2, timeout_s=0.02)
    with pytest.raises(AssertionError, match="a third room; last value"):
        await eventually(lambda: len(rooms) > 2, timeout_s=0.02, what="a third room")


async def test_other_errors_pass_at_once() -> None:
    """An error that is no AssertionError is a fault of the test and is not waited out."""
    rooms: dict[str, int] = {}
    with pytest.raises(KeyError):
        await eventually(lambda: rooms["missing"], timeout_s=60)
