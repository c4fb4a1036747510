"""A real OTLP/HTTP receiver on a free loopback port; it keeps the spans that are sent to it.

Tests of traces use it; it knows nothing of Warren.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")


@dataclass(frozen=True)
class ReceivedSpan:
    """One span as it came over the wire."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    error: str
    resource: dict[str, Any]


class OtlpReceiver:
    """``async with OtlpReceiver() as receiver``: give ``receiver.endpoint`` to
    OTEL_EXPORTER_OTLP_ENDPOINT.
    """

    def __init__(self) -> None:
        self.received: list[ReceivedSpan] = []
        self.requests = 0
        self._changed = asyncio.Condition()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/traces", self._traces)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        self.endpoint = ""

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def spans(self, count: int = 1, *, timeout_s: float = 10.0) -> list[ReceivedSpan]:
        """Return the spans once there are at least ``count``; AssertionError with those that came where there
        are not in time.
        """
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: len(self.received) >= count)
        except TimeoutError:
            names = [f"{span.service}: {span.name}" for span in self.received]
            raise AssertionError(f"{count} spans were expected within {timeout_s} s, came: {names}") from None
        return list(self.received)

    async def trace(self, trace_id: str, count: int, *, timeout_s: float = 10.0) -> list[ReceivedSpan]:
        """Return one trace's spans, parents before children, once there are at least ``count``."""

        def of_trace() -> list[ReceivedSpan]:
            return [span for span in self.received if span.trace_id == trace_id]

        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: len(of_trace()) >= count)
        except TimeoutError:
            names = [f"{span.service}: {span.name}" for span in of_trace()]
            raise AssertionError(f"{count} spans of trace {trace_id} were expected, came: {names}") from None
        return _walk(of_trace())

    async def _traces(self, request: web.Request) -> web.Response:
        message = ExportTraceServiceRequest.FromString(await request.read())
        self.requests += 1
        async with self._changed:
            for of_resource in message.resource_spans:
                resource = _attributes(of_resource.resource.attributes)
                for of_scope in of_resource.scope_spans:
                    self.received += [
                        ReceivedSpan(
                            service=str(resource.get("service.name", "")),
                            name=span.name,
                            kind=KINDS[span.kind],
                            trace_id=span.trace_id.hex(),
                            span_id=span.span_id.hex(),
                            parent_id=span.parent_span_id.hex(),
                            start_ns=span.start_time_unix_nano,
                            end_ns=span.end_time_unix_nano,
                            attributes=_attributes(span.attributes),
                            error=span.status.message if span.status.code == 2 else "",
                            resource=resource,
                        )
                        for span in of_scope.spans
                    ]
            self._changed.notify_all()
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )


def _walk(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
    """Order spans so that each comes after its parent, siblings by their start."""
    ids = {span.span_id for span in spans}
    ordered: list[ReceivedSpan] = []

    def visit(parent: str | None) -> None:
        here = [
            span
            for span in spans
            if (span.parent_id == parent if parent is not None else span.parent_id not in ids)
        ]
        for span in sorted(here, key=lambda span: span.start_ns):
            ordered.append(span)
            visit(span.span_id)

    visit(None)
    return ordered


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs if isinstance(pair, KeyValue)}


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    return None if which is None else getattr(value, which)
