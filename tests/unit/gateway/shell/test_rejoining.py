"""All members of a shard join again."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.eventually import eventually

from gateway.core.inputs import Rejoin
from gateway.shell.rejoining import SLICE, Rejoining
from warren.address import is_connection, shard_of
from warren.envelope import Join, Watch

EVERYONES = shard_of("*", 4)


class Member:
    """A connection that keeps the shards that it joined again."""

    def __init__(self) -> None:
        self.shards: list[int] = []

    def put(self, item: Rejoin) -> None:
        self.shards.append(item.shard)


class Rig:
    """Members, and an uplink with a gate before each slice of them."""

    def __init__(self) -> None:
        self.members = [Member() for _ in range(2 * SLICE)]
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[tuple[Join, list[int]]] = []
        self.shards = 4
        self.watched = [Watch(f"r{number}", "g~1", "", True) for number in range(SLICE + 1)]
        self.again: list[Watch] = []
        self.reported: list[int] = []
        self.doubted: list[int] = []
        self.rejoining = Rejoining("g", self, self, self)  # type: ignore[arg-type]

    def all(self) -> list[Member]:
        return list(self.members)

    def join(self, join: Join, shard: int) -> None:
        assert shard == EVERYONES
        self.asked.append((join, self.joined(EVERYONES)))

    async def place_for_joins(self, shard: int) -> None:
        await self.gate.wait()

    def watches(self, shard: int) -> list[Watch]:
        return self.watched if shard == 3 else []

    def watch_again(self, watches: list[Watch], shard: int) -> None:
        assert len(watches) <= SLICE
        self.again += watches

    def report_again(self, shard: int) -> None:
        self.reported.append(shard)

    def doubt(self, shard: int) -> None:
        assert shard in self.reported
        self.doubted.append(shard)

    def joined(self, shard: int) -> list[int]:
        """Return how often each has joined again on a shard."""
        return [member.shards.count(shard) for member in self.members]


@pytest.fixture
async def rig():
    made = Rig()
    yield made
    await made.rejoining.stop()


async def test_everyone_joins_again_once(rig: Rig):
    """On that shard alone, and nothing is kept of it."""
    rig.rejoining.begin(3)
    await eventually(lambda: rig.joined(3) == [1] * 2 * SLICE)
    await eventually(lambda: not rig.rejoining._tasks)
    assert rig.joined(0) == [0] * 2 * SLICE


async def test_what_is_watched_is_said_again_behind_the_joins(rig: Rig):
    """All of that shard, some at a time; then nobody is sure of what was told meanwhile."""
    rig.rejoining.begin(3)
    await eventually(lambda: rig.doubted == [3])
    assert rig.again == rig.watched
    rig.rejoining.begin(0)
    await eventually(lambda: rig.doubted == [3, 0])
    assert rig.again == rig.watched


async def test_they_wait_for_place(rig: Rig):
    """Nobody more than there is place for."""
    rig.gate.clear()
    rig.rejoining.begin(0)
    await asyncio.sleep(0)
    assert rig.joined(0) == [0] * 2 * SLICE
    rig.gate.set()
    await asyncio.sleep(0)
    rig.gate.clear()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert rig.joined(0) == [1] * SLICE + [0] * SLICE
    rig.gate.set()
    await eventually(lambda: rig.joined(0) == [1] * 2 * SLICE)


async def test_a_second_reason_begins_anew(rig: Rig):
    """Who had joined again does it once more: that may have been in vain."""
    rig.gate.clear()
    rig.rejoining.begin(0)
    rig.rejoining.begin(1)
    await asyncio.sleep(0)
    rig.rejoining.begin(0)
    rig.gate.set()
    await eventually(lambda: rig.joined(0) == rig.joined(1) == [1] * 2 * SLICE)
    rig.rejoining.begin(0)
    await eventually(lambda: rig.joined(0) == [2] * 2 * SLICE)


async def test_the_gateway_asks_where_everyones_room_stands(rig: Rig):
    """Nobody joins that. On its shard alone, before the members, once there is place, and anew with each
    reason.
    """
    rig.rejoining.begin((EVERYONES + 1) % 4)
    rig.gate.clear()
    rig.rejoining.begin(EVERYONES)
    await asyncio.sleep(0)
    assert rig.asked == []
    rig.gate.set()
    await eventually(lambda: rig.joined(EVERYONES) == [1] * 2 * SLICE)
    assert rig.asked == [(Join("*", "g~0", "", "~*"), [0] * 2 * SLICE)]
    assert is_connection("g~0")
    rig.rejoining.begin(EVERYONES)
    await eventually(lambda: rig.joined(EVERYONES) == [2] * 2 * SLICE)
    assert len(rig.asked) == 2


async def test_the_end_leaves_nothing(rig: Rig):
    """Who has not joined again by then does not."""
    rig.gate.clear()
    rig.rejoining.begin(0)
    await rig.rejoining.stop()
    rig.gate.set()
    await asyncio.sleep(0)
    assert rig.joined(0) == [0] * 2 * SLICE
