"""Runs a session: it opens the sockets that the core wants, tells it the time and what arrives, and does what
it says, in order. It decides nothing, and calls the application only for tokens, in a task of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from warren_client.core.effects import Dial, Effect, FetchToken, HangUp, Write
from warren_client.core.outcome import Outcome
from warren_client.core.session import Session
from warren_client.errors import ClosedError, StopConnecting, WarrenError
from warren_client.options import Options
from warren_client.shell.socket import Socket

T = TypeVar("T")
TokenSource = Callable[[], "str | Awaitable[str]"]

_log = logging.getLogger("warren_client")


class Driver:
    """What the client's classes share. ``do`` is how they reach the session."""

    def __init__(
        self,
        session: Session,
        options: Options,
        token: TokenSource | None,
        websocket_options: Mapping[str, Any],
    ) -> None:
        """Nothing runs before ``do`` is called for the first time."""
        self.session = session
        self._options = options
        self._token = token
        self._websocket_options = websocket_options
        self._sockets: dict[int, Socket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._fetch = FetchToken(0, "dial")
        self._is_ended = False

    def do(self, what: Callable[[], T]) -> T:
        """Have the session do something now, and do what follows from it."""
        self._tell()
        try:
            return what()
        finally:
            self._follow()

    async def settled(self, outcome: Outcome[T]) -> T:
        """Wait for an outcome. Raises its error."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def settle(found: Outcome[T]) -> None:
            if future.done():
                return  # nobody waits any more
            if found.error is not None:
                future.set_exception(found.error)
            else:
                future.set_result(found.value)  # type: ignore[arg-type] # T may be None

        outcome.then(settle)
        return await future

    async def end(self) -> None:
        """Close everything, and wait until it is closed. What waits to be sent has a moment for that."""
        if self._is_ended:
            return
        self.do(self.session.close)
        self._is_ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._fetching is not None:
            self._fetching.cancel()
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    # ── what the core says ──────────────────────────────────────────────────────────────────────────────────

    def _tell(self) -> None:
        self.session.tell(time.monotonic() * 1_000, int(time.time() * 1_000))

    def _follow(self) -> None:
        """Do what the session wants done, and wake up when something is due."""
        effects = self.session.effects
        while effects:
            self._effect(effects.popleft())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.session.deadline
        if deadline is not None and not self._is_ended:
            wait = max(0.0, deadline / 1_000 - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self.do, _nothing)

    def _effect(self, effect: Effect) -> None:
        match effect:
            case Dial():
                dialled = self._sockets[effect.life] = Socket(effect, self._options, self._websocket_options)
                self._start(self._live(dialled), f"warren socket {effect.life}")
            case Write():
                socket = self._sockets.get(effect.life)
                if socket is not None:
                    socket.write(effect.text)
                    self.session.outbox.is_congested = socket.is_congested
            case HangUp():
                gone = self._sockets.pop(effect.life, None)
                if gone is not None:
                    gone.hang_up(effect.code, effect.reason)
            case FetchToken():
                self._fetch = effect
                if self._fetching is None:  # otherwise the token that is on its way is for this one
                    self._fetching = self._start(self._get_token(), "warren token")

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        # a fault of this package: nobody waits for ever because of it
        _log.error("the client ends because of a fault in it", exc_info=task.exception())
        fault = ClosedError(f"a fault in the client: {task.exception()!r}", code="internal")
        if not self._is_ended:
            self.do(lambda: self.session.fail(fault))

    async def _live(self, socket: Socket) -> None:
        """Open a socket and hear it until it is closed."""
        session, life, outbox = self.session, socket.life, self.session.outbox

        def drained() -> None:
            if life == session.link.life:
                outbox.is_congested = False

        try:
            failure = await socket.open()
            if failure is not None:
                self.do(lambda: session.link.failed(life, failure.error, failure.after_ms))
                return
            async with contextlib.aclosing(socket.frames(drained)) as frames:
                async for text in frames:
                    self._received(life, text)
            code, reason = socket.closed_with
            self.do(lambda: session.link.lost(life, code, reason))
        finally:
            self._sockets.pop(life, None)
            await socket.end()

    def _received(self, life: int, text: str | bytes) -> None:
        self.do(lambda: self.session.received(life, text))

    async def _get_token(self) -> None:
        source = self._token
        try:
            if source is None:
                return
            # one that is not a coroutine may block: it runs in a thread
            given = source() if inspect.iscoroutinefunction(source) else await asyncio.to_thread(source)
            token = await given if inspect.isawaitable(given) else given
            if not isinstance(token, str) or not token:
                raise TypeError(f"it gave {type(token).__name__} instead of a text")
        except StopConnecting as stop:
            error = ClosedError(f"the token callback said stop: {stop}", code="stopped")
            self._has_token(lambda: self.session.link.no_token(self._fetch.life, error, for_good=True))
        except Exception as fault:  # noqa: BLE001 # whatever the application's callback raises
            failed = WarrenError("unauthorized", f"can't get a token: {fault!r}", retry=True)
            failed.__cause__ = fault
            self._has_token(lambda: self.session.link.no_token(self._fetch.life, failed, for_good=False))
        else:
            self._has_token(lambda: self.session.token(self._fetch.life, token))

    def _has_token(self, what: Callable[[], None]) -> None:
        self._fetching = None
        if not self._is_ended:
            self.do(what)


def _nothing() -> None:
    """Only the time is told."""
