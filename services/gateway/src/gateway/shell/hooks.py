"""Hooks: has backends decide what connections want to know, by RPC, and tells each of them what was decided.

What is asked at all, and of whom, the desk decides (``core/hook_desk.py``). A backend's answer that is late,
comes twice or is rubbish decides nothing. Who is told is told by an input of its own. It logs who was
refused, and which backend does not answer, each once in a while; never a payload, a token or a grant.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final, Protocol

from gateway.core.actions import Consult
from gateway.core.hook_desk import Allowed, Ask, Denied, Failure, HookDesk, Step, Tell, Undecided, Waiter
from gateway.core.inputs import HookDecided, Input
from gateway.core.log_rate_limit import LogRateLimit
from gateway.shell.backend_calls import BackendCalls
from warren.bus import Properties
from warren.clock import Clock
from warren.errors import CallFailed, ErrorCode
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.supervision import cancel_and_wait, supervised
from warren.topology import Topology

# After so many that were told others have their turn.
TOLD_AT_ONCE: Final = 64
# A user who was refused, and a backend that does not answer, are logged so often, and so many of them.
LOG_EVERY_S: Final = 60.0
LOGGED_MAX: Final = 256
# What is decided where nobody can be asked.
UNDECIDED: Final = Undecided("unavailable", 1_000)
# When it is worth asking again where nobody is there to be asked.
NOBODY_MS: Final = 1_000

_FAILURES: Final[dict[ErrorCode, Failure]] = {
    ErrorCode.TIMEOUT: "timeout",
    ErrorCode.NO_SERVICE: "no_service",
    ErrorCode.OVERLOADED: "overloaded",
}

_log = get_logger("gateway.hooks")


class Asker(Protocol):
    """A connection that wants something decided."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    def put(self, item: Input) -> None:
        """Handle an input."""
        ...


class Hooks:
    """A gateway's."""

    def __init__(
        self,
        desk: HookDesk,
        calls: BackendCalls,
        topology: Topology,
        clock: Clock,
        metrics: GatewayMetrics,
        timeout_s: float,
    ) -> None:
        """``calls`` reach backends; each has ``timeout_s``."""
        self._desk = desk
        self._calls = calls
        self._topology = topology
        self._clock = clock
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._askers: dict[str, Asker] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._denials = LogRateLimit(LOG_EVERY_S, LOGGED_MAX)
        self._failures = LogRateLimit(LOG_EVERY_S, LOGGED_MAX)
        metrics.waiting_from("hook_questions", lambda: len(desk))
        metrics.waiting_from("hook_answers", lambda: len(desk.cache))

    async def stop(self) -> None:
        """Ask no more."""
        await cancel_and_wait(*self._asking)

    def consult(self, asker: Asker, asked: Consult) -> None:
        """Have something decided; what comes of it is an input of ``asker``, at once or later."""
        self._askers[asker.id] = asker
        waiter = Waiter(asker.id, asked.ticket, asked.query.anonymous)
        clock = self._clock
        for step in self._desk.consult(asked.query, waiter, clock.monotonic(), clock.wall_us() / 1_000_000):
            self._do(step)

    def gone(self, conn: str) -> None:
        """Forget a connection that has ended."""
        if self._askers.pop(conn, None) is not None:
            self._desk.gone(conn)

    def revoked(self, user: str) -> None:
        """Let nothing count that backends have said of a user up to now."""
        self._desk.revoked(user)

    def _do(self, step: Step) -> None:
        match step:
            case Ask():
                task = asyncio.get_running_loop().create_task(self._ask(step), name="hook")
                self._asking.add(supervised(task))
                task.add_done_callback(self._asking.discard)
            case Tell():
                self._note(step)
                for waiter in step.waiters:
                    self._tell(step, waiter)

    async def _ask(self, ask: Ask) -> None:
        """Ask a backend, and go on with what comes of it."""
        clock, began = self._clock, self._clock.monotonic()
        properties = Properties(content_type="application/json", type=ask.hook)
        key = self._topology.hook_key(ask.hook, ask.namespace)
        try:
            reply = await self._calls.call(
                self._topology.hooks, key, ask.body, properties, self._timeout_s, ask.caller
            )
        except CallFailed as failed:
            failure = _FAILURES.get(failed.code, "unavailable")
            retry_after_ms = failed.retry_after_ms or (NOBODY_MS if failure == "no_service" else 0)
            steps = self._desk.failed(ask.number, failure, retry_after_ms, clock.monotonic())
        except Exception as error:  # noqa: BLE001 - a question that nobody answers would keep its place
            event(_log, "hook_fault", level=logging.ERROR, error=error)
            steps = self._desk.failed(ask.number, "unavailable", 0, clock.monotonic())
        else:
            now = clock.monotonic()
            self._metrics.hop_seconds("hook", now - began)
            steps = self._desk.answered(ask.number, reply.body, now, clock.wall_us() / 1_000_000)
        for step in steps:
            if isinstance(step, Ask):
                self._do(step)
        await self._tell_all(step for step in steps if isinstance(step, Tell))

    async def _tell_all(self, tells: Iterable[Tell]) -> None:
        told = 0
        for tell in tells:
            self._note(tell)
            for waiter in tell.waiters:
                self._tell(tell, waiter)
                told += 1
                if told % TOLD_AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _tell(self, tell: Tell, waiter: Waiter) -> None:
        asker = self._askers.get(waiter.conn)
        if asker is not None:
            asker.put(HookDecided(waiter.ticket, tell.verdict))

    def _note(self, tell: Tell) -> None:
        """Count what was decided, and log what somebody may have to answer for."""
        count, query, now = len(tell.waiters), tell.query, self._clock.monotonic()
        match tell.verdict:
            case Allowed(source=source, too_long=too_long):
                self._metrics.hooks("allowed", source, count)
                unlogged = self._failures.due("grant_too_long", now) if too_long else None
                if unlogged is not None:
                    event(
                        _log,
                        "grant_too_long",
                        level=logging.WARNING,
                        user=query.user or None,
                        hint="the answer to connect has too many rooms or too much info for a grant",
                        unlogged=unlogged or None,
                    )
            case Denied(reason=reason, source=source):
                self._metrics.hooks("denied", source, count)
                unlogged = self._denials.due(f"{query.hook} {query.user or query.connection}", now)
                if unlogged is not None:
                    event(
                        _log,
                        "hook_denied",
                        hook=query.hook,
                        user=query.user or None,
                        connection=query.connection or None,
                        room=query.room or None,
                        reason=reason or None,
                        unlogged=unlogged or None,
                    )
            case Undecided(failure=failure, retry_after_ms=retry_after_ms):
                self._metrics.hooks(failure, "backend", count)
                key = self._topology.hook_key(query.hook, query.namespace)
                unlogged = self._failures.due(f"{key} {failure}", now)
                if unlogged is not None:
                    event(
                        _log,
                        "hook_failed",
                        level=logging.WARNING,
                        hook=query.hook,
                        routing_key=key,
                        failure=failure,
                        retry_after_ms=retry_after_ms,
                        unlogged=unlogged or None,
                    )
