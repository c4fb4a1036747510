"""bench.peers: from the load generator's reports to the figures, the verdicts on the targets and
the report.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from bench.peers import __main__ as main
from bench.peers import figures, performance_targets, report
from bench.peers.fleet import PEERS, centrifugo_config
from bench.peers.load_curve import Point
from bench.peers.plots import bars, figure
from bench.peers.scenario import SCENARIOS

TOLL = {
    "sent": 100,
    "lost": 1,
    "doubled": 2,
    "disordered": 3,
    "stray": 4,
    "refused": 5,
    "stalled": 6,
    "closed": 7,
}


def result(phase: str, rate: float, p99: float = 4.0, cpu: float = 8.0, **groups: float) -> dict[str, Any]:
    return {
        "phase": phase,
        "per_second": rate,
        "latency_ms": {"p50": 1.0, "p99": p99, "max": 9.0},
        "cpu_us_per_delivery": {"server": cpu, "rabbit": 2.0, **groups},
        "rss_mib": {"server": 50.0, "rabbit": 100.0},
        "generator_cpu_share": 0.8 if rate > 1_000 else 0.1,
    }


def load(*results: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"results": list(results), "toll": TOLL, **more}


def peer(rate: float, p99: float, cpu: float) -> figures.Figures:
    return figures.Figures(rate=rate, p99=p99, cpu=cpu)


def verdict(rows: list[performance_targets.Row], words: str) -> bool | None:
    found = [row.met for row in rows if words in f"{row.what} {row.target}"]
    assert len(found) == 1, (words, found)
    return found[0]


def test_figures_are_medians_of_the_saturated_phases_and_sums_of_what_went_wrong() -> None:
    """Rates and CPU are the medians of what was repeated; every message that went wrong in any run is in the
    sums.
    """
    runs = [
        load(
            result("saturate", 100, cpu=9),
            result("saturate", 5_000, cpu=7),
            result("saturate", 300),
            result("half", 50, p99=6),
        ),
        load(result("saturate", 200), result("half", 50, p99=2), error="it broke"),
    ]
    one = figures.of(runs, "rabbit")
    assert (one.rate, one.cpu, one.store_cpu, one.p99, one.rss) == (250, 8, 2, 4, 50)
    assert (one.sent, one.lost, one.doubled, one.disordered, one.other) == (200, 2, 4, 6, 44)
    assert one.generator == 0.8
    assert one.error == "it broke"


def test_a_run_that_failed_has_no_figures() -> None:
    """What could not be measured is None and never nought, and its reason is kept."""
    one = figures.of([{"error": "no server", "toll": dict.fromkeys(TOLL, 0)}], "redis")
    assert (one.rate, one.p99, one.cpu, one.back, one.kib) == (None, None, None, None, {})
    assert one.error == "no server"


def test_idle_connections_and_storms_have_their_own_figures() -> None:
    """KiB are by process group; a storm's time is until the last is back."""
    idle = {
        "kib_per_connection": {"server": 15.0, "gateway": 6.0},
        "cpu_share": {"server": 0.02},
        "rss_mib": {"server": 80.0},
    }
    one = figures.of([{"toll": TOLL, "idle": idle}], "rabbit")
    assert (one.kib["gateway"], one.idle_share, one.rss) == (6.0, 0.02, 80.0)
    storm = {"seconds": 3.5, "p50_seconds": 2.0, "unrecovered": 4}
    one = figures.of([{"toll": TOLL, "storm": storm}], "rabbit")
    assert (one.back, one.back_p50, one.unrecovered) == (3.5, 2.0, 4)


def curve(ms: float, us: float) -> figures.Figures:
    point = Point(ms, 3 * ms, 1_000, 1.0, us, us / 5, 0.1, sustained=True)
    return figures.Figures(curve=dict.fromkeys(performance_targets.CURVE_MS, point))


def table(*, rate: float, cpu: float, p99: float, gateway: float, kib: float) -> performance_targets.Table:
    return {
        "l": {"warren": curve(p99 / 10, cpu), "python-socketio": curve(2.0, 300)},
        "e": {
            "warren": figures.Figures(back=p99 / 10),
            "centrifugo": figures.Figures(back=1.5),
        },
        "f": {"warren": peer(rate, p99, 90), "centrifugo": peer(20_000, 10, 90)},
        "f50": {"warren": peer(2 * rate, p99, 30)},
        "b": {
            "warren": peer(rate, p99, cpu),
            "python-socketio": peer(1_000, 50, 200),
            "centrifugo": peer(50_000, 10, 8),
        },
        "d": {
            "warren": figures.Figures(kib={"gateway": kib, "router": 1.0, "server": kib + 1}),
            "centrifugo": figures.Figures(kib={"server": 30.0}),
        },
        "g": {
            "warren": figures.Figures(
                parts={"pace": {"gateway": gateway}, "burst": {"gateway": gateway / 10}}
            ),
            "centrifugo": figures.Figures(parts={"pace": {"server": 15.0}, "burst": {"server": 2.0}}),
        },
    }


GOOD: dict[str, Any] = {
    "fanout": {"loop": 8.0, "one at a time": 8.7, "burst": 1.0},
    "tracing": {"off": 1.0, "on, not sampled (ratio)": 2.0, "on, sampled": 300.0},
    "scaling": [{"axis": "rooms", "x": 10, "ratio": 1.0}, {"axis": "rooms", "x": 100_000, "ratio": 1.1}, {"axis": "members", "x": 10, "ratio": 9}],
}  # fmt: skip
BAD: dict[str, Any] = {
    "fanout": {"loop": 8.0, "one at a time": 11.0, "burst": 8.0},
    "tracing": {"off": 1.0, "on, not sampled (ratio)": 500.0},
    "scaling": [{"axis": "rooms", "x": 100_000, "ratio": 1.3}],
}


def test_good_figures_meet_every_target_that_was_measured() -> None:
    """Each row of the targets can be met; scenarios that did not run are neither met nor missed."""
    rows = performance_targets.rows(table(rate=45_000, cpu=13, p99=19, gateway=7, kib=6), GOOD)
    assert {row.met for row in rows} == {True, None}
    unmeasured = [row.what.rsplit(": ", 1)[1] for row in rows if row.met is None]
    assert unmeasured == ["fan-out to 1,000", "fan-out to 5,000", "chat"]


def test_bad_figures_miss_every_target_that_was_measured() -> None:
    """Each row of the targets can be missed, so none is a foregone conclusion."""
    rows = performance_targets.rows(table(rate=19_000, cpu=501, p99=201, gateway=11, kib=15), BAD)
    assert {row.met for row in rows} == {False, None}


def test_nothing_measured_is_no_verdict() -> None:
    """Without any run all rows are there, and none is met."""
    rows = performance_targets.rows({}, {})
    assert len(rows) >= 10
    assert {row.met for row in rows} == {None}


def test_a_rate_that_is_not_sustained_misses_its_targets() -> None:
    """A curve that ends before a rate has missed what is asked for there; one that was not measured has not."""
    point = Point(1, 3, 1_000, 1.0, 10, 1, 0.1, sustained=True)
    ends = figures.Figures(curve={100: point, 500: point, 1_000: replace(point, sustained=False)})
    rows = performance_targets.rows({"l": {"warren": ends, "python-socketio": ends}}, {})
    assert verdict(rows, "load curve, 500 messages") is True
    for words in ("1,000 messages a second in 500 rooms of 10: p50", "2,000 messages", "4,000 messages a second in 500 rooms of 10: CPU a delivery, broker"):  # fmt: skip
        assert verdict(rows, words) is False


def test_the_load_curve_is_compared_with_what_the_peer_needs_at_the_same_rate() -> None:
    """At 100 and 500 a second the peer must not be faster, unless it does not sustain the rate; without it,
    nothing is known unless the limit in milliseconds is missed already.
    """
    point = Point(1, 3, 1_000, 1.0, 10, 1, 0.1, sustained=True)
    ours = figures.Figures(curve={100: point, 500: replace(point, p99=7)})
    faster = figures.Figures(curve={100: replace(point, p99=2.9)})
    over = figures.Figures(curve={100: replace(point, sustained=False)})
    met = {}
    for name, peers in {
        "faster": {"warren": ours, "python-socketio": faster},
        "over": {"warren": ours, "python-socketio": over},
        "alone": {"warren": ours},
    }.items():
        rows = performance_targets.rows({"l": peers}, {})
        met[name] = [verdict(rows, f"curve, {rate} messages a second in 500 rooms of 10: p50") for rate in (100, 500)]  # fmt: skip
    assert met == {"faster": [False, False], "over": [True, False], "alone": [None, False]}


def test_scaling_is_met_only_when_it_was_measured_to_the_end() -> None:
    """A flat line that ends before 100,000 rooms does not meet the target."""
    short = {"scaling": [{"axis": "rooms", "x": 10_000, "ratio": 1.0}]}
    assert verdict(performance_targets.rows({}, short), "scaling") is False


def test_the_report_shows_misses_first_and_every_count() -> None:
    """The Markdown has the missed targets before the met ones, each peer's losses, and a star where the
    generator was busy.
    """
    rows = [
        performance_targets.Row("fine", "t", "f", True),
        performance_targets.Row("poor", "t", "f", False),
        performance_targets.Row("unknown", "t", "f", None),
    ]
    found = {"b": {"warren": figures.of([load(result("saturate", 5_000), result("half", 10))], "rabbit")}}
    text = report.markdown(found, rows, {"CPU": "2 cores"}, day="2026-01-01", quick=True, charts=("a.svg",))
    assert text.index("poor") < text.index("unknown") < text.index("fine")
    assert "| Warren | 5,000 * |" in text
    assert "| 100 | 1 | 2 | 3 | 22 |" in text
    assert "Not for quoting" in text


def test_charts_are_svg_with_a_bar_for_each_value() -> None:
    """Each chart is well-formed XML with one coloured bar for each value, longer for more."""
    text = bars("A < B", "ms", [("one", {"x": 1.0, "y": 100.0})], ["x", "y"])
    root = ElementTree.fromstring(text)
    widths = [float(each.attrib["width"]) for each in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert len(widths) == 2
    assert widths[0] < widths[1]
    assert bars("nothing", "ms", [], []).startswith("<svg")


@pytest.mark.parametrize(
    ("value", "text"), [(12_345.6, "12,346"), (45.67, "45.7"), (4.567, "4.57"), (0.0123, "0.0123")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    """Figures are shown with about the digits that mean something."""
    assert figure(value) == text


def test_every_scenario_and_peer_is_named_once() -> None:
    """Keys are unique, and each scenario has a quick size that differs from the full one."""
    assert len({peer.key for peer in PEERS}) == len(PEERS)
    assert len({scenario.key for scenario in SCENARIOS}) == len(SCENARIOS)
    assert all(scenario.quick != scenario.full for scenario in SCENARIOS)


class NoFleet:
    """Stands for the servers where nothing is to be started."""

    def __init__(self, **_: bool) -> None:
        pass

    def __enter__(self) -> NoFleet:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_scenario_with_a_core_each_is_skipped_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so, and the run is no failure."""
    monkeypatch.setattr(main, "Fleet", NoFleet)
    monkeypatch.setattr(main, "placement", lambda _: None)
    assert main.compare(Namespace(scenario=["lp"], peer=None, repeats=1, quick=True)) == {}
    assert capsys.readouterr().out == "(lp) skipped: it needs two cores, this process may use one\n"


def test_centrifugo_is_given_the_same_channels_as_the_thin_server() -> None:
    """Rooms called kept: have a history and recovery, others have not."""
    config: Any = centrifugo_config(8_000, "redis://127.0.0.1:6379")
    spaces = {space["name"]: space for space in config["channel"]["namespaces"]}
    assert spaces["kept"]["force_recovery"] is True
    assert spaces["kept"]["history_size"] == 300
    assert "history_size" not in spaces["bench"]
