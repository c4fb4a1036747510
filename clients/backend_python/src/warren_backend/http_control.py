"""HttpControl: the verbs of Control over the routers' HTTP API, for backends without a broker user. It needs
aiohttp (``pip install warren-backend[http]``), and has no verb of its own.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from warren_backend.control import TIMEOUT_S, Control
from warren_backend.shell.http_commander import HttpCommander


class HttpControl(Control):
    """The same over the routers' HTTP API. Use it by ``async with``."""

    def __init__(self, url: str, key: str, timeout_s: float = TIMEOUT_S) -> None:
        """``url`` is that of the API, such as ``http://routers:8090``; ``key`` one of its keys."""
        self._http = HttpCommander(url, key)
        super().__init__(self._http, timeout_s)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)
