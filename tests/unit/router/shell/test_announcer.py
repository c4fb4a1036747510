"""Announcer: this router is announced when it has heard and read enough, and says how far it has got."""

from functools import partial

import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.router_context import router_context
from tests.support.router_peers import ListedShards
from tests.support.scripted_bus import ManualClock, ScriptedBus

from router.core.fold import FOLD_VERSION
from router.core.peers import Peers, PeerTimes
from router.core.placement import Placement
from router.shell.announcer import READING_S, Announcer
from warren.envelope import (
    GatewayWaits,
    RouterHeartbeat,
    RouterLeaving,
    ShardReading,
    SpeakerProgress,
    decode,
)
from warren.heartbeat import HeartbeatLoop
from warren.own_queue import OwnQueue
from warren.topology import Topology

READING = ShardReading(3, 9, 1, 2, 1, True)
WAITS = GatewayWaits("g1", 4)
PROGRESS = SpeakerProgress(3, "life", 9, 5)


class Harness:
    def __init__(self):
        self.bus, self.clock, topology = ScriptedBus(), ManualClock(7), Topology(shards=4)
        context = router_context(self.bus, clock=self.clock, topology=topology)
        self.queue = OwnQueue(self.bus, partial(topology.router_queue, "r1"), prefetch=1)
        self.heartbeat = HeartbeatLoop(self.bus, topology, self.clock, self.queue, every_s=60.0)
        self.peers = Peers("r1", PeerTimes())
        self.placement = Placement("r1", 4)
        self.shards = ListedShards()
        self.shards.said = (PROGRESS,)
        self.shards.waiting, self.shards.reading, self.shards.gateways = 5, (READING,), (WAITS,)
        self.bus.blocked = True
        context.metrics.lag.note(3_000)
        self.announcer = Announcer(
            context, self.heartbeat, self.queue, self.peers, self.placement, self.shards, 1.0
        )

    def listen(self):
        """Say that heartbeats have been heard for long enough."""
        self.peers.begun(self.clock.monotonic() - 1.0)

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
    await harness.announcer.stop()


def word(said, queue=""):
    """The heartbeat as it must be; how much memory a process holds is its own matter."""
    assert said.rss_bytes > 1 << 20
    return RouterHeartbeat(
        "r1",
        7,
        queue,
        FOLD_VERSION,
        (PROGRESS,),
        said.rss_bytes,
        3,
        5,
        blocked=True,
        readings=(READING,),
        gateways=(WAITS,),
    )


async def test_it_says_that_it_lives_what_it_knows_and_for_which_shards_it_speaks(harness):
    """Under its own queue's name; from then on the placement is that of the others too."""
    harness.listen()
    harness.announcer.start()
    await eventually(lambda: harness.placement.announced)
    (said,) = harness.said()
    assert said == word(said)
    assert harness.placement.update(frozenset())  # it knows enough to place the shards
    assert harness.placement.ours == 4
    assert harness.shards.follows == 2  # once it knew its part, and once it may speak


async def test_it_is_silent_until_it_has_listened_for_long_enough(harness):
    """Nobody gives it a shard that it can't take yet, and it gives itself none."""
    harness.peers.begun(0.0)
    harness.announcer.start()
    await eventually(lambda: harness.announcer._task is not None)
    assert not harness.placement.update(frozenset())
    assert (harness.said(), harness.shards.follows) == ([], 0)
    harness.clock.advance(1.0)
    await eventually(lambda: harness.said())


async def test_it_reads_what_it_will_be_given_before_anybody_hears_of_it(harness):
    """It knows its part then, and the others don't."""
    harness.shards.read = False
    harness.listen()
    harness.announcer.start()
    await eventually(lambda: harness.shards.follows == 1)
    assert (harness.said(), harness.placement.announced) == ([], False)
    harness.shards.read = True
    await eventually(lambda: harness.placement.announced)
    (said,) = harness.said()
    assert said == word(said)


async def test_a_log_that_cannot_be_read_does_not_keep_it_away_for_ever(harness):
    """The others' shards need it all the same."""
    harness.shards.read = False
    harness.listen()
    harness.announcer.start()
    await eventually(lambda: harness.shards.follows == 1)
    harness.clock.advance(READING_S)
    await eventually(lambda: harness.placement.announced)


async def test_goodbye_is_the_last_word_and_says_how_far_we_have_got(harness):
    """The next speakers go on from there; and this router wants nothing any more."""
    harness.listen()
    harness.announcer.start()
    await eventually(lambda: harness.placement.announced)
    await harness.announcer.leave()
    said, goodbye = harness.said()[-2:]
    assert (said, goodbye) == (word(said), RouterLeaving("r1"))
    assert harness.placement.update(frozenset({"r1", "r2"}))
    assert harness.placement.routers == {"r2"}
    assert harness.shards.follows == 3


async def test_who_was_never_announced_says_no_goodbye(harness):
    """Nobody knows of it."""
    harness.announcer.start()
    await harness.announcer.leave()
    assert harness.said() == []
