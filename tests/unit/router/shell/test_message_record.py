"""write_messages: one record of its shard's log, with each message's place in its trace."""

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.router_context import router_context
from tests.support.scripted_bus import ScriptedBus

from router.shell.message_record import write_messages
from warren.envelope import Notified, Publish, decode
from warren.errors import NotConfirmed
from warren.telemetry import HopKind, Tracing
from warren.topology import Topology

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def message(number):
    return Publish("a", "X", b"%d" % number, 1, id=f"m{number}")


class Harness:
    def __init__(self):
        self.exporter = InMemorySpanExporter()
        tracing = Tracing("router", {}, processor=SimpleSpanProcessor(self.exporter))
        self.bus = ScriptedBus()
        self.context = router_context(self.bus, topology=Topology(shards=2), tracing=tracing)

    async def write(self, messages, wanted=lambda: True):
        return await write_messages(self.context, 1, messages, wanted)

    def spans(self):
        return {span.name: span for span in self.exporter.get_finished_spans()}


async def test_all_messages_go_in_one_record_of_their_shard():
    """In their order, behind who has written them and when; a repeat is the same bytes."""
    harness = Harness()
    harness.bus.script("1", NotConfirmed())
    assert await harness.write([(message(0), None), (message(1), None)])
    first, second = harness.bus.published
    assert (first.exchange, first.key, first.body) == ("warren.ingress", "1", second.body)
    head, *messages = decode(first.body)
    assert head == Notified("r1", harness.context.clock.wall_us())
    assert messages == [message(0), message(1)]
    assert harness.spans() == {}


async def test_a_message_with_a_trace_goes_on_under_its_own_span():
    """The span says how many went with it; the one by which it came ends with it."""
    harness = Harness()
    entry = harness.context.tracing.entry(TRACE, HopKind.COMMAND, message_id="m0")
    assert await harness.write([(message(0), entry), (message(1), None)])
    _, traced, plain = decode(harness.bus.published[0].body)
    spans = harness.spans()
    send = spans["send warren.ingress"]
    assert set(spans) == {"receive warren.control", "send warren.ingress"}
    assert send.parent.span_id == spans["receive warren.control"].context.span_id
    assert send.attributes["messaging.batch.message_count"] == 2
    assert (traced.trace[36:52], plain.trace) == (f"{send.context.span_id:016x}", "")


async def test_what_is_not_wanted_any_more_is_given_up():
    """Its spans have ended all the same; and where there is nothing, nothing is written."""
    harness = Harness()
    harness.bus.script("1", NotConfirmed())
    entry = harness.context.tracing.entry(TRACE, HopKind.COMMAND, message_id="m0")
    wanted = iter((True, False))
    assert not await harness.write([(message(0), entry)], lambda: next(wanted))
    assert len(harness.bus.published) == 1
    assert len(harness.spans()) == 2
    assert not await harness.write([])
    assert len(harness.bus.published) == 1
