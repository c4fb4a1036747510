"""The waterfall: what is read of services' histograms, what it is the difference of, and that its stretches
add up.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from bench.waterfall import (
    HOPS,
    STRETCHES,
    Distribution,
    Phase,
    Reading,
    distributions,
    figures,
    follow,
    hops,
    rates_of,
    together,
    waited_s,
    waterfall,
)

from warren.metrics import GatewayMetrics, RouterMetrics


def exposed(metrics: GatewayMetrics | RouterMetrics) -> dict[tuple[str, str, str], Distribution]:
    return distributions(metrics.render()[0].decode())


def a_phase() -> Phase:
    """A phase in which every hop took a millisecond more than the one before it, and end to end 60."""
    gateway, router = GatewayMetrics(), RouterMetrics()
    for number, (service, hop) in enumerate(HOPS):
        seconds = 0.060 if hop == "end_to_end" else (number + 1) / 1_000
        (gateway if service == "gateway" else router).hop_seconds(hop, seconds)
    gateway.batch_size("uplink", 7)
    result = {
        "sent": 800,
        "seconds": 8.0,
        "latency_ms": {"mean": 75.0, "p50": 70.0, "p99": 99.0, "max": 100.0},
        "cpu_share": {"gateway": 0.5, "router": 0.25, "rabbit": 0.125},
        "generator_cpu_share": 0.0625,
    }
    waited = {"gateway": 0.75, "router": 0.0, "rabbit": 0.0}
    return Phase("1000", result, Reading(8.0, together([exposed(gateway), exposed(router)]), waited))


def test_the_stretches_add_up_to_the_load_generators_mean() -> None:
    """Whatever the hops are."""
    phase = a_phase()
    assert sum(stretch(phase) for stretch in STRETCHES.values()) == pytest.approx(75.0)
    assert sum(figures(phase)["stretches"].values()) == pytest.approx(75.0)


def test_both_tables_have_a_cell_for_each_rate() -> None:
    """And every line as many as the head."""
    phase = a_phase()
    for table in (waterfall([phase, phase]), hops([phase, phase])):
        assert {line.count("|") for line in table.splitlines()} == {4}
        assert table.splitlines()[0].endswith("| 1,000/s | 1,000/s |")
    assert "| cores: gateways use; wait for | 0.50; 0.75 |" in waterfall([phase])
    assert "| messages in a batch from a gateway to a shard | 7.0 |" in hops([phase])
    assert "| `end_to_end`, each message | 60.00; " in hops([phase])


def test_what_was_never_counted_has_no_time() -> None:
    """As where all messages came by catching up; what is the difference to it is not known either."""
    phase = Phase("1", a_phase().result, Reading(waited={"gateway": 0.0, "router": 0.0, "rabbit": 0.0}))
    none = {"count": 0, "mean": None, "p50": None, "p99": None}
    assert figures(phase)["hops"]["gateway uplink"] == none
    assert "nan" not in waterfall([phase]) + hops([phase])
    assert "(generator − end_to_end) | – |" in waterfall([phase])


def test_the_difference_of_two_readings_is_what_came_between_them() -> None:
    """The warm-up's slow messages are in none of the quantiles."""
    metrics, other = GatewayMetrics(), GatewayMetrics()
    for _ in range(100):
        metrics.hop_seconds("uplink", 4.0)
    before = Reading(10.0, exposed(metrics), {"gateway": 1.0})
    for _ in range(10):
        metrics.hop_seconds("uplink", 0.002)
        other.hop_seconds("uplink", 0.002)
    after = Reading(20.0, together([exposed(metrics), exposed(other)]), {"gateway": 6.0})
    found = after.since(before)
    uplink = found.scrape["gateway", "hop_seconds", "uplink"]
    assert (uplink.count, uplink.mean) == (20, pytest.approx(0.002))
    assert 0.001 < uplink.quantile(0.5) <= uplink.quantile(0.99) <= 0.0025
    assert found.waited == {"gateway": 0.5}


def test_quantiles_are_interpolated_within_their_bucket() -> None:
    """Above the largest bound they are that bound: no histogram knows more."""
    one = Distribution(1.0, 10, {1.0: 0, 2.0: 4, 4.0: 8, float("inf"): 10})
    assert [one.quantile(q) for q in (0.1, 0.4, 0.5, 0.8, 0.99)] == [1.25, 2.0, 2.5, 4.0, 4.0]
    assert isnan(Distribution().quantile(0.5))


def test_each_phase_is_read_where_it_begins_and_ends_and_its_end_is_answered() -> None:
    """What the load generator says besides is kept for whoever asks why it failed."""
    answers = io.StringIO()
    said: list[str] = []
    clock = iter(range(100))

    def look() -> Reading:
        metrics = GatewayMetrics()
        at = next(clock)
        for _ in range(at):
            metrics.hop_seconds("uplink", 0.5)
        said.append(answers.getvalue())
        return Reading(float(at), exposed(metrics), {})

    def marks() -> Iterator[str]:
        for _ in range(2):
            yield from ("begin\n", "end\n", "a warning\n")

    found, others = follow(marks(), answers, look)
    assert [each.scrape["gateway", "hop_seconds", "uplink"].count for each in found] == [1, 1]
    assert said == ["", "", "\n", "\n"]  # the end is answered once the services were read, and no begin is
    assert (answers.getvalue(), others) == ("\n\n", "a warning\n" * 2)


def test_waits_for_a_core_are_those_of_all_threads(tmp_path: Path) -> None:
    """In seconds."""
    for pid, thread, waited_ns in (
        (1, 1, 500_000_000),
        (1, 2, 1_000_000_000),
        (2, 2, 250_000_000),
        (3, 3, 1),
    ):
        folder = tmp_path / str(pid) / "task" / str(thread)
        folder.mkdir(parents=True)
        (folder / "schedstat").write_text(f"77 {waited_ns} 5\n")
    assert waited_s([1, 2], tmp_path) == 1.75


def test_rates_are_whole_numbers_above_nothing() -> None:
    """So that none is a phase that never sends."""
    assert rates_of("100,2000") == ["100", "2000"]
    wrong: Any
    for wrong in ("", "100,", "0", "-5", "1.5", "many"):
        with pytest.raises(ValueError, match="messages a second"):
            rates_of(wrong)
