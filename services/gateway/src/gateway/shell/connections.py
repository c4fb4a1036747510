"""Connections: all the connections of this gateway, by id; who is due is ticked, and what concerns all is
told to all.

One task ticks every connection in slices, so that none has a timer of its own and none waits for all. It also
cuts sockets whose last bytes nobody takes, and lets the uplink give up on what has waited too long. It knows
no room and no frame. ``server.py`` lets connections in and out, ``app.py`` starts and ends it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable
from typing import Protocol

from gateway.core.max_connection_age import MaxConnectionAge
from gateway.shell.connection import Connection
from gateway.shell.websocket_transport import WebSocketTransport
from warren.address import connection_id
from warren.clock import Clock
from warren.errors import CloseCode
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.supervision import supervised

SLICE = 512

_log = get_logger("gateway.connections")


class Guest(Protocol):
    """What is connected: a Connection or an Echo."""

    @property
    def wire(self) -> WebSocketTransport:
        """Its bytes."""
        ...

    def tick(self, now: float) -> None:
        """Do what is due."""
        ...

    def end(self, code: CloseCode) -> None:
        """Close from our side."""
        ...


class Connections:
    """Everyone who is connected here."""

    def __init__(
        self,
        gateway: str,
        clock: Clock,
        metrics: GatewayMetrics,
        *,
        places: int,
        tick_s: float,
        on_tick: Callable[[float], None],
        ages: MaxConnectionAge | None = None,
    ) -> None:
        """``places``: how many may be here; ``tick_s``: how often each is ticked; ``on_tick(now)`` is called
        as often; ``ages``: who is here for too long (None: nobody ever is).
        """
        self._gateway = gateway
        self._clock = clock
        self._metrics = metrics
        self._places = places
        self._tick_s = tick_s
        self._on_tick = on_tick
        self._ages = ages
        metrics.connection_limit.set(places)
        self._guests: dict[str, Guest] = {}
        # gone for us, but with bytes that are still being written
        self._leaving: set[WebSocketTransport] = set()
        self._number = 0
        self._reserved = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return how many are here or on their way in."""
        return self._reserved

    def reserve(self) -> bool:
        """Take a place for an upgrade; False where the pod is full. Give it back by ``free``."""
        if self._reserved >= self._places:
            return False
        self._reserved += 1
        self._empty.clear()
        self._metrics.connections.set(self._reserved)
        return True

    def free(self) -> None:
        """Give a place back."""
        self._reserved -= 1
        if not self._reserved:
            self._empty.set()
        self._metrics.connections.set(self._reserved)

    def next_id(self) -> str:
        """Return the id of the next connection."""
        self._number += 1
        return connection_id(self._gateway, self._number)

    def enter(self, name: str, guest: Guest) -> None:
        """Let a guest in under its id."""
        self._guests[name] = guest
        if self._ages is not None:
            self._ages.enter(name, self._clock.monotonic(), random.random())  # noqa: S311 - it only spreads

    def leave(self, name: str) -> None:
        """Let a guest out."""
        guest = self._guests.pop(name)
        if self._ages is not None:
            self._ages.leave(name)
        self._metrics.bytes_out(guest.wire.bytes_out)
        if not guest.wire.finish():
            self._leaving.add(guest.wire)

    def guests(self) -> list[Guest]:
        """Return everyone."""
        return list(self._guests.values())

    def all(self) -> list[Connection]:
        """Return the clients."""
        return [guest for guest in self._guests.values() if isinstance(guest, Connection)]

    def find(self, name: str) -> Connection | None:
        """Return a client by its id."""
        guest = self._guests.get(name)
        return guest if isinstance(guest, Connection) else None

    def end_ages(self) -> None:
        """Let nobody be too old from now on: a pod that goes gives everyone a slot of its own."""
        self._ages = None

    async def empty(self) -> None:
        """Return once nobody is here."""
        await self._empty.wait()

    def degraded(self, up: bool) -> None:
        """Tell everyone that the broker is away, or back."""
        for connection in self.all():
            connection.degraded(up)

    async def start(self) -> None:
        """Begin to tick."""
        self._task = supervised(
            asyncio.get_running_loop().create_task(self._run(), name="connections-ticker")
        )

    async def stop(self) -> None:
        """Cut whoever is still here, and end."""
        for guest in self.guests():
            guest.wire.cut()
        for wire in self._leaving:
            wire.cut()
        self._leaving.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            everyone = self.guests()
            slices = max(1, math.ceil(len(everyone) / SLICE))
            for begin in range(0, slices * SLICE, SLICE):
                self._tick(everyone[begin : begin + SLICE])
                await asyncio.sleep(self._tick_s / slices)

    def _tick(self, guests: list[Guest]) -> None:
        now = self._clock.monotonic()
        for guest in guests:
            try:
                guest.tick(now)
            except Exception as error:  # noqa: BLE001 - one guest's fault must not stop the clock of all
                event(_log, "tick_failed", level=logging.ERROR, error=error)
                guest.wire.cut()
        self._retire(now)
        for wire in [wire for wire in self._leaving if wire.finished(now)]:
            self._leaving.discard(wire)
        self._on_tick(now)

    def _retire(self, now: float) -> None:
        """Ask those away who have reached their age, and close those who were asked and are still here."""
        if self._ages is None:
            return
        due = self._ages.due(now)
        for name in due.ask:
            if isinstance(guest := self._guests.get(name), Connection):
                guest.drain(0)
        for name in due.close:
            if (stayed := self._guests.get(name)) is not None:
                stayed.end(CloseCode.DRAINING)
