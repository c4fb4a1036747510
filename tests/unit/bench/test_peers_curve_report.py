"""The load curves in the report: tables, notes and charts."""

from __future__ import annotations

from xml.etree import ElementTree

from bench.peers import curve_report, report
from bench.peers.figures import Figures
from bench.peers.load_curve import Point
from bench.peers.scenario import SCENARIOS

FINE = Point(1.5, 4.5, 1_000, 1.0, 20, 5, 0.1, sustained=True)
OVER = Point(900, 2_500, 4_000, 0.4, 80, 9, 0.1, sustained=False, tries=2)
BUSY = Point(2.5, 9.5, 5_000, 1.0, 10, 2, 0.9, sustained=True, tries=2)
PEERS = {
    "warren": Figures(curve={100: FINE, 500: BUSY}, sent=600, lost=3),
    "python-socketio": Figures(curve={100: FINE, 500: OVER}),
    "centrifugo": Figures(error="no server"),
}


def test_tables_have_a_row_for_each_peer_and_nothing_beyond_what_it_sustained() -> None:
    """What a peer did at a rate that it does not sustain is said in a note, not among the figures."""
    lines = curve_report.section(PEERS, {"a.svg": "title"})
    text = "\n".join(lines)
    assert "| Warren | 1.50 / 4.50 | 2.50 / 9.50 |" in text
    assert "| python-socketio + RabbitMQ | 1.50 / 4.50 | – |" in text
    assert "| Centrifugo + Redis | – | – |" in text
    assert "| Warren | 20.0 + 5.00 | 10.0 + 2.00 |" in text
    assert "| Warren | 1,000 | 5,000 * | 600 | 3 | 0 | 0 | 0 |" in text
    assert (
        "* python-socketio + RabbitMQ did not sustain 500 a second: 40% of what was sent in that time" in text
    )
    assert "* Warren sustained 500 a second at the second try." in text
    assert "* Centrifugo + Redis: no server" in text
    assert text.endswith("![title](a.svg)")
    tables = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in tables} == {4, 9}


def test_each_curve_has_its_own_section_and_charts() -> None:
    """The report shows exactly the charts that are made."""
    files = {}
    for key in curve_report.CURVES:
        made = curve_report.charts("2026-01-01", key, PEERS)
        assert list(made) == list(curve_report.names("2026-01-01", key))
        files |= made
    assert len(files) == 4
    text = report.markdown(
        dict.fromkeys(curve_report.CURVES, PEERS), [], {}, day="2026-01-01", quick=False, charts=()
    )
    assert all(text.count(f"]({name})") == 1 for name in files)
    for chart in files.values():
        shown = {each.text for each in ElementTree.fromstring(chart).iter("{http://www.w3.org/2000/svg}text")}
        assert {"Warren", "python-socketio + RabbitMQ"} <= shown
        assert "Centrifugo + Redis" not in shown


def test_the_bar_charts_have_no_load_curves() -> None:
    """They compare single figures of each scenario."""
    assert all("load curve" not in chart for chart in report.charts({"l": PEERS, "b": {}}))


def test_curves_are_the_scenarios_with_steps() -> None:
    """A scenario with steps has a section of its own, and the one that is pinned says so in its files."""
    steps = {scenario.key: scenario.pinned for scenario in SCENARIOS if "step=" in scenario.full[1]}
    assert {key: bool(end) for key, (end, _) in curve_report.CURVES.items()} == steps
