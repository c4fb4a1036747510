"""Supervision of tasks: where one that must not end raises an exception that nobody foresaw, the process
ends.

What such a task was doing is half done, and the pod would go on half dead. Any pod may die, so this one does:
the fault goes to the event loop's exception handler, ``lifecycle.serve`` logs it and ends the process in
order with exit code 1, and whoever runs it starts it again. Without such a handler (in a test) asyncio logs
it. Nothing is restarted or caught here: what one message, one client or one request can cause is caught
where it is handled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

_MESSAGE = "a task ended by an exception that nobody foresaw"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """What ended where."""

    task: str
    error: BaseException


def supervised(task: asyncio.Task[T]) -> asyncio.Task[T]:
    """End the process in order where this task raises; one that is cancelled or returns has ended as it
    should. Returns the task.
    """
    task.add_done_callback(_ended)
    return task


async def cancel_and_wait(*tasks: asyncio.Future[Any] | None) -> None:
    """Cancel tasks, and return once each of them has ended, whatever it ended by; None is passed over."""
    found = [task for task in tasks if task is not None]
    for task in found:
        task.cancel()
    await asyncio.gather(*found, return_exceptions=True)


def tell(task: str, error: BaseException) -> None:
    """Report a fault from within the event loop; ``task`` says in a word what has failed."""
    context = {"message": _MESSAGE, "fault": Fault(task, error), "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)


def fault_in(context: Mapping[str, Any]) -> Fault | None:
    """Return the fault in the context that an event loop gives its exception handler; None where it is about
    something else.
    """
    found = context.get("fault")
    return found if isinstance(found, Fault) else None


def _ended(task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        tell(task.get_name(), error)
