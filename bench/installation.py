"""Warren as it runs in production, for a benchmark: a private RabbitMQ (one node, or a cluster), gateways and
routers as processes, all on the loopback.

`with Installation(gateways=2, routers=2) as warren:` blocks until everything is ready, and leaves nothing
behind, however it ends.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from rabbit_nodes.child import Child, end_all
from rabbit_nodes.cluster import RabbitCluster
from rabbit_nodes.debian import RabbitRoot
from rabbit_nodes.node import RabbitNode
from rabbit_nodes.ports import free_port

# Benchmarks measure capacity, so the limits on single clients are lifted.
GENEROUS = {
    "WARREN_GATEWAY_AUTH": "anonymous",
    "WARREN_GATEWAY_RATE": "1000000",
    "WARREN_GATEWAY_CONNECTIONS": "19000",
    "WARREN_LOG_LEVEL": "warning",
}


class Process:
    """One service process and its resource usage."""

    def __init__(
        self, module: str, env: dict[str, str], internal_port: int, folder: Path, python: Path | None = None
    ) -> None:
        """``folder`` receives its log. However the benchmark ends, the process is ended and the folder
        removed. ``python`` as for Installation.
        """
        self._log = folder / f"{module}-{internal_port}.log"
        with self._log.open("wb") as output:
            self.child = Child(
                [python or sys.executable, "-m", module],
                env={**os.environ, **env},
                output=output,
                folder=folder,
            )
        self.internal_port = internal_port
        self._process = psutil.Process(self.child.pid)

    def wait_ready(self, timeout_s: float = 60.0, every_s: float = 0.05) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.internal_port}/readyz", timeout=2):
                    return
            except OSError:
                if time.monotonic() > deadline or not self.child.running:
                    raise RuntimeError(f"not ready:\n{self._log.read_text()[-4000:]}") from None
                time.sleep(every_s)

    def cpu_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def rss_bytes(self) -> int:
        return self._process.memory_info().rss

    @property
    def log(self) -> str:
        """The log so far."""
        return self._log.read_text(errors="replace")


class Installation:
    """Broker, gateways and routers together."""

    def __init__(
        self,
        *,
        gateways: int = 2,
        routers: int = 2,
        env: dict[str, str] | None = None,
        brokers: int = 1,
        root: RabbitRoot | None = None,
        python: Path | None = None,
    ) -> None:
        """``brokers``: number of RabbitMQ nodes; ``root`` as for RabbitNode; ``python``: the interpreter of
        the services (None: this one).
        """
        self._python = python
        self._counts = gateways, routers
        self.env = dict(env or {})  # of processes that are started from now on
        self._brokers, self._root = brokers, root
        self._started = 0
        self.cluster: RabbitCluster | None = None
        self.gateways: list[Process] = []
        self.routers: list[Process] = []
        self.urls: list[str] = []

    def __enter__(self) -> Self:
        # On SIGTERM, a benchmark unwinds as for Ctrl-C, so that it also removes what no child process guards
        # yet.
        self._before = signal.signal(signal.SIGTERM, _unwind)
        if self._brokers > 1:
            self.cluster = RabbitCluster(self._brokers, root=self._root)
            self.rabbit = self.cluster.nodes[0]
        else:
            self.rabbit = RabbitNode(root=self._root)
        self._folder = tempfile.TemporaryDirectory(prefix="warren-bench-")
        try:
            if self.cluster is not None:
                self.cluster.form()
            else:
                self.rabbit.start()
            for _ in range(self._counts[1]):
                self.start_router()
            for _ in range(self._counts[0]):
                self.start_gateway()
            for process in (*self.routers, *self.gateways):
                process.wait_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self, module: str, own: dict[str, str]) -> Process:
        urls = self.cluster.urls if self.cluster is not None else [self.rabbit.url]
        first = self._started % len(urls)  # each starts with another node
        self._started += 1
        internal = free_port()
        env = {
            **GENEROUS,
            **self.env,
            "WARREN_AMQP_URL": ",".join(urls[first:] + urls[:first]),
            f"WARREN_{module.upper()}_INTERNAL_PORT": str(internal),
            **own,
        }
        return Process(module, env, internal, Path(self._folder.name), self._python)

    def start_gateway(self) -> Process:
        """Start another gateway, on its own port (the last of ``urls``). It is not ready yet."""
        port = free_port()
        process = self._start(
            "gateway", {"WARREN_GATEWAY_HOST": "127.0.0.1", "WARREN_GATEWAY_PORT": str(port)}
        )
        self.gateways.append(process)
        self.urls.append(f"ws://127.0.0.1:{port}/ws")
        return process

    def start_router(self) -> Process:
        """Start another router. It is not ready yet."""
        process = self._start("router", {})
        self.routers.append(process)
        return process

    def end(self, process: Process) -> None:
        """Stop one gateway or router, and forget it."""
        process.child.end(5.0)
        if process in self.gateways:
            del self.urls[self.gateways.index(process)]
            self.gateways.remove(process)
        else:
            self.routers.remove(process)

    def cpu_s(self) -> float:
        """CPU seconds of all gateways and routers, without the broker."""
        return sum(process.cpu_s() for process in (*self.gateways, *self.routers))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            end_all([process.child for process in (*self.gateways, *self.routers)], 5.0)
            (self.cluster or self.rabbit).close()
            self._folder.cleanup()
        finally:
            signal.signal(signal.SIGTERM, self._before)


def _unwind(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
