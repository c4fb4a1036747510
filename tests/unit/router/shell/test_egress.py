"""Egress: one batch under way for each gateway over all shards, and chains that go back where one fails."""

import asyncio
from collections import deque

import pytest
import pytest_asyncio
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.eventually import eventually
from tests.support.router_context import router_context
from tests.support.scripted_bus import ManualClock, ScriptedBus

from router.core.gateway_leases import GatewayLeases
from router.shell import egress as module
from router.shell.egress import ANSWERS, ANSWERS_BYTES, BODIES, BODIES_BYTES, IDLE_S, Egress
from warren.batch import BatchLimits, Pace
from warren.envelope import (
    Bodies,
    Deliver,
    Feed,
    LifeEnded,
    Named,
    Page,
    ProgressQuery,
    Speaker,
    decode,
    size_of,
)
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.position import LogPosition
from warren.telemetry import Tracing, trace_id
from warren.topology import ALL

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def say(seq, **more):
    return Deliver("a", "e", seq, "CHAT", b"1", 1, **more)


class Chains:
    """Feeds as a list for each gateway: what was lost comes again."""

    def __init__(self, shard):
        self.shard = shard
        self.pending = {}
        self.sent = {}
        self.bodies = deque()
        self.told = []

    def answers(self):
        told, self.told = self.told, []
        return told

    def put(self, gateway, item):
        offset = len(self.pending.setdefault(gateway, [])) + len(self.sent.setdefault(gateway, []))
        self.pending[gateway].append((offset, 1, item))

    def dirty(self):
        return {gateway for gateway, items in self.pending.items() if items}

    def next_bodies(self):
        return self.bodies.popleft() if self.bodies else None

    def next(self, gateway, max_bytes):
        items = self.pending.get(gateway)
        if not items:
            return None
        taken = items[:2] if max_bytes < 1_000 else list(items)
        del items[: len(taken)]
        after = LogPosition("life", taken[0][0] - 1, 1)
        self.sent[gateway] += taken
        return Feed("r1", self.shard, 1, 0, after, LogPosition("life", taken[-1][0], 1), tuple(taken))

    def unanswered(self):
        return ["none"]

    def idle(self, gateway):
        place = LogPosition("life", 99, 1)
        return Feed("r1", self.shard, 1, 0, place, place, ())

    def lost(self, gateway, after):
        again = [item for item in self.sent[gateway] if item[0] > after.offset]
        self.sent[gateway] = [item for item in self.sent[gateway] if item[0] <= after.offset]
        self.pending[gateway] = again + self.pending[gateway]


class Harness:
    def __init__(self, limits=None, tracing=None, pace=None):
        self.bus, self.clock = ScriptedBus(), ManualClock()
        context = router_context(self.bus, clock=self.clock, tracing=tracing)
        self.metrics = context.metrics
        self.gateways = GatewayLeases(5.0)
        for gateway in ("g1", "g2"):
            self.gateways.meet(gateway, 0.0)
        self.egress = Egress(context, self.gateways, limits or BatchLimits(), pace or Pace(0.0, float))
        self.feeds = [Chains(0), Chains(1)]
        for shard, feeds in enumerate(self.feeds):
            self.egress.speak(shard, feeds)

    def put(self, shard, gateway, *items):
        for item in items:
            self.feeds[shard].put(gateway, item)
        self.egress.flush(shard)

    def suspected(self):
        """Return the gateways whose leases were shortened."""
        return [name for name, lease in self.gateways._leases.items() if lease.shortened]

    def heard(self, key):
        return [decode(published.body) for published in self.bus.published if published.key == key]

    def items(self, key):
        return [item for batch in self.heard(key) for feed in batch for _, _, item in feed.items]

    def counted(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"warren_router_{name}", labels)


@pytest_asyncio.fixture
async def harness(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    harness = Harness()
    yield harness
    harness.bus.release()
    await harness.egress.close()


async def test_an_idle_gateway_is_sent_to_at_once_and_a_busy_one_all_that_has_come_since(harness):
    """Over all shards in one publish; mandatory, not persistent."""
    harness.bus.held = True
    harness.put(0, "g1", say(1))
    await eventually(lambda: harness.items("g1") == [say(1)])
    harness.put(0, "g1", say(2), say(3))
    harness.put(1, "g1", say(4))
    harness.put(1, "g2", say(4))
    await eventually(lambda: harness.items("g2") == [say(4)])
    assert len(harness.heard("g1")) == 1
    harness.bus.release()
    await eventually(lambda: len(harness.heard("g1")) == 2)
    assert [feed.shard for feed in harness.heard("g1")[1]] == [0, 1]
    assert harness.items("g1") == [say(1), say(2), say(3), say(4)]
    assert {(each.exchange, each.mandatory, each.persistent) for each in harness.bus.published} == {
        ("warren.egress", True, False)
    }
    await eventually(lambda: harness.counted("delivered_total", to="one") == 5)


async def test_what_does_not_fit_goes_with_the_next_one(harness):
    """The other shards have their turn before it."""
    await harness.egress.close()
    harness = Harness(BatchLimits(batch_bytes=900))
    for seq in range(1, 6):
        harness.feeds[0].put("g1", say(seq))
    harness.put(0, "g1")
    await eventually(lambda: len(harness.items("g1")) == 5)
    assert [len(batch[0].items) for batch in harness.heard("g1")] == [2, 2, 1]


@pytest.mark.parametrize(("batch_bytes", "batches"), [(900, 2), (9_000, 1)])
async def test_at_the_beat_of_a_process_that_is_pressed(harness, monkeypatch, batch_bytes, batches):
    """What comes meanwhile waits and goes together, unless more waits than goes at once."""
    await harness.egress.close()
    harness = Harness(BatchLimits(batch_bytes=batch_bytes))
    monkeypatch.setattr("warren.batch.Pacer.pause", lambda *_: 3_600.0)
    harness.bus.held = True
    for seq in range(1, 4):
        harness.feeds[0].put("g1", say(seq))
    harness.put(0, "g1")
    await eventually(lambda: harness.bus.published)
    harness.bus.release()
    await eventually(lambda: len(harness.items("g1")) == 3)
    harness.put(0, "g1", say(4))
    for _ in range(10):
        await asyncio.sleep(0)
    assert [len(batch[0].items) for batch in harness.heard("g1")] == ([2, 1] if batches == 2 else [3])
    await harness.egress.close()


async def test_how_long_what_is_for_a_gateway_waited_and_was_under_way_is_measured(harness):
    """For each shard's feed from its first entry on, and for each batch."""
    harness.bus.held = True
    harness.put(0, "g1", say(1))
    await eventually(lambda: harness.bus.published)
    harness.put(0, "g1", say(2))
    harness.clock.advance(2.0)
    harness.put(0, "g1", say(3))
    harness.put(1, "g1", say(4))
    harness.clock.advance(1.0)
    harness.bus.release()
    await eventually(lambda: harness.counted("hop_seconds_count", hop="egress") == 2)
    assert harness.counted("hop_seconds_sum", hop="egress") == 3.0
    assert harness.counted("hop_seconds_count", hop="egress_wait") == 3
    assert harness.counted("hop_seconds_sum", hop="egress_wait") == 3.0 + 1.0


async def test_an_empty_feed_is_no_wait(harness):
    """It only says how far the log is."""
    harness.clock.advance(10 * IDLE_S)
    harness.egress.idle(0, ["g1"])
    await eventually(lambda: harness.heard("g1"))
    assert harness.counted("hop_seconds_count", hop="egress_wait") is None


async def test_bodies_for_all_leave_before_the_feeds_that_name_them(harness):
    """Though a way to one gateway is about to go on with its next batch."""
    harness.bus.held = True
    harness.put(0, "g1", say(1))
    await eventually(lambda: harness.bus.published)
    harness.bus.release()  # the way goes on in the next turn, as does what is read in this one
    harness.feeds[0].bodies.append(Bodies(0, "life", ((5, 1, say(2)),)))
    harness.put(0, "g1", Named())
    harness.put(0, "g2", Named())
    await eventually(lambda: harness.items("g1") == [say(1), Named()] and harness.items("g2") == [Named()])
    assert harness.bus.keys()[1] == ALL
    assert harness.counted("delivered_total", to="all") == 1


async def test_a_publish_that_fails_is_sent_again_and_its_gateway_suspected(harness):
    """From where the chain was, with what has come since; the others are not held up."""
    harness.bus.script("g1", NotConfirmed(), Unroutable("?"))
    harness.put(0, "g1", say(1))
    harness.put(0, "g2", say(1))
    await eventually(lambda: len(harness.heard("g1")) == 3)
    assert harness.items("g1") == [say(1)] * 3
    assert harness.items("g2") == [say(1)]
    assert harness.suspected() == ["g1"]
    assert harness.counted("rejected_total", reason="egress_not_confirmed") == 1
    assert harness.counted("rejected_total", reason="egress_unroutable") == 1


async def test_a_gateway_that_is_heard_is_sent_to_at_once(harness, monkeypatch):
    """It had no queue for a while; the pause after the last failure ends. Another one's does not."""
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 3_600.0)
    harness.bus.script("g1", Unroutable("?"))
    harness.bus.script("g2", Unroutable("?"))
    harness.put(0, "g1", say(1))
    harness.put(0, "g2", say(1))
    await eventually(lambda: harness.suspected() == ["g1", "g2"])
    harness.egress.heard("g1")
    harness.egress.heard("nobody")
    await eventually(lambda: harness.items("g1") == [say(1)] * 2)
    assert harness.items("g2") == [say(1)]


async def test_while_the_broker_is_away_it_waits_and_suspects_nobody(harness):
    """Nothing was sent."""
    harness.bus.script("g1", *[BusUnavailable()] * 3)
    harness.put(0, "g1", say(1))
    await eventually(lambda: len(harness.heard("g1")) == 4)
    assert harness.suspected() == []


async def test_for_a_shard_that_we_speak_for_no_more_nothing_is_sent(harness):
    """Not even what had failed."""
    harness.bus.script("g1", NotConfirmed())
    harness.bus.held = True
    harness.put(0, "g1", say(1))
    await eventually(lambda: harness.bus.published)
    harness.egress.silence(0)
    harness.bus.release()
    await eventually(lambda: harness.egress._destinations["g1"].task is None)
    assert len(harness.bus.published) == 1


async def test_an_answer_is_sent_once(harness):
    """It is asked for again where it was lost; that there is no gateway at all is nothing amiss."""
    harness.bus.script("g1", NotConfirmed())
    harness.egress.tell("g1", LifeEnded(0, 1, 5))
    harness.egress.tell(ALL, Speaker("r1", 0))
    await eventually(lambda: not any(way.task for way in harness.egress._destinations.values()))
    assert harness.heard("g1") == [[LifeEnded(0, 1, 5)]]
    assert [(each.key, each.mandatory) for each in harness.bus.published] == [("g1", True), (ALL, False)]


async def test_answers_that_wait_are_bounded(harness):
    """The oldest go, and are counted."""
    harness.bus.held = True
    harness.egress.tell("g1", LifeEnded(0, 1, 0))
    await eventually(lambda: harness.bus.published)
    for number in range(ANSWERS + 3):
        harness.egress.tell("g1", LifeEnded(0, 1, number))
    assert harness.counted("rejected_total", reason="answer_dropped") == 3


def page(number, size):
    return Page("a", "e", 0, (Deliver("a", "e", 1, "CHAT", b"1" * size, 1),), True, True, number)


async def test_answers_that_wait_are_bounded_in_bytes(harness):
    """The oldest go, and are counted; one that is larger than the bound waits alone."""
    harness.bus.held = True
    harness.egress.tell("g1", LifeEnded(0, 1, 0))
    await eventually(lambda: harness.bus.published)
    mega = 1024 * 1024
    for number in range(ANSWERS_BYTES // mega + 1):
        harness.egress.tell("g1", page(number, mega))
    way = harness.egress._destinations["g1"]
    assert harness.counted("rejected_total", reason="answer_dropped") == 2
    assert way.answers[0][0].ref == 2
    assert way.answers_bytes == sum(size_of(envelope) for envelope, _ in way.answers) <= ANSWERS_BYTES
    harness.egress.tell("g1", page(99, ANSWERS_BYTES))
    assert [envelope.ref for envelope, _ in way.answers] == [99]
    harness.bus.release()
    await eventually(lambda: way.task is None)
    assert way.answers_bytes == 0


async def test_answers_that_do_not_fit_go_with_the_next_one(harness, monkeypatch):
    """One at least, in their order and without a pause; the feeds have their share of each batch."""
    await harness.egress.close()
    harness = Harness(BatchLimits(batch_bytes=2_000))
    monkeypatch.setattr("warren.batch.Pacer.pause", lambda *_: 3_600.0)
    for number, size in enumerate((500, 500, 500, 9_000, 10)):
        harness.egress.tell("g1", page(number, size))
    for seq in range(1, 3):
        harness.feeds[0].put("g1", say(seq))
    harness.put(0, "g1")
    await eventually(lambda: len(harness.heard("g1")) == 4)
    assert [[each.ref for each in batch if isinstance(each, Page)] for batch in harness.heard("g1")] == [
        [0, 1], [2], [3], [4],
    ]  # fmt: skip
    assert [item for _, _, item in harness.heard("g1")[0][-1].items] == [say(1), say(2)]
    await harness.egress.close()


async def test_beside_an_answer_that_fills_a_batch_the_feeds_have_their_share(harness):
    """However many answers wait."""
    await harness.egress.close()
    harness = Harness(BatchLimits(batch_bytes=2_000))
    for number in range(3):
        harness.egress.tell("g1", page(number, 9_000))
    harness.put(0, "g1", say(1))
    await eventually(lambda: len(harness.heard("g1")) == 3)
    assert [[type(each) for each in batch] for batch in harness.heard("g1")] == [[Page, Feed], [Page], [Page]]


async def test_an_answer_that_comes_up_in_place_of_a_feed_goes_at_once(harness, monkeypatch):
    """Where there is nothing else to send."""
    chains = harness.feeds[0]

    def reset(gateway, max_bytes):
        chains.pending.clear()
        chains.told.append((gateway, LifeEnded(0, 1, 5)))

    monkeypatch.setattr(chains, "next", reset)
    harness.put(0, "g1", say(1))
    await eventually(lambda: harness.egress._destinations["g1"].task is None)
    assert harness.heard("g1") == [[LifeEnded(0, 1, 5)]]


@pytest.mark.parametrize(("size", "fit"), [(1, BODIES), (1024 * 1024, BODIES_BYTES // (1024 * 1024 + 160))])
async def test_bodies_that_are_not_confirmed_are_bounded(harness, size, fit):
    """In number and in bytes: more are left out, and counted; the feeds that name them go on. Once some are
    confirmed others follow.
    """
    harness.bus.held = True
    bodies = Bodies(0, "life", ((5, 1, Deliver("a", "e", 1, "CHAT", b"1" * size, 1)),))
    harness.feeds[0].bodies.extend([bodies] * (fit + 3))
    harness.put(0, "g1", Named())
    await eventually(lambda: harness.items("g1") == [Named()])
    assert len(harness.heard(ALL)) == fit
    assert harness.counted("rejected_total", reason="bodies_dropped") == 3
    harness.bus.release()
    await eventually(lambda: not harness.egress._bodies and harness.egress._bodies_bytes == 0)
    harness.feeds[0].bodies.append(bodies)
    harness.put(0, "g1", Named())
    await eventually(lambda: len(harness.heard(ALL)) == fit + 1)


async def test_where_nothing_was_said_for_a_while_an_empty_feed_says_how_far_the_log_is(harness):
    """For each shard of which nothing was said, and not again at once; for who has no chain there is none."""

    async def idle():
        for shard in (0, 1):
            harness.egress.idle(shard, ["g1", "none"])
        await eventually(lambda: harness.egress._destinations["g1"].task is None)

    harness.put(0, "g1", say(1))
    await eventually(lambda: len(harness.heard("g1")) == 1)
    await idle()
    assert [(feed.shard, feed.items) for batch in harness.heard("g1")[1:] for feed in batch] == [(1, ())]
    await idle()
    harness.clock.advance(IDLE_S)
    await idle()
    assert [[feed.shard for feed in batch] for batch in harness.heard("g1")[2:]] == [[0, 1]]
    assert harness.heard("none") == []


async def test_what_the_feeds_have_to_answer_is_told(harness):
    """Besides the items."""
    harness.feeds[1].told.append(("g1", LifeEnded(1, 1, 5)))
    harness.put(1, "g2", say(1))
    await eventually(lambda: harness.heard("g1") == [[LifeEnded(1, 1, 5)]])


async def test_the_ways_to_gateways_that_are_gone_are_forgotten(harness):
    """But not one that is in use."""
    harness.bus.held = True
    harness.put(0, "g1", say(1))
    await eventually(lambda: harness.bus.published)
    harness.gateways.end("g1")
    harness.egress.tick()
    assert set(harness.egress._destinations) == {"g1"}
    harness.bus.release()
    await eventually(lambda: harness.egress._destinations["g1"].task is None)
    harness.gateways.meet("g1", 0.0)
    harness.egress.tick()
    assert set(harness.egress._destinations) == {"g1"}
    harness.gateways.end("g1")
    harness.egress.tick()
    assert harness.egress._destinations == {}


async def test_a_sampled_message_has_a_span_for_each_gateway_and_one_for_all():
    """The copies carry their own span's context; an unsampled message opens nothing."""
    exporter = InMemorySpanExporter()
    tracing = Tracing("router", processor=SimpleSpanProcessor(exporter))
    harness = Harness(tracing=tracing)
    harness.feeds[0].bodies.append(Bodies(0, "life", ((5, 1, say(3, trace=TRACE)),)))
    harness.put(0, "g1", say(1), say(2, trace=TRACE, id="m"), Named())
    harness.put(0, "g2", say(2, trace=TRACE))
    await eventually(lambda: len(exporter.get_finished_spans()) == 3)
    carried = [
        item.trace for key in ("g1", "g2") for item in harness.items(key) if getattr(item, "trace", "")
    ]
    ((bodies,),) = harness.heard(ALL)
    carried.append(bodies.messages[0][2].trace)
    spans = exporter.get_finished_spans()
    assert sorted(f"{span.context.span_id:016x}" for span in spans) == sorted(
        trace[36:52] for trace in carried
    )
    assert {trace_id(trace) for trace in carried} == {trace_id(TRACE)}
    assert harness.items("g1")[0].trace == ""
    await harness.egress.close()
    tracing.shutdown()


async def test_a_question_goes_behind_what_the_feeds_have(harness):
    """So that its answer counts that too; once, however often it is asked meanwhile, and by itself where there
    is nothing else.
    """
    harness.bus.held = True
    harness.put(0, "g1", say(1))
    await eventually(lambda: len(harness.heard("g1")) == 1)
    for _ in range(3):
        harness.egress.ask("g1", ProgressQuery("r1", 0))
    harness.put(0, "g1", say(2))
    harness.egress.tell("g1", Speaker("r1", 0))
    harness.bus.release()
    await eventually(lambda: len(harness.heard("g1")) == 2)
    first, feed, last = harness.heard("g1")[1]
    assert (first, last) == (Speaker("r1", 0), ProgressQuery("r1", 0))
    assert [item for _, _, item in feed.items] == [say(2)]
    harness.egress.ask("g1", ProgressQuery("r1", 0))
    await eventually(lambda: list(map(list, harness.heard("g1")[2:])) == [[ProgressQuery("r1", 0)]])
