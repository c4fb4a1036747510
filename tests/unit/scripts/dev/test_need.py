"""scripts/dev/need on a machine that has nothing, played by a PATH of stand-ins."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
REAL = ("bash", "sh", "mktemp", "rm", "chmod", "grep", "tail")


class Machine:
    """A PATH with a few real programs and stand-ins for the others."""

    def __init__(self, folder: Path, *, user: int) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in REAL:
            for place in ("/usr/bin", "/bin"):
                if (Path(place) / name).exists():
                    (self.bin / name).symlink_to(Path(place) / name)
                    break
        self.program("id", f"echo {user}")

    def program(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def need(self, *names: str) -> tuple[int, list[str]]:
        done = subprocess.run(
            [self.bin / "bash", ROOT / "scripts/dev/need", *names],
            env={
                "PATH": str(self.bin),
                "POLICY_RC_D": str(self.folder / "policy"),
                "TMPDIR": str(self.folder),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stderr.splitlines()


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    """Where nothing is missing nothing is said and nothing is called."""
    machine = Machine(tmp_path, user=0)
    machine.program("chromium", "exit 1")
    machine.program("apt-get", f"touch {tmp_path}/called")
    assert machine.need("chromium") == (0, [])
    assert not (tmp_path / "called").exists()


def test_who_may_not_install_is_told_what_is_missing(tmp_path: Path) -> None:
    """Without root each missing program is one line with the way to get it, and the exit code is 1; a Node
    too old is missing.
    """
    machine = Machine(tmp_path, user=1_000)
    machine.program("apt-get", f"touch {tmp_path}/called")
    machine.program("node", "echo 16")
    code, lines = machine.need("chromium", "node")
    assert code == 1
    assert lines == [
        "missing: Chromium; on Debian or Ubuntu: sudo apt-get install --no-install-recommends chromium",
        (
            "missing: Node.js 18 or later; on Debian or Ubuntu: sudo apt-get install --no-install-recommends "
            "nodejs"
        ),
    ]
    assert not (tmp_path / "called").exists()


def test_root_installs_and_no_service_may_start_meanwhile(tmp_path: Path) -> None:
    """As root the packages are installed while policy-rc.d forbids services, and that file is gone
    afterwards.
    """
    machine = Machine(tmp_path, user=0)
    machine.program(
        "apt-get",
        f'echo "$@" >> {tmp_path}/called\n"$POLICY_RC_D"; echo "services: $?" >> {tmp_path}/called\n'
        f"printf '#!/bin/sh\\n' > {machine.bin}/chromium; chmod 755 {machine.bin}/chromium",
    )
    assert machine.need("chromium") == (0, ["installing chromium …"])
    called = (tmp_path / "called").read_text().splitlines()
    assert called == [
        "update",
        "services: 101",
        "install -y --no-install-recommends chromium",
        "services: 101",
    ]
    assert not (tmp_path / "policy").exists()


@pytest.mark.parametrize("user", [0, 1_000])
def test_a_policy_of_the_machine_stays(tmp_path: Path, user: int) -> None:
    """A policy-rc.d that was there is neither changed nor removed, also when the installation fails."""
    machine = Machine(tmp_path, user=user)
    machine.program("apt-get", "echo 'E: no network'; exit 100")
    (tmp_path / "policy").write_text("theirs")
    code, lines = machine.need("chromium")
    assert code == 1
    assert lines[-1].startswith("missing: Chromium")
    assert (user == 0) == ("E: no network" in lines)
    assert (tmp_path / "policy").read_text() == "theirs"
