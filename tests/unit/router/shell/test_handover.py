"""Handover: a router goes once the others speak for its shards, or when it is outdated."""

import asyncio

import pytest
from tests.support.eventually import eventually
from tests.support.router_context import router_context
from tests.support.router_peers import ListedShards
from tests.support.scripted_bus import ManualClock, ScriptedBus

from router.core.placement import Placement
from router.shell.handover import HANDOVER_S, Handover


class Part:
    """A part of the router that writes down what it was told to do."""

    def __init__(self, name, log):
        self.name, self.log = name, log
        self.fails = self.hangs = False

    async def stop(self):
        self.log.append(f"{self.name}.stop")
        if self.fails:
            raise ValueError("ours")
        if self.hangs:
            await asyncio.Event().wait()

    async def kill(self):
        self.log.append(f"{self.name}.kill")

    async def leave(self):
        self.log.append(f"{self.name}.leave")


class Harness:
    def __init__(self, *others):
        self.log, self.clock, self.shards = [], ManualClock(), ListedShards()
        self.placement = Placement("r1", 2)
        self.placement.listened()
        self.placement.leave()
        self.placement.update(frozenset(others))
        self.announcer, self.probes, self.notifications = (
            Part(name, self.log) for name in ("announcer", "probes", "notifications")
        )
        self.context = router_context(ScriptedBus(), clock=self.clock)
        self.handover = Handover(
            self.context, self.placement, self.shards, self.announcer, self.probes, (self.notifications,)
        )


IN_ORDER = ["notifications.stop", "probes.stop", "announcer.leave"]
END = ["notifications.kill", "probes.stop", "announcer.stop"]


async def test_it_speaks_until_the_others_do():
    """Notifications end first; the goodbye comes behind what they brought."""
    harness = Harness("r2")
    harness.shards[1].speaks = True
    finishing = asyncio.create_task(harness.handover.finish(60.0))
    await eventually(lambda: harness.log == IN_ORDER)
    await asyncio.sleep(0.05)
    assert harness.log == IN_ORDER
    harness.shards[1].speaks = False
    await finishing
    assert harness.log == [*IN_ORDER, *END]


async def test_it_waits_for_nobody_where_there_is_nobody_or_nobody_comes():
    """Alone it goes at once; else after a bound."""
    alone = Harness()
    alone.shards[0].speaks = True
    await alone.handover.finish(60.0)
    assert alone.log == [*IN_ORDER, *END]
    harness = Harness("r2")
    harness.shards[0].speaks = True
    finishing = asyncio.create_task(harness.handover.finish(60.0))
    await eventually(lambda: harness.log == IN_ORDER)
    harness.clock.advance(HANDOVER_S)
    await finishing


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
async def test_whatever_fails_the_end_comes(trouble, caplog: pytest.LogCaptureFixture):
    """What is not done goes to the next ones, as from a router that died."""
    harness = Harness("r2")
    setattr(harness.notifications, trouble, True)
    await harness.handover.finish(0.01)
    assert harness.log == ["notifications.stop", *END]
    assert ("stop_failed" in caplog.text) == (trouble == "fails")


async def test_without_a_broker_nothing_is_waited_for():
    """What has begun could never be finished."""
    harness = Harness("r2")
    harness.notifications.hangs = True
    harness.context.bus.up = False
    await harness.handover.finish(3_600.0)
    assert harness.log == ["notifications.stop", *END]


async def test_a_router_that_is_outdated_gives_its_shards_away_once():
    """It says goodbye, and stays; told to go, it gives up what it had begun of that."""
    harness = Harness("r2")
    harness.handover.tick()
    assert harness.log == []
    harness.shards.outdated = "shard 1: update it"
    harness.handover.tick()
    await eventually(lambda: len(harness.log) == 4)
    harness.handover.tick()
    await asyncio.sleep(0)
    assert harness.log == ["probes.stop", "announcer.leave", "notifications.stop", "notifications.kill"]
    harness.log.clear()
    await harness.handover.finish(60.0)
    assert harness.log == [*IN_ORDER, *END]
