"""Warren as it runs in production, for a bench: a private RabbitMQ node, gateways and routers as processes, all on the loopback.

`with Installation(gateways=2, routers=2) as warren:` blocks until everything is ready and leaves nothing behind.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from scripts.children import Child, end_all, free_port
from scripts.rabbit_node import RabbitNode

# Benches measure capacity, so the limits that protect against single clients are out of the way.
GENEROUS = {
    "WARREN_GATEWAY_AUTH": "anonymous",
    "WARREN_GATEWAY_RATE": "1000000",
    "WARREN_GATEWAY_CONNECTIONS": "19000",
    "WARREN_LOG_LEVEL": "warning",
}


class Process:
    """One service process and what it has used."""

    def __init__(self, module: str, env: dict[str, str], internal_port: int, folder: Path) -> None:
        self._log = folder / f"{module}-{internal_port}.log"
        with self._log.open("wb") as output:
            self.child = Child([sys.executable, "-m", module], env={**os.environ, **env}, output=output)
        self.internal_port = internal_port
        self._process = psutil.Process(self.child.pid)

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.internal_port}/readyz", timeout=2):
                    return
            except OSError:
                if time.monotonic() > deadline or not self.child.running:
                    raise RuntimeError(f"not ready:\n{self._log.read_text()[-4000:]}") from None
                time.sleep(0.05)

    def cpu_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def rss_bytes(self) -> int:
        return self._process.memory_info().rss


class Installation:
    """The whole of it."""

    def __init__(self, *, gateways: int = 2, routers: int = 2, env: dict[str, str] | None = None) -> None:
        self._counts = gateways, routers
        self._env = env or {}
        self.gateways: list[Process] = []
        self.routers: list[Process] = []
        self.urls: list[str] = []

    def __enter__(self) -> Self:
        self._folder = (
            tempfile.TemporaryDirectory(prefix="warren-bench-", delete=False)
            if 0
            else type("F", (), {"name": "/tmp/wb", "cleanup": lambda s: None})()
        )
        self.rabbit = RabbitNode()
        try:
            self.rabbit.start()
            self._start_services()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start_services(self) -> None:
        shared = {**GENEROUS, **self._env, "WARREN_AMQP_URL": self.rabbit.url}
        folder = Path(self._folder.name)
        for _ in range(self._counts[1]):
            self.start_router()
        for _ in range(self._counts[0]):
            internal, port = free_port(), free_port()
            env = {
                **shared,
                "WARREN_GATEWAY_HOST": "127.0.0.1",
                "WARREN_GATEWAY_PORT": str(port),
                "WARREN_GATEWAY_INTERNAL_PORT": str(internal),
            }
            self.gateways.append(Process("gateway", env, internal, folder))
            self.urls.append(f"ws://127.0.0.1:{port}/ws")
        for process in (*self.routers, *self.gateways):
            process.wait_ready()

    def start_router(self) -> Process:
        """Start one more router; it is not ready yet."""
        internal = free_port()
        env = {
            **GENEROUS,
            **self._env,
            "WARREN_AMQP_URL": self.rabbit.url,
            "WARREN_ROUTER_INTERNAL_PORT": str(internal),
        }
        process = Process("router", env, internal, Path(self._folder.name))
        self.routers.append(process)
        return process

    def cpu_s(self) -> float:
        """CPU seconds of all gateways and routers (not of the broker)."""
        return sum(process.cpu_s() for process in (*self.gateways, *self.routers))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_all([process.child for process in (*self.gateways, *self.routers)], 5.0)
        self.rabbit.close()
        self._folder.cleanup()
