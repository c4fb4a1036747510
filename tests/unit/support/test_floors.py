"""The seconds of a run, floor by floor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.floors import TIMES_FILE, times

ROOT = Path(__file__).parents[3]


def test_phases_and_files_of_a_floor_are_added_up() -> None:
    """The dearest floor is first; a test counts once, however many phases it has."""
    lines = times(
        [
            ("tests/unit/a/test_x.py::test_one", 1.0),
            ("tests/faults/test_y.py::test_two[a]", 4.0),
            ("tests/unit/a/test_x.py::test_one", 0.4),
            ("tests/unit/b/test_z.py::test_three", 0.1),
        ]
    )
    assert [line.split() for line in lines] == [
        ["faults", "1", "tests", "4", "s"],
        ["unit", "2", "tests", "2", "s"],
    ]


def test_a_run_shows_them_and_writes_them_down(tmp_path: Path) -> None:
    """At the end of pytest's own output, and in the file that the environment names."""
    file = tmp_path / "times"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/unit/support/test_eventually.py",
        ],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", TIMES_FILE: str(file)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seconds by floor" in done.stdout
    assert file.read_text().startswith("unit ")
