"""Measurements ▶ figures ▶ a verdict ▶ rows of the table. Pure.

A ping or message that was never answered counts with the time it had waited at the end, so that a stalled
service does not look fast.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

MIB = 1 << 20
MB = 1e6
# If other processes use more of the machine than this, a latency within so many times its target (or that of
# the calm phase, if that is more) says nothing.
BUSY, BUSY_FACTOR = 1 / 3, 5.0


class Sample(NamedTuple):
    """One ping or message of a victim."""

    kind: str  # ping or ack
    at: float  # when it was due
    took: float  # s; until the end of its connection if it was not answered
    answered: bool


class Latency(NamedTuple):
    """Latencies of ``of`` samples, in ms; nan if there are none."""

    of: int
    p50: float
    p99: float
    max: float
    unanswered: int


@dataclass(frozen=True, slots=True)
class Aims:
    """The targets under any attack."""

    ping_ms: float = 50.0
    ack_ms: float = 500.0
    # more than before, of a gateway or a router: WARREN_GATEWAY_BUFFER_BYTES and a tenth
    rss_mib: float = 282.0


DEFAULT = Aims()


@dataclass(slots=True)
class Result:
    """The measurements of one attack."""

    name: str
    kind: str
    says: str
    calm: dict[str, Latency] = field(default_factory=dict)
    attacked: dict[str, Latency] = field(default_factory=dict)
    after: dict[str, Latency] = field(default_factory=dict)
    closes: dict[str, int] = field(default_factory=dict)  # of victims, by code, in the attack and after it
    seconds: float = 0.0
    sent: int = 0
    received: int = 0
    opened: int = 0
    ends: dict[str, int] = field(default_factory=dict)  # of the attacker's connections
    first_end: tuple[str, float] | None = None
    attacker_cpu: float = 0.0  # cores
    gateway_cpu: float = 0.0  # cores under attack
    gateway_calm_cpu: float = 0.0
    router_cpu: float = 0.0
    router_calm_cpu: float = 0.0
    rss: tuple[int, int, int] = (0, 0, 0)  # the gateway before, at most, after
    router_rss: tuple[int, int, int] = (0, 0, 0)
    idle: float = 0.0  # share of the machine under attack
    others: float = 0.0  # share of the machine that unrelated processes used
    died: list[str] = field(default_factory=list)

    @property
    def cpu_s_per_mb(self) -> float:
        """CPU of the attacked service (gateway or router) for each MB sent, beyond that of the calm phase."""
        gateway, router = self.gateway_cpu - self.gateway_calm_cpu, self.router_cpu - self.router_calm_cpu
        spent = (router if self.kind == "router" else gateway) * self.seconds
        return spent / (self.sent / MB) if self.sent else math.nan


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that the given share of all values does not exceed (nan if there are none)."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def latency(samples: Iterable[Sample], kind: str, begin: float, end: float) -> Latency:
    """Return the latency of the samples that were due from ``begin`` to ``end``."""
    chosen = [sample for sample in samples if sample.kind == kind and begin <= sample.at < end]
    took = [sample.took * 1_000 for sample in chosen]
    unanswered = sum(not sample.answered for sample in chosen)
    return Latency(
        len(took), percentile(took, 0.5), percentile(took, 0.99), max(took, default=math.nan), unanswered
    )


Verdict = Literal["held", "MISSED", "noisy"]


def verdict(result: Result, aims: Aims) -> tuple[Verdict, list[str]]:
    """Say whether the targets were met, and which were not. ``noisy``: a latency misses its target
    moderately, but other processes keep the machine busy, or the calm phase misses it too.
    """
    reasons = list(result.died)
    noise: list[str] = []
    for kind, limit in (("ping", aims.ping_ms), ("ack", aims.ack_ms)):
        under, calm = result.attacked.get(kind), result.calm.get(kind)
        if under is None or calm is None:
            continue
        if not under.of:
            reasons.append(f"no {kind}")
        elif not under.p99 <= limit:
            busy = result.others > BUSY or calm.p99 > limit
            doubtful = busy and under.p99 <= BUSY_FACTOR * max(limit, calm.p99)
            (noise if doubtful else reasons).append(f"{kind} p99 {under.p99:.0f} ms")
        if (after := result.after.get(kind)) is not None and after.of and after.unanswered == after.of:
            reasons.append(f"no {kind} answered afterwards")
    for who, (before, most, _) in (("gateway", result.rss), ("router", result.router_rss)):
        if most - before > aims.rss_mib * MIB:
            reasons.append(f"{who} +{(most - before) / MIB:.0f} MiB")
    if result.closes:
        reasons.append("victims closed: " + spelled(result.closes))
    if reasons:
        return "MISSED", reasons + noise
    return ("noisy", noise) if noise else ("held", [])


def spelled(counts: dict[str, int]) -> str:
    """Return counts by name in one line, "-" if there are none."""
    return ", ".join(f"{count} x {name}" for name, count in counts.items()) or "-"


HEADINGS = (
    "attack", "sent MB/s", "s CPU/MB", "gateway cores", "calm ping p50/p99", "ping p50/p99/max ms", "calm ack p50/p99", "ack p50/p99 ms", "victims closed",
    "gateway MiB before/peak/after", "router MiB (cores)", "attacker's ends (first after s)", "idle %/others %", "verdict",
)  # fmt: skip


def row(result: Result, aims: Aims) -> list[str]:
    """Return one row of the table."""
    word, reasons = verdict(result, aims)
    nothing = Latency(0, math.nan, math.nan, math.nan, 0)
    ping, ack = (result.attacked.get(kind, nothing) for kind in ("ping", "ack"))
    calm_ping, calm_ack = (result.calm.get(kind, nothing) for kind in ("ping", "ack"))
    ends = spelled(result.ends)
    if result.first_end is not None:
        ends += f" ({result.first_end[0]} after {result.first_end[1]:.2f})"
    rate = result.sent / MB / result.seconds if result.seconds else math.nan
    return [
        result.name,
        f"{rate:.3g}",
        f"{result.cpu_s_per_mb:.3g}",
        f"{result.gateway_cpu:.2f}",
        f"{calm_ping.p50:.1f}/{calm_ping.p99:.1f}",
        f"{ping.p50:.1f}/{ping.p99:.1f}/{ping.max:.0f}",
        f"{calm_ack.p50:.0f}/{calm_ack.p99:.0f}",
        f"{ack.p50:.0f}/{ack.p99:.0f}" + (f" ({ack.unanswered} never)" if ack.unanswered else ""),
        spelled(result.closes),
        "/".join(f"{size / MIB:.0f}" for size in result.rss),
        "/".join(f"{size / MIB:.0f}" for size in result.router_rss) + f" ({result.router_cpu:.2f})",
        ends,
        f"{result.idle * 100:.0f}/{result.others * 100:.0f}",
        word + (f": {'; '.join(reasons)}" if reasons else ""),
    ]


def table(rows: Sequence[Sequence[str]], headings: Sequence[str] = HEADINGS) -> str:
    """Return rows as a Markdown table."""
    lines = ["| " + " | ".join(headings) + " |", "| " + " | ".join("---" for _ in headings) + " |"]
    return "\n".join([*lines, *("| " + " | ".join(each) + " |" for each in rows)])


def as_json(result: Result, aims: Aims) -> dict[str, Any]:
    """Return a result as plain data, with its verdict."""
    word, reasons = verdict(result, aims)
    fields = {name: getattr(result, name) for name in result.__slots__}
    for name in ("calm", "attacked", "after"):
        fields[name] = {kind: one._asdict() for kind, one in fields[name].items()}
    return {**fields, "cpu_s_per_mb": result.cpu_s_per_mb, "verdict": word, "reasons": reasons}
