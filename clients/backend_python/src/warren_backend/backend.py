"""Backend: what an application makes one of. It sends notifications and commands, and its decorators say
which functions answer services, hear events and decide hooks.
"""

# ruff: noqa: A002 (type and id are the contract's own words)
from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from warren_backend.control import Control
from warren_backend.core.errors import Stopped
from warren_backend.core.names import DEFAULT_OWN, DEFAULT_PREFIX, Names
from warren_backend.core.notification import DEFAULT_TYPE, Level, Notification
from warren_backend.core.outbox import Limits
from warren_backend.core.routes import Routes
from warren_backend.shell import tracing
from warren_backend.shell.notifier import SEND_S, Sent
from warren_backend.wire import AmqpWire, Wire

START_S: Final = 30.0
# Kubernetes kills after 30 s.
GRACE_S: Final = 25.0


class Backend(Routes):
    """Use it by ``async with``, or ``start`` and ``stop`` it, or let it ``run``.

    ``url`` is the broker's address (``amqp://user:password@host/%2F``), or several, which are tried one after
    the other. Nothing is connected before it starts, so that one may stand at the top of a module.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        prefix: str = DEFAULT_PREFIX,
        own: str = DEFAULT_OWN,
        routes: Iterable[Routes] = (),
        limits: Limits | None = None,
    ) -> None:
        """``prefix`` is the installation's, ``own`` what the names of this backend's queues begin with."""
        super().__init__()
        self._urls = [url] if isinstance(url, str) else list(url)
        self._names = Names(prefix, own)
        self._limits = limits or Limits()
        self._given: Wire | None = None
        self._wire: Wire | None = None
        for each in routes:
            self.include(each)

    def use(self, wire: Wire | None) -> None:
        """Take another wire than the broker from the next start on; None: the broker. For tests."""
        self._given = wire

    async def start(self, timeout_s: float = START_S) -> None:
        """Connect, and begin to serve. Raises the reason where that can't be done in time."""
        if self._wire is not None:
            raise RuntimeError("the backend runs already")
        wire = self._given or AmqpWire(self._urls, self._names, self._limits)
        self._wire = wire
        try:
            await wire.start(self, timeout_s)
        except BaseException:
            self._wire = None
            raise

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Finish what is open for at most ``grace_s``, give back the rest, and disconnect."""
        wire = self._wire
        if wire is not None:
            try:
                await wire.stop(grace_s)
            finally:
                self._wire = None

    def forget(self) -> None:
        """Be as before the start, without a word to anybody: in a forked process the connection is the
        parent's.
        """
        self._wire = None

    async def run(self, grace_s: float = GRACE_S, on_start: Callable[[], object] | None = None) -> None:
        """Serve until SIGTERM or SIGINT; ``on_start`` is called once everything is connected."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        try:
            await self.start()
            if on_start is not None:
                on_start()
            await ended.wait()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            await self.stop(grace_s)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def control(self) -> Control:
        """The verbs by which Warren is commanded."""
        return Control(self._running().commander)

    async def notify(
        self,
        address: str,
        payload: object,
        *,
        type: str = DEFAULT_TYPE,
        id: str | None = None,
        key: str | None = None,
        expiration_ms: int | None = None,
        seen_within_ms: int | None = None,
        traceparent: str | None = None,
        persistent: bool = True,
        receipt: Level | None = None,
        timeout_s: float = SEND_S,
        receipt_timeout_s: float | None = None,
    ) -> Sent:
        """Send a message to ``room.<room>``, ``user.<user>``, ``conn.<connection id>`` or ``all``; return
        once the broker has it. The payload is any JSON, or bytes.

        With ``receipt``, ``await sent.receipt()`` tells what became of it. Raises InvalidNotification,
        NotConfirmed, Unroutable, AccessRefused, Overloaded, Stopped.
        """
        fields: dict[str, Any] = {} if id is None else {"id": id}
        notification = Notification(
            address=address,
            payload=payload,
            type=type,
            key=key,
            expiration_ms=expiration_ms,
            seen_within_ms=seen_within_ms,
            traceparent=tracing.traceparent() if traceparent is None else traceparent,
            persistent=persistent,
            **fields,
        )
        return await self._running().send(notification, receipt, timeout_s, receipt_timeout_s)

    async def notify_many(self, many: Iterable[Notification], *, timeout_s: float = SEND_S) -> list[str]:
        """Send many at once: fewer messages, the same delivery. Return their ids once the broker has all.

        Where it raises, a part may have gone: send the same ones again, and each counts once.
        """
        return await self._running().send_many(many, timeout_s)

    def _running(self) -> Wire:
        if self._wire is None:
            raise Stopped("the backend is not running: use `async with backend:`, or `await backend.start()`")
        return self._wire
