"""Drain: a pod goes without loss. Not ready, then each client is asked away in its own slot, those that stay
are closed, then out, once those who were here have had their time to come back elsewhere.

The slots are spread over the drain window, so that the clients don't come down on the other pods all at once.
It is bounded by a deadline: what is not done by then is cut. It closes nobody by its own judgement: sessions
do.
"""

from __future__ import annotations

import asyncio
import contextlib

from gateway.core.inputs import DrainRequested
from gateway.shell.connections import Connections
from gateway.shell.leaving import Leaving
from gateway.shell.uplink import Uplink
from warren.clock import Clock
from warren.errors import CloseCode
from warren.logs import event, get_logger
from warren.probes import Readiness

# A client that goes by itself needs a moment more than its slot; who is still here after it is closed.
GRACE_S = 1.0
# Of the time until the deadline, what is left for the leaves to get out.
LAST_S = 0.5
# Slots are served in steps of this, so that ten thousand clients are not ten thousand timers.
STEP_S = 0.05

_log = get_logger("gateway.drain")


class Drain:
    """The end of a gateway's life."""

    def __init__(
        self,
        connections: Connections,
        uplink: Uplink,
        leaving: Leaving,
        readiness: Readiness,
        clock: Clock,
        *,
        window_s: float,
        deadline_s: float,
    ) -> None:
        """``window_s``: over how long clients are sent away; ``deadline_s``: when it is over at
        the latest.
        """
        self._connections = connections
        self._uplink = uplink
        self._leaving = leaving
        self._readiness = readiness
        self._clock = clock
        self._window_s = window_s
        self._deadline_s = deadline_s

    async def run(self) -> bool:
        """Drain; return whether everyone had left, and all leaves were sent, before the deadline. Leaves are
        held as ever, as far as the deadline allows: the client that went last is still on its way to another
        pod when nobody is here any more.
        """
        self._readiness.drain()
        self._connections.end_ages()
        began, count = self._clock.monotonic(), len(self._connections)
        event(_log, "drain_begins", connections=count, window_ms=round(self._window_s * 1_000))
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._send_away()
                await self._connections.empty()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(began + self._deadline_s - LAST_S - self._clock.monotonic()):
                        await self._leaving.empty()
                self._leaving.end()
                await self._uplink.flush()
            done = True
        except TimeoutError:
            done = False
            self._leaving.end()
        event(
            _log,
            "drain_ends",
            connections=len(self._connections),
            duration_ms=round((self._clock.monotonic() - began) * 1_000),
            in_time=done,
        )
        return done

    async def _send_away(self) -> None:
        """Give everyone a slot, and close who is still here a moment after it."""
        clients = self._connections.all()
        slots = [self._window_s * index / len(clients) for index in range(len(clients))]
        for client, slot in zip(clients, slots, strict=True):
            client.put(DrainRequested(round(slot * 1_000)))
        began = self._clock.monotonic()
        grace_s = min(GRACE_S, self._window_s)
        index = 0
        while len(self._connections) and index < len(clients):
            now = self._clock.monotonic() - began
            while index < len(clients) and slots[index] + grace_s <= now:
                clients[index].end(CloseCode.DRAINING)
                index += 1
            if index < len(clients):
                await asyncio.sleep(min(STEP_S, max(0.0, slots[index] + grace_s - now)))
        # The echo route's, and whoever came in at the last moment.
        for guest in self._connections.guests():
            guest.end(CloseCode.DRAINING)
