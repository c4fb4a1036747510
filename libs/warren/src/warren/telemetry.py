"""Telemetry: one trace over every hop of a message. The only module that imports OpenTelemetry, and the only
one with span names.

The sampling decision is taken once, by ``entry``, and costs next to nothing; a message that is not sampled
carries no traceparent, and every later hop sees that by an empty string. So nothing is opened for it, and
core code never needs to know. Off unless a standard variable asks for an exporter. Rooms and users are never
attributes: their number has no bound.

    receive          SERVER    gateway, a message from a client
    publish          PRODUCER  gateway ▶ ingress
    process          CONSUMER  router, from the shard's queue
    publish_egress   PRODUCER  router ▶ egress
    deliver          CONSUMER  gateway, to its members (how many: RECIPIENTS)
    notify           CONSUMER  router takes a message from a backend
    call             PRODUCER  gateway ▶ rpc, a request of a client; ``receive`` lasts until it is answered
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from warren import __version__
from warren.errors import SettingsError
from warren.otel_env import tracing_variables
from warren.topology import Topology

# Attributes that callers set (see Hop.set).
MESSAGE_ID: Final = "messaging.message.id"
MESSAGE_TYPE: Final = "warren.message_rules.type"
BODY_BYTES: Final = "messaging.message.body.size"
BATCH_COUNT: Final = "messaging.batch.message_count"
SHARD: Final = "warren.shard"
SEQ: Final = "warren.seq"
RECIPIENTS: Final = "warren.recipients"

Value = str | int | float | bool

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_LENGTH = 55
FLUSH_S: Final = 2.0
PROTOCOL: Final = "warren.v1"
_PRODUCER, _CONSUMER = SpanKind.PRODUCER, SpanKind.CONSUMER
_LOW_64 = (1 << 64) - 1
_EMPTY = Context()


def is_valid(traceparent: str) -> bool:
    """Say whether this is a W3C traceparent (of any version that begins like version 00)."""
    if len(traceparent) == _LENGTH:
        return _TRACEPARENT.fullmatch(traceparent) is not None
    # A later version may append fields after another dash; 00 may not.
    return (
        traceparent[_LENGTH : _LENGTH + 1] == "-"
        and traceparent[:2] != "00"
        and is_valid(traceparent[:_LENGTH])
    )


def trace_id(traceparent: str) -> str:
    """Return the trace id (32 hex digits), empty where there is none."""
    return traceparent[3:35] if is_valid(traceparent) else ""


class HopKind(Enum):
    """Which hop of a message's walk."""

    RECEIVE = "receive"
    PUBLISH = "publish"
    PROCESS = "process"
    PUBLISH_EGRESS = "publish_egress"
    DELIVER = "deliver"
    NOTIFY = "notify"
    CALL = "call"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class _Shape:
    """What is the same for all spans of one kind."""

    name: str
    kind: SpanKind
    attributes: Mapping[str, Value]
    destination: str = ""  # ``{exchange}:{routing key}:{queue}``, with <key> in the place of the key


def _shapes(topology: Topology) -> dict[HopKind, _Shape]:
    """Name the spans by the messaging conventions: ``{operation} {destination template}``, never a room or a
    generated queue.
    """

    def messaging(operation: str, template: str) -> dict[str, Value]:
        return {
            "messaging.system": "rabbitmq",
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "messaging.destination.template": template,
        }

    shard = topology.log(0).name.removesuffix(".0")
    gateway = topology.gateway_queue("g", "n")[0].name.removesuffix(".g.n")
    websocket: dict[str, Value] = {"network.protocol.name": "websocket"}
    own: dict[str, Value] = {"messaging.destination.anonymous": True, "messaging.destination.temporary": True}
    ingress, egress, notify = f"{topology.ingress}:<key>", f"{topology.egress}:<key>", topology.notify
    return {
        HopKind.RECEIVE: _Shape(f"receive {PROTOCOL}", SpanKind.SERVER, websocket),
        HopKind.PUBLISH: _Shape(
            f"send {topology.ingress}", _PRODUCER, messaging("send", topology.ingress), ingress
        ),
        HopKind.PROCESS: _Shape(
            f"process {shard}", _CONSUMER, messaging("process", shard), f"{ingress}:{shard}.<key>"
        ),
        HopKind.PUBLISH_EGRESS: _Shape(
            f"send {topology.egress}", _PRODUCER, messaging("send", topology.egress), egress
        ),
        HopKind.DELIVER: _Shape(f"process {gateway}", _CONSUMER, messaging("process", gateway) | own, egress),
        HopKind.NOTIFY: _Shape(f"process {notify}", _CONSUMER, messaging("process", notify)),
        HopKind.CALL: _Shape(f"send {topology.rpc}", _PRODUCER, messaging("send", topology.rpc)),
        HopKind.COMMAND: _Shape(f"receive {topology.control}", SpanKind.SERVER, {}),
    }


class Hop:
    """A span under way. Call ``end`` exactly once; a hop that is never ended is never exported."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: Span) -> None:
        """Wrap a span that has begun."""
        self._span = span
        context = span.get_span_context()
        # Carried on in place of the message's own: the next hop's parent is this span.
        self.traceparent = (
            f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 0xFF:02x}"
        )

    @property
    def trace_id(self) -> str:
        """The trace id for a log line."""
        return self.traceparent[3:35]

    def set(self, name: str, value: Value) -> None:
        """Set an attribute; ``name`` is one of this module's constants."""
        self._span.set_attribute(name, value)

    def fail(self, code: str) -> None:
        """Say that this hop failed; ``code`` is an ErrorCode or another word of a small set."""
        self._span.set_attribute("error.type", code)
        self._span.set_status(Status(StatusCode.ERROR, code))

    def end(self) -> None:
        """End the span."""
        self._span.end()


class _Ids(RandomIdGenerator):
    """Gives a root span the trace id on which the sampling decision was taken."""

    def __init__(self) -> None:
        self.chosen = 0

    def generate_trace_id(self) -> int:
        chosen, self.chosen = self.chosen, 0
        return chosen or super().generate_trace_id()


@dataclass(frozen=True, slots=True)
class EntrySampling:
    """How it is decided whether a message that enters is traced: ``trust_clients``: a client's context
    decides like a backend's; ``chance`` returns so many random bits.
    """

    trust_clients: bool = False
    chance: Callable[[int], int] = random.getrandbits


class Tracing:
    """A service's tracer (a lifecycle part: ``stop`` flushes)."""

    def __init__(
        self,
        service: str,
        env: Mapping[str, str] | None = None,
        *,
        instance: str = "",
        topology: Topology | None = None,
        processor: SpanProcessor | None = None,
        carry: bool = False,
        sampling: EntrySampling | None = None,
    ) -> None:
        """Follow the standard ``OTEL_*`` variables in ``env`` (headers and TLS are read by the SDK itself,
        and were looked at before).

        ``processor`` switches tracing on without an exporter; ``carry`` too, with spans that nobody keeps:
        sampled messages carry their context all the same. Raises SettingsError with every problem.
        """
        asked = tracing_variables(env or {})
        if asked.problems:
            raise SettingsError(list(asked.problems))
        self._parent_counts, self._bound = asked.parent_counts, round(asked.ratio * (1 << 64))
        sampling = sampling or EntrySampling()
        self._trust_clients, self._chance = sampling.trust_clients, sampling.chance
        resource = _resource(service, instance, asked.attributes)
        self._provider: TracerProvider | None = None
        self._exporter: OTLPSpanExporter | None = None
        if processor is None and asked.endpoint is not None:
            self._exporter = OTLPSpanExporter(endpoint=asked.endpoint, timeout=asked.timeout_s)
            processor = BatchSpanProcessor(
                self._exporter,
                max_queue_size=asked.queue_size,
                max_export_batch_size=asked.batch_size,
                schedule_delay_millis=asked.delay_ms,
            )
        if processor is None and carry:
            processor = SpanProcessor()
        self.on = processor is not None
        self._shapes = _shapes(topology or Topology())
        if processor is not None:
            self._ids = _Ids()
            # The decision is taken before the SDK is asked, so the SDK's own sampler always says yes.
            self._provider = TracerProvider(
                sampler=ALWAYS_ON, resource=resource, id_generator=self._ids, shutdown_on_exit=False
            )
            self._provider.add_span_processor(processor)
            self._tracer = self._provider.get_tracer("warren", __version__)

    def entry(
        self,
        traceparent: str = "",
        kind: HopKind = HopKind.RECEIVE,
        *,
        message_id: str = "",
        start_ns: int | None = None,
    ) -> Hop | None:
        """Decide whether this message is sampled, and open its first span if so: where it enters Warren, and
        nowhere else.

        A valid ``traceparent`` of the sender becomes the parent. A backend's decides as the sampler says: by
        its flag, or by its trace id. A client's decides nothing but that it is not sampled (parent-based
        samplers): it chooses flag and trace id as it likes, so the decision is drawn anew by our own share,
        unless clients are trusted. ``start_ns``: when it began, ns since the Unix epoch (None: now).
        """
        if not self.on:
            return None
        if traceparent and is_valid(traceparent):
            sampled = self._counts(traceparent, trusted=self._trust_clients or kind is not HopKind.RECEIVE)
            return self._open(kind, traceparent, message_id, None, 0, "", start_ns) if sampled else None
        trace = self._chance(128)
        if trace & _LOW_64 >= self._bound:
            return None
        self._ids.chosen = trace
        return self._open(kind, "", message_id, None, 0, "", start_ns)

    def _counts(self, traceparent: str, *, trusted: bool) -> bool:
        """Say whether a message with this parent is sampled."""
        if self._parent_counts and not int(traceparent[53:55], 16) & TraceFlags.SAMPLED:
            return False
        if not trusted:
            return self._chance(64) < self._bound
        return self._parent_counts or int(traceparent[19:35], 16) < self._bound

    def hop(
        self,
        kind: HopKind,
        traceparent: str,
        *,
        message_id: str = "",
        shard: int | None = None,
        batch: int = 0,
        key: str = "",
        start_ns: int | None = None,
    ) -> Hop | None:
        """Open the span of a later hop under ``traceparent``; None where that is empty (the message is not
        sampled).

        ``batch``: how many messages share the AMQP message; ``key``: its routing key on the egress (never a
        room's name). Where None is returned the message keeps the traceparent that it has.
        """
        if not traceparent or not self.on or not is_valid(traceparent):
            return None
        return self._open(kind, traceparent, message_id, shard, batch, key, start_ns)

    def _open(
        self,
        kind: HopKind,
        traceparent: str,
        message_id: str,
        shard: int | None,
        batch: int,
        key: str,
        start_ns: int | None,
    ) -> Hop:
        shape = self._shapes[kind]
        attributes = dict(shape.attributes)
        if message_id:
            attributes[MESSAGE_ID] = message_id
        if shard is not None:
            attributes[SHARD] = shard
            key = key or str(shard)
        if batch:
            attributes[BATCH_COUNT] = batch
        if key and shape.destination:
            attributes["messaging.destination.name"] = shape.destination.replace("<key>", key)
        context = _EMPTY
        if traceparent:
            flags = TraceFlags(int(traceparent[53:55], 16) & 0x03 | TraceFlags.SAMPLED)
            parent = SpanContext(
                int(traceparent[3:35], 16), int(traceparent[36:52], 16), is_remote=True, trace_flags=flags
            )
            context = set_span_in_context(NonRecordingSpan(parent), _EMPTY)
        return Hop(self._tracer.start_span(shape.name, context, shape.kind, attributes, start_time=start_ns))

    async def start(self) -> None:
        """Nothing to wait for: the exporter connects when it has something to send."""

    async def stop(self) -> None:
        """Flush and shut down without blocking the loop; gives up after FLUSH_S where the collector does not
        answer.
        """
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def shut_down() -> None:
            self.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop may be gone by then
                loop.call_soon_threadsafe(done.set)

        # A daemon: a collector that hangs must not hold the process back at its end.
        threading.Thread(target=shut_down, name="warren-tracing-shutdown", daemon=True).start()
        try:
            await asyncio.wait_for(done.wait(), FLUSH_S)
        except TimeoutError:
            if self._exporter is not None:
                self._exporter.shutdown()  # type: ignore[no-untyped-call]  # ends its waiting for another try
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(done.wait(), FLUSH_S / 4)

    def shutdown(self) -> None:
        """Flush and shut down; blocks while the collector is being told."""
        self.on = False
        if self._provider is not None:
            self._provider.shutdown()


def _resource(service: str, instance: str, given: Mapping[str, str]) -> Resource:
    attributes: dict[str, str] = {
        "service.name": service,
        "service.namespace": "warren",
        "service.version": __version__,
    }
    if instance:
        attributes["service.instance.id"] = instance
    return Resource({**attributes, **given}).merge(
        Resource({"telemetry.sdk.language": "python", "telemetry.sdk.name": "opentelemetry"})
    )
