"""Worker: take, decide, log, egress, events, ack, in order, pipelined; and how a shard is let go."""

import asyncio

import pytest
import pytest_asyncio
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.eventually import eventually
from tests.support.router_ground import ground
from tests.support.scripted_bus import Delivered, ScriptedBus

from router.core.placement import Place
from router.core.takeover import State
from router.shell import follower
from router.shell.aside import Aside
from router.shell.events import Events
from router.shell.outlet import Outlet
from router.shell.worker import Worker, WorkLimits
from warren import envelope as wire
from warren.batch import BatchLimits
from warren.envelope import decode, encode
from warren.errors import NotConfirmed
from warren.telemetry import Tracing

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Stand:
    def __init__(self, limits=None, tracing=None, place=None):
        self.bus = ScriptedBus()
        self.ground = ground(bus=self.bus, place=[place or Place("r1", "r2")], window=64)
        self.topology = self.ground.topology
        self.tracing = tracing or Tracing("router")
        steady = self.ground.steady
        self.outlet = Outlet(
            self.bus, self.topology, steady, self.ground.clock, self.ground.metrics, self.tracing, BatchLimits(),
            living=lambda: self.ground.gateways.living, suspect=lambda _: None, suspected=lambda _: True,
        )  # fmt: skip
        aside = Aside(steady, self.topology.dead, self.ground.metrics)
        events = Events(self.bus, self.topology, steady, self.ground.metrics)
        self.worker = Worker(0, self.ground, self.outlet, aside, events, self.tracing, limits or WorkLimits())
        self.deliveries = []
        self.order = []

    @property
    def lane(self):
        return self.bus.lanes[-1]

    @property
    def log(self):
        """What stands in the log, all records together."""
        return [entry for body in self.bus.streams["warren.history.0"] for entry in decode(body)]

    @property
    def logged(self):
        """The ids of the messages in the log."""
        return [entry.id for entry in self.log if isinstance(entry, wire.Deliver)]

    async def asks(self, lanes=1):
        """Sit, read our own claim back; return the Ask."""
        await eventually(lambda: len(self.bus.lanes) == lanes)
        claims = [body for published in self.bus.published if (body := published.body) and published.key == "0"]
        count = len(claims)

        def claimed():
            found = [published.body for published in self.bus.published if published.exchange == self.topology.ingress]
            return found[-1] if len(found) >= max(1, count) and self.lane.queue is not None else None

        claim = Delivered(await eventually(claimed))
        self.lane.deliver(claim)
        assert claim.fate == "acked"
        return (await eventually(lambda: self.heard(wire.Ask)))[-1]

    def answers(self, ask):
        self.worker.possession.announced(wire.Announce("g1", 0, ask.term, (), True, ask.ref))

    async def live(self):
        """Make the shard live with one member."""
        self.ground.gateways.heartbeat(wire.Heartbeat("g1", 1), 0.0)
        self.worker.start()
        ask = await self.asks()
        self.give(wire.Join("a", "g1~1", "u"))
        self.answers(ask)
        await eventually(lambda: self.deliveries[0].fate == "acked")
        self.bus.published.clear()

    def give(self, *envelopes, body=None):
        delivery = Delivered(body if body is not None else encode(envelopes))
        number = len(self.deliveries)
        delivery.on_ack = lambda: self.order.append(number)
        self.deliveries.append(delivery)
        self.lane.deliver(delivery)
        return delivery

    def heard(self, kind):
        return [
            envelope
            for published in self.bus.published
            if published.exchange == self.topology.egress
            for envelope in decode(published.body)
            if isinstance(envelope, kind)
        ]

    def leaving(self):
        """What has been published for gateways."""
        return [published for published in self.bus.published if published.exchange == self.topology.egress]

    def dead(self):
        return [published for published in self.bus.published if published.exchange == self.topology.dead]


def say(number, **more):
    return wire.Publish("a", "CHAT", b"%d" % number, 1, "g1~1", "u", f"m{number}", **more)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(follower, "EMPTY_S", 0.01)


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
    ask = await stand.asks()
    early = [stand.give(wire.Join("a", "g1~1", "u")), stand.give(say(1)), stand.give(say(2))]
    assert (stand.worker.waiting, [delivery.fate for delivery in early]) == (3, ["", "", ""])
    stand.answers(ask)
    await eventually(lambda: stand.order == [0, 1, 2])
    assert [message.payload for message in stand.heard(wire.Deliver)] == [b"1", b"2"]


async def test_nothing_leaves_before_it_is_in_the_log(stand):
    """Neither the message nor its ACK; and the delivery is acknowledged only after all of it."""
    await stand.live()
    stand.bus.held = True
    delivery = stand.give(say(1))
    await eventually(lambda: [entry.seq for entry in stand.log if isinstance(entry, wire.Deliver)] == [1])
    assert (stand.bus.published, delivery.fate) == ([], "")
    stand.bus.release()
    await eventually(lambda: delivery.fate == "acked")
    (message,), (ack,) = stand.heard(wire.Deliver), stand.heard(wire.Ack)
    assert (message.seq, ack.seq) == (1, 1)


async def test_the_next_batch_is_logged_while_the_last_ones_egress_is_on_its_way(stand):
    """But it leaves, and is acknowledged, only after that."""
    await stand.live()
    hold = asyncio.Event()
    send = stand.outlet.send

    async def slow(plan):
        await hold.wait()
        await send(plan)

    stand.outlet.send = slow
    first = stand.give(say(1))
    await eventually(lambda: stand.logged[-1:] == ["m1"])
    second = stand.give(say(2))
    await eventually(lambda: stand.logged[-1:] == ["m2"])
    third = stand.give(say(3))
    for _ in range(20):
        await asyncio.sleep(0)
    assert stand.logged[-1:] == ["m2"]  # two under way are enough
    assert (first.fate, second.fate, stand.leaving()) == ("", "", [])
    hold.set()
    await eventually(lambda: third.fate == "acked")
    assert [message.seq for message in stand.heard(wire.Deliver)] == [1, 2, 3]
    assert stand.order == [0, 1, 2, 3]


async def test_a_log_that_does_not_confirm_has_the_shard_left_and_taken_over_again(stand):
    """Nothing of the batch leaves, nothing is acknowledged, the lane is closed; what the log has is found there again."""
    await stand.live()
    old = stand.lane
    old.appends.append(NotConfirmed("nacked"))
    delivery = stand.give(say(1), say(2))
    await eventually(lambda: old.closed)
    assert (delivery.fate, stand.heard(wire.Deliver), stand.heard(wire.Ack)) == ("", [], [])
    ask = await stand.asks(lanes=2)
    again = stand.give(say(1), say(2), say(3))  # as the broker gives it to the next consumer
    stand.answers(ask)
    await eventually(lambda: again.fate == "acked")
    assert [ack.seq for ack in stand.heard(wire.Ack)] == [1, 2, 3]
    assert stand.logged == ["m1", "m2", "m3"]


async def test_what_waits_goes_as_one_batch(stand):
    """Ten deliveries that came during a publish leave as one more, or two."""
    await stand.live()
    records = len(stand.bus.streams["warren.history.0"])
    stand.bus.held = True
    stand.give(say(0))
    await eventually(lambda: len(stand.bus.streams["warren.history.0"]) == records + 1)
    last = [stand.give(say(number)) for number in range(1, 11)][-1]
    stand.bus.release()
    await eventually(lambda: last.fate == "acked")
    assert len(stand.leaving()) <= 3
    assert len(stand.bus.streams["warren.history.0"]) <= records + 3
    assert [message.payload for message in stand.heard(wire.Deliver)] == [b"%d" % number for number in range(11)]


async def test_a_batch_is_bounded():
    """Of many deliveries that wait, as many are decided at once as the limit says."""
    bounded = Stand(WorkLimits(count=2))
    await bounded.live()
    last = [bounded.give(say(number)) for number in range(6)][-1]
    await eventually(lambda: last.fate == "acked")
    sizes = [len(decode(published.body)) for published in bounded.leaving()]
    assert max(sizes) == 4  # two messages and their ACKs
    await bounded.worker.kill()


async def test_a_batch_is_bounded_by_what_it_brings_about():
    """A join may bring back a hundred messages."""
    bounded = Stand(WorkLimits(effects=3))
    await bounded.live()
    last = [bounded.give(say(number)) for number in range(6)][-1]
    await eventually(lambda: last.fate == "acked")
    assert max(len(decode(published.body)) for published in bounded.leaving()) == 2
    await bounded.worker.kill()


async def test_what_was_decided_before_a_loss_is_not_carried_out(stand):
    """The broker gives those deliveries to the next owner, so they are not acknowledged and nothing of them leaves."""
    await stand.live()
    stand.bus.held = True
    decided = stand.give(say(1))
    await eventually(lambda: stand.logged[-1:] == ["m1"])
    waiting = stand.give(say(2))
    stand.lane.lose()
    assert stand.worker.possession.state is State.IDLE
    stand.bus.release()
    await stand.asks(lanes=2)
    assert (decided.fate, waiting.fate, stand.worker.waiting) == ("", "", 0)
    assert stand.heard(wire.Deliver) == []


async def test_the_claim_of_another_router_ends_the_work_in_order(stand):
    """What came before it is finished and acknowledged; the claim and what follows are not, and the lane is closed."""
    await stand.live()
    lane, term = stand.lane, stand.worker.possession.shard.term
    stand.bus.held = True
    before = stand.give(say(1))
    claim, after = stand.give(wire.Claim("r2", term + 1)), stand.give(say(2))
    await eventually(lambda: stand.logged[-1:] == ["m1"])
    assert not lane.closed
    stand.bus.release()
    await eventually(lambda: lane.closed)
    assert (before.fate, claim.fate, after.fate) == ("acked", "", "")
    assert [message.payload for message in stand.heard(wire.Deliver)] == [b"1"]
    assert stand.worker.possession.state is State.IDLE


async def test_a_claim_that_counts_for_nothing_is_acknowledged_in_passing(stand):
    """And what follows it is applied."""
    await stand.live()
    claim, after = stand.give(wire.Claim("dead", 10**15)), stand.give(say(1))
    await eventually(lambda: after.fate == "acked")
    assert claim.fate == "acked"


async def test_what_comes_while_a_shard_is_let_go_is_not_touched(stand):
    """It is the next owner's."""
    await stand.live()
    lane, term = stand.lane, stand.worker.possession.shard.term
    stand.bus.held = True
    stand.give(say(1))
    stand.give(wire.Claim("r2", term + 1))
    await eventually(lambda: stand.worker.possession.yielding)
    late = stand.give(say(2))
    stand.bus.release()
    await eventually(lambda: lane.closed)
    assert (late.fate, stand.worker.waiting) == ("", 0)


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
    monkeypatch.setattr(
        shard, "apply", lambda envelope, now, **more: apply(envelope, now, **more) if envelope.id != "m2" else 1 / 0
    )
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


async def test_events_leave_before_the_acknowledgement(stand):
    """Backends are told of each join, by the topic exchange, before the delivery is done with."""
    await stand.live()
    stand.bus.held = True
    delivery = stand.give(wire.Join("a", "g1~2", "v"))
    await eventually(lambda: stand.leaving())
    assert [published for published in stand.bus.published if published.exchange == stand.topology.events] == []
    stand.bus.release()
    await eventually(lambda: delivery.fate == "acked")
    (event,) = [published for published in stand.bus.published if published.exchange == stand.topology.events]
    assert event.key == "room.joined"


async def test_stop_hands_the_shard_over(stand):
    """What is on its way is confirmed and acknowledged first, what comes later stays unacknowledged, then the lane is closed."""
    await stand.live()
    stand.bus.held = True
    begun = stand.give(say(1))
    await eventually(lambda: stand.logged[-1:] == ["m1"])
    stopping = asyncio.create_task(stand.worker.stop())
    await asyncio.sleep(0)
    late = stand.give(say(2))
    assert (stopping.done(), stand.worker.waiting, stand.lane.closed) == (False, 0, False)
    stand.bus.release()
    await stopping
    assert (begun.fate, late.fate, stand.lane.closed) == ("acked", "", True)
    stand.worker.tick()
    assert len(stand.bus.lanes) == 1


async def test_kill_ends_at_once(stand):
    """Whatever is on its way."""
    await stand.live()
    stand.bus.held = True
    begun = stand.give(say(1))
    await eventually(lambda: stand.logged[-1:] == ["m1"])
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
    exposition = stand.ground.metrics.render("application/openmetrics-text;version=1.0.0")[0].decode().splitlines()
    left = {line.partition('hop="')[2].partition('"')[0] for line in exposition if TRACE[3:35] in line}
    assert left == {"process", "log", "egress"}
    await stand.worker.kill()
    stand.tracing.shutdown()
