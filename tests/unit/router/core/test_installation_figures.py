"""InstallationFigures: what one router knows of the whole, from what all say in their heartbeats."""

from router.core.installation_figures import SILENT_TOLD, InstallationFigures, Moment
from router.core.message_rates import MessageRates
from router.core.peers import Peers, PeerTimes
from warren.envelope import (
    GatewayWaits,
    Heartbeat,
    RouterHeartbeat,
    ShardReading,
    SpeakerProgress,
)

NOW = 100.0
WALL_US = 1_764_000_000_000_000


class Heard:
    """Two gateways and two routers; ``r1`` is ours."""

    def __init__(self, shards=3, broker="up"):
        self.peers, self.rates, self.count, self.broker = (
            Peers("r1", PeerTimes()),
            MessageRates(),
            shards,
            broker,
        )
        for at, said in ((98.0, 0), (99.5, 30)):
            self.gateway("g1", at, connections=2, messages_in=said, messages_out=2 * said, lag_ms=4)
            self.gateway("g2", at, connections=1, lag_ms=9)
            self.rates.look(self.peers.gateways)
        self.router(
            "r1",
            speaks=[0],
            readings=[ShardReading(0, 50, 2, 5, 1, True), ShardReading(1, 30, 1, 1, 1)],
            gateways=[("g1", 3)],
            lag_ms=2,
        )
        self.router("r2", speaks=[1], readings=[ShardReading(1, 40, 4, 9, 2, True)], gateways=[("g1", 4)])

    def gateway(self, name, at=99.5, **figures):
        self.peers.gateways.heartbeat(Heartbeat(name, WALL_US - 5_000_000, rss_bytes=7, **figures), at)

    def router(self, name, *, speaks, readings, gateways=(), **more):
        beat = RouterHeartbeat(
            name,
            WALL_US - 9_000_000,
            shards=tuple(SpeakerProgress(shard, "l", 0, -1) for shard in speaks),
            readings=tuple(readings),
            gateways=tuple(GatewayWaits(*each) for each in gateways),
            **more,
        )
        self.peers.router_said(beat, 99.75)

    def figures(self):
        return InstallationFigures(
            "r1", self.count, self.peers, self.rates, Moment(NOW, WALL_US, self.broker)
        )


def test_the_sums_are_those_of_the_whole_installation():
    """Each shard counts once, by whoever has read most of it, whoever is asked."""
    told = Heard().figures().overview()
    assert (told.connections, told.gateways, told.in_rate, told.out_rate) == (3, 2, 20.0, 40.0)
    assert (told.rooms, told.members, told.users) == (6, 14, 3)
    assert (told.gateway_lag_ms, told.router_lag_ms, told.waiting) == (9, 2, 7)
    assert (told.shards, told.silent_shards, told.broker) == (3, [2], "up")


def test_routers_are_told_by_what_they_say_and_how_far_they_are_behind():
    """The one that answers is marked; who stands by is behind whoever speaks."""
    first, second = Heard().figures().overview().routers
    assert (first.router, first.answers, first.speaks, first.reads, first.behind) == ("r1", True, 1, 2, 10)
    assert (first.uptime, first.heard_ms, first.lag_ms) == (9, 250, 2)
    assert (second.router, second.answers, second.behind, second.lag_ms) == ("r2", False, 0, None)


def test_the_broker_is_as_the_worst_off_sees_it():
    """A router knows that it is cut off, and the others say where they are held back."""
    heard = Heard()
    heard.router("r2", speaks=[1], readings=[], blocked=True)
    assert heard.figures().overview().broker == "blocked"
    told = Heard(broker="away").figures().overview()
    assert (told.broker, [each.broker for each in told.routers]) == ("away", ["away", "up"])


def test_gateways_come_in_pages_by_name():
    """With their rates, and with what waits for them at all routers."""
    figures = Heard().figures()
    (first,), more = figures.gateways(1, "")
    assert (first.gateway, first.connections, first.in_rate, first.waiting) == ("g1", 2, 20.0, 7)
    assert (first.uptime, first.heard_ms, first.lag_ms, first.memory, more) == (5, 500, 4, 7, "g1")
    (second,), more = figures.gateways(1, "g1")
    assert (second.gateway, second.waiting, more) == ("g2", 0, "")


def test_shards_come_in_pages_with_who_speaks_for_them():
    """One that nobody reads is there too, and says so."""
    figures = Heard().figures()
    shards, more = figures.shards(2, -1)
    assert [(each.shard, each.speakers, each.standbys) for each in shards] == [
        (0, ["r1"], []),
        (1, ["r2"], ["r1"]),
    ]
    assert [(each.offset, each.behind, each.members) for each in shards] == [(50, 0, 5), (40, 10, 9)]
    assert more == "1"
    (last,), more = figures.shards(2, 1)
    assert (last.shard, last.speakers, last.offset, last.rooms, more) == (2, [], None, 0, "")


def test_an_older_router_says_nothing_of_that_and_a_wrong_one_breaks_nothing():
    """A shard that there is none of counts for nothing, and a list stays short."""
    heard = Heard(shards=400)
    heard.router("r3", speaks=[2, 4_000], readings=[ShardReading(4_000, 1), ShardReading(-1, 1)])
    told = heard.figures().overview()
    assert told.silent_shards == list(range(3, 3 + SILENT_TOLD))
    assert [each.behind for each in told.routers] == [10, 0, 0]


def test_a_sample_has_the_same_sums():
    """As of its own moment."""
    heard = Heard()
    told, sample = heard.figures().overview(), heard.figures().sample(2_000)
    assert (sample.at, sample.routers) == (2_000, 2)
    for name in ("connections", "users", "rooms", "members", "in_rate", "out_rate", "error_rate", "waiting"):
        assert getattr(sample, name) == getattr(told, name)
