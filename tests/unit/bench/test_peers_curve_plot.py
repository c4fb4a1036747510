"""Line charts: what is drawn where, and that nothing breaks them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from bench.peers.curve_plot import Line, curves

SVG = "{http://www.w3.org/2000/svg}"


def places(text: str) -> list[list[tuple[float, float]]]:
    """Return the points of each line, in the order in which they are drawn."""
    lines = ElementTree.fromstring(text).iter(f"{SVG}polyline")
    return [[(float(x), float(y)) for x, y in (word.split(",") for word in line.attrib["points"].split())] for line in lines]  # fmt: skip


def texts(text: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(text).iter(f"{SVG}text")]


def test_both_axes_are_logarithmic_and_more_is_higher() -> None:
    """The same ratio is the same distance, and the first name is drawn above the others."""
    lines = [Line("x", [(100, 1), (1_000, 10), (10_000, 100)]), Line("y", [(100, 10)], dashed=True)]
    below, (first, second, third) = places(curves("A < B", "ms", "a second", lines, ["x", "y"]))
    assert second[0] - first[0] == pytest.approx(third[0] - second[0], abs=0.2)
    assert first[1] - second[1] == pytest.approx(second[1] - third[1], abs=0.2)
    assert first[1] > second[1] > third[1]
    assert below == [(first[0], second[1])]


def test_every_rate_and_every_peer_is_named() -> None:
    """The x axis has the rates themselves; the legend has the peers that have a line, and both styles."""
    lines = [Line("x", [(100, 0.3), (8_000, 42)]), Line("y", [])]
    found = texts(curves("title", "ms", "a second", lines, ["x", "y"], ("p50", "p99")))
    assert {"100", "8,000", "x", "p50", "p99", "0.2", "1", "10", "50"} <= set(found)
    assert "y" not in found


def test_dashed_lines_differ_from_solid_ones() -> None:
    """p99 is not to be taken for p50."""
    lines = [Line("x", [(1, 1), (2, 2)]), Line("x", [(1, 3), (2, 4)], dashed=True)]
    assert curves("title", "ms", "a second", lines, ["x"]).count("stroke-dasharray") == 1


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [Line("x", [])],
        [Line("x", [(100, 0.0)])],
        [Line("x", [(100, 1.0)])],
        [Line("x", [(100, 7), (200, 7)])],
    ],
)
def test_few_points_or_none_are_a_chart_too(lines: list[Line]) -> None:
    """One rate, one value, noughts (a store that used less than a tick) and nothing at all."""
    root = ElementTree.fromstring(curves("A & B", "ms", "a second", lines, ["x"]))
    assert root.tag == f"{SVG}svg"
