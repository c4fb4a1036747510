"""All the connections of a gateway."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.eventually import eventually

from gateway.core.max_connection_age import MaxConnectionAge
from gateway.shell.connections import SLICE, Connections
from warren.clock import SystemClock
from warren.errors import CloseCode
from warren.metrics import GatewayMetrics


class Wire:
    """A wire that is done with, or not yet."""

    def __init__(self, *, done: bool = True) -> None:
        self.bytes_out = 7
        self.done = done
        self.cuts = 0

    def finish(self) -> bool:
        return self.done

    def finished(self, now: float) -> bool:
        return self.done

    def cut(self) -> None:
        self.cuts += 1


class Guest:
    """A guest that counts its ticks."""

    def __init__(self, *, fails: bool = False, done: bool = True) -> None:
        self.wire = Wire(done=done)
        self.ticks: list[float] = []
        self.ended: list[CloseCode] = []
        self.fails = fails

    def tick(self, now: float) -> None:
        self.ticks.append(now)
        if self.fails:
            raise RuntimeError("a bug")

    def end(self, code: CloseCode) -> None:
        self.ended.append(code)


@pytest.fixture
async def connections():
    ticks: list[float] = []
    made = Connections("g", SystemClock(), GatewayMetrics(), places=2, tick_s=0.02, on_tick=ticks.append)
    made.ticked = ticks
    await made.start()
    yield made
    await made.stop()


async def test_places_are_bounded_and_given_back(connections: Connections):
    """No more than the places are reserved, a freed one is given again, and the metric follows."""
    assert [connections.reserve() for _ in range(3)] == [True, True, False]
    connections.free()
    assert connections.reserve()
    assert len(connections) == 2
    connections.free()
    empty = asyncio.create_task(connections.empty())
    await asyncio.sleep(0)
    assert not empty.done()
    connections.free()
    await asyncio.wait_for(empty, 5)


async def test_ids_are_never_the_same(connections: Connections):
    """Each connection gets an id of this gateway that no other had."""
    ids = {connections.next_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(name.startswith("g~") for name in ids)


async def test_everyone_is_ticked_in_slices(connections: Connections):
    """All of many guests are ticked, and who fails is cut without harm to the others."""
    guests = [Guest(fails=number == 3) for number in range(3 * SLICE + 1)]
    for number, guest in enumerate(guests):
        connections.enter(f"g~{number}", guest)  # type: ignore[arg-type]
    await eventually(lambda: all(len(guest.ticks) >= 2 for guest in guests))
    assert guests[3].wire.cuts >= 2
    assert not any(guest.wire.cuts for guest in guests if not guest.fails)
    assert connections.ticked  # type: ignore[attr-defined]


async def test_a_wire_that_is_still_writing_is_watched(connections: Connections):
    """A wire with bytes left after its guest has gone is kept until it is finished, and cut when the lobby
    ends.
    """
    guest = Guest(done=False)
    connections.enter("g~1", guest)  # type: ignore[arg-type]
    connections.leave("g~1")
    assert connections.guests() == []
    assert connections._leaving == {guest.wire}
    guest.wire.done = True
    await eventually(lambda: not connections._leaving)
    stuck = Guest(done=False)
    connections.enter("g~2", stuck)  # type: ignore[arg-type]
    connections.leave("g~2")
    await connections.stop()
    assert stuck.wire.cuts == 1


async def test_stop_cuts_who_is_still_here(connections: Connections):
    """Whoever is here when the lobby ends is cut."""
    guest = Guest()
    connections.enter("g~1", guest)  # type: ignore[arg-type]
    await connections.stop()
    assert guest.wire.cuts == 1


async def test_who_is_too_old_is_closed_until_the_pod_goes_itself():
    """A guest that can't be asked is closed a grace after its age; who left is not; once the pod goes, nobody
    is too old.
    """
    metrics = GatewayMetrics()
    connections = Connections(
        "g",
        SystemClock(),
        metrics,
        places=9,
        tick_s=0.01,
        on_tick=lambda now: None,
        ages=MaxConnectionAge(0.05, 0.0, 0.05),
    )
    old, left, later = Guest(), Guest(), Guest()
    await connections.start()
    connections.enter("g~1", old)  # type: ignore[arg-type]
    connections.enter("g~2", left)  # type: ignore[arg-type]
    connections.leave("g~2")
    await eventually(lambda: old.ended)
    connections.enter("g~3", later)  # type: ignore[arg-type]
    connections.end_ages()
    ticks = len(later.ticks)
    await eventually(lambda: len(later.ticks) > ticks + 15)
    assert (old.ended, left.ended, later.ended) == ([CloseCode.DRAINING], [], [])
    await connections.stop()
