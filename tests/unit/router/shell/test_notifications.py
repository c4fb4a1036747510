"""Notifications: notifications to their shards, in order, acknowledged when confirmed."""

import asyncio
import json

import pytest
import pytest_asyncio
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.eventually import eventually
from tests.support.router_context import router_context
from tests.support.scripted_bus import Delivered, ManualClock, ScriptedBus

from router.core.notification_parser import parse
from router.shell import backend_queues
from router.shell.backend_queues import AnswerQueue, NotificationQueue
from router.shell.dead_letters import DeadLetters
from router.shell.notifications import NotificationLimits, Notifications
from router.shell.receipt_replies import ReceiptReplies
from router.shell.sandbox_process import SandboxProcess
from warren.address import shard_of
from warren.batch import BatchLimits, Pace
from warren.bus import Properties
from warren.envelope import Notified, Receipt, decode
from warren.errors import NotConfirmed, Unroutable
from warren.log_entries import RECEIPT_NONE, RECEIPT_WRITTEN
from warren.telemetry import Tracing, trace_id
from warren.topology import Topology

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

NOTIFICATIONS, ANSWERS = NotificationQueue(), AnswerQueue()


class Harness:
    def __init__(self, limits=None, tracing=None, holds=NOTIFICATIONS):
        self.bus, self.clock, self.topology = ScriptedBus(), ManualClock(), Topology(shards=4)
        context = router_context(self.bus, clock=self.clock, topology=self.topology, tracing=tracing)
        self.metrics = context.metrics
        self.receipts = ReceiptReplies(context, 5.0)
        self.notifications = Notifications(
            context,
            DeadLetters(context.publisher, self.topology.notify_dead, self.metrics),
            SandboxProcess(1.0),
            NotificationLimits(limits or BatchLimits(), prefetch=10, max_bytes=100),
            Pace(0.0, float),
            holds,
            self.receipts,
        )
        self.acked = []

    async def start(self):
        await self.notifications.start()
        (self.subscription,) = self.bus.subscriptions
        return self

    def give(self, key, body, **properties):
        delivery = Delivered(body, key, Properties(**properties))
        delivery.on_ack = lambda: self.acked.append(body)
        self.subscription.deliver(delivery)
        return delivery

    def ingress(self):
        return [published for published in self.bus.published if published.exchange == self.topology.ingress]

    def dead(self):
        return [
            published for published in self.bus.published if published.exchange == self.topology.notify_dead
        ]

    def payloads(self):
        return [message.payload for published in self.ingress() for message in decode(published.body)[1:]]


@pytest_asyncio.fixture
async def harness():
    harness = await Harness().start()
    yield harness
    harness.bus.release()
    await harness.notifications.kill()


async def test_a_notification_goes_to_the_shard_of_its_address(harness):
    """Persistent and mandatory, and it is acknowledged once that is confirmed."""
    harness.bus.held = True
    delivery = harness.give("user.ann", b'"x"', type="deal", message_id="m1")
    await eventually(lambda: harness.ingress())
    assert delivery.fate == ""
    harness.bus.release()
    await eventually(lambda: delivery.fate == "acked")
    (published,) = harness.ingress()
    assert published.key == str(shard_of("@ann", 4))
    assert (published.mandatory, published.persistent) == (True, True)
    head, message = decode(published.body)
    assert head == Notified("r1", harness.clock.wall_us())
    assert (message.room, message.type, message.id, message.payload) == ("@ann", "deal", "m1", b'"x"')
    assert message.at_us == harness.clock.wall_us()


async def test_a_notification_without_an_id_gets_one_of_its_own(harness):
    """So that a record that stands in the log twice counts once; each another one, that no sender can have;
    one that has an id keeps it.
    """
    given = [
        harness.give("room.a", b"1"),
        harness.give("room.a", b"2"),
        harness.give("room.a", b"3", message_id="mine"),
    ]
    await eventually(lambda: all(delivery.fate for delivery in given))
    messages = [message for published in harness.ingress() for message in decode(published.body)[1:]]
    assert [message.id for message in messages] == ["~r1.1", "~r1.2", "mine"]


async def test_order_is_kept_when_a_publish_is_repeated(harness):
    """What came later waits for the repeat; all of it is acknowledged in the order in which it came."""
    key = str(shard_of("a", 4))
    harness.bus.script(key, NotConfirmed(), NotConfirmed())
    for number in range(20):
        harness.give("room.a", b"%d" % number)
    expected = [b"%d" % number for number in range(20)]
    await eventually(lambda: harness.acked == expected)
    confirmed = harness.payloads()
    first = len(confirmed) - 20
    assert confirmed[first:] == expected
    assert all(payload in expected for payload in confirmed[:first])


async def test_what_is_invalid_is_set_aside_and_acknowledged_after_that(harness):
    """With the reason, its own headers and its routing key; what is valid does not wait for it."""
    harness.bus.script("", NotConfirmed())
    bad = harness.give("room.a", b"{", headers={"mine": 1}, message_id="m")
    good = harness.give("room.a", b"1")
    await eventually(lambda: bad.fate == good.fate == "acked")
    dead = harness.dead()
    assert [kept.body for kept in dead] == [b"{", b"{"]  # the first was not confirmed
    headers = dead[-1].properties.headers
    assert headers["x-warren-reason"].startswith("invalid payload")
    assert (headers["x-warren-routing-key"], headers["mine"]) == ("room.a", 1)
    assert harness.payloads() == [b"1"]


async def test_nothing_is_acknowledged_while_the_dead_letter_queue_is_missing(harness):
    """What is invalid stays with the broker until a queue has it; what is valid does not wait."""
    harness.bus.script("", *[Unroutable()] * 1_000)
    bad, good = harness.give("room.a", b"{"), harness.give("room.a", b"1")
    await eventually(lambda: good.fate == "acked" and len(harness.dead()) > 1)
    assert bad.fate == ""
    harness.bus.outcomes.clear()
    await eventually(lambda: bad.fate == "acked")


async def test_a_check_that_breaks_takes_no_other_with_it(harness, monkeypatch):
    """What our own check stumbles over is set aside as internal; the next one is taken."""

    def broken(notification, **more):
        if notification.body == b"0":
            raise ZeroDivisionError
        return parse(notification, **more)

    monkeypatch.setattr(backend_queues, "parse", broken)
    bad, good = harness.give("room.a", b"0"), harness.give("room.a", b"1")
    await eventually(lambda: bad.fate == good.fate == "acked")
    assert [kept.properties.headers["x-warren-reason"] for kept in harness.dead()] == [
        "internal: ZeroDivisionError"
    ]
    assert harness.payloads() == [b"1"]


async def test_an_internal_id_from_a_backend_is_set_aside(harness):
    """An id that begins with ~ would be counted as Warren's own and shown to nobody."""
    bad = harness.give("room.a", b"1", message_id="~1")
    await eventually(lambda: bad.fate == "acked")
    assert harness.payloads() == []
    (kept,) = harness.dead()
    assert kept.properties.headers["x-warren-reason"].startswith("reserved message_id: ")
    assert kept.properties.message_id == "~1"


async def test_what_has_not_gone_out_when_the_queue_is_lost_does_not_go_out_from_here(harness):
    """The next consumer gets it, in its order; a repeat under way ends too."""
    harness.bus.script(str(shard_of("a", 4)), *[NotConfirmed()] * 50)
    under_way = harness.give("room.a", b"1")
    await eventually(lambda: harness.ingress())
    waiting = harness.give("room.a", b"2")
    await eventually(lambda: not harness.notifications._inbound and harness.notifications._waiting() == 2)
    harness.subscription.lose()
    await eventually(lambda: harness.notifications._waiting() == 0)
    assert set(harness.payloads()) == {b"1"}
    assert (under_way.fate, waiting.fate) == ("", "")
    harness.bus.outcomes.clear()
    after = harness.give("room.a", b"3")
    await eventually(lambda: after.fate == "acked")


async def test_a_full_way_makes_it_wait():
    """No notification is dropped, and the order stays, though only one may wait."""
    harness = await Harness(BatchLimits(batch_count=1, waiting_count=1)).start()
    expected = [b"%d" % number for number in range(10)]
    for body in expected:
        harness.give("room.a", body)
        harness.give("nowhere", body)
    await eventually(lambda: len(harness.acked) == 20)
    assert harness.payloads() == expected
    await harness.notifications.kill()


async def test_stop_finishes_what_has_begun(harness):
    """It takes no more meanwhile."""
    harness.bus.held = True
    begun = harness.give("room.a", b"1")
    await eventually(lambda: harness.ingress())
    stopping = asyncio.create_task(harness.notifications.stop())
    await asyncio.sleep(0)
    late = harness.give("room.a", b"2")
    harness.bus.release()
    await stopping
    assert (begun.fate, late.fate) == ("acked", "")
    assert harness.subscription.active
    await harness.notifications.kill()
    assert not harness.subscription.active


async def test_notifications_are_counted(harness):
    """The good ones by number, the bad ones by reason."""
    last = [harness.give("room.a", b"1"), harness.give("room.a", b"{"), harness.give("room.a", b"2")]
    await eventually(lambda: all(delivery.fate for delivery in last))
    value = harness.metrics.registry.get_sample_value
    assert value("warren_router_notifications_total") == 2
    assert value("warren_router_dead_total", {"reason": "invalid payload"}) == 1


async def test_a_trace_goes_on_from_the_headers():
    """Two spans, notify and send; the envelope carries the second one's context. A header that is no text is
    no trace.
    """
    exporter = InMemorySpanExporter()
    tracing = Tracing(
        "router", {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, processor=SimpleSpanProcessor(exporter)
    )
    harness = await Harness(tracing=tracing).start()
    last = [
        harness.give("room.a", b"1", headers={"traceparent": 7}),
        harness.give("room.a", b"2", headers={"traceparent": TRACE}),
    ]
    await eventually(lambda: all(delivery.fate for delivery in last))
    send, notify = exporter.get_finished_spans()
    plain, traced = [message for published in harness.ingress() for message in decode(published.body)[1:]]
    assert plain.trace == ""
    assert trace_id(traced.trace) == trace_id(TRACE)
    assert traced.trace[36:52] == f"{send.context.span_id:016x}"
    assert send.parent.span_id == notify.context.span_id
    assert f"{notify.parent.span_id:016x}" == TRACE[36:52]
    await harness.notifications.kill()
    tracing.shutdown()


async def test_what_can_not_be_set_aside_goes_to_the_brokers_dead_letters(harness):
    """Whatever is raised on the way aside, the notification is settled and the next one is taken."""
    harness.bus.script("", OverflowError("no such header"))
    bad = harness.give("nowhere", b"1")
    good = harness.give("user.ann", b"2")
    await eventually(lambda: bad.fate and good.fate)
    assert (bad.fate, good.fate) == ("rejected", "acked")


LIST = "application/vnd.warren.notifications+json"


async def test_a_list_is_acknowledged_when_all_of_its_entries_are_confirmed_or_set_aside(harness):
    """The valid ones go to the shards of their addresses, in order and with ids; the invalid one is set aside
    by itself, with its place.
    """
    harness.bus.script("", Unroutable())
    body = b'[{"address":"room.a","payload":1},{"address":"nowhere","payload":2},{"address":"room.a","payload":3,"id":"mine"}]'
    delivery = harness.give("any.key", body, content_type=LIST, headers={"mine": 1})
    await eventually(lambda: delivery.fate == "acked")
    assert len(harness.dead()) == 2  # a queue had it with the second
    messages = [message for published in harness.ingress() for message in decode(published.body)[1:]]
    assert [(message.room, message.id, message.payload) for message in messages] == [
        ("a", "~r1.1", b"1"), ("a", "mine", b"3"),
    ]  # fmt: skip
    kept = harness.dead()[-1]
    assert kept.body == b'{"address":"nowhere","payload":2}'
    assert kept.properties.content_type == "application/json"
    headers = kept.properties.headers
    assert headers["x-warren-reason"].startswith("invalid address")
    assert (headers["x-warren-index"], headers["mine"]) == (1, 1)
    value = harness.metrics.registry.get_sample_value
    assert value("warren_router_notifications_total") == 2
    assert value("warren_router_dead_total", {"reason": "invalid address"}) == 1


async def test_a_list_waits_for_its_slowest_entry(harness):
    """Entries of other shards are confirmed; the message is not acknowledged before the last."""
    rooms = {shard_of(room, 4): room for room in "abcdefghijkl"}
    body = b"[%s]" % b",".join(
        b'{"address":"room.%s","payload":1}' % room.encode() for room in rooms.values()
    )
    harness.bus.script("0", *[NotConfirmed()] * 1_000)
    delivery = harness.give("x", body, content_type=LIST)
    others = {str(shard) for shard in rooms if shard}
    await eventually(lambda: others < {published.key for published in harness.ingress()})
    assert delivery.fate == ""
    harness.bus.outcomes.clear()
    await eventually(lambda: delivery.fate == "acked")


@pytest.mark.parametrize("body", [b"{}", b"[", b"[" + b"1," * 1_000 + b"1]"])
async def test_what_is_no_list_is_set_aside_whole(harness, body):
    """Once, with its own content type and a reason, and what follows is taken; a list of nothing is done at
    once.
    """
    bad, empty, good = [
        harness.give("x", body, content_type=LIST), harness.give("x", b"[]", content_type=LIST), harness.give("room.a", b"1"),
    ]  # fmt: skip
    await eventually(lambda: bad.fate == empty.fate == good.fate == "acked")
    (kept,) = harness.dead()
    assert (kept.body, kept.properties.content_type) == (body, LIST)
    assert kept.properties.headers["x-warren-reason"].partition(":")[0] in {"invalid list", "too many"}
    assert "x-warren-index" not in kept.properties.headers


async def test_a_list_larger_than_what_may_wait_keeps_its_order():
    """Its entries wait for their turn, also the invalid ones, and stay in order with the messages before and
    after.
    """
    harness = await Harness(BatchLimits(batch_count=1, waiting_count=1)).start()
    entries = b",".join(b'{"address":"room.a","payload":%d},1' % number for number in range(1, 9))
    given = [
        harness.give("room.a", b"0"),
        harness.give("x", b"[%s]" % entries, content_type=LIST),
        harness.give("room.a", b"9"),
    ]
    await eventually(lambda: all(delivery.fate == "acked" for delivery in given))
    assert harness.payloads() == [b"%d" % number for number in range(10)]
    assert [kept.properties.headers["x-warren-index"] for kept in harness.dead()] == list(range(1, 16, 2))
    await harness.notifications.kill()


async def test_a_list_that_comes_again_is_tried_first_and_then_taken(harness):
    """As a single one is."""
    delivery = Delivered(
        b'[{"address":"room.a","payload":1},1]', "x", Properties(content_type=LIST), redelivered=True
    )
    harness.subscription.deliver(delivery)
    await eventually(lambda: delivery.fate == "acked")
    assert harness.payloads() == [b"1"]
    assert [kept.body for kept in harness.dead()] == [b"1"]


async def test_each_traced_entry_of_a_list_has_its_own_span():
    """Only those that carry a sampled context."""
    exporter = InMemorySpanExporter()
    tracing = Tracing(
        "router", {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, processor=SimpleSpanProcessor(exporter)
    )
    harness = await Harness(tracing=tracing).start()
    body = (
        b'[{"address":"room.a","payload":1},{"address":"room.a","payload":2,"traceparent":"%s"}]'
        % TRACE.encode()
    )
    delivery = harness.give("x", body, content_type=LIST, headers={"traceparent": TRACE})
    await eventually(lambda: delivery.fate)
    assert len(exporter.get_finished_spans()) == 2
    plain, traced = [message for published in harness.ingress() for message in decode(published.body)[1:]]
    assert (plain.trace, trace_id(traced.trace)) == ("", trace_id(TRACE))
    await harness.notifications.kill()
    tracing.shutdown()


async def test_who_asks_for_a_receipt_is_answered_where_it_says(harness):
    """With what the shard's speaker tells; a refused one with the reason."""
    harness.give(
        "room.a", b"1", message_id="m", reply_to="q", correlation_id="c", headers={"receipt": "written"}
    )
    harness.give("room.b", b"2", message_id="n", reply_to="q", headers={"receipt": "soon"})
    harness.give("room.c", b"3", message_id="o", headers={"receipt": "written"})
    await eventually(lambda: len(harness.acked) == 3)
    messages = {message.id: message for each in harness.ingress() for message in decode(each.body)[1:]}
    assert (messages["m"].receipt, messages["m"].asker) == (RECEIPT_WRITTEN, "r1")
    assert (messages["o"].receipt, messages["o"].asker) == (RECEIPT_NONE, "")
    harness.receipts.take(Receipt("m", "a", "e", 1, False, 2, 3, 1, 1, level=2))

    def answers():
        return [each for each in harness.bus.published if (each.exchange, each.key) == ("", "q")]

    await eventually(lambda: len(answers()) == 2)
    refused, told = (json.loads(each.body) for each in answers())
    assert refused == {"complete": True, "refused": "invalid header receipt: accepted, written or seen"}
    assert (told["id"], told["written"], answers()[1].properties.correlation_id) == ("m", 1, "c")


async def test_durable_answers_go_to_the_rooms_of_those_who_asked():
    """By the same way, from a queue of their own; what answers nobody is set aside."""
    harness = await Harness(holds=ANSWERS).start()
    assert harness.subscription.queue == "warren.rpc.replies"
    good = harness.give("", b"1", correlation_id="ann~r1")
    bad = harness.give("", b"2", correlation_id="nobody")
    await eventually(lambda: good.fate == bad.fate == "acked")
    (published,) = harness.ingress()
    (message,) = decode(published.body)[1:]
    assert (message.room, message.type, message.id, message.payload) == ("@ann", "RESPONSE", "~/1/r1", b"1")
    (kept,) = harness.dead()
    assert kept.properties.headers["x-warren-reason"].startswith("invalid correlation_id")
    await harness.notifications.kill()
