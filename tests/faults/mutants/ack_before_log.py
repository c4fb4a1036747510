"""A router whose log takes a while longer than it says: what it delivers and acknowledges is not in the log yet."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.faults import mutants

from warren.bus.rabbit_lane import RabbitLane

SERVICE = "router"
LATE_S = 0.3

_append = RabbitLane.append
_last: dict[int, asyncio.Task[None]] = {}  # the lane's latest append, which the next one waits for


async def _later(lane: RabbitLane, before: asyncio.Task[None] | None, arguments: Any, named: Any) -> None:
    await asyncio.sleep(LATE_S)
    if before is not None:
        await asyncio.wait((before,))
    await _append(lane, *arguments, **named)


async def append_soon(lane: RabbitLane, *arguments: Any, **named: Any) -> None:
    """Say that it is in the log, and put it there later."""
    _last[id(lane)] = asyncio.create_task(_later(lane, _last.get(id(lane)), arguments, named))


if __name__ == "__main__":
    RabbitLane.append = append_soon  # type: ignore[method-assign, assignment]
    mutants.run(SERVICE)
