"""broker_call: what aiormq raises, turned into BusUnavailable, and any error in one line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from warren.errors import BusUnavailable, WarrenError


def describe(error: BaseException | type[BaseException] | None) -> str:
    """Say an AMQP or network error in one line."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    name = error.__name__ if isinstance(error, type) else type(error).__name__
    arguments = error.args if isinstance(error, BaseException) else ()
    texts = [str(argument).replace("\n", " ") for argument in arguments if argument not in (None, "")]
    return f"{name}: {' '.join(texts)}" if texts else name


@contextmanager
def broker_call(what: str) -> Iterator[None]:
    """Turn whatever aiormq raises when a channel or connection ends into BusUnavailable.

    aiormq cancels those who wait then, so a CancelledError that nobody asked this task for is such an end
    too. And where a real cancellation meets an end, aiormq raises the end, or nothing: the cancellation is
    raised here again, or it would be lost.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - nothing is swallowed: each way out raises
        failure = error
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError from failure
    match failure:
        case None:
            return
        case asyncio.CancelledError() if task is not None:
            raise BusUnavailable(f"{what}: the connection ended") from None
        case Exception() if not isinstance(failure, WarrenError):
            raise BusUnavailable(f"{what}: {describe(failure)}") from failure
        case _:
            raise failure
