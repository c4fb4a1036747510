"""What a page for Grafana is made of: panels, and the queries that many of them ask.

Queries name Warren's metrics, the label ``instance`` and nothing of how pods are called, so that they fit any
installation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 24
RATE = "[$__rate_interval]"
MINE = '{instance=~"$instance"}'


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: (query, legend) of each line."""

    title: str
    help: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: str = "timeseries"
    stacked: bool = False
    exemplars: bool = False
    width: int = 8


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page: rows of panels, and the metric whose instances can be chosen ("" for none)."""

    uid: str
    title: str
    rows: Sequence[tuple[str, Sequence[Panel]]]
    instances_of: str = ""


def quantiles(service: str, hop: str, where: str = "") -> list[tuple[str, str]]:
    series = f'rate(warren_{service}_hop_seconds_bucket{{hop="{hop}"{where}}}{RATE})'
    return [
        (f"histogram_quantile({q}, sum by (le) ({series}))", f"p{round(q * 100)}") for q in (0.5, 0.95, 0.99)
    ]


def latency(title: str, service: str, hop: str, help_: str, width: int = 8) -> Panel:
    return Panel(title, help_, quantiles(service, hop), "s", exemplars=True, width=width)


def by(label: str, metric: str, where: str = "") -> list[tuple[str, str]]:
    return [(f"sum by ({label}) (rate({metric}{where}{RATE}))", f"{{{{{label}}}}}")]


def each(expression: str) -> list[tuple[str, str]]:
    return [(expression, "{{instance}}")]


def broker(service: str) -> list[tuple[str, str]]:
    up, blocked = f"warren_{service}_bus_up{MINE}", f"warren_{service}_bus_blocked{MINE}"
    return [(up, "{{instance}}"), (blocked, "{{instance}} held back")]


def mean_batch(service: str) -> list[tuple[str, str]]:
    total, count = (
        f"sum by (hop) (rate(warren_{service}_batch_size_{part}{MINE}{RATE}))" for part in ("sum", "count")
    )
    return [(f"{total} / {count}", "{{hop}}")]


def process(expression: str, of: str) -> list[tuple[str, str]]:
    """Ask a metric that every process has, of the pods that have this one."""
    return each(f"{expression} and on (instance) {of}{MINE}")


def rate(metric: str, where: str = "") -> str:
    return f"sum(rate({metric}{where}{RATE}))"
