"""Calling an application's functions, whether they are asynchronous or not: a plain one runs in a thread, so
that it holds up nothing. What a function returns is not looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

A = TypeVar("A")

_END = object()


def in_parts(function: Callable[..., Any]) -> bool:
    """Say whether a function yields its answer in parts."""
    plain = _plain(function)
    return inspect.isasyncgenfunction(plain) or inspect.isgeneratorfunction(plain)


async def call(function: Callable[[A], Any], argument: A) -> Any:
    """Return what a function returns, or awaits."""
    if inspect.iscoroutinefunction(_plain(function)):
        return await function(argument)
    found = await asyncio.to_thread(function, argument)
    return await found if inspect.isawaitable(found) else found


async def parts(function: Callable[[A], Any], argument: A) -> AsyncIterator[Any]:
    """Yield what a function yields; close it where nobody wants more."""
    if inspect.isasyncgenfunction(_plain(function)):
        generator = function(argument)
        try:
            async for part in generator:
                yield part
        finally:
            await generator.aclose()
        return
    iterator: Iterator[Any] = function(argument)
    # one context for all steps, as the generator would have it in a thread of its own
    context = contextvars.copy_context()

    def step() -> Any:
        return context.run(lambda: next(iterator, _END))

    try:
        while (part := await asyncio.to_thread(step)) is not _END:
            yield part
    finally:
        if (close := getattr(iterator, "close", None)) is not None:
            # one that still runs in its thread can't be closed; it ends by itself
            with contextlib.suppress(ValueError):
                close()


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function behind ``functools.partial``, or an object's ``__call__``."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isfunction(function) or inspect.ismethod(function):
        return function
    called: Callable[..., Any] = vars(type(function)).get("__call__", function)
    return called
