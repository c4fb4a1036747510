"""Lifecycle: start a service's parts in order, run until a signal, and stop them backwards under one
deadline.

A second signal ends the process at once. A part that can't start stops those before it and is one line in the
log; so is a fault, which ends the process as a signal does. This module knows no part by name.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import uvloop

from warren import garbage_collection
from warren.errors import WarrenError
from warren.logs import event, get_logger
from warren.supervision import cancel_and_wait, fault_in

_logger = get_logger("warren.lifecycle")
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Startable(Protocol):
    """What can be started and stopped."""

    async def start(self) -> None:
        """Start; return once it works."""
        ...

    async def stop(self) -> None:
        """Stop in order. After a start that failed or was cut off it must only tidy up."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """A named Startable."""

    name: str
    start: Callable[[], Awaitable[None]]
    stop: Callable[[], Awaitable[None]]

    @classmethod
    def of(cls, name: str, thing: Startable) -> Part:
        """Name a thing that has ``start`` and ``stop``."""
        return cls(name, thing.start, thing.stop)


def run(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run ``main`` on uvloop and return its exit code."""
    garbage_collection.run_seldom()
    return uvloop.run(main())


async def serve(
    parts: Sequence[Part],
    *,
    deadline_s: float,
    stop: asyncio.Event | None = None,
    failed: asyncio.Event | None = None,
) -> int:
    """Start the parts in order, wait for SIGTERM, SIGINT, ``stop``, ``failed`` or a fault, and stop them
    backwards within ``deadline_s``. ``stop`` is set here too; ``failed`` never: a part sets it that has
    found after its start that it can never do its work.

    Returns the exit code: 0 stopped as asked, 1 a part did not start or has ``failed``, a fault, or the
    deadline passed, 128 + n cut short by a second signal n.
    """
    return await _Life(parts, deadline_s, stop or asyncio.Event(), failed or asyncio.Event()).run()


class _Life:
    """One run of ``serve``."""

    def __init__(
        self, parts: Sequence[Part], deadline_s: float, stop: asyncio.Event, failed: asyncio.Event
    ) -> None:
        self._parts = parts
        self._deadline_s = deadline_s
        self._stop = stop
        self._failed = failed
        self._at_once = asyncio.Event()
        self._second = 0
        self._faulty = False

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._signal, number)
        before = loop.get_exception_handler()
        loop.set_exception_handler(self._told)
        failing = loop.create_task(self._watch_failed(), name="lifecycle-failed")
        try:
            begun, code = await self._start()
            if code == 0:
                await self._stop.wait()
            return await self._end(begun) or code or int(self._faulty)
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)
            loop.set_exception_handler(before)
            await cancel_and_wait(failing)

    async def _watch_failed(self) -> None:
        await self._failed.wait()
        self._faulty = True
        self._stop.set()

    def _told(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle what the event loop tells of exceptions that nobody has caught: a fault is the end, the rest
        is asyncio's to log.
        """
        fault = fault_in(context)
        if fault is None:
            loop.default_exception_handler(context)
            return
        event(_logger, "fault", level=logging.ERROR, task=fault.task, error=fault.error)
        self._faulty = True
        self._stop.set()

    def _signal(self, number: int) -> None:
        name = signal.Signals(number).name
        if not self._stop.is_set():
            event(_logger, "stopping", signal=name)
            self._stop.set()
        elif not self._at_once.is_set():
            event(_logger, "stopping_at_once", signal=name)
            self._second = 128 + number
            self._at_once.set()

    async def _start(self) -> tuple[list[Part], int]:
        begun: list[Part] = []
        for part in self._parts:
            begun.append(part)
            task = asyncio.ensure_future(part.start())
            if not await _first(task, self._stop):
                return begun, 0  # told to stop while it was still starting (say, waiting for a dead broker)
            if (error := task.exception()) is not None:
                understood = isinstance(error, WarrenError | OSError)
                event(
                    _logger,
                    "start_failed",
                    level=logging.ERROR,
                    part=part.name,
                    reason=str(error) or type(error).__name__,
                    error=None if understood else error,
                )
                return begun, 1
        event(_logger, "started", parts=[part.name for part in begun])
        return begun, 0

    async def _end(self, begun: list[Part]) -> int:
        started, ends = time.monotonic(), time.monotonic() + self._deadline_s
        while begun:
            part = begun.pop()
            task = asyncio.ensure_future(part.stop())
            done = await _first(task, self._at_once, max(0.0, ends - time.monotonic()))
            if self._at_once.is_set():
                return self._second
            if not done:
                unfinished = [part.name, *(later.name for later in reversed(begun))]
                event(
                    _logger,
                    "stop_deadline_passed",
                    level=logging.ERROR,
                    deadline_s=self._deadline_s,
                    unfinished=unfinished,
                )
                return 1
            if not task.cancelled() and (error := task.exception()) is not None:
                event(_logger, "stop_failed", level=logging.ERROR, part=part.name, error=error)
        event(_logger, "stopped", duration_ms=round((time.monotonic() - started) * 1000))
        return 0


async def _first(task: asyncio.Future[None], cut: asyncio.Event, timeout_s: float | None = None) -> bool:
    """Wait for the task; cancel it and return False where ``cut`` is set or the time is up before it ends."""
    waiter: asyncio.Future[bool] = asyncio.ensure_future(cut.wait())
    either: set[asyncio.Future[Any]] = {task, waiter}
    try:
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return True
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)  # a part that ignores its cancellation is left behind
        return False
    finally:
        await cancel_and_wait(waiter)
