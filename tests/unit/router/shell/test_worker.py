"""Worker: take, decide, egress, ack, in order, pipelined."""

import asyncio

import pytest_asyncio
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.eventually import eventually
from tests.support.router_ground import ground
from tests.support.scripted_bus import Delivered, ScriptedBus

from router.core.takeover import State
from router.shell.aside import Aside
from router.shell.outlet import Outlet
from router.shell.steady import Steady
from router.shell.worker import Worker, WorkLimits
from warren import envelope as wire
from warren.batch import BatchLimits
from warren.envelope import decode, encode
from warren.errors import NotConfirmed
from warren.telemetry import Tracing
from warren.topology import Topology

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Stand:
    def __init__(self, limits=None, tracing=None):
        self.topology = Topology(shards=1)
        self.bus = ScriptedBus()
        self.ground = ground()
        self.tracing = tracing or Tracing("router")
        steady = Steady(self.bus)
        self.outlet = Outlet(
            self.bus, self.topology, steady, self.ground.clock, self.ground.metrics, self.tracing, BatchLimits(),
            living=lambda: self.ground.gateways.living, suspect=lambda _: None,
        )  # fmt: skip
        aside = Aside(steady, self.topology.dead, self.ground.metrics)
        self.worker = Worker(0, self.ground, self.outlet, aside, self.tracing, limits or WorkLimits())
        self.deliveries = []
        self.order = []

    async def live(self):
        """Make the shard live with one member."""
        self.ground.gateways.heartbeat(wire.Heartbeat("g1", 1), 0.0)
        self.worker.start()
        self.give(wire.Join("a", "g1~1", "u"))
        (ask,) = await eventually(lambda: self.heard(wire.Ask))
        self.worker.possession.announced(wire.Announce("g1", 0, ask.term, (), True, ask.ref))
        await eventually(lambda: self.deliveries[0].fate == "acked")
        self.bus.published.clear()

    def give(self, *envelopes, body=None):
        delivery = Delivered(body if body is not None else encode(envelopes))
        number = len(self.deliveries)
        delivery.on_ack = lambda: self.order.append(number)
        self.deliveries.append(delivery)
        self.worker.delivered(delivery)
        return delivery

    def heard(self, kind):
        return [
            envelope
            for published in self.bus.published
            if published.exchange == self.topology.egress
            for envelope in decode(published.body)
            if isinstance(envelope, kind)
        ]

    def dead(self):
        return [published for published in self.bus.published if published.exchange == self.topology.dead]


def say(number, **more):
    return wire.Publish("a", "CHAT", b"%d" % number, 1, "g1~1", "u", f"m{number}", **more)


@pytest_asyncio.fixture
async def stand():
    stand = Stand()
    yield stand
    stand.bus.release()
    await stand.worker.kill()
    await stand.outlet.close()


async def test_what_comes_before_the_shard_is_live_waits_unacknowledged(stand):
    """Then it is applied in its order, and acknowledged."""
    stand.ground.gateways.heartbeat(wire.Heartbeat("g1", 1), 0.0)
    stand.worker.start()
    early = [stand.give(wire.Join("a", "g1~1", "u")), stand.give(say(1)), stand.give(say(2))]
    (ask,) = await eventually(lambda: stand.heard(wire.Ask))
    assert (stand.worker.waiting, [delivery.fate for delivery in early]) == (3, ["", "", ""])
    stand.worker.possession.announced(wire.Announce("g1", 0, ask.term, (), True, ask.ref))
    await eventually(lambda: stand.order == [0, 1, 2])
    assert [message.payload for message in stand.heard(wire.Deliver)] == [b"1", b"2"]


async def test_a_delivery_is_acknowledged_only_when_its_egress_is_confirmed(stand):
    """The next one is decided meanwhile, but leaves only after that."""
    await stand.live()
    stand.bus.held = True
    first = stand.give(say(1))
    await eventually(lambda: len(stand.bus.published) == 1)
    second = stand.give(say(2))
    await eventually(lambda: stand.worker.waiting == 0)  # it has been decided
    assert (first.fate, second.fate, len(stand.bus.published)) == ("", "", 1)
    stand.bus.release()
    await eventually(lambda: second.fate == "acked")
    assert [message.seq for message in stand.heard(wire.Deliver)] == [1, 2]
    assert stand.order == [0, 1, 2]


async def test_what_waits_goes_as_one_batch(stand):
    """Ten deliveries that came during a publish leave as one more, or two."""
    await stand.live()
    stand.bus.held = True
    stand.give(say(0))
    await eventually(lambda: len(stand.bus.published) == 1)
    last = [stand.give(say(number)) for number in range(1, 11)][-1]
    stand.bus.release()
    await eventually(lambda: last.fate == "acked")
    assert len(stand.bus.published) <= 3
    assert [message.payload for message in stand.heard(wire.Deliver)] == [b"%d" % number for number in range(11)]


async def test_a_batch_is_bounded():
    """Of many deliveries that wait, as many are decided at once as the limit says."""
    bounded = Stand(WorkLimits(count=2))
    await bounded.live()
    last = [bounded.give(say(number)) for number in range(6)][-1]
    await eventually(lambda: last.fate == "acked")
    sizes = [len(decode(published.body)) for published in bounded.bus.published]
    assert max(sizes) == 4  # two messages and their ACKs
    await bounded.worker.kill()


async def test_what_was_decided_before_a_loss_is_not_carried_out(stand):
    """The broker gives those deliveries to the next owner, so they are not acknowledged and nothing of them leaves."""
    await stand.live()
    stand.bus.held = True
    stand.give(say(1))
    await eventually(lambda: len(stand.bus.published) == 1)
    decided, waiting = stand.give(say(2)), None
    await eventually(lambda: stand.worker.waiting == 0)
    waiting = stand.give(say(3))
    stand.worker.lost()
    assert stand.worker.possession.state is State.IDLE
    stand.bus.release()
    again = stand.give(wire.Leave(("z",), "g1~1", "r"))
    await eventually(lambda: stand.heard(wire.Ask))
    assert (decided.fate, waiting.fate, again.fate) == ("", "", "")
    assert [message.payload for message in stand.heard(wire.Deliver)] == [b"1"]


async def test_spoilt_parts_are_set_aside_and_the_rest_goes_on(stand):
    """The whole batch's bytes are kept for the part that can't be read; the delivery is acknowledged after that."""
    await stand.live()
    body = b"\x92\x01\x92\xa1x" + encode([say(1)])[3:]
    stand.bus.script("", NotConfirmed())
    delivery = stand.give(body=body)
    await eventually(lambda: delivery.fate == "acked")
    assert [message.payload for message in stand.heard(wire.Deliver)] == [b"1"]
    assert [kept.body for kept in stand.dead()] == [body, body]  # the first was not confirmed
    assert stand.dead()[0].properties.headers == {
        "x-warren-shard": 0,
        "x-warren-reason": "malformed: 1 of 2 parts are no envelopes",
    }


async def test_an_exception_costs_one_message(stand, monkeypatch):
    """Its sender is told, it is set aside, its neighbours are delivered with the seqs in a row."""
    await stand.live()
    shard = stand.worker.possession.live
    apply = shard.apply
    monkeypatch.setattr(shard, "apply", lambda envelope, now: apply(envelope, now) if envelope.id != "m2" else 1 / 0)
    delivery = stand.give(say(1), say(2), say(3))
    await eventually(lambda: delivery.fate == "acked")
    assert [(message.payload, message.seq) for message in stand.heard(wire.Deliver)] == [(b"1", 1), (b"3", 2)]
    (refused,) = stand.heard(wire.Refused)
    assert (refused.ref, refused.code) == ("m2", "internal")
    assert [decode(kept.body) for kept in stand.dead()] == [[say(2)]]


async def test_a_fault_of_ours_gives_the_deliveries_back(stand, monkeypatch):
    """The worker goes on with the next ones; the queue's delivery limit is the last resort."""
    await stand.live()
    send = stand.outlet.send

    async def fails(plan):
        monkeypatch.setattr(stand.outlet, "send", send)
        raise ZeroDivisionError

    monkeypatch.setattr(stand.outlet, "send", fails)
    first = stand.give(say(1))
    await eventually(lambda: first.fate == "requeued")
    second = stand.give(say(2))
    await eventually(lambda: second.fate == "acked")


async def test_stop_finishes_what_has_begun_and_takes_no_more(stand):
    """What is on its way is confirmed and acknowledged first; what comes later stays unacknowledged."""
    await stand.live()
    stand.bus.held = True
    begun = stand.give(say(1))
    await eventually(lambda: len(stand.bus.published) == 1)
    stopping = asyncio.create_task(stand.worker.stop())
    await asyncio.sleep(0)
    late = stand.give(say(2))
    assert (stopping.done(), stand.worker.waiting) == (False, 0)
    stand.bus.release()
    await stopping
    assert (begun.fate, late.fate) == ("acked", "")


async def test_kill_ends_at_once(stand):
    """Whatever is on its way."""
    await stand.live()
    stand.bus.held = True
    begun = stand.give(say(1))
    await eventually(lambda: len(stand.bus.published) == 1)
    await stand.worker.kill()
    assert begun.fate == ""


async def test_a_repeat_is_counted(stand):
    """The metrics say how many messages came again, and how many came at all."""
    await stand.live()
    stand.give(say(1), say(1))
    last = stand.give(say(1))
    await eventually(lambda: last.fate == "acked")
    value = stand.ground.metrics.registry.get_sample_value
    assert value("warren_router_duplicates_total") == 2
    assert value("warren_router_messages_total", {"kind": "publish"}) == 3
    assert value("warren_router_messages_total", {"kind": "join"}) == 1
    assert value("warren_router_takeovers_total") == 1


async def test_spans_are_opened_for_sampled_messages_only():
    """The span of process is the parent of what leaves, and ends when the egress is confirmed."""
    exporter = InMemorySpanExporter()
    stand = Stand(tracing=Tracing("router", processor=SimpleSpanProcessor(exporter)))
    await stand.live()
    plain = stand.give(say(1))
    await eventually(lambda: plain.fate == "acked")
    assert exporter.get_finished_spans() == ()
    traced = stand.give(say(2, trace=TRACE))
    await eventually(lambda: traced.fate == "acked")
    send, process = exporter.get_finished_spans()
    assert f"{process.parent.span_id:016x}" == TRACE[36:52]
    assert send.parent.span_id == process.context.span_id
    assert process.attributes["messaging.message.id"] == "m2"
    await stand.worker.kill()
    stand.tracing.shutdown()
