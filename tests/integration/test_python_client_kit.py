"""The Python client passes the conformance kit, by the adapter in tests/conformance_kit/adapters."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest
from tests.support.eventually import TIME_FACTOR, stretched
from tests.support.pods import ROOT

pytest.importorskip("warren_conformance", reason="the conformance kit is not installed")

pytestmark = pytest.mark.slow
ADAPTER = ROOT / "tests/conformance_kit/adapters/python_client.py"


def run(*options: str, overflow: str = "catch_up") -> str:
    """Run the kit with these options; return its report."""
    client = shlex.join([sys.executable, str(ADAPTER), overflow])
    # the other tests keep the machine busy meanwhile
    pace = ["--patience", str(max(1.0, TIME_FACTOR)), "--parallel", "6"]
    command = [sys.executable, "-m", "warren_conformance", "--client", client, *pace, *options]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=stretched(300.0), check=False, cwd=ROOT
    )
    return done.stdout + done.stderr


def test_every_scenario_passes() -> None:
    """But for what the client does not do: MessagePack."""
    report = run()
    failed = [line.split()[1] for line in report.splitlines() if line.startswith(("FAIL", "BROKEN"))]
    assert failed == [], report
    skipped = [line.split()[1] for line in report.splitlines() if line.startswith("skip")]
    assert all(name.startswith("msgpack") for name in skipped), report
    assert sum(line.startswith("ok") for line in report.splitlines()) > 50, report


def test_a_queue_that_drops_the_oldest_is_bounded_and_says_so() -> None:
    """The other policy for a full queue."""
    report = run("--only", "own-queue-is-bounded", overflow="drop_oldest")
    assert "1 passed, 0 failed" in report, report
