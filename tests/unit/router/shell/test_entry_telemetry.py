"""EntryTelemetry: what entries leave in metrics and traces."""

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from tests.support.scripted_bus import ManualClock

from router.core.effects import BackendEvent, FeedItem
from router.core.fold import Fold
from router.shell.entry_telemetry import EntryTelemetry
from warren.envelope import Ack, Deliver, Entered, Left, Refused
from warren.metrics import RouterMetrics
from warren.position import Position
from warren.telemetry import Tracing, trace_id

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def said(index, trace="", at_us=1):
    return FeedItem(index, ("g",), Deliver("a", "e", 1, "CHAT", b"", at_us, trace=trace))


class Harness:
    def __init__(self, tracing=None):
        self.clock, self.metrics, self.fold = ManualClock(), RouterMetrics(CollectorRegistry()), Fold(0, 1)
        self.tracks = EntryTelemetry(3, self.clock, self.metrics, tracing or Tracing("router"))

    def entry(self, *effects, duplicates=0, skipped=0, took_s=0.0, written_us=0):
        self.tracks.begin(self.fold)
        self.fold.written_us = written_us
        self.fold.duplicates += duplicates
        self.fold.skipped += skipped
        traced = self.tracks.traced(list(effects))
        self.clock.advance(took_s)
        self.tracks.end(self.fold, traced)
        return traced

    def counted(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"warren_router_{name}", labels)


def test_what_an_entry_held_is_counted_by_kind():
    """An answer is no message; repeats and what was passed over have counters of their own."""
    harness = Harness()
    position = Position("e", 1)
    harness.entry(
        said(1),
        FeedItem(2, ("g",), Ack("g~1", "a", "m", "e", 1)),
        BackendEvent(3, "message", "a", 1),
        FeedItem(4, ("g",), Entered("g~1", "a", position)),
        FeedItem(5, ("g",), Left("g~1", "a")),
        FeedItem(6, ("g",), Refused("g~1", "r", "internal", "")),
        said(7),
        duplicates=2,
        skipped=1,
    )
    kinds = {
        kind: harness.counted("messages_total", kind=kind) for kind in ("publish", "join", "leave", "refused")
    }
    assert kinds == {"publish": 2, "join": 1, "leave": 1, "refused": 1}
    assert harness.counted("duplicates_total") == 2
    assert harness.counted("rejected_total", reason="log") == 1
    assert harness.counted("batch_size_sum", hop="process") == 5


def test_how_long_the_oldest_message_was_on_its_way_and_how_long_we_took():
    """By the wall clock from when it was taken in, and by our own."""
    harness = Harness()
    harness.entry(said(1, at_us=harness.clock.wall_us() - 3_000_000), took_s=0.5)
    assert harness.counted("hop_seconds_sum", hop="process") == 0.5
    assert harness.counted("hop_seconds_sum", hop="queue") == 3.5


def test_how_long_an_entry_was_in_the_log_is_measured_where_it_says_when_it_was_made():
    """Until it was read; an entry without messages does not count."""
    harness = Harness()
    made_us = harness.clock.wall_us() - 2_000_000
    harness.entry(said(1, at_us=made_us - 1_000_000), took_s=0.5, written_us=made_us)
    harness.entry(said(1))
    harness.entry(FeedItem(5, ("g",), Left("g~1", "a")), written_us=made_us)
    assert harness.counted("hop_seconds_count", hop="log") == 1
    assert harness.counted("hop_seconds_sum", hop="log") == 2.0
    assert harness.counted("hop_seconds_count", hop="queue") == 2


def test_a_sampled_message_goes_on_under_this_hops_span():
    """What is not sampled stays as it is, and so does all else."""
    exporter = InMemorySpanExporter()
    tracing = Tracing("router", processor=SimpleSpanProcessor(exporter))
    harness = Harness(tracing)
    plain, ack = said(1), FeedItem(3, ("g",), Ack("g~1", "a", "m", "e", 1))
    first, second, third = harness.entry(plain, said(2, TRACE), ack)
    assert (first, third) == (plain, ack)
    (span,) = exporter.get_finished_spans()
    assert trace_id(second.item.trace) == trace_id(TRACE)
    assert second.item.trace[36:52] == f"{span.context.span_id:016x}"
    assert (second.index, second.gateways) == (2, ("g",))
    tracing.shutdown()


def test_without_tracing_nothing_is_touched():
    """The very same effects."""
    effects = [said(1, TRACE)]
    assert Harness().tracks.traced(effects) is effects


def test_how_old_messages_were_is_kept_for_the_heartbeat():
    """The oldest one's age, whatever comes behind it."""
    harness = Harness()
    harness.entry(said(1, at_us=harness.clock.wall_us() - 3_000_000))
    harness.entry(said(1, at_us=harness.clock.wall_us() - 5_000))
    assert harness.metrics.lag.take() == 3_000
