"""Seat: this router's place at one shard's queue: a lane that is open for as long as the placement, or work that is under way, wants it.

A lane that is lost is opened again with back-off when the broker is there; one that is left is closed first, so that the next consumer gets
what is not acknowledged. What comes on a lane that is not ours any more is not handed over. It knows nothing of terms or envelopes.
``worker.py`` has one, ``owner.py`` has it look whenever the placement changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from router.shell.steady import FIRST_PAUSE_S, LONGEST_PAUSE_S, Steady
from warren.bus import Bus, Delivery, Lane, OnDelivery
from warren.errors import WarrenError
from warren.fault import watched
from warren.logs import event, get_logger
from warren.topology import Queue

_logger = get_logger("router.seat")


class Sitter(Protocol):
    """Who works on the lane."""

    def opened(self, lane: Lane) -> None:
        """A lane is open, and will be consumed."""
        ...

    def consuming(self) -> None:
        """It is consumed."""
        ...

    def delivered(self, delivery: Delivery) -> None:
        """Something came on it."""
        ...

    def lost(self) -> None:
        """It is gone."""
        ...


class Seat:
    """One shard's lane."""

    def __init__(
        self, bus: Bus, queue: Queue, steady: Steady, sitter: Sitter, *, prefetch: int, wanted: Callable[[], bool]
    ) -> None:
        """``wanted`` says whether the lane should be open; ``look`` has it asked again."""
        self._bus = bus
        self._queue = queue
        self._steady = steady
        self._sitter = sitter
        self._prefetch = prefetch
        self._wanted = wanted
        self._lane: Lane | None = None
        self._life = 0  # counts the lanes, so that what comes late from an earlier one is known
        self._leaving: list[Lane] = []
        self._closed = False
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        bus.watch(lambda _: self._news.set())

    @property
    def open(self) -> bool:
        """Whether there is a lane."""
        return self._lane is not None

    def start(self) -> None:
        """Begin to look."""
        self._task = watched(asyncio.get_running_loop().create_task(self._run(), name=f"seat-{self._queue.name}"))

    def look(self) -> None:
        """Have it asked again whether the lane should be open."""
        if self._wanted() != self.open:
            self._news.set()

    def leave(self) -> None:
        """Hand over nothing more and close the lane; a new one is opened after that where it is wanted."""
        lane, self._lane = self._lane, None
        self._life += 1
        if lane is not None:
            self._leaving.append(lane)
        self._news.set()

    async def close(self) -> None:
        """Close the lane for good: what is not acknowledged goes to the next consumer."""
        self._closed = True
        self.leave()
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def kill(self) -> None:
        """End at once; the lane ends with the bus."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            self._news.clear()
            while self._leaving:
                await self._leaving[0].close()
                del self._leaving[0]
            if self._closed:
                return
            if self._lane is not None and not self._wanted():
                self.leave()
                continue
            if self._lane is None and self._wanted() and self._bus.up:
                if await self._open():
                    pause = FIRST_PAUSE_S
                else:
                    await self._steady.wait(pause)
                    pause = min(pause * 2, LONGEST_PAUSE_S)
                continue
            await self._news.wait()

    async def _open(self) -> bool:
        self._life += 1
        life = self._life
        try:
            lane = await self._bus.lane(lambda: self._lost(life))
            if life != self._life:  # it was lost, or left, in this very moment
                self._leaving.append(lane)
                return False
            self._lane = lane
            self._sitter.opened(lane)
            await lane.consume(self._queue, self._handing_over(life), prefetch=self._prefetch)
        except WarrenError as error:
            event(_logger, "lane_failed", level=logging.WARNING, queue=self._queue.name, reason=str(error))
            lane_left = self._lane
            self._lost(life)
            if lane_left is not None:
                self._leaving.append(lane_left)
            return False
        if life == self._life:
            self._sitter.consuming()
        return True

    def _handing_over(self, life: int) -> OnDelivery:
        def delivered(delivery: Delivery) -> None:
            if life == self._life:
                self._sitter.delivered(delivery)

        return delivered

    def _lost(self, life: int) -> None:
        if life != self._life:
            return
        self._life += 1
        was_open, self._lane = self._lane is not None, None
        if was_open:
            self._sitter.lost()
        self._news.set()
