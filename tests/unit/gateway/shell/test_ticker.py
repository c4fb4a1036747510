"""Everybody is told what time it is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.eventually import eventually

from gateway.core.hub import Hub
from gateway.shell.ticker import MAX_TICK_S, SLICE, TICKS, Ticker
from warren.clock import SystemClock
from warren.metrics import GatewayMetrics


class Parts:
    """So many guests, and all that is ticked."""

    def __init__(self, guests: int) -> None:
        self.everyone = list(range(guests))
        self.slices: list[list[int]] = []
        self.ticks: list[float] = []

    def guests(self) -> list[int]:
        return self.everyone

    def tick(self, *what: Any) -> None:
        *guests, now = what
        self.slices += guests
        self.ticks.append(now)


def ticker(parts: Parts, shortest_s: float = 0.1) -> Ticker:
    return Ticker(parts, (parts, parts), Hub(), SystemClock(), GatewayMetrics(), shortest_s=shortest_s)  # type: ignore[arg-type]


@pytest.mark.parametrize("guests", [0, 1, SLICE, 3 * SLICE + 1])
async def test_everyone_is_ticked_in_slices(guests: int):
    """Each of many guests once in a round; behind each slice what works for all of them has its turn."""
    parts = Parts(guests)
    made = ticker(parts)
    made.start()
    rounds = max(1, -(-guests // SLICE))
    await eventually(lambda: len(parts.slices) > rounds)
    await made.stop()
    first = parts.slices[:rounds]
    assert [guest for part in first for guest in part] == parts.everyone
    assert all(len(part) <= SLICE for part in first)
    assert len(parts.ticks) == 3 * len(parts.slices)
    assert parts.ticks == sorted(parts.ticks)


async def test_it_ticks_several_times_in_the_shortest_time_and_at_least_every_second():
    """So that nothing is done much too late."""
    assert ticker(Parts(0), 2.0)._every_s == 2.0 / TICKS
    assert ticker(Parts(0), 3_600.0)._every_s == MAX_TICK_S


async def test_it_can_be_stopped_at_any_time():
    """Also before it was started."""
    made = ticker(Parts(0))
    await made.stop()
    made.start()
    await made.stop()
    await made.stop()
