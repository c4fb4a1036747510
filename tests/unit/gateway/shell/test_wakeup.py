"""Wakeup: whoever waits is woken once, by a wake that comes after it began to wait."""

from __future__ import annotations

import asyncio
import contextlib

from gateway.shell.wakeup import Wakeup


async def test_who_waits_is_woken():
    """And is not waiting any more from the wake on, before it has its turn."""
    waiter = Wakeup()
    task = asyncio.create_task(waiter.wait())
    await asyncio.sleep(0)
    assert waiter.waiting
    waiter.wake()
    assert not waiter.waiting
    await task


async def test_a_wake_that_nobody_waits_for_is_forgotten():
    """The next one waits for the next wake."""
    waiter = Wakeup()
    waiter.wake()
    task = asyncio.create_task(waiter.wait())
    await asyncio.sleep(0)
    assert not task.done()
    waiter.wake()
    waiter.wake()
    await task


async def test_who_is_cancelled_waits_no_more():
    """A wake that comes then does nothing, and another can wait."""
    waiter = Wakeup()
    task = asyncio.create_task(waiter.wait())
    await asyncio.sleep(0)
    task.cancel()
    waiter.wake()  # both at once
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert not waiter.waiting
    other = asyncio.create_task(waiter.wait())
    await asyncio.sleep(0)
    waiter.wake()
    await other
