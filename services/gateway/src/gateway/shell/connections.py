"""Connections: the registry of everyone who is connected here, by id, from the upgrade until the socket is
gone.

It knows clients that are not known yet, and the echo route's; the hub (``core/hub.py``) knows the clients
whose token was checked, and their rooms. They are two, since the hub is on the hot path and touches no
socket. Here is counted how many there may be; what concerns all is told to all; who has reached its age is
asked away; and sockets whose last bytes nobody takes are cut. It knows no room and no frame.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Protocol

from gateway.core.capacity import Capacity
from gateway.core.file_descriptor_capacity import FileDescriptorCapacity
from gateway.core.inputs import DrainRequested, Input
from gateway.core.max_connection_age import MaxConnectionAge
from gateway.core.websocket.frames import EVENTS
from gateway.shell.client_transport import ClientTransport
from gateway.shell.connection import Connection
from warren.address import connection_id
from warren.clock import Clock
from warren.errors import CloseCode
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics

_log = get_logger("gateway.connections")


class Guest(Protocol):
    """What is connected: a Connection or an Echo."""

    @property
    def transport(self) -> ClientTransport:
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
        capacity: FileDescriptorCapacity,
        full_percent: int,
        ages: MaxConnectionAge,
    ) -> None:
        """``capacity``: how many may be here; from ``full_percent`` of that on others had better go elsewhere
        (0: never); ``ages``: who is here for too long.
        """
        self._gateway = gateway
        self._clock = clock
        self._metrics = metrics
        self.capacity = capacity
        self._full = Capacity(capacity.connections, full_percent)
        self._ages = ages
        metrics.connection_limit.set(capacity.connections)
        metrics.event_streams_from(self.streams)
        self._guests: dict[str, Guest] = {}
        # gone for us, but with bytes that are still being written
        self._leaving: set[ClientTransport] = set()
        self._number = 0
        self._reserved = 0
        self._empty = asyncio.Event()
        self._empty.set()
        _log_capped(capacity)

    def __len__(self) -> int:
        """Return how many are here or on their way in."""
        return self._reserved

    def reserve(self) -> bool:
        """Take a place for an upgrade; False where the pod is full. Give it back by ``free``."""
        if self._reserved >= self.capacity.connections:
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
        self._ages.enter(name, self._clock.monotonic(), random.random())  # noqa: S311 - it only spreads

    def leave(self, name: str) -> None:
        """Let a guest out."""
        guest = self._guests.pop(name)
        self._ages.leave(name)
        self._metrics.bytes_out(guest.transport.bytes_out)
        if not guest.transport.finish():
            self._leaving.add(guest.transport)

    def guests(self) -> list[Guest]:
        """Return everyone."""
        return list(self._guests.values())

    def all(self) -> list[Connection]:
        """Return the clients."""
        return [guest for guest in self._guests.values() if isinstance(guest, Connection)]

    def streams(self) -> int:
        """Return how many clients have an event stream. It looks at all."""
        return sum(client.variant == EVENTS for client in self.all())

    def find(self, name: str) -> Connection | None:
        """Return a client by its id."""
        guest = self._guests.get(name)
        return guest if isinstance(guest, Connection) else None

    def end_ages(self) -> None:
        """Let nobody be too old from now on: a pod that goes gives everyone a slot of its own."""
        self._ages.end()

    async def empty(self) -> None:
        """Return once nobody is here."""
        await self._empty.wait()

    def nearly_full(self) -> str | None:
        """Say why new clients had better go elsewhere; None where they are welcome."""
        return "nearly full" if self._full.full(len(self)) else None

    def tell(self, item: Input) -> None:
        """Tell every client the same."""
        for connection in self.all():
            connection.put(item)

    def tick(self, guests: Sequence[Guest], now: float) -> None:
        """Have some of those who are here do what is due, and see to those who have reached their age or are
        gone.
        """
        for guest in guests:
            try:
                guest.tick(now)
            except Exception as error:  # noqa: BLE001 - one guest's fault must not stop the clock of all
                event(_log, "tick_failed", level=logging.ERROR, error=error)
                guest.transport.cut()
        self._retire(now)
        for transport in [transport for transport in self._leaving if transport.finished(now)]:
            self._leaving.discard(transport)

    def cut(self) -> None:
        """Cut whoever is still here, and whoever is still being written to."""
        for guest in self.guests():
            guest.transport.cut()
        for transport in self._leaving:
            transport.cut()
        self._leaving.clear()

    def _retire(self, now: float) -> None:
        """Ask those away who have reached their age, and close those who were asked and are still here."""
        due = self._ages.due(now)
        for name in due.ask:
            if isinstance(guest := self._guests.get(name), Connection):
                guest.put(DrainRequested(0))
        for name in due.close:
            if (stayed := self._guests.get(name)) is not None:
                stayed.end(CloseCode.DRAINING)


def _log_capped(capacity: FileDescriptorCapacity) -> None:
    if capacity.capped:
        event(
            _log,
            "places_capped",
            level=logging.WARNING,
            wanted=capacity.wanted,
            places=capacity.connections,
            open_files=capacity.open_files,
            hint="WARREN_GATEWAY_CONNECTIONS is more than open files allow: raise their hard limit (ulimit "
            "-Hn, LimitNOFILE), or lower it",
        )
