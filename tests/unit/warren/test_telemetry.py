"""Telemetry: the decision, the spans of a walk, and where they go."""

import asyncio
import random
import threading
import time
from typing import Any, TypeVar

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.eventually import eventually, stretched
from tests.support.otlp import OtlpReceiver
from tests.support.ports import free_port

from warren.errors import SettingsError
from warren.telemetry import (
    BATCH_COUNT,
    FLUSH_S,
    MESSAGE_ID,
    RECIPIENTS,
    SHARD,
    EntrySampling,
    HopKind,
    Tracing,
    is_valid,
    trace_id,
)
from warren.topology import Topology
from warren.urls import ESCAPES

T = TypeVar("T")
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, RANDOM_SAMPLED, UNSAMPLED = (f"00-{TRACE}-{PARENT}-{flags}" for flags in ("01", "03", "02"))


def recorded(env: dict[str, str] | None = None, **more: Any) -> tuple[Tracing, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    return Tracing("gateway", env, processor=SimpleSpanProcessor(exporter), **more), exporter


def some(value: T | None) -> T:
    """The value of what the test knows to be there."""
    assert value is not None
    return value


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(some(span.attributes))


def parent_of(span: ReadableSpan) -> str:
    return f"{some(span.parent).span_id:016x}"


def problems_of(env: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Tracing("gateway", env)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (SAMPLED, True),
        (UNSAMPLED, True),
        (SAMPLED.replace("00-", "01-", 1), True),
        (SAMPLED.replace("00-", "01-", 1) + "-more", True),
        (SAMPLED + "-more", False),
        (SAMPLED + "0", False),
        (SAMPLED.replace("00-", "ff-", 1), False),
        (SAMPLED.upper(), False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (SAMPLED[:-1], False),
        (SAMPLED[:-1] + "\n", False),
        (SAMPLED.replace("b7ad", "b7ag"), False),
        ("", False),
        ("x" * 55, False),
    ],
)
def test_a_traceparent_is_valid_as_w3c_says(text: str, valid: bool) -> None:
    """A traceparent is valid exactly as W3C's Trace Context says; a later version may be longer."""
    assert is_valid(text) is valid
    assert trace_id(text) == (TRACE if valid else "")


def test_without_an_exporter_tracing_is_off() -> None:
    """Where no standard variable asks for an exporter nothing is traced, whatever the sender says."""
    for env in (
        {},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"},
    ):
        tracing = Tracing("gateway", env)
        assert tracing.on is False
        assert tracing.entry(SAMPLED) is None
        assert tracing.hop(HopKind.PROCESS, SAMPLED) is None


@pytest.mark.parametrize(
    ("sampler", "argument", "traceparent", "sampled"),
    [
        ("", "", "", True),
        ("", "", SAMPLED, True),
        ("", "", RANDOM_SAMPLED, True),
        ("", "", UNSAMPLED, False),
        ("parentbased_always_off", "", "", False),
        ("parentbased_always_off", "", SAMPLED, True),
        ("parentbased_traceidratio", "0", "", False),
        ("parentbased_traceidratio", "0", SAMPLED, True),
        ("parentbased_traceidratio", "1", UNSAMPLED, False),
        ("always_on", "", UNSAMPLED, True),
        ("always_off", "", SAMPLED, False),
        ("traceidratio", "0.6", UNSAMPLED, True),
        ("traceidratio", "0.5", SAMPLED, False),
        ("Always_On", "", "garbage", True),
    ],
)
def test_the_decision_follows_the_standard_samplers(
    sampler: str, argument: str, traceparent: str, sampled: bool
) -> None:
    """At the entry of backends, and of clients where they are trusted: by the parent's flag, by the trace id,
    always or never.
    """
    env = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    for kind, trust in ((HopKind.NOTIFY, False), (HopKind.RECEIVE, True)):
        tracing, exporter = recorded(env, sampling=EntrySampling(trust))
        hop = tracing.entry(traceparent, kind)
        assert (hop is not None) is sampled
        if hop is not None:
            hop.end()
        assert len(exporter.get_finished_spans()) == int(sampled)


LOW, HIGH = "0" * 15 + "1", "f" * 16


@pytest.mark.parametrize("low", [LOW, HIGH])
@pytest.mark.parametrize("flags", ["01", "03"])
@pytest.mark.parametrize("sampler", ["traceidratio", "parentbased_traceidratio"])
def test_a_client_cannot_choose_that_its_messages_are_sampled(sampler: str, flags: str, low: str) -> None:
    """Of 2,000 forged contexts about one in a hundred is sampled at a ratio of 0.01, whatever flag and
    whatever trace id they have.
    """
    env = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": "0.01"}
    tracing, _ = recorded(env, sampling=EntrySampling(chance=random.Random(10).getrandbits))
    forged = [f"00-{number + 1:016x}{low}-{PARENT}-{flags}" for number in range(2_000)]
    hops = [hop for traceparent in forged if (hop := tracing.entry(traceparent)) is not None]
    assert 5 <= len(hops) <= 45  # 20 are expected; both ends are more than three standard deviations away
    assert {hop.trace_id for hop in hops} <= {traceparent[3:35] for traceparent in forged}
    # one that was drawn once is nothing to build on
    again = [tracing.entry(hops[0].traceparent) for _ in range(500)]
    assert sum(hop is not None for hop in again) <= 20


@pytest.mark.parametrize(
    ("sampler", "flags", "sampled"),
    [
        ("parentbased_always_off", "01", False),
        ("always_off", "01", False),
        ("parentbased_always_on", "01", True),
        ("parentbased_always_on", "00", False),
        ("always_on", "00", True),
    ],
)
def test_what_leaves_nothing_to_chance_is_as_the_operator_says(
    sampler: str, flags: str, sampled: bool
) -> None:
    """A client can't have more sampled than its share; that it wants less is heard by the samplers that ask
    for the parent.
    """
    tracing, _ = recorded({"OTEL_TRACES_SAMPLER": sampler})
    hop = tracing.entry(f"00-{TRACE}-{PARENT}-{flags}")
    assert (hop is not None) is sampled
    assert hop is None or hop.trace_id == TRACE


def test_a_ratio_samples_about_that_share_and_by_the_trace_id() -> None:
    """A ratio of a quarter samples about a quarter, and the trace ids that it samples are those below the
    bound.
    """
    tracing, exporter = recorded({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"})
    hops = [hop for _ in range(4_000) if (hop := tracing.entry()) is not None]
    assert 800 < len(hops) < 1_200
    assert all(int(hop.trace_id[16:], 16) < 2**62 for hop in hops)
    assert len({hop.trace_id for hop in hops}) == len(hops)
    again = [tracing.entry(hop.traceparent, HopKind.NOTIFY) for hop in hops]
    assert None not in again
    assert exporter.get_finished_spans() == ()


def test_nothing_is_opened_for_a_message_that_is_not_sampled() -> None:
    """An unsampled message opens no span at entry nor, with its empty traceparent, on any later hop."""
    opened: list[object] = []

    class Counting(SimpleSpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            opened.append(span)

    tracing = Tracing(
        "gateway", {"OTEL_TRACES_SAMPLER": "always_off"}, processor=Counting(InMemorySpanExporter())
    )
    for _ in range(1_000):
        assert tracing.entry() is None
        for kind in HopKind:
            assert tracing.hop(kind, "") is None
    assert opened == []


def test_one_message_is_one_trace_of_five_spans_parent_to_child() -> None:
    """The five hops of a message are one trace, each the child of the one before, named and attributed by the
    conventions.
    """
    tracing, exporter = recorded(topology=Topology(prefix="w"))
    walk = [some(tracing.entry(SAMPLED, message_id="c-1"))]
    steps: list[tuple[HopKind, dict[str, Any]]] = [
        (HopKind.PUBLISH, {"shard": 3, "batch": 7}),
        (HopKind.PROCESS, {"shard": 3}),
        (HopKind.PUBLISH_EGRESS, {"key": "gw1", "batch": 2}),
        (HopKind.DELIVER, {"key": "gw1"}),
    ]
    for kind, more in steps:
        walk.append(some(tracing.hop(kind, walk[-1].traceparent, message_id="c-1", **more)))
    walk[-1].set(RECIPIENTS, 5)
    for hop in reversed(walk):
        hop.end()
    spans = list(reversed(exporter.get_finished_spans()))
    assert [(span.name, span.kind.name) for span in spans] == [
        ("receive warren.v1", "SERVER"),
        ("send w.ingress", "PRODUCER"),
        ("process w.log", "CONSUMER"),
        ("send w.egress", "PRODUCER"),
        ("process w.gateway", "CONSUMER"),
    ]
    contexts = [some(span.context) for span in spans]
    assert {f"{context.trace_id:032x}" for context in contexts} == {TRACE}
    assert [parent_of(span) for span in spans] == [
        PARENT,
        *(f"{context.span_id:016x}" for context in contexts[:-1]),
    ]
    assert all(attributes(span)[MESSAGE_ID] == "c-1" for span in spans)
    publish, process, deliver = spans[1], spans[2], spans[4]
    assert attributes(publish) == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.template": "w.ingress",
        "messaging.destination.name": "w.ingress:3",
        MESSAGE_ID: "c-1",
        SHARD: 3,
        BATCH_COUNT: 7,
    }
    assert attributes(process)["messaging.destination.name"] == "w.ingress:3:w.log.3"
    assert attributes(deliver)["messaging.destination.name"] == "w.egress:gw1"
    assert attributes(deliver)["messaging.destination.anonymous"] is True
    assert attributes(deliver)[RECIPIENTS] == 5


def test_a_notification_begins_or_continues_a_trace() -> None:
    """The intake takes the same decision at its entry: it continues a backend's trace, or begins one."""
    tracing, exporter = recorded()
    for traceparent in (SAMPLED, ""):
        some(tracing.entry(traceparent, HopKind.NOTIFY)).end()
    continued, begun = exporter.get_finished_spans()
    assert continued.name == begun.name == "process warren.notify"
    assert parent_of(continued) == PARENT
    assert begun.parent is None


def test_a_hop_carries_its_own_traceparent_on_and_can_fail() -> None:
    """A hop's traceparent names its own span, sampled; a failure sets the error type and status."""
    tracing, exporter = recorded()
    hop = some(tracing.hop(HopKind.PROCESS, SAMPLED))
    assert is_valid(hop.traceparent)
    assert len(hop.traceparent) == 55
    assert hop.trace_id == TRACE
    assert PARENT not in hop.traceparent
    hop.fail("invalid_room")
    hop.end()
    (span,) = exporter.get_finished_spans()
    assert attributes(span)["error.type"] == "invalid_room"
    assert not span.status.is_ok
    assert tracing.hop(HopKind.PROCESS, "not a traceparent") is None


def test_context_can_be_carried_without_an_exporter() -> None:
    """Where asked to, messages carry their context though no span is kept."""
    tracing = Tracing("gateway", {}, carry=True)
    hop = some(tracing.entry())
    assert some(tracing.hop(HopKind.PUBLISH, hop.traceparent)).trace_id == hop.trace_id


def test_all_wrong_variables_are_named_at_once() -> None:
    """Every OTEL_* variable that can't be followed is a problem that says what to set instead."""
    assert problems_of(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_TRACES_EXPORTER": "zipkin",
            "OTEL_TRACES_SAMPLER": "traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "2",
            "OTEL_RESOURCE_ATTRIBUTES": "a=b,c",
        }
    ) == [
        "OTEL_TRACES_EXPORTER: must be otlp or none",
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is supported; set "
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf (port 4318 of most collectors)"
        ),
        (
            f"OTEL_EXPORTER_OTLP_ENDPOINT: must be http://host:port or https://…: it does not begin with "
            f"http:// or https://; {ESCAPES}"
        ),
        "OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1",
        "OTEL_RESOURCE_ATTRIBUTES: must be key=value,key=value; in a value write a comma as %2C",
    ]
    assert problems_of({"OTEL_TRACES_SAMPLER": "jaeger_remote"})[0].startswith(
        "OTEL_TRACES_SAMPLER: must be one of always_on"
    )


async def test_spans_reach_a_real_receiver_with_their_resource() -> None:
    """Spans of an exporting service reach an OTLP receiver by its endpoint, with the service's resource."""
    async with OtlpReceiver() as receiver:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint + "/",
            "OTEL_SERVICE_NAME": "chat-gateway",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test%20one,team=a",
        }
        tracing = Tracing("gateway", env, instance="g1")
        hop = some(tracing.entry(message_id="m"))
        child = some(tracing.hop(HopKind.PUBLISH, hop.traceparent, shard=1))
        child.fail("unavailable")
        child.end()
        hop.end()
        await tracing.stop()
        spans = await receiver.trace(hop.trace_id, 2)
    assert [(span.name, span.kind, span.error) for span in spans] == [
        ("receive warren.v1", "SERVER", ""),
        ("send warren.ingress", "PRODUCER", "unavailable"),
    ]
    assert spans[1].parent_id == spans[0].span_id
    assert spans[0].start_ns <= spans[1].start_ns <= spans[1].end_ns <= spans[0].end_ns
    assert spans[0].service == "chat-gateway"
    resource = spans[0].resource
    assert resource["service.instance.id"] == "g1"
    assert resource["service.namespace"] == "warren"
    assert (resource["deployment.environment.name"], resource["team"]) == ("test one", "a")
    assert tracing.entry() is None


async def test_a_collector_that_is_away_holds_nobody_up() -> None:
    """With no collector at the endpoint hops end as ever; stopping keeps to its deadline and leaves no thread
    behind.
    """
    threads = set(threading.enumerate())
    tracing = Tracing(
        "gateway", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{free_port()}/v1/traces"}
    )
    some(tracing.entry()).end()
    began = time.monotonic()
    await tracing.stop()
    assert time.monotonic() - began < stretched(2 * FLUSH_S)
    await eventually(lambda: set(threading.enumerate()) <= threads)


async def test_a_collector_that_hangs_holds_nobody_up() -> None:
    """With a collector that takes connections and never answers, stopping keeps to its deadline
    all the same.
    """
    threads = set(threading.enumerate())
    taken: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda reader, writer: taken.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tracing = Tracing("gateway", {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"})
    some(tracing.entry()).end()
    began = time.monotonic()
    await tracing.stop()
    assert time.monotonic() - began < stretched(2 * FLUSH_S)
    assert taken
    server.close()
    for writer in taken:
        writer.transport.abort()
    await eventually(lambda: set(threading.enumerate()) <= threads)


async def test_stopping_twice_or_when_off_is_harmless() -> None:
    """Stopping a tracer that is off, or twice, does nothing."""
    for tracing in (Tracing("gateway"), recorded()[0]):
        await tracing.start()
        await tracing.stop()
        await tracing.stop()
