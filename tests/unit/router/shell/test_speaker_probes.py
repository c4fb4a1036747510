"""SpeakerProbes: a speaker that nothing reaches is gone before its lease ends."""

import asyncio

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.router_context import router_context
from tests.support.scripted_bus import ScriptedBus

from router.core.placement import Placement
from router.shell import speaker_probes as module
from router.shell.speaker_probes import SpeakerProbes
from warren.errors import Unroutable


class Harness:
    def __init__(self):
        self.bus = ScriptedBus()
        self.placement = Placement("r1", 16)
        self.placement.listened()
        self.placement.update(frozenset({"r2"}))
        self.placement.announced = True
        self.gone = []
        self.probes = SpeakerProbes(router_context(self.bus), self.placement, self)

    def unreachable(self, router):
        self.gone.append((router, self.bus.keys().count(router)))


@pytest_asyncio.fixture
async def harness(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EVERY_S", 0.001)
    monkeypatch.setattr(module, "AGAIN_S", 0.001)
    harness = Harness()
    yield harness
    harness.bus.release()
    await harness.probes.stop()


async def test_a_router_whose_queue_is_gone_is_dead_without_a_lease_ending(harness):
    """The one for which we stand by, after two probes that came back; one that was answered between them
    counts for its life.
    """
    harness.bus.script("r2", Unroutable("?"), None, Unroutable("?"), Unroutable("?"))
    harness.probes.start()
    await eventually(lambda: harness.gone)
    assert harness.gone == [("r2", 4)]
    assert {(each.key, each.mandatory, each.persistent) for each in harness.bus.published} == {
        ("r2", True, False)
    }


async def test_one_that_came_back_is_followed_by_another_at_once(harness, monkeypatch):
    """A router that is gone is not believed in until the next one is due."""
    monkeypatch.setattr(module, "EVERY_S", 3_600.0)
    harness.bus.script("r2", Unroutable("?"), Unroutable("?"))
    harness.probes._begin()
    await eventually(lambda: harness.gone)
    assert harness.gone == [("r2", 2)]


@pytest.mark.parametrize("attribute", ["announced", "up", "blocked"])
async def test_nobody_is_probed_before_we_count_or_while_the_broker_takes_nothing(harness, attribute):
    """The others don't know of us yet, or everything would come back or stand still."""
    of = harness.placement if attribute == "announced" else harness.bus
    setattr(of, attribute, attribute == "blocked")
    harness.probes.start()
    await asyncio.sleep(0.01)
    assert harness.bus.published == []
    setattr(of, attribute, attribute != "blocked")
    await eventually(lambda: harness.bus.published)


async def test_one_that_is_not_answered_is_not_tried_again_meanwhile(harness):
    """Nor does it hold up the others."""
    harness.bus.held = True
    harness.probes.start()
    await eventually(lambda: harness.bus.keys() == ["r2"])
    for number in range(3, 6):
        harness.placement.update(frozenset({"r2", f"r{number}"}))
        await eventually(lambda number=number: harness.bus.keys().count(f"r{number}") == 1)
    assert harness.bus.keys().count("r2") == 1
