"""Tracing: the W3C trace context of the present span, where the application uses OpenTelemetry, and a
request's own around whoever answers it. Without the package opentelemetry-api it does nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

try:
    from opentelemetry import context as _context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    _available = False
else:
    _available = True


def traceparent() -> str | None:
    """Return the header ``traceparent`` of the present span; None: there is none."""
    if not _available:
        return None
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


@contextlib.contextmanager
def continued(header: str) -> Iterator[None]:
    """Make a request's trace the present one, so that the spans of whoever answers it belong to it."""
    if not _available or not header:
        yield
        return
    token = _context.attach(TraceContextTextMapPropagator().extract({"traceparent": header}))
    try:
        yield
    finally:
        _context.detach(token)
