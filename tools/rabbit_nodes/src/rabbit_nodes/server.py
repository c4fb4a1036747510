"""Where this machine has RabbitMQ and Erlang. It looks, and starts nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

_HOW_TO_GET = (
    "on Debian or Ubuntu: apt-get install --no-install-recommends rabbitmq-server; or set "
    "RABBITMQ_SERVER to the script's path"
)


class RabbitMissing(RuntimeError):
    """RabbitMQ or Erlang is not installed, or the node did not come up; the message is one line that says
    what to do.
    """


def find_server() -> Path:
    """Return RabbitMQ's server script (its folder has ``rabbitmqctl`` too). Raises RabbitMissing."""
    if named := os.environ.get("RABBITMQ_SERVER"):
        if Path(named).is_file():
            return Path(named)
        raise RabbitMissing(f"RABBITMQ_SERVER names {named}, which is no file")
    candidates = installed_servers()
    if on_path := shutil.which(
        "rabbitmq-server", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    ):
        candidates.append(Path(on_path))
    for candidate in candidates:
        # Debian's wrapper on the PATH insists on the user "rabbitmq"; the script itself runs as anybody.
        if candidate.is_file() and "script-wrapper" not in candidate.resolve().name:
            return candidate
    raise RabbitMissing(f"RabbitMQ is not installed ({_HOW_TO_GET})")


def installed_servers() -> list[Path]:
    """Return where packages put RabbitMQ's server script; none of the paths has to exist."""
    usual = [Path("/usr/lib/rabbitmq/bin/rabbitmq-server")]
    if usual[0].is_file() or shutil.which("dpkg") is None:
        return usual
    listed = subprocess.run(["dpkg", "-L", "rabbitmq-server"], capture_output=True, text=True, check=False)
    return [
        Path(line)
        for line in listed.stdout.splitlines()
        if line.endswith("/lib/rabbitmq/bin/rabbitmq-server")
    ]


def find_epmd() -> Path:
    """Return Erlang's port mapper daemon. Raises RabbitMissing."""
    erl = shutil.which("erl")
    if erl is None:
        raise RabbitMissing("Erlang (erl) is not on the PATH; it comes with the package rabbitmq-server")
    if epmd := shutil.which("epmd"):
        return Path(epmd)
    for found in sorted(Path(erl).resolve().parent.parent.glob("**/bin/epmd")):
        return found
    raise RabbitMissing("Erlang's epmd was not found beside erl or on the PATH")
