"""Installation: samples are taken in time, and questions answered from what is known."""

from itertools import pairwise

from tests.support.router_context import router_context
from tests.support.scripted_bus import ManualClock, ScriptedBus

from router.core.control_problems import Problem
from router.core.peers import Peers, PeerTimes
from router.core.samples import EVERY_MS
from router.shell.installation import Installation
from warren.contract.installation import Gateways, Overview, Samples, ShardList
from warren.envelope import Heartbeat
from warren.topology import Topology


class Harness:
    def __init__(self):
        self.bus, self.clock = ScriptedBus(), ManualClock()
        self.peers = Peers("r1", PeerTimes())
        context = router_context(self.bus, clock=self.clock, topology=Topology(shards=5))
        self.installation = Installation(context, self.peers)
        self.ask = self.installation.answer

    def listen(self):
        """Heartbeats are heard for as long as it takes to know everybody."""
        self.peers.begun(self.clock.monotonic())
        self.clock.advance(5.0)
        for name in ("g1", "g2", "g3"):
            self.peers.gateways.heartbeat(Heartbeat(name, 1, connections=2), self.clock.monotonic())

    def tick(self, seconds):
        self.clock.advance(seconds)
        self.installation.tick()


def test_samples_are_taken_every_two_seconds_once_everybody_was_heard():
    """Before that it would show fewer gateways than there are."""
    harness = Harness()
    harness.tick(10.0)
    assert harness.ask(Samples()).samples == []
    harness.listen()
    for _ in range(41):
        harness.tick(0.1)
    samples = harness.ask(Samples()).samples
    assert [later.at - sooner.at for sooner, later in pairwise(samples)] == [EVERY_MS] * (len(samples) - 1)
    assert len(samples) in (2, 3)
    assert {each.connections for each in samples} == {6}
    assert harness.ask(Samples(after=samples[0].at)).samples == samples[1:]


def test_what_this_router_sees_of_the_broker_is_told():
    """It is held back, or cut off."""
    harness = Harness()
    assert harness.ask(Overview()).broker == "up"
    harness.bus.blocked = True
    assert harness.ask(Overview()).broker == "blocked"
    harness.bus.up = False
    assert harness.ask(Overview()).broker == "away"


def test_lists_are_walked_by_their_cursors():
    """Each once, in order; the last page has none."""
    harness = Harness()
    harness.listen()
    found, cursor = [], ""
    while True:
        page = harness.ask(Gateways(limit=2, cursor=cursor))
        found += [each.gateway for each in page.gateways]
        cursor = page.next
        if not cursor:
            break
    assert found == ["g1", "g2", "g3"]
    found = []
    while True:
        page = harness.ask(ShardList(limit=2, cursor=cursor))
        found += [each.shard for each in page.shards]
        cursor = page.next
        if not cursor:
            break
    assert found == [0, 1, 2, 3, 4]


def test_a_cursor_that_was_not_given_out_is_refused():
    """With where it stands; a gateway's is none of a shard."""
    harness = Harness()
    for body in (
        Gateways(cursor="§"),
        ShardList(cursor="§"),
        ShardList(cursor="ZzE="),
        ShardList(cursor="OTk5OTk5OTk5OTk5"),
    ):
        answer = harness.ask(body)
        assert isinstance(answer, Problem)
        assert answer.faults[0].pointer == "/cursor"
