"""A checkout of Warren as a path for messages: its own gateways, routers and RabbitMQ, driven over
WebSockets.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from bench.hop import Load
from bench.installation import Installation
from bench.log_vs_queue.rounds import Round, cpu_s

ROOMS = 50


class Checkout:
    """``with Checkout(folder) as checkout:`` runs that checkout's services with its own ``.venv``."""

    def __init__(self, folder: Path, shards: int) -> None:
        python = folder.resolve() / ".venv" / "bin" / "python"
        self._installation = Installation(python=python, env={"WARREN_SHARDS": str(shards)})
        self._load: Load | None = None

    def __enter__(self) -> Self:
        self._installation.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._installation.__exit__(kind, error, trace)

    async def round(self, rate: float, seconds: float) -> Round:
        """Send so many messages a second over all rooms, and wait until all have arrived."""
        if self._load is None:
            self._load = Load(self._installation.urls, ROOMS)
            await self._load.open()
        rooms = self._load.rooms
        sent, wrong = sum(room.sent for room in rooms), sum(room.wrong for room in rooms)
        broker, services = cpu_s(self._broker), self._installation.cpu_s()
        p50, p99 = await self._load.pace(seconds, rate)
        count = sum(room.sent for room in rooms) - sent
        missing = sum(room.sent - room.seen for room in rooms)
        return Round(
            p50,
            p99,
            (cpu_s(self._broker) - broker) * 1e6 / count,
            sum(room.wrong for room in rooms) - wrong + missing,
            (self._installation.cpu_s() - services) * 1e6 / count,
        )

    @property
    def _broker(self) -> psutil.Process:
        return psutil.Process(self._installation.rabbit.pid)
