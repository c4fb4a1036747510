"""The leaves of closed connections go up in their time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from tests.support.scripted_bus import ManualClock

from gateway.core.held_leaves import HeldLeaves
from gateway.shell.leaving import Leaving
from warren.envelope import Leave
from warren.metrics import GatewayMetrics


def leave(conn: str) -> Leave:
    return Leave(("r",), conn, "", "ann")


async def test_leaves_are_sent_when_their_grace_is_over_and_at_the_end():
    """By the uplink, each to its shard; how many are held can be seen."""
    sent: list[tuple[str, int]] = []
    clock, metrics = ManualClock(), GatewayMetrics()
    uplink = SimpleNamespace(leave=lambda up, shard: sent.append((up.conn, shard)))
    leaving = Leaving(HeldLeaves(3.0), uplink, clock, metrics)  # type: ignore[arg-type]
    began = clock.monotonic()
    leaving.leave(leave("g~1"), 2)
    leaving.leave(leave("g~2"), 1)
    leaving.tick(began + 2.9)
    assert sent == []
    empty = asyncio.create_task(leaving.empty())
    await asyncio.sleep(0)
    assert not empty.done()
    assert b'waiting{buffer="leaves"} 2.0' in metrics.render()[0]
    leaving.tick(began + 3.0)
    assert sent == [("g~1", 2), ("g~2", 1)]
    await asyncio.wait_for(empty, 1)
    leaving.leave(leave("g~3"), 0)
    leaving.end()
    leaving.leave(leave("g~4"), 0)
    assert sent[2:] == [("g~3", 0), ("g~4", 0)]
