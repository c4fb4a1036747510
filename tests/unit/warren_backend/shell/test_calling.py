"""An application's functions are called as they are."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from warren_backend.shell.calling import call, in_parts, parts


async def later(value: int) -> int:
    await asyncio.sleep(0)
    return value + 1


def at_once(value: int) -> int:
    assert threading.current_thread() is not threading.main_thread()
    return value + 1


class Adder:
    def __init__(self) -> None:
        self.closed = False

    async def __call__(self, value: int) -> int:
        return value + 1

    async def method(self, value: int) -> int:
        return value + 1

    async def many(self, value: int) -> AsyncIterator[int]:
        try:
            for each in range(value):
                yield each
        finally:
            self.closed = True

    def some(self, value: int) -> Iterator[int]:
        try:
            yield from range(value)
        finally:
            self.closed = True


@pytest.mark.parametrize(
    "function",
    [later, at_once, Adder(), Adder().method, functools.partial(later), lambda value: later(value)],
)
async def test_a_function_answers_whatever_it_is(function: object) -> None:
    """A plain one runs in a thread; what it returns may be awaited, too."""
    assert not in_parts(function)  # type: ignore[arg-type]
    assert await call(function, 1) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["many", "some"])
async def test_a_generator_yields_parts_and_is_closed(name: str) -> None:
    """Whether it is asynchronous or not; also where nobody wants more."""
    adder = Adder()
    function = getattr(adder, name)
    assert in_parts(function)
    assert [part async for part in parts(function, 3)] == [0, 1, 2]
    assert adder.closed
    adder.closed = False
    async for _ in (stream := parts(function, 3)):
        break
    await stream.aclose()  # type: ignore[attr-defined]
    assert adder.closed
