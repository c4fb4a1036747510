"""The parts of a service's answer as an asynchronous iterator."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Self

from warren_client.core.requests import Asked, Part
from warren_client.shell.driver import Driver
from warren_client.shell.reader import Reader


class Stream:
    """Each part comes once, in order; the last word of the answer ends it, as an error or without one. If it
    is closed earlier, or nobody has it any more, the service is told. A wait for a part may be cancelled: the
    next one waits for the same part.
    """

    def __init__(self, asked: Asked, parts: Reader[Part], driver: Driver) -> None:
        """``asked`` is on its way."""
        self._asked = asked
        self._parts = parts
        self._driver = driver
        self._loop = asyncio.get_running_loop()
        self._is_over = False

    def __del__(self) -> None:
        # the loop may be closed by now
        if not self._is_over and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_cancel, self._driver, self._asked)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._is_over:
            raise StopAsyncIteration
        try:
            part = await anext(self._parts)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._is_over = True
            raise
        self._is_over = part.is_last
        return part.payload

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Read no more of it."""
        if not self._is_over:
            self._is_over = True
            _cancel(self._driver, self._asked)


def _cancel(driver: Driver, asked: Asked) -> None:
    driver.do(lambda: driver.session.cancel(asked))
