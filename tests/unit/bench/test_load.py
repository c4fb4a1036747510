"""The load generator's own tests, which are in Go beside it (bench/load/*_test.go)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "bench" / "load"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed")
def test_the_load_generator_finds_what_is_lost_doubled_and_out_of_order() -> None:
    """Its Go tests pass: counting, frames, histogram, and whole runs against servers that drop, double and
    swap.
    """
    done = subprocess.run(
        ["go", "test", "./..."],
        cwd=FOLDER,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
