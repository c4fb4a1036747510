"""That a group of pytest-xdist stays on one worker, with the versions that are installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
TESTS = """
import os
import pytest

WORKER = os.environ["PYTEST_XDIST_WORKER"]

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(6))
def test_grouped(number):
    open(f"one-{WORKER}", "a").close()

@pytest.mark.xdist_group("other")
@pytest.mark.parametrize("number", range(6))
def test_grouped_too(number):
    open(f"other-{WORKER}", "a").close()
"""


def test_a_group_stays_on_one_worker(tmp_path: Path) -> None:
    """However many workers there are."""
    (tmp_path / "test_groups.py").write_text(TESTS)
    command = ["-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "tests.support.xdist_groups"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, *command, "-p", "no:cacheprovider", "test_groups.py"],
        cwd=tmp_path,
        env=inherited | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "12 passed" in done.stdout, done.stdout + done.stderr
    for group in ("one", "other"):
        assert len(list(tmp_path.glob(f"{group}-gw*"))) == 1
