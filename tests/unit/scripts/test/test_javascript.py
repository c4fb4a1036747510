"""scripts/test/javascript where it can't build; a stand-in plays Node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[4]
REAL = ("bash", "dirname", "grep")


def run(folder: Path, node: str) -> subprocess.CompletedProcess[str]:
    """Run it on a PATH of a few real programs and this stand-in, without npm."""
    path = folder / "bin"
    path.mkdir()
    for name in REAL:
        found = shutil.which(name)
        assert found
        (path / name).symlink_to(found)
    (path / "node").write_text(f"#!/bin/bash\n{node}\n")
    (path / "node").chmod(0o755)
    env = {"PATH": str(path), "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.run(
        [path / "bash", ROOT / "scripts/test/javascript"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_npm_it_runs_the_tests_of_what_is_committed(tmp_path: Path) -> None:
    """It says so, passes over the tests of what is not built, and ends with a code of its own."""
    done = run(tmp_path, f'printf "%s\\n" "$@" > {tmp_path}/seen; echo "# tests 7"')
    assert (done.returncode, done.stdout) == (3, "# tests 7\n")
    assert done.stderr == "js: npm is missing, so the JavaScript client can't be built\n"
    seen = (tmp_path / "seen").read_text().split()
    assert seen[0] == "--test"
    assert "clients/js/test/rooms.test.js" in seen
    assert "clients/js/test/seen_positions.test.js" not in seen


def test_a_test_that_fails_is_shown(tmp_path: Path) -> None:
    """With all that Node said."""
    done = run(tmp_path, "echo not ok 1; exit 1")
    assert (done.returncode, done.stdout) == (1, "not ok 1\n")
