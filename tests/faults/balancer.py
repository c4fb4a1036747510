"""A real nginx or HAProxy in front of gateways, configured from the file in ``docs/examples`` that users
start from.

Only what differs between a user's machines and this one is replaced: the addresses, the port, and where files
may be written. A pattern that is not found is an error, so that the examples can't leave these tests behind.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.pods import Gateway
from tests.support.ports import free_port

from rabbit_nodes.child import Child

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
PLACES = 3  # `server` lines in the examples
_TEMP_PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_RELOAD_S = 15.0


def program(name: str) -> str | None:
    """Return the path of nginx or haproxy; None where it is not installed."""
    return shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin")


def _replace(text: str, pattern: str, *replacements: str) -> str:
    """Replace the matches of a pattern one after the other; there must be just as many."""
    values = iter(replacements)
    found = len(re.findall(pattern, text, re.MULTILINE))
    if found != len(replacements):
        raise AssertionError(f"the example has {found} of {pattern!r}, not {len(replacements)}")
    return re.sub(pattern, lambda _: next(values), text, flags=re.MULTILINE)


class Balancer:
    """One load balancer process. Both kinds take the same gateways; only nginx is reloaded here."""

    def __init__(self, kind: str, gateways: Sequence[Gateway], folder: Path) -> None:
        """``kind``: nginx or haproxy; ``gateways``: one for each place in the example, running or not;
        ``folder`` takes its files.
        """
        found = program(kind)
        if found is None:
            raise AssertionError(f"{kind} is missing; scripts/dev/need {kind} installs it")
        self.kind = kind
        self.port = free_port()
        self._folder = folder / kind
        self._folder.mkdir()
        self._config = self._folder / f"{kind}.conf"
        self._config.write_text(getattr(self, f"_{kind}")(gateways))
        self._log = self._folder / "log"
        arguments = {
            "nginx": [found, "-p", self._folder, "-c", self._config, "-g", self._nginx_options()],
            "haproxy": [found, "-W", "-db", "-f", self._config],
        }[kind]
        self._check(arguments)
        with self._log.open("ab") as output:
            self._child = Child(arguments, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, output=output)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def log(self) -> str:
        """What it has written."""
        return self._log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._child.running

    async def reload(self) -> None:
        """Have nginx read its configuration again; return when new workers have taken over and the old ones
        only finish.
        """
        before = self._workers()
        self._child.send(signal.SIGHUP)
        await eventually(
            lambda: bool(self._workers() - before), _RELOAD_S, what="new workers after the reload"
        )

    def close(self) -> None:
        """End it at once."""
        self._child.kill()

    def _workers(self) -> set[int]:
        """Return the processes that take new connections."""
        said = subprocess.run(
            ["ps", "--ppid", str(self._child.pid), "-o", "pid=,args="],
            capture_output=True,
            text=True,
            check=False,
        )
        return {int(line.split()[0]) for line in said.stdout.splitlines() if line.endswith("worker process")}

    def _check(self, arguments: Sequence[str | Path]) -> None:
        test = "-t" if self.kind == "nginx" else "-c"
        told = [argument for argument in arguments if argument not in ("-W", "-db")]
        said = subprocess.run([*map(str, told), test], capture_output=True, text=True, check=False)
        if said.returncode:
            raise AssertionError(f"{self.kind} refuses its configuration:\n{said.stderr}{said.stdout}")

    def _nginx_options(self) -> str:
        return f"daemon off; pid {self._folder}/pid; error_log {self._folder}/log warn;"

    def _nginx(self, gateways: Sequence[Gateway]) -> str:
        text = (EXAMPLES / "nginx.conf").read_text()
        text = _replace(text, r"10\.0\.0\.\d+:8080", *(f"127.0.0.1:{gateway.port}" for gateway in gateways))
        text = _replace(text, r"^        listen 80 ", f"        listen 127.0.0.1:{self.port} ")
        paths = " ".join(f"{name}_temp_path {self._folder}/{name};" for name in _TEMP_PATHS)
        text = _replace(text, r"^http \{", f"http {{ {paths}")
        # what a machine for tests allows
        text = _replace(text, r"^worker_rlimit_nofile \d+;", "")
        return _replace(text, r"worker_connections \d+;", "worker_connections 8192;")

    def _haproxy(self, gateways: Sequence[Gateway]) -> str:
        text = (EXAMPLES / "haproxy.cfg").read_text()
        text = _replace(text, r"10\.0\.0\.\d+:8080", *(f"127.0.0.1:{gateway.port}" for gateway in gateways))
        text = _replace(text, r"port 9080$", *(f"port {gateway.internal_port}" for gateway in gateways))
        text = _replace(text, r"^    bind :80 ", f"    bind 127.0.0.1:{self.port} ")
        return _replace(text, r"maxconn \d+", "maxconn 6000")
