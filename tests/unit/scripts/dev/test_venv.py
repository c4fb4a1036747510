"""scripts/dev/venv with an interpreter that will not do: one line, before anything is made or installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]


def venv(folder: Path, python: str, *, on_path: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script in a checkout of its own, with PYTHON and a PATH whose first folder has stand-ins."""
    (folder / "scripts/dev").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/dev/venv", folder / "scripts/dev")
    return subprocess.run(
        [folder / "scripts/dev/venv", "run"],
        env={"PATH": f"{on_path}:/usr/bin:/bin", "PYTHON": python},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A Python that is too old."""
    program = tmp_path / "bin" / "python3.9"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2\nexit 1\n')
    program.chmod(0o755)
    return program


def test_a_python_that_is_too_old_is_one_line(tmp_path: Path, old: Path) -> None:
    """PYTHON=python3.9 is told its version and the one that is needed; no environment is begun."""
    for python in ("python3.9", str(old)):
        shutil.rmtree(tmp_path / "scripts", ignore_errors=True)
        done = venv(tmp_path, python, on_path=str(old.parent))
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"PYTHON={python} is Python 3.9.2; Warren needs Python 3.11 or later"
        ]
    assert not (tmp_path / ".venv").exists()


def test_a_python_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """A name that is no program is named."""
    done = venv(tmp_path, "python4")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "PYTHON=python4: there is no such program; Warren needs Python 3.11 or later"
    ]
