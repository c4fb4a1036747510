"""scripts/deploy/base-image: the base that it makes has the Python that the Dockerfile names, or it fails in one line.

The programs that it calls are stand-ins: no registry is asked and no Debian is fetched.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
BASE = re.compile(r"^ARG BASE=(.*)$", re.MULTILINE)

STAND_INS = {
    "id": "echo 0",
    "apt-get": "echo http://mirror.example/debian/ forky",
    "unshare": 'shift 3; exec "$@"',
    # its folder is the first argument that ends so
    "debootstrap": 'for each; do case $each in *.part) break ;; esac; done; mkdir -p "$each/usr/bin"; '
    '[ "$MADE" = none ] && { echo "E: no such suite"; exit 1; }; '
    'touch "$each/usr/bin/$MADE"; chmod 755 "$each/usr/bin/$MADE"; ln -s "$MADE" "$each/usr/bin/python3"',
    "buildah": 'case $1 in inspect | pull) exit 1 ;; from) echo scratch-1 ;; esac; echo "$*" >>"$CALLS"',
}


class Here:
    """A checkout of the scripts alone, with a Dockerfile, a cache and stand-ins of its own."""

    def __init__(self, folder: Path, base: str = "docker.io/library/python:3.14-slim-trixie") -> None:
        self.folder, self.calls = folder, folder / "calls"
        for script in ("deploy/base-image", "dev/debian-mirror"):
            (folder / "scripts" / script).parent.mkdir(parents=True)
            shutil.copy(ROOT / "scripts" / script, folder / "scripts" / script)
        (folder / "Dockerfile").write_text(f"ARG BASE={base}\nFROM ${{BASE}}\n")
        (folder / "bin").mkdir()
        for name, body in STAND_INS.items():
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
            (folder / "bin" / name).chmod(0o755)

    def run(self, made: str = "python3.14") -> subprocess.CompletedProcess[str]:
        """Run the script where debootstrap makes a Debian with this Python (``none``: where it fails)."""
        env = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "OFFLINE": "1",
            "MADE": made,
            "CALLS": str(self.calls),
        }
        return subprocess.run(
            [self.folder / "scripts/deploy/base-image"],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def cached(self) -> list[str]:
        """Return the names of the folders with a finished Debian."""
        return sorted(
            each.name
            for each in (self.folder / "cache/warren").iterdir()
            if each.is_dir() and each.suffix != ".part"
        )


def test_the_images_of_the_tests_have_the_same_base() -> None:
    """One base is made for both Dockerfiles, so they must name the same."""
    named = [BASE.findall((ROOT / path).read_text()) for path in ("Dockerfile", "tests/k8s/Dockerfile")]
    assert len(named[0]) == 1
    assert named[0] == named[1]


def test_the_base_is_made_once_and_named_as_the_dockerfile_names_it(tmp_path: Path) -> None:
    """The second run takes the folder of the first, whatever Debian has by then."""
    here = Here(tmp_path)
    for made in ("python3.14", "none"):
        done = here.run(made)
        assert done.returncode == 0, done.stderr
    assert here.cached() == ["image-base-3.14"]
    assert (tmp_path / "cache/warren/image-base-3.14/usr/bin/python").resolve().name == "python3.14"
    committed = [call for call in here.calls.read_text().splitlines() if call.startswith("commit ")]
    assert [call.split()[-1] for call in committed] == ["docker.io/library/python:3.14-slim-trixie"] * 2


def test_a_folder_of_another_version_is_not_taken(tmp_path: Path) -> None:
    """Whoever has made a base before the Dockerfile's version changed gets a new one."""
    here = Here(tmp_path)
    assert here.run().returncode == 0
    (tmp_path / "Dockerfile").write_text("ARG BASE=docker.io/library/python:3.15-slim-trixie\n")
    assert here.run("python3.15").returncode == 0
    assert here.cached() == ["image-base-3.14", "image-base-3.15"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("python3.15", "Debian forky's Python is python3.15 and not the Dockerfile's 3.14"),
        ("none", "no Debian: E: no such suite"),
    ],
)
def test_a_debian_without_that_python_is_one_line(tmp_path: Path, made: str, said: str) -> None:
    """Debian's next release goes on to other versions: that is said, and nothing is kept or committed."""
    here = Here(tmp_path)
    done = here.run(made)
    assert done.returncode == 1
    assert f"base-image: {said}" in done.stderr.splitlines()[-1]
    assert here.cached() == []
    assert not here.calls.exists()


def test_a_base_without_a_version_is_one_line(tmp_path: Path) -> None:
    """What another Dockerfile is made of can't be known."""
    done = Here(tmp_path, "docker.io/library/debian:13").run()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "base-image: the Dockerfile's base docker.io/library/debian:13 is no python:VERSION"
    )
