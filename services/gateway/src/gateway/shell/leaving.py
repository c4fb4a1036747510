"""Leaving: the leaves of connections that were closed go up by the uplink when ``core/held_leaves.py`` says
so.

It decides nothing, and sends without waiting: a leave that finds no place is the uplink's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from gateway.core.held_leaves import Held, HeldLeaves
from gateway.shell.uplink import Uplink
from warren import envelope
from warren.clock import Clock
from warren.metrics import GatewayMetrics


class Leaving:
    """One gateway's."""

    def __init__(self, held: HeldLeaves, uplink: Uplink, clock: Clock, metrics: GatewayMetrics) -> None:
        """What is ``held`` goes by ``uplink`` in the end."""
        self._held = held
        self._uplink = uplink
        self._clock = clock
        self._none = asyncio.Event()
        self._none.set()
        metrics.waiting_from("leaves", lambda: len(held))

    def leave(self, up: envelope.Leave, shard: int) -> None:
        """Have a connection that was closed leave these rooms of a shard, in a moment."""
        self._none.clear()
        self._send(self._held.hold(up, shard, self._clock.monotonic()))

    def tick(self, now: float) -> None:
        """Send what was held for long enough."""
        self._send(self._held.due(now))

    async def empty(self) -> None:
        """Return when none is held."""
        await self._none.wait()

    def end(self) -> None:
        """Send all that is held, and hold nothing from now on: the gateway goes."""
        self._send(self._held.end())

    def _send(self, due: Iterable[Held]) -> None:
        for held in due:
            self._uplink.leave(held.leave, held.shard)
        if not self._held:
            self._none.set()
