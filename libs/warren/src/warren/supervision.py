"""Fault: a task that must not end, and ends by an exception that nobody foresaw, is told to the whole
process.

What such a task was doing is half done, and the pod would go on half dead. Any pod may die, so this one does:
``lifecycle.serve`` hears of the fault, logs it, and ends the process in order with exit code 1; whoever runs
it begins it anew. Where nobody serves (a test), asyncio logs it. It restarts nothing and catches nothing:
what one message, one client or one request can cause is caught where it is dealt with. Whoever begins a task
for good wraps it by ``supervised``.
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
    """Have the process end in order where this task raises; a cancelled one, or one that returns, has ended
    as it should. Returns the task.
    """
    task.add_done_callback(_ended)
    return task


def tell(task: str, error: BaseException) -> None:
    """Tell a fault from within the event loop; ``task`` says in a word what has failed."""
    context = {"message": _MESSAGE, "fault": Fault(task, error), "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)


def fault_in(context: Mapping[str, Any]) -> Fault | None:
    """Return the fault in what an event loop tells its exception handler; None where that is about something
    else.
    """
    found = context.get("fault")
    return found if isinstance(found, Fault) else None


def _ended(task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        tell(task.get_name(), error)
