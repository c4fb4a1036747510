"""What tracing costs a message: ``entry`` and four ``hop`` calls, as on its path, compared with an empty
loop.

    python -m bench.tracing [--messages 100000] [--json FILE]

Three states: off; on but not sampled (by the sampler, and by the sender's flag); on and sampled. Sampled
spans go to a processor that only counts them, so the figures include no export; encoding for OTLP comes on
top, in the exporter's thread. Spans are counted when they start: the command fails if one was opened for a
message that is not sampled, or if a sampled message has a number other than five.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from warren.telemetry import HopKind, Tracing

LATER = (HopKind.PUBLISH, HopKind.PROCESS, HopKind.PUBLISH_EGRESS, HopKind.DELIVER)
UNSAMPLED_PARENT = f"00-{'ab' * 16}-{'cd' * 8}-00"
ROUNDS = 5


class Counting(SpanProcessor):
    """Counts the spans that begin and those that end."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.begun += 1

    def on_end(self, span: ReadableSpan) -> None:
        self.ended += 1


def walk(tracing: Tracing, messages: int, traceparent: str) -> None:
    """Pass ``messages`` messages over five hops, as the services do."""
    for _ in range(messages):
        hop = tracing.entry(traceparent)
        carried = hop.traceparent if hop is not None else ""
        for kind in LATER:
            next_hop = tracing.hop(kind, carried)
            if next_hop is not None:
                carried = next_hop.traceparent
                next_hop.end()
        if hop is not None:
            hop.end()


def empty(messages: int) -> None:
    """The same loops without calls."""
    for _ in range(messages):
        for _kind in LATER:
            pass


def cost_us(run: Callable[[int], None], messages: int) -> float:
    """Return the CPU µs of one message, the minimum of several rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        run(messages)
        best = min(best, (time.process_time() - began) / messages)
    return best * 1e6


def main() -> int:
    """Print the table; return 1 if spans were opened that should not have been."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.tracing", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--messages",
        type=int,
        default=100_000,
        help="messages in a round (a twentieth of it for sampled ones)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    messages: int = arguments.messages
    few = max(1, messages // 20)
    off_env = {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}
    tiny_env = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.0"}
    cases = [
        ("off", None, {}, "", messages, 0),
        ("on, not sampled (always_off)", Counting(), off_env, "", messages, 0),
        ("on, not sampled (ratio)", Counting(), tiny_env, "", messages, 0),
        ("on, not sampled (sender's flag)", Counting(), {}, UNSAMPLED_PARENT, messages, 0),
        ("on, sampled", Counting(), {}, "", few, 5),
    ]
    base = cost_us(empty, messages)
    print(f"{'tracing':<34}{'µs a message':>14}{'over empty':>12}{'spans a message':>17}")
    print(f"{'(empty loop)':<34}{base:>14.3f}{0:>12.3f}{'-':>17}")
    wrong = []
    over: dict[str, float] = {}  # µs a message over the empty loop
    for name, processor, env, traceparent, count, expected in cases:
        tracing = Tracing("bench", env, processor=processor)
        cost = cost_us(
            lambda n, tracing=tracing, traceparent=traceparent: walk(tracing, n, traceparent),  # type: ignore[misc]
            count,
        )
        over[name] = cost - base
        begun = processor.begun if processor is not None else 0
        print(f"{name:<34}{cost:>14.3f}{cost - base:>12.3f}{begun / (count * ROUNDS):>17.0f}")
        if begun != expected * count * ROUNDS or (processor is not None and processor.ended != begun):
            wrong.append(f"{name}: {begun} spans begun, {expected * count * ROUNDS} expected")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(over, indent=1) + "\n")
    print("\n".join(wrong) or "no span was opened for any message that is not sampled")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
