"""The curve: what a variant is, what is taken from the load generator's report, and whose ratios are told."""

from pathlib import Path

import pytest
from bench.curve import Point, points_of, ratios, table, variant_of


def test_a_variant_is_a_name_with_settings_a_checkout_and_how_many_processes() -> None:
    """All of it can be left out but the name."""
    assert variant_of("default").env == {}
    variant = variant_of("old=@/somewhere,WARREN_SHARDS=4,WARREN_LOG_LEVEL=info,nodes=3x1")
    assert (variant.name, variant.env) == ("old", {"WARREN_SHARDS": "4", "WARREN_LOG_LEVEL": "info"})
    assert (variant.python, variant.counts) == (Path("/somewhere/.venv/bin/python"), (3, 1))


@pytest.mark.parametrize("text", ["a=SHARDS=4", "a=WARREN_SHARDS", "a=nodes=3", "a=nodes"])
def test_what_is_no_variant_is_refused(text: str) -> None:
    """A setting that no service would read would compare a thing with itself."""
    with pytest.raises(ValueError, match=r".+"):
        variant_of(text)


def result(phase: str, sent: int, p50: float) -> dict[str, object]:
    groups = {"rabbit": 2.0, "gateway": 10.0, "router": 5.0}
    return {
        "phase": phase,
        "sent": sent,
        "seconds": 2.0,
        "latency_ms": {"p50": p50, "p99": 4 * p50},
        "cpu_us_per_delivery": groups,
        "cpu_share": groups,
    }


def test_a_point_is_named_by_the_rate_that_was_asked_for() -> None:
    """Not by the one that came of it."""
    report = {
        "results": [
            result("pace", 399, 1.0),
            result("pace", 1_990, 2.0),
            result("saturate", 9_000, 90.0),
            result("half", 4_000, 9.0),
        ]
    }
    points = points_of(report, ["200", "1000"])
    assert {name: (point.rate, point.p50) for name, point in points.items()} == {
        "200/s": (199.5, 1.0),
        "1000/s": (995.0, 2.0),
        "full": (4_500.0, 90.0),
        "half": (2_000.0, 9.0),
    }
    assert points["half"].figures()["services"] == 15.0


def test_a_ratio_is_that_of_the_rounds_and_not_of_the_medians() -> None:
    """What makes one round slow makes the other variant's slow as well."""

    def point(p50: float) -> Point:
        return Point(
            100.0,
            p50,
            p50,
            {"rabbit": 1.0, "gateway": 1.0, "router": 1.0},
            {"rabbit": 0.1, "gateway": 0.1, "router": 0.1},
        )

    first, other = [point(2.0), point(20.0), point(4.0)], [point(1.0), point(10.0), point(30.0)]
    assert ratios(first, other)["p50"] == 0.5
    text = table({"one": [{"full": each} for each in first], "two": [{"full": each} for each in other]})
    lines = text.splitlines()
    assert len(lines) == 3
    assert "p50 0.50" in lines[2]
    assert "×" not in lines[1]
