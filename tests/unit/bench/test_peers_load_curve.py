"""The points of a load curve: which of the load generator's results are points, and where a curve ends."""

from __future__ import annotations

from typing import Any

from bench.peers.figures import of
from bench.peers.load_curve import points_of, sustained


def step(asked: float, p50: float, *, sustained: bool = True, tries: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "phase": "step",
        "per_second": 10 * asked,
        "latency_ms": {"p50": p50, "p99": 4 * p50, "max": 9 * p50},
        "cpu_us_per_delivery": {"server": 8.0, "redis": 2.0},
        "rss_mib": {"server": 50.0},
        "generator_cpu_share": 0.1,
        "step": {"asked": asked, "share": 1.0 if sustained else 0.4, "sustained": sustained, "tries": tries},
        **more,
    }


def warm() -> dict[str, Any]:
    result = step(500, 77)
    del result["step"]
    return {**result, "phase": "warm"}


def test_a_point_is_the_median_of_the_runs_and_the_warm_up_is_none() -> None:
    """Figures are by the rate that was asked for."""
    runs = [{"results": [warm(), step(100, p50), step(500, 2 * p50)]} for p50 in (1.0, 2.0, 6.0)]
    points = points_of(runs, "redis")
    assert {rate: (point.p50, point.p99) for rate, point in points.items()} == {100: (2, 8), 500: (4, 16)}
    assert (points[100].cpu, points[100].store_cpu, points[100].delivered) == (8, 2, 1_000)


def test_a_rate_counts_as_sustained_if_most_runs_sustained_it() -> None:
    """The figures are then those of these runs; a run that ended below the rate did not sustain it."""
    good, bad, short = (
        {"results": [step(100, 1.0), step(500, 2.0, tries=2)]},
        {"results": [step(100, 1.0), step(500, 900.0, sustained=False)]},
        {"results": [step(100, 5.0, sustained=False)]},
    )
    points = points_of([good, bad, good], "redis")
    assert (points[500].sustained, points[500].p50, points[500].tries) == (True, 2, 2)
    points = points_of([good, short, {"error": "no server"}], "redis")
    assert [(point.sustained, point.p50) for point in points.values()] == [(False, 5), (False, 2)]
    assert points_of([good, {"error": "no server"}], "redis")[500].sustained
    assert points_of([{"error": "no server"}], "redis") == {}


def test_a_curve_ends_below_the_first_rate_that_is_not_sustained() -> None:
    """What was sustained above it in some run is not shown as if all between were fine."""
    run = {"results": [step(100, 1.0), step(500, 2.0, sustained=False), step(1_000, 3.0)]}
    assert list(sustained(points_of([run], "redis"))) == [100]
    assert sustained({}) == {}


def test_a_curve_is_no_saturation() -> None:
    """The figures of the other scenarios stay empty, so that no table and no target takes a step for them."""
    toll = dict.fromkeys(
        ("sent", "lost", "doubled", "disordered", "stray", "refused", "stalled", "closed"), 0
    )
    one = of([{"results": [warm(), step(100, 1.0)], "toll": toll}], "redis")
    assert (one.rate, one.p50, one.p99, one.cpu) == (None, None, None, None)
    assert list(one.curve) == [100]
