"""A RabbitMQ that lives in a folder with a whole Debian in it (``scripts/dev/fetch-rabbitmq`` makes one), and
how its programs are run there.

Every program runs by chroot in a mount namespace of its own, so that its mounts go when it ends, however it
ends. The process that is started becomes the program itself: its process id is the one to signal. It needs
root.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "WARREN_TEST_RABBIT_ROOT"
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
EPMD = Path("/usr/bin/epmd")

# exec all the way: unshare ▶ sh ▶ chroot ▶ the program, one process id
_ENTER = """set -e
root=$1; shift
mount --bind /proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot "$root" "$@"
"""


@dataclass(frozen=True, slots=True)
class RabbitRoot:
    """The folder, and the paths and commands by which it is used from outside."""

    path: Path

    def lack(self) -> str | None:
        """Say in one line why nothing can be run from it; None where it can."""
        for program in (SERVER, EPMD):
            if not self.outside(program).is_file():
                return (
                    f"{self.path} holds no {program}; "
                    "scripts/dev/fetch-rabbitmq 4.3 makes such a folder and prints it"
                )
        for program_name in ("unshare", "chroot", "mount"):
            if shutil.which(program_name) is None:
                return f"{program_name} is missing; it enters {self.path}"
        if os.geteuid() != 0:
            return f"only root can run RabbitMQ from {self.path}"
        return None

    def temporary_folder(self, prefix: str) -> Path:
        """Make a folder that programs in here see too; return its path as it is outside."""
        return Path(tempfile.mkdtemp(prefix=prefix, dir=self.outside(Path("/tmp"))))

    def outside(self, path: Path) -> Path:
        """Return where a path of in here is for everybody else."""
        return self.path / path.relative_to("/")

    def inside(self, path: Path) -> Path:
        """Return what a path under this folder is called in here."""
        return Path("/") / path.relative_to(self.path)

    def command(self, program: Path, *arguments: str) -> list[str]:
        """Return the command that runs a program of in here."""
        entering = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            _ENTER,
            "sh",
            str(self.path),
        ]
        return [*entering, str(program), *arguments]


def named_root() -> RabbitRoot | None:
    """Return the folder that the environment names (WARREN_TEST_RABBIT_ROOT), if it names any."""
    named = os.environ.get(VARIABLE)
    return RabbitRoot(Path(named).resolve()) if named else None
