"""Shards: all of a router's, taken together."""

import pytest_asyncio
from tests.support.shard_harness import ShardHarness

from router.core.placement import Placement
from router.core.shard_role import State
from router.shell import shards
from router.shell.shard_context import ShardContext
from router.shell.shards import Shards
from warren.envelope import GatewayWaits, RouterHeartbeat, ShardReading


class Harness(ShardHarness):
    def __init__(self):
        super().__init__()
        self.placed = Placement("r1", 1)
        self.placed.listened()
        fields = {name: getattr(self.context, name) for name in ShardContext.__slots__}
        self.shards = Shards(ShardContext(**fields | {"placement": self.placed}))


@pytest_asyncio.fixture
async def harness():
    harness = Harness()
    yield harness
    await harness.shards.stop()
    await harness.egress.close()


async def test_each_shard_does_its_part_in_the_placement_of_those_who_live(harness):
    """Placed anew where the routers have changed."""
    assert [shard.number for shard in harness.shards] == [0]
    assert (len(harness.shards), harness.shards[0].role.state) == (1, State.IDLE)
    harness.shards.follow_placement()
    assert harness.placed.routers == {"r1"}
    assert harness.shards[0].role.state is State.STARTING
    harness.routers.heartbeat(RouterHeartbeat("r2", 1), 0.0)
    harness.shards.follow_placement()
    assert harness.placed.routers == {"r1", "r2"}


async def test_what_is_said_of_all_is_what_is_true_of_any(harness):
    """Nothing is spoken for, read or prepared yet; an outdated shard makes the router so, and is named."""
    harness.shards.follow_placement()
    assert (harness.shards.speaking, harness.shards.progress(), harness.shards.waiting) == ([], (), 0)
    assert (harness.shards.read, harness.shards.unprepared, harness.shards.outdated) == (False, 1, "")
    harness.shards[0].unknown("update it")
    assert harness.shards.outdated == "shard 0: update it"
    harness.shards[0].role.state = State.SPEAKING
    assert harness.shards.speaking == [harness.shards[0]]
    assert harness.shards.read
    harness.shards[0].role.state = State.STARTING


async def test_what_waits_for_gateways_is_summed_and_the_longest_lists_are_told(harness, monkeypatch):
    """Of the shards that this router speaks for, and of so many gateways at most."""
    shard = harness.shards[0]
    assert (harness.shards.readings(), harness.shards.gateways_waiting()) == ((), ())
    monkeypatch.setattr(shard, "gateways_waiting", lambda: {"g1": 1, "g2": 7, "g3": 3})
    monkeypatch.setattr(shards, "GATEWAYS_TOLD", 2)
    shard.role.state = State.SPEAKING
    assert harness.shards.gateways_waiting() == (GatewayWaits("g2", 7), GatewayWaits("g3", 3))
    reading = ShardReading(0, 9)
    monkeypatch.setattr(shard, "reading", lambda: reading)
    assert harness.shards.readings() == (reading,)
