"""Batcher: one publish under way for one destination; what arrives meanwhile goes as the next batch.

It drives a Batch with one task that lives only while there is something to send, so an idle destination costs
nothing; a busy one of a process under load is sent to at intervals (``batch.Pace``). It never reorders and
never drops: ``send`` decides what a failure means (retry inside it, or raise to fail the waiters; where
nobody waits, that is a fault).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from warren.batch import Batch, BatchLimits, Pace, Pacer
from warren.supervision import cancel_and_wait, supervised, tell

T = TypeVar("T")

WORTHWHILE = 64  # so many items are worth a batch's costs: they wait for nothing


class Batcher(Generic[T]):
    """Group commit to one destination."""

    def __init__(
        self,
        send: Callable[[Sequence[T]], Awaitable[None]],
        limits: BatchLimits | None = None,
        observe: Callable[[int], None] | None = None,
        pace: Pace | None = None,
    ) -> None:
        """``send`` returns once the batch is confirmed; ``observe`` is told the count of each batch that
        went; ``pace``: the process's (None: each batch goes at once).
        """
        limits = limits or BatchLimits()
        self._send = send
        self._batch: Batch[T] = Batch(limits)
        self._observe = observe
        self._pacer = Pacer(pace) if pace is not None else None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._offered = 0
        self._done = 0
        self._flushes: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """How many items wait or are under way."""
        return self._offered - self._done

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait (without those under way)."""
        return self._batch.bytes

    def offer(self, item: T, size: int) -> bool:
        """Take an item; False where the buffer is full or the batcher closed (the caller has the policy)."""
        if self._closed or not self._batch.offer(item, size):
            return False
        self._offered += 1
        if self._task is None:
            self._task = supervised(asyncio.get_running_loop().create_task(self._run(), name="batcher"))
        return True

    async def flush(self) -> None:
        """Return once all that was offered until now has gone; raise what ``send`` raised for any of it.

        CancelledError where the batcher is closed before that.
        """
        if self._done >= self._offered:
            return
        if self._closed:
            raise asyncio.CancelledError
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flushes.append((self._offered, future))
        await future

    async def close(self) -> None:
        """Give up on what waits: end the task and fail the waiters with CancelledError. Nothing is taken
        after that.
        """
        self._closed = True
        await cancel_and_wait(self._task)

    async def _run(self) -> None:
        now = asyncio.get_running_loop().time
        try:
            while items := self._batch.next():
                if self._observe is not None:
                    self._observe(len(items))
                error: BaseException | None = None
                try:
                    await self._send(items)
                except Exception as raised:  # noqa: BLE001 - handed to whoever waits for it
                    error = raised
                self._done += len(items)
                self._release(error)
                pause_s = self._pacer.pause(len(items), now()) if self._pacer is not None else 0.0
                if pause_s and len(self._batch) < WORTHWHILE:
                    await asyncio.sleep(pause_s)
        finally:
            self._task = None
            while self._flushes:
                future = self._flushes.popleft()[1]
                if not future.done():
                    future.cancel()

    def _release(self, error: BaseException | None) -> None:
        """Wake those whose items have all gone with this batch; a failed batch fails all who wait for a part
        of it.
        """
        if error is not None:
            if not self._flushes:
                tell("batcher", error)  # what was to be sent is lost, and nobody would hear of it
            failed, self._flushes = self._flushes, deque()
            for _, future in failed:
                if not future.done():
                    future.set_exception(error)
            return
        while self._flushes and self._flushes[0][0] <= self._done:
            future = self._flushes.popleft()[1]
            if not future.done():
                future.set_result(None)
