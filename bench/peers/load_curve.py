"""The points of a load curve: what one peer needs at each rate, and where it no longer keeps up. Pure: the load
generator's reports in, points out.

The load generator decides whether a rate is sustained; this module never does.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Point:
    """One peer at one rate; medians over the repeats. Latencies in ms, CPU in µs for each delivery."""

    p50: float
    p99: float
    delivered: float  # a second
    share: float  # of what was sent during the step, so much arrived during it
    cpu: float  # of all server processes
    store_cpu: float
    generator: float  # its share of a core
    sustained: bool
    tries: int = 1  # at most; the load generator tries a step again before it gives up


def points_of(runs: Sequence[Mapping[str, Any]], store: str) -> dict[int, Point]:
    """Return a peer's points by the rate that was asked for, in messages a second; ``store`` is the process
    group of the broker or store. A rate that was not tried has no point. One that was sustained in most of
    the runs (those with any step) is sustained. Its figures are those of these runs, otherwise of the others.
    """
    counted = sum(any("step" in result for result in run.get("results", ())) for run in runs)
    steps: dict[int, list[Mapping[str, Any]]] = {}
    for run in runs:
        for result in run.get("results", ()):
            if "step" in result:
                steps.setdefault(round(result["step"]["asked"]), []).append(result)
    points = {}
    for asked, results in sorted(steps.items()):
        kept_up = [result for result in results if result["step"]["sustained"]]
        sustained = 2 * len(kept_up) > counted
        failed = [result for result in results if not result["step"]["sustained"]]
        points[asked] = _point(kept_up if sustained else failed or results, store, sustained=sustained)
    return points


def _point(results: Sequence[Mapping[str, Any]], store: str, *, sustained: bool) -> Point:
    median = statistics.median
    return Point(
        p50=median(result["latency_ms"]["p50"] for result in results),
        p99=median(result["latency_ms"]["p99"] for result in results),
        delivered=median(result["per_second"] for result in results),
        share=median(result["step"]["share"] for result in results),
        cpu=median(result["cpu_us_per_delivery"]["server"] for result in results),
        store_cpu=median(result["cpu_us_per_delivery"][store] for result in results),
        generator=max(result["generator_cpu_share"] for result in results),
        sustained=sustained,
        tries=max(result["step"]["tries"] for result in results),
    )


def sustained(points: Mapping[int, Point]) -> dict[int, Point]:
    """Return the points below the first rate that was not sustained."""
    found = {}
    for asked, point in sorted(points.items()):
        if not point.sustained:
            break
        found[asked] = point
    return found
