"""ControlQueue: commands of backends over AMQP: taken from the queue that all routers share, done, and
answered at the queue that each has named (``reply_to``, ``correlation_id``).

A command is acknowledged once it is done or set aside. What is invalid is set aside with the reason, as
notifications are; what can't be done now is answered so, or, where nobody waits for an answer, goes back to
the queue. A reply is published once: who misses it sends the command again under its ``message_id``. What is
under way is bounded by the prefetch. Order is only kept for what one router takes; it decides nothing about
commands.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from router.core.api_keys import EVERYTHING
from router.core.control import Command, Given, parse_keyed
from router.core.control_problems import Problem, ProblemCode, encoded
from router.core.verbs import VERBS
from router.shell.audit import Audit
from router.shell.backend_replies import BackendReplies
from router.shell.control import Answer, Control
from router.shell.dead_letters import KEY_HEADER, DeadLetters
from router.shell.redelivery_screening import RedeliveryScreening
from router.shell.router_context import RouterContext
from router.shell.sandbox_process import SandboxProcess
from warren.bus import Delivery, Properties, Source, Subscription
from warren.contract.problem import PROBLEM_TYPE
from warren.logs import event, get_logger
from warren.supervision import cancel_and_wait, supervised
from warren.telemetry import is_valid, trace_id

# After so long a command that can't be done now goes back to the queue.
BACK_S: Final = 0.5
STOP_S: Final = 2.0
JSON: Final = "application/json"
# Refused for what it is: the same command would be refused again.
_INVALID: Final = frozenset(
    {
        ProblemCode.INVALID_FORMAT,
        ProblemCode.INVALID_MESSAGE,
        ProblemCode.MESSAGE_TOO_LARGE,
        ProblemCode.UNSUPPORTED_MEDIA_TYPE,
    }
)

_logger = get_logger("router.control_queue")


@dataclass(frozen=True, slots=True)
class ControlLimits:
    """How many commands are under way at a time, and how large a payload may be."""

    prefetch: int
    max_payload: int


class ControlQueue:
    """One router's consumer."""

    def __init__(
        self,
        context: RouterContext,
        control: Control,
        dead_letters: DeadLetters,
        sandbox: SandboxProcess,
        limits: ControlLimits,
    ) -> None:
        """``dead_letters`` keeps what is invalid; ``sandbox`` tries what comes for the second time."""
        self._bus = context.bus
        self._replies = BackendReplies(context.bus, context.topology)
        self._topology = context.topology
        self._clock = context.clock
        self._metrics = context.metrics
        self._control = control
        self._dead_letters = dead_letters
        self._audit = Audit(context.metrics, "amqp")
        self._limits = limits
        self._screening = RedeliveryScreening(sandbox, self._parsed, self._hand_on, self._set_aside)
        self._doing: set[asyncio.Task[None]] = set()
        self._subscription: Subscription | None = None
        self._stopping = False
        context.metrics.waiting_from("control_queue", lambda: len(self._doing) + self._screening.waiting)

    async def start(self) -> None:
        """Begin to take commands."""
        self._subscription = await self._bus.subscribe(
            lambda: Source(self._topology.control_queue()),
            self._delivered,
            prefetch=self._limits.prefetch,
            on_lost=self._screening.lost,
        )

    async def stop(self) -> None:
        """Take no more, and finish what can be finished soon; the rest goes to the other routers."""
        self._stopping = True
        if self._doing:
            await asyncio.wait(tuple(self._doing), timeout=STOP_S)
        await cancel_and_wait(*self._doing)
        await self._screening.close()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()

    def _delivered(self, delivery: Delivery) -> None:
        if not self._stopping:
            self._screening.take(delivery)

    def _hand_on(self, delivery: Delivery) -> None:
        if self._stopping:
            return
        task = asyncio.get_running_loop().create_task(self._take(delivery), name="command")
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)
        supervised(task)

    def _parsed(self, delivery: Delivery) -> Command | Problem:
        """Return the command that a delivery is, or what is wrong with it."""
        properties = delivery.properties
        kind = (properties.content_type or JSON).partition(";")[0].strip().lower()
        if kind != JSON:
            return Problem(ProblemCode.UNSUPPORTED_MEDIA_TYPE, f"The content_type must be {JSON}.")
        given = Given(
            now_us=self._clock.wall_us(),
            max_bytes=self._limits.max_payload,
            id=properties.message_id or "",
            traceparent=_traceparent(properties),
            agrees=False,  # many clients give each message an id of their own accord
        )
        return parse_keyed(delivery.routing_key, delivery.body, given)

    async def _take(self, delivery: Delivery) -> None:
        """Do what one delivery asks for."""
        command: Command | Problem
        answer: Answer
        try:
            command = self._parsed(delivery)
            answer = command if isinstance(command, Problem) else await self._control.do(command, EVERYTHING)
        except Exception as error:  # noqa: BLE001 - ours; one command must not end all of them
            event(_logger, "command_failed", level=logging.ERROR, key=delivery.routing_key, error=error)
            command = answer = Problem(ProblemCode.INTERNAL, "Our fault; the log tells more.")
        self._tell(delivery, command, answer)
        await self._settle(delivery, answer)

    def _tell(self, delivery: Delivery, command: Command | Problem, answer: Answer) -> None:
        properties = delivery.properties
        verb = VERBS.get(delivery.routing_key.partition(".")[0])
        if verb is None:
            self._metrics.command_problems(ProblemCode.INVALID_MESSAGE.value)
            return
        by = properties.user_id or properties.app_id or ""
        self._audit.done(verb, command, answer, by=by, trace_id=partial(_trace, properties))

    async def _settle(self, delivery: Delivery, answer: Answer) -> None:
        """Answer, set aside what is invalid, and settle the delivery."""
        properties = delivery.properties
        problem = answer if isinstance(answer, Problem) else None
        if properties.reply_to:
            await self._reply(properties, answer)
        if problem is not None and problem.code in _INVALID:
            await self._set_aside(delivery, f"{problem.code.value}: {problem.detail}")
        elif problem is not None and problem.code.retry and not properties.reply_to:
            await asyncio.sleep(BACK_S)
            delivery.reject(requeue=True)
        else:
            delivery.ack()

    async def _set_aside(self, delivery: Delivery, reason: str) -> None:
        try:
            await self._dead_letters.put(
                delivery.body, reason, delivery.properties, {KEY_HEADER: delivery.routing_key}
            )
        except Exception as error:  # noqa: BLE001 - ours; the broker sets it aside
            event(_logger, "aside_failed", level=logging.ERROR, reason=reason, error=error)
            delivery.reject(requeue=False)
        else:
            delivery.ack()

    async def _reply(self, properties: Properties, answer: Answer) -> None:
        if isinstance(answer, Problem):
            body, kind, content_type = encoded(answer, _trace(properties)), "problem", PROBLEM_TYPE
        else:
            body, kind, content_type = msgspec.json.encode(answer), "result", JSON
        told = Properties(content_type=content_type, type=kind, correlation_id=properties.correlation_id)
        if not await self._replies.send(properties.reply_to or "", body, told):
            self._metrics.rejected("control_reply_dropped")


def _traceparent(properties: Properties) -> str:
    given = properties.headers.get("traceparent")
    return given if isinstance(given, str) else ""


def _trace(properties: Properties) -> str:
    given = _traceparent(properties)
    return trace_id(given) if is_valid(given) else ""
