"""PeerInbox: heartbeats, goodbyes and questions, to whom they concern."""

from functools import partial

from tests.support.eventually import eventually
from tests.support.router_context import router_context
from tests.support.router_peers import ListedShards
from tests.support.scripted_bus import Delivered, ManualClock, ScriptedBus

from router.core.peers import Peers, PeerTimes
from router.core.placement import Placement
from router.shell.peer_inbox import PREFETCH, PeerInbox
from router.shell.peer_messages import PeerMessages
from router.shell.receipt_replies import ReceiptReplies
from router.shell.router_calls import RouterCalls
from router.shell.stale_queues import StaleQueues
from warren.address import shard_of
from warren.envelope import (
    AccessQuery,
    Ack,
    CommandResult,
    Counts,
    Heartbeat,
    HistoryQuery,
    Leaving,
    Number,
    PresenceQuery,
    Read,
    RouterHeartbeat,
    RouterLeaving,
    SpeakerProgress,
    encode,
)
from warren.own_queue import OwnQueue
from warren.topology import Topology


class Harness:
    def __init__(self):
        self.bus, self.clock, self.topology = ScriptedBus(), ManualClock(), Topology(shards=2)
        self.peers = Peers("r1", PeerTimes(5.0, 1.5, 1 / 3))
        self.gateways, self.routers = self.peers.gateways, self.peers.routers
        context = router_context(self.bus, clock=self.clock, topology=self.topology)
        self.metrics = context.metrics
        self.stale_queues = StaleQueues(self.bus, self.topology)
        self.queue = OwnQueue(self.bus, partial(self.topology.router_queue, "r1"), prefetch=PREFETCH)
        self.shards = ListedShards(2)
        self.receipts = ReceiptReplies(context, 5.0)
        self.calls = RouterCalls("r1", Placement("r1", 2), PeerMessages(context), self.metrics)
        self.inbox = PeerInbox(
            context, self.queue, self.peers, self.shards, self.stale_queues, self.receipts, self.calls
        )

    def listening_s(self):
        return self.peers.listening_s(self.clock.monotonic())

    async def start(self):
        await self.inbox.start()
        (self.subscription,) = self.bus.subscriptions
        return self

    def hear(self, *envelopes, body=None):
        delivery = Delivered(body if body is not None else encode(envelopes))
        self.subscription.deliver(delivery)
        assert delivery.fate == "acked"

    def rejected(self):
        return self.metrics.registry.get_sample_value("warren_router_rejected_total", {"reason": "inbox"})


async def test_it_listens_from_when_its_queue_is_consumed():
    """The time counts anew after each loss; a lost inbox does not listen."""
    harness = Harness()
    assert harness.listening_s() < 0
    await harness.start()
    harness.clock.advance(2.0)
    assert harness.listening_s() == 2.0
    harness.subscription.lose()
    assert harness.listening_s() < 0
    harness.subscription.start()
    assert harness.listening_s() == 0.0


async def test_whenever_it_listens_anew_the_gateways_are_asked():
    """What they said meanwhile is lost, and they would ask again less and less often."""
    harness = await Harness().start()
    before = harness.shards.asks
    harness.subscription.lose()
    harness.subscription.start()
    assert harness.shards.asks == before + 1


async def test_a_question_goes_to_the_shard_that_it_is_about():
    """A number, a read and counts name it; a query is about a room. One that does not exist is nobody's."""
    harness = await Harness().start()
    number, read = Number("g1", 1, 3, None), Read("g1", 0, "a", "e", 1, 2, 5)
    counts = Counts("g1", 1, "a", "e", 1, 2)
    query, presence = HistoryQuery("a", "g1~1", "ref"), PresenceQuery("a", "g1~1", "ref")
    access = AccessQuery("g1~1", "ann")
    harness.hear(access)
    (asked,) = harness.shards[shard_of("@ann", 2)].heard
    assert asked == access
    harness.shards[shard_of("@ann", 2)].heard.clear()
    harness.hear(
        counts, number, read, query, presence, Number("g1", 2, 3, None), Read("g1", -1, "a", "e", 1, 2, 5)
    )
    others = 1 - shard_of("a", 2)
    assert [asked for shard in harness.shards for asked in shard.heard if asked == query] == [query]
    assert harness.shards[1 - others].heard[-2:] == [query, presence]
    assert query not in harness.shards[others].heard
    assert [each for each in harness.shards[1].heard if each in (counts, number)] == [counts, number]
    assert read in harness.shards[0].heard
    assert sum(len(shard.heard) for shard in harness.shards) == 5


async def test_a_lease_ends_only_for_who_could_be_heard():
    """A lost queue and a broker that takes nothing from anyone give each a whole lease afterwards."""
    harness = await Harness().start()
    harness.hear(Heartbeat("g1", 1), RouterHeartbeat("r2", 1))
    harness.subscription.lose()
    harness.clock.advance(60.0)
    harness.inbox.tick()
    harness.subscription.start()
    harness.bus.blocked = True
    for _ in range(10):
        harness.clock.advance(4.0)
        harness.inbox.tick()
    assert harness.listening_s() == 0.0  # what it has heard since then is all that counts
    harness.bus.blocked = False
    harness.clock.advance(1.4)
    harness.inbox.tick()
    assert (harness.gateways.living, harness.routers.living) == ({"g1"}, {"r2"})
    harness.clock.advance(4.0)
    harness.inbox.tick()
    assert (harness.gateways.living, harness.routers.living) == (frozenset(), frozenset())


async def test_who_does_not_hear_itself_takes_nobody_for_dead():
    """Its connection is open and carries nothing, or it stood still itself: all have a whole lease from when
    something comes again.
    """
    harness = await Harness().start()
    harness.hear(RouterHeartbeat("r1", 1), RouterHeartbeat("r2", 1), Heartbeat("g1", 1))
    harness.clock.advance(60.0)
    harness.inbox.tick()
    assert (harness.gateways.living, harness.routers.living, harness.listening_s()) == (
        {"g1"},
        {"r1", "r2"},
        0.0,
    )
    for _ in range(4):  # it hears itself again, and nobody else
        harness.clock.advance(0.9)
        harness.hear(RouterHeartbeat("r1", 1))
        harness.inbox.tick()
    assert (harness.gateways.living, harness.routers.living) == ({"g1"}, {"r1"})


async def test_what_a_router_says_to_itself_is_no_sign_that_others_can_be_heard():
    """It is dealt with, and what fails in it is counted; who lives is not judged by it."""
    harness = await Harness().start()
    harness.hear(RouterHeartbeat("r1", 1), RouterHeartbeat("r2", 1))
    result = harness.calls.result("@ann", "m")
    for _ in range(4):
        harness.clock.advance(0.9)
        harness.inbox.take_own([CommandResult("m", "@ann", b"{}"), Ack("g1~1", "a", "m", "", 1)])
        harness.inbox.tick()
    assert result.result() == b"{}"
    assert harness.rejected() == 4
    assert harness.routers.living == {"r1", "r2"}


async def test_the_doors_of_the_dead_are_closed():
    """Of a gateway and of a router whose lease has ended, and of a gateway's former life; a late word of it
    names no guard exchange.
    """
    harness = await Harness().start()
    gateway, router = (harness.topology.gateway_queue, harness.topology.router_queue)
    first, second, third = gateway("g1", "1")[0].name, gateway("g1", "2")[0].name, router("r2", "1")[0].name
    harness.hear(Heartbeat("g1", 1, queue=first), RouterHeartbeat("r2", 1, third))
    harness.hear(Heartbeat("g1", 2, queue=second), Heartbeat("g1", 1, queue=first))
    await eventually(lambda: harness.bus.retired == [first])
    harness.clock.advance(5.0)
    harness.inbox.tick()
    await eventually(lambda: sorted(harness.bus.retired[1:]) == sorted([second, third]))


async def test_a_router_that_nothing_reaches_listens_anew():
    """Renewed it consumes another queue; nobody's lease ends for what could not be heard, and its own guard exchange
    is not another's to delete.
    """
    harness = await Harness().start()
    former = harness.queue.name
    harness.hear(RouterHeartbeat("r1", 1, former), Heartbeat("g1", 1))
    harness.queue.renew("unreachable")
    assert harness.queue.name not in ("", former)
    assert harness.listening_s() == 0.0
    harness.clock.advance(4.9)
    harness.inbox.tick()
    assert (harness.routers.living, harness.gateways.living) == (frozenset(), {"g1"})
    assert harness.bus.retired == []


async def test_a_router_behind_whose_inbox_nobody_is_is_gone_at_once():
    """As one whose lease has ended: its guard exchange is deleted, and the shards are placed anew; once."""
    harness = await Harness().start()
    guard = harness.topology.router_queue("r2", "1")[0].name
    harness.hear(RouterHeartbeat("r2", 1, guard))
    moved = harness.shards.follows
    harness.inbox.unreachable("r2")
    harness.inbox.unreachable("r2")
    assert (harness.routers.living, harness.shards.follows) == (frozenset(), moved + 1)
    await eventually(lambda: harness.bus.retired == [guard])


async def test_a_gateway_that_says_bye_is_gone_at_once():
    """And its guard exchange with it."""
    harness = await Harness().start()
    harness.hear(Heartbeat("g1", 1, queue=harness.topology.gateway_queue("g1", "1")[0].name))
    harness.hear(Leaving("g1"))
    assert harness.gateways.living == frozenset()
    assert harness.stale_queues._known == {}


async def test_routers_come_and_go_and_say_how_far_they_have_got():
    """Whoever places the shards is told each time, also of what they say: who waits for the next speaker
    hears it there.
    """
    harness = await Harness().start()
    harness.hear(
        RouterHeartbeat("r1", 1), RouterHeartbeat("r2", 1, shards=(SpeakerProgress(1, "life", 9, 5),))
    )
    assert (harness.routers.living, harness.shards.follows) == ({"r1", "r2"}, 2)
    assert harness.routers.speaking(1) == {"r2"}
    harness.hear(RouterLeaving("r2"), RouterLeaving("r2"))
    assert (harness.routers.living, harness.shards.follows) == ({"r1"}, 3)
    harness.clock.advance(1.5)
    harness.hear(Heartbeat("g1", 1))
    harness.inbox.tick()
    harness.inbox.tick()
    assert (harness.routers.living, harness.shards.follows) == (frozenset(), 4)


async def test_what_does_not_belong_here_is_counted_and_hurts_nothing():
    """Bytes that are no batch, and another kind."""
    harness = await Harness().start()
    harness.hear(body=b"\xc1")
    harness.hear(Ack("g1~1", "a", "x", "e", 1), Heartbeat("g1", 1))
    assert harness.rejected() == 2
    assert harness.gateways.living == {"g1"}


async def test_an_exception_does_not_end_the_listening(monkeypatch):
    """What comes after it is heard."""
    harness = await Harness().start()
    monkeypatch.setattr(harness.shards[0], "asked", lambda read: 1 / 0)
    harness.hear(Read("g1", 0, "a", "e", 1, 2, 5), Heartbeat("g2", 1))
    assert harness.rejected() == 1
    assert "g2" in harness.gateways.living


async def test_stopped_it_listens_no_more():
    """Its subscription is closed."""
    harness = await Harness().start()
    await harness.inbox.stop()
    assert not harness.subscription.active
    assert harness.listening_s() < 0
