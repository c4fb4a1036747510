"""All the connections of a gateway."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.gateways import logged
from tests.unit.gateway.shell.test_connection import Rig as ConnectionRig

from gateway.core.file_descriptor_capacity import FileDescriptorCapacity
from gateway.core.inputs import BrokerChanged, TokenAccepted
from gateway.core.max_connection_age import MaxConnectionAge
from gateway.core.permissions import Identity
from gateway.shell.connections import Connections
from warren.clock import SystemClock
from warren.errors import CloseCode
from warren.metrics import GatewayMetrics


class Transport:
    """A transport that is done with, or not yet."""

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
        self.transport = Transport(done=done)
        self.ticks: list[float] = []
        self.ended: list[CloseCode] = []
        self.fails = fails

    def tick(self, now: float) -> None:
        self.ticks.append(now)
        if self.fails:
            raise RuntimeError("a bug")

    def end(self, code: CloseCode) -> None:
        self.ended.append(code)


def registry(most: int = 2, full_percent: int = 0, ages: MaxConnectionAge | None = None) -> Connections:
    capacity = FileDescriptorCapacity.of(most, None)
    never = MaxConnectionAge(0.0, 0.0, 0.0)
    oldest = never if ages is None else ages
    return Connections("g", SystemClock(), GatewayMetrics(), capacity, full_percent, oldest)


@pytest.fixture
def connections() -> Connections:
    return registry()


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


def test_a_guest_that_fails_is_cut_without_harm_to_the_others(connections: Connections):
    """Each of those that are ticked has its turn."""
    guests = [Guest(fails=number == 1) for number in range(3)]
    connections.tick(guests, 5.0)  # type: ignore[arg-type]
    assert [guest.ticks for guest in guests] == [[5.0]] * 3
    assert [guest.transport.cuts for guest in guests] == [0, 1, 0]


def test_a_socket_that_is_still_writing_is_watched(connections: Connections):
    """One with bytes left after its guest has gone is kept until it is finished, and cut at the end."""
    guest, stuck = Guest(done=False), Guest(done=False)
    connections.enter("g~1", guest)  # type: ignore[arg-type]
    connections.leave("g~1")
    assert connections.guests() == []
    assert connections._leaving == {guest.transport}
    guest.transport.done = True
    connections.tick([], 1.0)
    assert not connections._leaving
    connections.enter("g~2", stuck)  # type: ignore[arg-type]
    connections.leave("g~2")
    connections.cut()
    assert stuck.transport.cuts == 1
    assert not connections._leaving


def test_whoever_is_still_here_is_cut_at_the_end(connections: Connections):
    """And is let out as always."""
    guest = Guest()
    connections.enter("g~1", guest)  # type: ignore[arg-type]
    connections.cut()
    assert guest.transport.cuts == 1
    connections.leave("g~1")


def test_who_is_too_old_is_closed_until_the_pod_goes_itself():
    """A guest that can't be asked is closed a grace after its age; who left is not; once the pod goes, nobody
    is too old.
    """
    connections = registry(9, ages=MaxConnectionAge(10.0, 0.0, 5.0))
    old, left, later = Guest(), Guest(), Guest()
    began = connections._clock.monotonic()
    connections.enter("g~1", old)  # type: ignore[arg-type]
    connections.enter("g~2", left)  # type: ignore[arg-type]
    connections.leave("g~2")
    for after_s in (11.0, 17.0):
        connections.tick([], began + after_s)
    connections.enter("g~3", later)  # type: ignore[arg-type]
    connections.end_ages()
    for after_s in (1_000.0, 2_000.0):
        connections.tick([], began + after_s)
    assert (old.ended, left.ended, later.ended) == ([CloseCode.DRAINING], [], [])


def test_clients_are_told_apart_from_the_echo_routes():
    """What concerns all clients is told to each, and to nobody else."""
    connections, rigs = registry(9), [ConnectionRig(), ConnectionRig()]
    for number, rig in enumerate(rigs):
        rig.connection.put(TokenAccepted(Identity("ann")))
        connections.enter(f"g~{number}", rig.connection)
    connections.enter("g~echo", Guest())  # type: ignore[arg-type]
    connections.tell(BrokerChanged(False))
    assert [rig.transport.messages()[-1]["type"] for rig in rigs] == ["DEGRADED"] * 2
    assert (connections.find("g~1"), connections.find("g~echo")) == (rigs[1].connection, None)
    assert len(connections.guests()) == 3


def test_a_pod_says_when_it_is_nearly_full():
    """From its share of the places on, those counted that are on their way in."""
    connections = registry(10, 90)
    for _ in range(8):
        connections.reserve()
    assert connections.nearly_full() is None
    connections.reserve()
    assert connections.nearly_full() == "nearly full"


def test_fewer_places_than_were_wanted_are_logged(caplog: pytest.LogCaptureFixture):
    """With what mends it."""
    capacity = FileDescriptorCapacity.of(10_000, 1_024)
    never = MaxConnectionAge(0.0, 0.0, 0.0)
    Connections("g", SystemClock(), GatewayMetrics(), capacity, 0, never)
    (line,) = logged(caplog.records, "places_capped")
    assert (line["wanted"], line["places"], line["open_files"]) == (10_000, 912, 1_024)
    assert "LimitNOFILE" in line["hint"]
