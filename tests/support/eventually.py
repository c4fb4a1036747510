"""Waiting for something to become true, never for luck. Time is a unit that WARREN_TEST_TIME_FACTOR stretches
on a slow machine.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

TIME_FACTOR = float(os.environ.get("WARREN_TEST_TIME_FACTOR", "1"))
MS = TIME_FACTOR / 1_000  # one millisecond of test time, in seconds


def stretched(seconds: float) -> float:
    """Return a duration in seconds of test time."""
    return seconds * TIME_FACTOR


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]], timeout_s: float = 5.0, *, every_s: float = 0.01, what: str = ""
) -> T: ...
@overload
async def eventually(
    condition: Callable[[], T], timeout_s: float = 5.0, *, every_s: float = 0.01, what: str = ""
) -> T: ...
async def eventually(
    condition: Callable[[], Any], timeout_s: float = 5.0, *, every_s: float = 0.01, what: str = ""
) -> Any:
    """Call ``condition`` (plain or async) until it returns something true, and return that.

    An AssertionError in it counts as "not yet". After ``timeout_s`` (stretched) raises AssertionError that
    names the condition and says what it last returned or raised.
    """
    started = time.monotonic()
    deadline = started + stretched(timeout_s)
    while True:
        try:
            found = condition()
            value = await found if inspect.isawaitable(found) else found
            if value:
                return value
            last = f"last value: {value!r}"
        except AssertionError as error:
            last = f"last failure: {error}"
        if time.monotonic() >= deadline:
            waited = time.monotonic() - started
            raise AssertionError(f"not within {waited:.1f} s: {what or _source(condition)}; {last}")
        await asyncio.sleep(every_s)


def _source(condition: Callable[..., object]) -> str:
    try:
        return " ".join(inspect.getsource(condition).split())
    except (OSError, TypeError):
        return repr(condition)
