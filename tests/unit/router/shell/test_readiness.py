"""RouterReadiness: what a router lacks, in words."""

from tests.support.router_context import router_context
from tests.support.router_peers import ListedShards
from tests.support.scripted_bus import ScriptedBus

from router.core.peers import Peers, PeerTimes
from router.core.placement import Placement
from router.shell.readiness import RouterReadiness
from warren.probes import Readiness


class Harness:
    def __init__(self):
        self.bus, self.shards = ScriptedBus(), ListedShards(4)
        self.peers, self.placement = Peers("r1", PeerTimes()), Placement("r1", 4)
        self.readiness = Readiness()
        context = router_context(self.bus)
        RouterReadiness(context, self.peers, self.placement, self.shards).register(self.readiness)

    def lacks(self, what):
        return self.readiness.reasons().get(what)


def test_a_new_router_says_how_far_it_is():
    """It listens, it reads, it takes its shards, and then it lacks nothing."""
    harness = Harness()
    assert harness.lacks("inbox") == "not listening yet"
    harness.peers.begun(0.0)
    assert harness.lacks("shards") == "listening to the other routers"
    harness.placement.listened()
    harness.placement.update(frozenset())
    assert harness.lacks("shards") == "reading the logs of its shards"
    harness.placement.announced, harness.shards.unprepared = True, 3
    assert harness.lacks("shards") == "3 of 4 shards are not taken yet"
    harness.shards.unprepared = 0
    assert harness.readiness.reasons() == {}


def test_a_broker_that_is_away_or_takes_nothing_is_said():
    """They are told apart, since other people mend them."""
    harness = Harness()
    harness.bus.blocked = True
    assert "alarm" in harness.lacks("bus")
    harness.bus.up = False
    assert harness.lacks("bus") == "the broker is away"


def test_an_outdated_router_is_never_ready_and_says_why():
    """Whatever else it lacks or has."""
    harness = Harness()
    harness.placement.announced = True
    harness.shards.outdated = "shard 3: update it"
    assert harness.lacks("shards") == "shard 3: update it"
