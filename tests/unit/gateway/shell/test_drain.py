"""How a gateway goes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from gateway.core.inputs import DrainRequested
from gateway.shell.drain import Drain
from warren.clock import SystemClock
from warren.errors import CloseCode
from warren.probes import Readiness


class Client:
    """A client that goes when it is closed, or by itself, or never."""

    def __init__(self, floor: Floor, kind: str = "stays") -> None:
        self.floor, self.kind = floor, kind
        self.slot: int | None = None
        self.closed: CloseCode | None = None
        self.closed_at = 0.0

    def put(self, item: DrainRequested) -> None:
        self.slot = item.after_ms
        if self.kind == "goes":
            self.floor.go(self)

    def end(self, code: CloseCode) -> None:
        if self in self.floor.here:
            self.closed, self.closed_at = code, self.floor.clock.monotonic()
            if self.kind != "stuck":
                self.floor.go(self)


class Floor:
    """A lobby, an uplink and the readiness of a gateway with these clients."""

    def __init__(self, *kinds: str, window_s: float = 0.2, deadline_s: float = 5.0) -> None:
        self.clock = SystemClock()
        self.readiness = Readiness()
        self.here = [Client(self, kind) for kind in kinds]
        self.clients = list(self.here)
        self.flushed = 0
        self.ended = False  # and none is held any more
        self.ages = True
        self.nobody = asyncio.Event()
        if not self.here:
            self.nobody.set()
        self.none_held = asyncio.Event()
        self.none_held.set()
        leaving = SimpleNamespace(end=self.end_leaves, empty=self.none_held.wait)
        self.drain = Drain(
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            leaving,  # type: ignore[arg-type]
            self.readiness,
            self.clock,
            window_s=window_s,
            deadline_s=deadline_s,
        )

    def __len__(self) -> int:
        return len(self.here)

    def go(self, client: Client) -> None:
        self.here.remove(client)
        if not self.here:
            self.nobody.set()

    def all(self) -> list[Client]:
        return list(self.here)

    def guests(self) -> list[Client]:
        return list(self.here)

    def end_ages(self) -> None:
        self.ages = False

    async def empty(self) -> None:
        await self.nobody.wait()

    def end_leaves(self) -> None:
        self.ended = True

    async def flush(self) -> None:
        assert not self.here
        assert self.ended
        self.flushed += 1


async def test_everyone_has_a_slot_and_who_stays_is_closed_in_its_turn():
    """Slots are spread over the window; who stays is closed with 1012 in that order, after its slot; the
    leaves go last.
    """
    floor = Floor("stays", "goes", "stays", "stays")
    began = floor.clock.monotonic()
    assert await floor.drain.run() is True
    assert floor.readiness.draining
    assert not floor.ages
    assert [client.slot for client in floor.clients] == [0, 50, 100, 150]
    assert [client.closed for client in floor.clients] == [
        CloseCode.DRAINING,
        None,
        CloseCode.DRAINING,
        CloseCode.DRAINING,
    ]
    times = [client.closed_at - began for client in floor.clients if client.closed]
    assert times == sorted(times)
    assert all(at >= slot for at, slot in zip(times, (0.2, 0.3, 0.35), strict=True))
    assert floor.flushed == 1


async def test_leaves_are_held_until_their_time_has_come():
    """Who went last is still on the way: nobody is to see them leave."""
    floor = Floor("goes", window_s=0.0)
    floor.none_held.clear()
    draining = asyncio.create_task(floor.drain.run())
    await asyncio.sleep(0.2)
    assert not draining.done()
    assert (floor.ended, floor.flushed) == (False, 0)
    floor.none_held.set()
    assert await asyncio.wait_for(draining, 2) is True
    assert floor.flushed == 1


async def test_leaves_that_would_be_held_beyond_the_deadline_go_before_it():
    """So that they still get out."""
    floor = Floor(window_s=0.0, deadline_s=0.7)
    floor.none_held.clear()
    began = floor.clock.monotonic()
    assert await asyncio.wait_for(floor.drain.run(), 2) is True
    assert floor.clock.monotonic() - began >= 0.2
    assert floor.flushed == 1


async def test_an_empty_gateway_goes_at_once():
    """Without clients there is nothing to wait for, whatever the window."""
    floor = Floor(window_s=60.0)
    assert await asyncio.wait_for(floor.drain.run(), 1) is True


async def test_when_all_have_gone_the_rest_of_the_window_is_not_waited_for():
    """The window is a limit, not a delay: when everyone went by itself, it is over."""
    floor = Floor("goes", "goes", window_s=60.0)
    assert await asyncio.wait_for(floor.drain.run(), 1) is True


async def test_it_ends_at_its_deadline():
    """Who never goes holds nobody up beyond the deadline."""
    floor = Floor("stuck", window_s=0.0, deadline_s=0.1)
    assert await asyncio.wait_for(floor.drain.run(), 2) is False
    assert floor.flushed == 0
