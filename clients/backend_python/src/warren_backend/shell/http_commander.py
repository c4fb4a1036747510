"""Commander over HTTP: carries commands to the routers' HTTP API, for backends without a broker user. It
needs aiohttp (``pip install warren-backend[http]``). It knows no verb.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from warren_backend.core import addresses, command
from warren_backend.core.backoff import Backoff
from warren_backend.core.errors import CommandFailed, CommandUnanswered, Stopped
from warren_backend.shell import tracing

ATTEMPT_S: Final = 15.0
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 3.0
ANSWER_BYTES: Final = 16 * 1024 * 1024


class HttpCommander:
    """Use it by ``async with``. ``url`` is that of the API, such as ``http://routers:8090``."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/").removesuffix("/v1") + "/v1"
        self._headers = {"Authorization": f"Bearer {key}"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=aiohttp.ClientTimeout(total=ATTEMPT_S)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __call__(
        self,
        verb: str,
        fields: Mapping[str, Any],
        *,
        address: str | None,
        ident: str | None,
        timeout_s: float,
    ) -> dict[str, Any]:
        """Return the result. Raises CommandFailed, CommandUnanswered, Stopped."""
        body = command.said(fields)
        if verb not in command.UNADDRESSED:
            body["address"] = addresses.checked(address or "")
        headers = {"Idempotency-Key": ident} if ident and verb not in command.QUERIES | {"batch"} else {}
        if traceparent := tracing.traceparent():
            headers["traceparent"] = traceparent
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, random.random)
        while True:
            after_ms = 0
            try:
                async with asyncio.timeout(max(0.001, deadline - loop.time())):
                    return await self._once(verb, body, headers)
            except CommandFailed as problem:
                failure: Exception = problem
                after_ms = problem.retry_after_ms or 0
                if not problem.retry:
                    raise
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failure = CommandUnanswered(
                    f"no answer to {verb} came from {self._url} ({error or 'its time is over'}); it may have "
                    f"been done: send it again under the same id ({ident})"
                )
            pause_s = max(backoff.next(), after_ms / 1_000)
            if loop.time() + pause_s >= deadline:
                raise failure
            await asyncio.sleep(pause_s)

    async def _once(self, verb: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        if self._session is None:
            raise Stopped("use the HTTP control by `async with`")
        async with self._session.post(f"{self._url}/{verb}", json=body, headers=headers) as response:
            try:
                told = await response.json(content_type=None)
            except ValueError:
                told = None
            if response.status == 200 and isinstance(told, dict):
                return told
            if not isinstance(told, dict) or "code" not in told:
                told = {
                    "code": "unavailable" if response.status >= 500 else "invalid_answer",
                    "detail": f"{self._url} answered with {response.status}, and not as Warren's API does",
                    "status": response.status,
                    "retry": response.status >= 500,
                }
            raise CommandFailed(told)
