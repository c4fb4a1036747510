"""BlockingBackend: the same for code that is not asynchronous, such as Django's views and Celery's tasks.

An event loop runs in a thread of its own, which begins with the first call, and anew in a process that was
forked. Nothing is done differently: each method waits for the asynchronous one.
"""

# ruff: noqa: A002 (type and id are the contract's own words)
from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from warren_backend.backend import GRACE_S, START_S, Backend
from warren_backend.core.notification import DEFAULT_TYPE, Level, Notification
from warren_backend.core.receipts import Receipt
from warren_backend.shell import tracing
from warren_backend.shell.notifier import SEND_S, Sent

P = ParamSpec("P")
T = TypeVar("T")


class _Forked:
    """Tells one in a forked process, and keeps it no longer than others do."""

    def __init__(self, blocking: BlockingBackend) -> None:
        self._blocking = weakref.ref(blocking)

    def __call__(self) -> None:
        if (blocking := self._blocking()) is not None:
            blocking.forked()


class BlockingSent:
    """A notification that the broker has; ``receipt`` waits for what became of it."""

    def __init__(self, sent: Sent, blocking: BlockingBackend) -> None:
        self.id = sent.id
        self.address = sent.address
        self._sent = sent
        self._blocking = blocking

    def receipt(self) -> Receipt:
        """Return what became of it, as ``Sent.receipt`` does."""
        return self._blocking.call(self._sent.receipt)


class BlockingBackend:
    """Any number of threads may use one. ``backend`` is the asynchronous one: its decorators work as well,
    and ``call(backend.control.count, "room.a")`` runs whatever it has.
    """

    def __init__(self, backend: Backend | str | Sequence[str], *, start_timeout_s: float = START_S) -> None:
        """Give it a Backend, or the broker's address."""
        self.backend = backend if isinstance(backend, Backend) else Backend(backend)
        self._start_timeout_s = start_timeout_s
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_Forked(self))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Connect, where that was not done yet; the first call does so, too."""
        self._running()

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Finish what is open, and disconnect. The next call connects again."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            if loop is None or thread is None:
                return
            try:
                asyncio.run_coroutine_threadsafe(self.backend.stop(grace_s), loop).result()
            finally:
                loop.call_soon_threadsafe(loop.stop)
                thread.join()
                loop.close()
                atexit.unregister(self.stop)

    def call(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what an asynchronous function returns, in the backend's own loop."""

        async def run() -> T:
            return await function(*args, **kwargs)

        return self._wait(run())

    def notify(
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
    ) -> BlockingSent:
        """Send a message, as ``Backend.notify`` does."""
        sent = self.call(
            self.backend.notify,
            address,
            payload,
            type=type,
            id=id,
            key=key,
            expiration_ms=expiration_ms,
            seen_within_ms=seen_within_ms,
            # the loop's thread does not know the span of this one
            traceparent=tracing.traceparent() if traceparent is None else traceparent,
            persistent=persistent,
            receipt=receipt,
            timeout_s=timeout_s,
        )
        return BlockingSent(sent, self)

    def notify_many(self, many: Iterable[Notification], *, timeout_s: float = SEND_S) -> list[str]:
        """Send many at once, as ``Backend.notify_many`` does."""
        return self.call(self.backend.notify_many, list(many), timeout_s=timeout_s)

    def forked(self) -> None:
        """Begin anew in a process that was forked: the thread and the socket are the parent's."""
        self._lock = threading.Lock()
        if self._loop is not None:
            self._loop = self._thread = None
            self.backend.forget()
            atexit.unregister(self.stop)

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            loop = self._running()
        except BaseException:
            coroutine.close()
            raise
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("this is the backend's own thread: await the methods of `backend` here")
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupt: nobody waits any more
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is not None:
                return self._loop
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="warren-backend", daemon=True)
            thread.start()
            try:
                asyncio.run_coroutine_threadsafe(self.backend.start(self._start_timeout_s), loop).result()
            except BaseException:
                loop.call_soon_threadsafe(loop.stop)
                thread.join()
                loop.close()
                raise
            self._loop, self._thread = loop, thread
            atexit.register(self.stop)
            return loop
