"""The trace of whoever asks goes on."""

from __future__ import annotations

import subprocess
import sys

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from warren_backend.shell import tracing

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_without_a_span_there_is_nothing() -> None:
    """And an empty header begins nothing."""
    assert tracing.traceparent() is None
    with tracing.continued(""):
        assert tracing.traceparent() is None


def test_the_present_span_is_told() -> None:
    """As the header has it."""
    with TracerProvider().get_tracer("t").start_as_current_span("s") as span:
        context = span.get_span_context()
        ids = f"{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}"
        assert (tracing.traceparent() or "").startswith(f"00-{ids}-")


def test_a_requests_trace_is_the_present_one_within_the_block() -> None:
    """And not behind it."""
    with tracing.continued(HEADER):
        assert tracing.traceparent() == HEADER
    assert tracing.traceparent() is None


def test_without_opentelemetry_it_does_nothing() -> None:
    """An application need not have it."""
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from warren_backend.shell import tracing\n"
        f"with tracing.continued({HEADER!r}): print(tracing.traceparent())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
