"""Reduces a run to the few figures that are compared. Pure: the load generator's report in, figures out."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.peers.load_curve import Point, points_of

# A generator that uses more of a core than this may itself limit the rate.
BUSY = 0.7


@dataclass(frozen=True, slots=True)
class Figures:
    """One peer in one scenario; medians over the repeats. Times in ms, CPU in µs for each delivery, memory in
    MiB or KiB; None: not measured.
    """

    rate: float | None = None
    p50: float | None = None
    p99: float | None = None
    longest: float | None = None
    cpu: float | None = None  # of all server processes when saturated
    store_cpu: float | None = None
    rss: float | None = None
    # phase ▶ process group ▶ CPU µs a delivery
    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    kib: dict[str, float] = field(default_factory=dict)  # process group ▶ KiB an idle connection
    idle_share: float | None = None  # of one core, all server processes
    back: float | None = None  # s until all were back after a storm
    back_p50: float | None = None
    unrecovered: int = 0
    sent: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    other: int = 0  # stray, refused, stalled, closed
    generator: float = 0.0  # the generator's share of a core when saturated
    error: str = ""
    curve: dict[int, Point] = field(default_factory=dict)  # messages a second ▶ what that takes


def _median(values: Iterable[float]) -> float | None:
    there = list(values)
    return statistics.median(there) if there else None


def of(runs: list[dict[str, Any]], store: str) -> Figures:
    """Return the figures of one peer's runs; ``store`` is the process group of the broker or store."""
    phases: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        for result in run.get("results", ()):
            phases.setdefault(result["phase"], []).append(result)
    full = phases.get("saturate", [])
    calm = phases.get("half") or phases.get("pace") or phases.get("after") or []
    storms = [run["storm"] for run in runs if run.get("storm")]
    rests = [run["idle"] for run in runs if run.get("idle")]
    tolls = [run["toll"] for run in runs]
    groups = {
        name for results in phases.values() for result in results for name in result["cpu_us_per_delivery"]
    }
    rss = [result["rss_mib"]["server"] for result in full or calm] or [
        rest["rss_mib"]["server"] for rest in rests
    ]
    return Figures(
        rate=_median(result["per_second"] for result in full),
        p50=_median(result["latency_ms"]["p50"] for result in calm),
        p99=_median(result["latency_ms"]["p99"] for result in calm),
        longest=max((result["latency_ms"]["max"] for result in calm), default=None),
        cpu=_median(result["cpu_us_per_delivery"]["server"] for result in full),
        store_cpu=_median(result["cpu_us_per_delivery"][store] for result in full),
        rss=_median(rss),
        parts={
            phase: {
                name: statistics.median(r["cpu_us_per_delivery"].get(name, 0.0) for r in results)
                for name in groups
            }
            for phase, results in phases.items()
        },
        kib={
            name: statistics.median(rest["kib_per_connection"][name] for rest in rests)
            for name in (rests[0]["kib_per_connection"] if rests else ())
        },
        idle_share=_median(rest["cpu_share"]["server"] for rest in rests),
        back=_median(storm["seconds"] for storm in storms),
        back_p50=_median(storm["p50_seconds"] for storm in storms),
        unrecovered=sum(storm["unrecovered"] for storm in storms),
        sent=sum(toll["sent"] for toll in tolls),
        lost=sum(toll["lost"] for toll in tolls),
        doubled=sum(toll["doubled"] for toll in tolls),
        disordered=sum(toll["disordered"] for toll in tolls),
        other=sum(toll["stray"] + toll["refused"] + toll["stalled"] + toll["closed"] for toll in tolls),
        generator=max((result["generator_cpu_share"] for result in full), default=0.0),
        error="; ".join(run["error"] for run in runs if run.get("error")),
        curve=points_of(runs, store),
    )
