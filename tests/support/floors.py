"""Where a run's time goes, floor by floor, so that growth is seen: the seconds of all workers together, most
first.

WARREN_TEST_TIMES_FILE names a file that takes the lines too (``scripts/test/all`` shows them at its end).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

TIMES_FILE = "WARREN_TEST_TIMES_FILE"


def times(reports: Iterable[tuple[str, float]]) -> list[str]:
    """Return a line for each floor of these (test's id, seconds of one of its phases)."""
    seconds: dict[str, float] = {}
    tests: dict[str, set[str]] = {}
    for test, duration_s in reports:
        floor = _floor(test)
        seconds[floor] = seconds.get(floor, 0.0) + duration_s
        tests.setdefault(floor, set()).add(test)
    order = sorted(seconds, key=lambda floor: -seconds[floor])
    return [f"{floor:<13} {len(tests[floor]):5d} tests {seconds[floor]:6.0f} s" for floor in order]


def show(reporter: pytest.TerminalReporter) -> None:
    """Write the lines to the terminal, and to the file that the environment names."""
    lines = times(
        (report.nodeid, report.duration)
        for reports in reporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport)
    )
    if not lines:
        return
    reporter.section("seconds by floor, all workers together", sep="=")
    for line in lines:
        reporter.line(line)
    if path := os.environ.get(TIMES_FILE):
        Path(path).write_text("".join(f"{line}\n" for line in lines))


def _floor(test: str) -> str:
    """Return the folder under ``tests/`` that a test stands in."""
    parts = test.split("::")[0].split("/")
    return parts[1] if len(parts) > 2 else parts[0]
