"""Heartbeat: announces when enough was heard and read, places the shards, and tries the inboxes of those it
stands by for.
"""

import asyncio

import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.scripted_bus import ManualClock, ScriptedBus

from router.core.fold import FOLD_VERSION
from router.core.placement import Place, places
from router.core.router_leases import RouterLeases
from router.shell.heartbeat import Heartbeat
from warren.envelope import RouterHeartbeat, RouterLeaving, Spoken, decode
from warren.errors import BusUnavailable, Unroutable
from warren.topology import Topology

EVERY_S = 0.02
SPOKEN = Spoken(3, "life", 9, 5)
WORD = RouterHeartbeat("r1", 7, "q", FOLD_VERSION, (SPOKEN,))


class Harness:
    def __init__(self):
        self.bus = ScriptedBus()
        self.routers = RouterLeases(1.5)
        self.listening_s = 9.0
        self.read = True
        self.changes = self.shuts = 0
        self.dead = []
        self.heartbeat = Heartbeat(
            self.bus, Topology(shards=16), "r1", ManualClock(7), self.routers,
            every_s=EVERY_S, listening_s=lambda: self.listening_s, listen_s=1.0, queue=lambda: "q", on_shut=self._shut,
            dead=self.dead.append,
        )  # fmt: skip
        self.heartbeat.connect(self._change, lambda: (SPOKEN,), lambda: self.read)

    def _change(self):
        self.changes += 1

    def _shut(self):
        self.shuts += 1

    def said(self):
        return [
            word
            for published in self.bus.published
            if published.key == "all"
            for word in decode(published.body)
        ]


@pytest_asyncio.fixture
async def harness():
    harness = Harness()
    yield harness
    await harness.heartbeat.stop()


async def test_it_says_that_it_lives_what_it_knows_and_for_which_shards_it_speaks(harness):
    """To all routers, not persistent; alone it owns everything."""
    harness.heartbeat.start()
    await eventually(lambda: len(harness.said()) >= 3)
    assert set(harness.said()) == {WORD}
    assert {(each.exchange, each.persistent) for each in harness.bus.published} == {("warren.routers", False)}
    assert [harness.heartbeat.place(shard) for shard in range(16)] == [Place("r1")] * 16
    assert harness.heartbeat.known


async def test_it_is_silent_until_it_has_listened_for_long_enough(harness):
    """Nobody gives it a shard that it can't take yet, and it gives itself none."""
    harness.listening_s = 0.0
    harness.heartbeat.start()
    harness.heartbeat.look()
    await eventually(lambda: harness.heartbeat._tasks)
    assert (harness.said(), harness.changes) == ([], 0)
    assert harness.heartbeat.place(0) == Place("")
    harness.listening_s = 1.0
    await eventually(lambda: harness.said())


async def test_it_reads_what_it_will_be_given_before_anybody_hears_of_it(harness):
    """It knows its place then, and the others don't."""
    harness.read = False
    harness.routers.heartbeat(RouterHeartbeat("r2", 8), 0.0)
    harness.heartbeat.start()
    await eventually(lambda: harness.changes == 1)
    assert [harness.heartbeat.place(shard) for shard in range(16)] == places(16, ["r1", "r2"])
    assert (harness.said(), harness.heartbeat.known) == ([], False)
    harness.read = True
    await eventually(lambda: harness.heartbeat.known)
    assert harness.said()[0] == WORD
    assert harness.changes == 2  # now it may speak


async def test_the_places_change_with_the_routers_and_only_then(harness):
    """As for everyone else who knows the same routers."""
    harness.heartbeat.start()
    await eventually(lambda: harness.heartbeat.known)
    changes = harness.changes
    harness.routers.heartbeat(RouterHeartbeat("r1", 7), 0.0)
    harness.heartbeat.look()
    assert harness.changes == changes
    harness.routers.heartbeat(RouterHeartbeat("r2", 8), 0.0)
    harness.heartbeat.look()
    assert harness.changes == changes + 1
    assert [harness.heartbeat.place(shard) for shard in range(16)] == places(16, ["r1", "r2"])
    assert harness.heartbeat.routers == {"r1", "r2"}


async def test_a_router_whose_inbox_is_gone_is_dead_without_a_lease_ending(harness):
    """The one for which we stand by, after two tries that came back; a try that was answered between them
    counts for its life.
    """
    harness.routers.heartbeat(RouterHeartbeat("r2", 8), 0.0)
    harness.bus.script("r2", Unroutable("?"), None, Unroutable("?"), Unroutable("?"))
    harness.heartbeat.start()
    await eventually(lambda: harness.bus.keys().count("r2") == 3)
    assert harness.dead == []
    await eventually(lambda: harness.dead == ["r2"])
    assert all(each.mandatory and not each.persistent for each in harness.bus.published if each.key == "r2")


async def test_it_tries_its_own_inbox(harness):
    """With each heartbeat; where nobody is behind it, it says so."""
    harness.bus.script("r1", Unroutable("?"), None, Unroutable("?"), Unroutable("?"))
    harness.heartbeat.start()
    await eventually(lambda: harness.bus.keys().count("r1") == 3)
    assert harness.shuts == 0
    await eventually(lambda: harness.shuts == 1)


async def test_a_confirm_that_is_owed_holds_up_no_sign_of_life(harness):
    """Where the inbox of one router is on a broker node that stands still, nobody's heartbeat is
    confirmed.
    """
    harness.bus.held = True
    harness.heartbeat.start()
    await eventually(lambda: len(harness.said()) >= 4)
    assert harness.heartbeat.known
    harness.bus.release()


async def test_beats_keep_their_rhythm_while_confirms_are_owed(harness, monkeypatch):
    """What is waited for is part of the interval."""
    left, timeout_at = [], asyncio.timeout_at

    def noted(when):
        left.append(when - asyncio.get_running_loop().time())
        return timeout_at(when)

    monkeypatch.setattr(asyncio, "timeout_at", noted)
    harness.heartbeat._every_s, harness.heartbeat._overlap._longest_s = (
        0.2,
        harness.heartbeat._overlap._longest_s * 10,
    )
    harness.bus.held = True
    harness.heartbeat.start()
    await eventually(lambda: any(0.0 < pause_s < 0.11 for pause_s in left))
    assert max(left) < 0.11
    harness.bus.release()


async def test_goodbye_is_the_last_word_and_says_how_far_we_have_got(harness):
    """The next speaker goes on from there; and this router wants nothing any more."""
    harness.routers.heartbeat(RouterHeartbeat("r2", 8), 0.0)
    harness.heartbeat.start()
    await eventually(lambda: harness.heartbeat.known)
    await harness.heartbeat.leave()
    said = harness.said()
    assert said[-2:] == [WORD, RouterLeaving("r1")]
    harness.bus.tell(True)
    harness.heartbeat.soon()
    assert harness.said() == said
    harness.routers.heartbeat(RouterHeartbeat("r1", 7), 0.0)  # its own, heard late
    harness.heartbeat.look()
    assert {harness.heartbeat.place(shard) for shard in range(16)} == {Place("r2")}


async def test_who_never_spoke_says_no_goodbye(harness):
    """Nobody knows of it."""
    harness.listening_s = 0.0
    harness.heartbeat.start()
    await harness.heartbeat.leave()
    assert harness.said() == []


async def test_what_has_changed_and_what_got_lost_is_said_at_once(harness):
    """Not only with the next beat: when there is news, and when the broker is back."""
    harness.heartbeat._every_s = 60.0
    harness.bus.script("all", BusUnavailable())
    harness.heartbeat.start()
    await eventually(lambda: len(harness.said()) == 1)
    harness.bus.tell(True)
    await eventually(lambda: len(harness.said()) == 2)
    harness.heartbeat.soon()
    await eventually(lambda: len(harness.said()) == 3)
