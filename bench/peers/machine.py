"""The machine and software of a run, as rows of text: nothing that identifies the machine, its owner or a
path on its disk.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import psutil

from bench.peers.fleet import BUILT, HERE


def described() -> dict[str, str]:
    """Return a description of the machine and the versions used."""
    return {
        "CPU": f"{os.cpu_count()} cores, {_cpu_model()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.freedesktop_os_release().get('PRETTY_NAME', 'Linux')}, kernel {platform.release().split('-')[0]}",
        "Warren": f"Python {platform.python_version()}, aiohttp {metadata.version('aiohttp')}, uvloop {metadata.version('uvloop')}",
        "RabbitMQ": _said("dpkg-query", "-W", "-f", "${Version}", "rabbitmq-server") or "not Debian's",
        "Redis": _first(r"v=([\d.]+)", _said("redis-server", "--version")),
        "Node.js": _said("node", "--version").lstrip("v"),
        **_peers(),
    }


def _peers() -> dict[str, str]:
    found = {}
    locked = (HERE / "python_socketio" / "requirements.lock").read_text()
    for package in ("python-socketio", "aiohttp", "aio-pika"):
        found[package] = _first(rf"(?m)^{package}==(\S+)", locked)
    peers = {
        "python-socketio": " with ".join(
            f"{name} {found[name]}" for name in ("python-socketio", "aiohttp", "aio-pika")
        )
    }
    for key, title in (("socketio", "Socket.IO"), ("ws_redis", "ws + Redis")):
        wanted = json.loads((HERE / key / "package.json").read_text())["dependencies"]
        peers[title] = ", ".join(f"{name} {version}" for name, version in wanted.items())
    if shutil.which("centrifugo"):
        peers["Centrifugo"] = _said("centrifugo", "version")
    else:
        library = _first(r"centrifugal/centrifuge (v\S+)", (HERE / "centrifugo" / "go.mod").read_text())
        built = _first(r": (go[\d.]+)", _said("go", "version", str(BUILT / "centrifugo")))
        peers["Centrifugo"] = (
            f"a thin server on its engine, the library centrifuge {library}, built by {built}"
        )
    return peers


def _cpu_model() -> str:
    return _first(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text()) or platform.machine()


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1].strip() if found else ""


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    except OSError:
        return ""
