"""Outlet: batches to gateways, confirmed or given up."""

import asyncio

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from tests.support.eventually import eventually
from tests.support.scripted_bus import ManualClock, ScriptedBus

from router.core.plan import Plan
from router.shell.outlet import DISTRUST_S, Outlet
from router.shell.steady import Steady
from warren import envelope as wire
from warren.batch import BatchLimits
from warren.envelope import decode
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.metrics import RouterMetrics
from warren.telemetry import Tracing, trace_id
from warren.topology import Topology

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Stand:
    def __init__(self, limits=None, tracing=None):
        self.bus, self.clock = ScriptedBus(), ManualClock()
        self.metrics = RouterMetrics(CollectorRegistry())
        self.suspected = []
        self.living = frozenset(("g1", "g2"))
        self.outlet = Outlet(
            self.bus,
            Topology(),
            Steady(self.bus),
            self.clock,
            self.metrics,
            tracing or Tracing("router"),
            limits or BatchLimits(),
            living=lambda: self.living,
            suspect=self.suspected.append,
            suspected=lambda key: key not in self.living or key in self.suspected,
        )

    def counted(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"warren_router_{name}", labels)


def say(seq, room="a", **more):
    return wire.Deliver(room, "e", seq, "CHAT", b"1", 1, **more)


def heard(bus, key):
    return [envelope for published in bus.published if published.key == key for envelope in decode(published.body)]


async def test_each_gateway_gets_one_batch_of_its_own():
    """Mandatory, not persistent, in order; what is for all goes by the key for all."""
    stand = Stand()
    await stand.outlet.send(Plan(every=[say(9)], each={"g1": [say(1), say(2)], "g2": [say(1)]}))
    assert sorted(stand.bus.keys()) == ["all", "g1", "g2"]
    assert heard(stand.bus, "g1") == [say(1), say(2)]
    assert all(published.mandatory and not published.persistent for published in stand.bus.published)
    assert stand.counted("delivered_total", to="one") == 3
    assert stand.counted("delivered_total", to="all") == 1


async def test_it_returns_only_when_all_is_confirmed():
    """As long as one gateway's publish is under way the plan is not done."""
    stand = Stand()
    stand.bus.held = True
    sending = asyncio.create_task(stand.outlet.send(Plan(each={"g1": [say(1)], "g2": [say(1)]})))
    await eventually(lambda: len(stand.bus.published) == 2)
    assert not sending.done()
    stand.bus.release()
    await sending


async def test_an_unreachable_gateway_is_suspected_and_not_waited_for():
    """It is tried once more, counted, and the others get theirs; from then on everything for it is tried once."""
    stand = Stand()
    stand.bus.script("g1", *[Unroutable()] * 3)
    await stand.outlet.send(Plan(each={"g1": [say(1), say(2)], "g2": [say(1)]}))
    assert stand.suspected == ["g1"]
    assert stand.bus.keys().count("g1") == 2
    assert heard(stand.bus, "g2") == [say(1)]
    assert stand.counted("rejected_total", reason="egress_unroutable") == 2
    await stand.outlet.send(Plan(each={"g1": [say(3)]}))
    assert stand.bus.keys().count("g1") == 3


async def test_a_gateway_that_is_back_in_a_moment_has_lost_nothing():
    """Its new queue is there at the second try."""
    stand = Stand()
    stand.bus.script("g1", Unroutable())
    await stand.outlet.send(Plan(each={"g1": [say(1)]}))
    assert (stand.bus.keys(), stand.suspected) == (["g1", "g1"], [])


async def test_a_publish_whose_fate_is_not_known_is_repeated():
    """A few times; then it is given up and its gateway is suspected."""
    stand = Stand()
    stand.bus.script("g1", NotConfirmed(), NotConfirmed())
    await stand.outlet.send(Plan(each={"g1": [say(1)]}))
    assert (stand.bus.keys(), stand.suspected) == (["g1"] * 3, [])
    stand.bus.script("g1", *[NotConfirmed()] * 3)
    await stand.outlet.send(Plan(each={"g1": [say(2)]}))
    assert (len(stand.bus.published), stand.suspected) == (6, ["g1"])
    assert stand.counted("rejected_total", reason="egress_not_confirmed") == 1


async def test_while_the_broker_is_away_it_waits():
    """Nothing was sent, so nothing is given up, however often."""
    stand = Stand()
    stand.bus.script("g1", *[BusUnavailable()] * 4)
    await stand.outlet.send(Plan(each={"g1": [say(1)]}))
    assert (len(stand.bus.published), stand.suspected) == (5, [])


async def test_one_copy_for_all_that_is_not_confirmed_goes_to_each_by_itself():
    """And one copy for all is not trusted for a while."""
    stand = Stand()
    stand.bus.script("all", NotConfirmed())
    stand.bus.script("g2", Unroutable(), Unroutable())
    assert stand.outlet.whole
    await stand.outlet.send(Plan(every=[say(1)]))
    assert stand.bus.keys() == ["all", "g1", "g2", "g2"]
    assert heard(stand.bus, "g1") == [say(1)]
    assert stand.suspected == ["g2"]
    assert not stand.outlet.whole
    stand.clock.advance(DISTRUST_S)
    assert stand.outlet.whole


async def test_a_full_buffer_makes_the_plan_wait_and_loses_nothing():
    """Order is kept though only two may wait at a time."""
    stand = Stand(BatchLimits(batch_count=1, waiting_count=2))
    await stand.outlet.send(Plan(each={"g1": [say(seq) for seq in range(1, 30)]}))
    assert [message.seq for message in heard(stand.bus, "g1")] == list(range(1, 30))


async def test_the_buffers_of_gateways_that_are_gone_are_forgotten():
    """So that notifications to connections that never were leave nothing behind."""
    stand = Stand()
    await stand.outlet.send(Plan(every=[say(1)], each={f"ghost{number}": [say(1)] for number in range(20)}))
    await stand.outlet.send(Plan(each={"g1": [say(1)]}))
    stand.outlet.tidy()
    assert set(stand.outlet._batchers) == {"g1"}


async def test_a_buffer_in_use_is_not_forgotten():
    """As long as something is under way there, order needs it."""
    stand = Stand()
    stand.bus.held = True
    sending = asyncio.create_task(stand.outlet.send(Plan(each={"ghost": [say(1)]})))
    await eventually(lambda: stand.bus.published)
    stand.outlet.tidy()
    assert set(stand.outlet._batchers) == {"ghost"}
    assert stand.metrics.registry.get_sample_value("warren_router_waiting", {"buffer": "egress"}) == 1
    stand.bus.release()
    await sending


async def test_a_sampled_message_has_a_span_for_each_gateway():
    """The copies carry their own span's context; an unsampled message opens nothing."""
    exporter = InMemorySpanExporter()
    tracing = Tracing("router", processor=SimpleSpanProcessor(exporter))
    stand = Stand(tracing=tracing)
    await stand.outlet.send(Plan(each={"g1": [say(1), say(2, trace=TRACE, id="m")], "g2": [say(2, trace=TRACE)]}))
    spans = exporter.get_finished_spans()
    carried = [message.trace for key in ("g1", "g2") for message in heard(stand.bus, key) if message.trace]
    assert sorted(f"{span.context.span_id:016x}" for span in spans) == sorted(trace[36:52] for trace in carried)
    assert {trace_id(trace) for trace in carried} == {trace_id(TRACE)}
    assert heard(stand.bus, "g1")[0].trace == ""
    tracing.shutdown()


async def test_close_gives_up_what_waits():
    """Whoever waits for it is told by a cancellation."""
    stand = Stand()
    stand.bus.held = True
    sending = asyncio.create_task(stand.outlet.send(Plan(each={"g1": [say(1)]})))
    await eventually(lambda: stand.bus.published)
    await stand.outlet.close()
    with pytest.raises(asyncio.CancelledError):
        await sending
