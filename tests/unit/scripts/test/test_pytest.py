"""scripts/test/pytest chooses how many workers there are; an interpreter that only says how it was called stands
for Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout with the script, a Python that prints its arguments, and a machine of three cores."""
    (tmp_path / "scripts/test").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/test/pytest", tmp_path / "scripts/test")
    for path, text in {
        ".venv/bin/python": 'echo "$@ factor=$WARREN_TEST_TIME_FACTOR"',
        "bin/nproc": "echo 3",
    }.items():
        program = tmp_path / path
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    return tmp_path


def said(place: Path, *arguments: str, **env: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
    path = f"{place / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        [place / "scripts/test/pytest", *arguments],
        env=inherited | {"PATH": path} | env,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def memory_is(place: Path, mib: int) -> None:
    """Let the script see a machine with so much memory left."""
    script = place / "scripts/test/pytest"
    meminfo = place / "meminfo"
    meminfo.write_text(f"MemTotal: 99999999 kB\nMemAvailable: {mib * 1_024} kB\n")
    script.write_text(script.read_text().replace("/proc/meminfo", str(meminfo)))


@pytest.mark.parametrize(("mib", "workers"), [(16_000, 6), (2_700, 2)])
def test_cores_and_memory_say_how_many(place: Path, mib: int, workers: int) -> None:
    """Two for each core, fewer where memory is short, and what is waited for may take twice as long."""
    memory_is(place, mib)
    assert f"-n {workers} --dist loadgroup -x factor=2" in said(place, "-x")


def test_a_small_machine_has_no_workers(place: Path) -> None:
    """Where memory holds only one, pytest runs by itself, and nothing is stretched."""
    memory_is(place, 800)
    assert said(place, "-x") == "-m pytest -q --timeout 180 --durations 15 --durations-min 10 -x factor=\n"


def test_the_environment_has_the_last_word(place: Path) -> None:
    """WARREN_TEST_WORKERS and WARREN_TEST_TIME_FACTOR are taken as they are."""
    assert "-n 5 --dist loadgroup factor=4" in said(
        place, WARREN_TEST_WORKERS="5", WARREN_TEST_TIME_FACTOR="4"
    )
    assert "-n" not in said(place, WARREN_TEST_WORKERS="1")
