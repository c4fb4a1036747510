"""A real Warren for an application's tests: the embedded server (two gateways and a router, without a broker)
in a process of its own, for as long as a ``with`` lasts. It has to be installed where the tests run.
"""

from __future__ import annotations

import importlib.util
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from random import SystemRandom
from tempfile import TemporaryFile
from typing import IO

_LAST_LINE = "Ctrl-C ends it."
_API_OFFSET = 10  # from the first gateway's port to the HTTP API's
_TRIES = 5
_END_S = 10.0


class NotInstalledError(RuntimeError):
    """The embedded server can't be found."""


class NotStartedError(RuntimeError):
    """The embedded server does not start; the message has what it says."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs. ``urls`` are the gateways'; ``api_url`` and ``api_key`` are for what a backend
    does.
    """

    urls: tuple[str, ...]
    api_url: str
    api_key: str

    @property
    def url(self) -> str:
        """The first gateway's."""
        return self.urls[0]


@contextmanager
def server(
    env: Mapping[str, str] | None = None, *, python: str = sys.executable, timeout: float = 30.0
) -> Iterator[Server]:
    """Run a server. ``env`` has its settings (docs/settings.md); it gets no other environment. ``python`` is
    the one that has Warren installed, if it is not this one. Raises NotInstalledError or NotStartedError.
    """
    if python == sys.executable and importlib.util.find_spec("embedded") is None:
        raise NotInstalledError(
            "the embedded server is not installed in this environment: in a checkout of Warren, run "
            "pip install ./libs/warren ./services/gateway ./services/router ./services/embedded; or name the "
            "Python that has it: server(python=…)"
        )
    with TemporaryFile("w+") as log:
        process, found = _start(python, env or {}, timeout, log)
        try:
            yield found
        finally:
            _end(process)


def _start(
    python: str, env: Mapping[str, str], timeout: float, log: IO[str]
) -> tuple[subprocess.Popen[str], Server]:
    """Start it; another program may take a port meanwhile, so there are some attempts."""
    said = ""
    for _ in range(1 if "PORT" in env else _TRIES):
        log.seek(0)
        log.truncate()
        port = env.get("PORT") or str(_free_ports())
        process = subprocess.Popen(  # noqa: S603 # our own program
            [python, "-m", "embedded"],
            env={"PATH": os.defpath, **env, "PORT": port},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        greeting = _greeting(process, timeout)
        if _LAST_LINE in greeting:
            return process, _server(greeting)
        _end(process)
        log.seek(0)
        said = (log.read()[-2_000:] or greeting).strip()
        if "is taken" not in said:
            break
    raise NotStartedError(f"the embedded server does not start ({timeout:g} s): {said or 'it says nothing'}")


def _greeting(process: subprocess.Popen[str], timeout: float) -> str:
    """Return what it says until it runs, or ends, or the time is over."""
    if process.stdout is None:
        return ""
    end = time.monotonic() + timeout
    pipe = process.stdout.fileno()
    said = b""
    while _LAST_LINE.encode() not in said and (left := end - time.monotonic()) > 0:
        if not select.select([pipe], [], [], left)[0]:
            break
        chunk = os.read(pipe, 65_536)
        if not chunk:
            break
        said += chunk
    return said.decode()


def _server(greeting: str) -> Server:
    urls = tuple(re.findall(r"\bws://\S+", greeting))
    api = re.search(r"HTTP API\s+(\S+)/v1/", greeting)
    key = re.search(r"its key\s+(\S+)", greeting)
    return Server(urls, api[1] if api else "", key[1] if key else "")


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _free_ports() -> int:
    """Return a port that is free, as are the others that the server takes."""
    while True:
        port = SystemRandom().randrange(20_000, 32_000)
        try:
            for each in (port, port + 1, port + _API_OFFSET):
                with socket.socket() as taken:
                    taken.bind(("127.0.0.1", each))
        except OSError:
            continue
        return port
