"""The bound for when something may have come."""

import asyncio
import time
from types import SimpleNamespace

from tests.support.eventually import eventually

from gateway.shell.event_loop_progress import EventLoopProgress
from warren.clock import SystemClock


async def test_what_came_while_the_loop_stood_still_may_have_come_then():
    """After a stall ``since`` is still before it, also where the late tick has its turn first."""
    calls: list[float] = []
    progress = EventLoopProgress(SystemClock(), SimpleNamespace(turn=calls.append))  # type: ignore[arg-type]
    progress.start()
    await eventually(lambda: len(calls) >= 3)
    before = time.monotonic()
    bounds: list[float] = []
    asyncio.get_running_loop().call_soon(time.sleep, 0.3)
    asyncio.get_running_loop().call_soon(
        lambda: asyncio.get_running_loop().call_soon(lambda: bounds.append(progress.since))
    )
    await eventually(lambda: bounds)
    assert bounds[0] <= before
    await eventually(lambda: progress.since > before)
    progress.stop()
    progress.stop()
    assert progress._timer is None
