"""BackendCalls: ask a backend something by AMQP and be answered: the one way in which a gateway does so.

Plain RPC, which any AMQP server can answer: ``reply_to`` names a queue of the gateway's own, named anew each
time that it is consumed; ``correlation_id`` is the call's; ``message_id`` is the asker's and stays the same
over repeats; ``expiration`` is the time that is left; a request that reaches no queue comes back (AMQP
``basic.return``). What is open is bounded for each exchange, and so is what is on its way. What comes of it
is for ``core/open_calls`` to say; its steps are done here. It looks into no body, and knows no client.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.core import open_calls
from gateway.core.open_calls import CallLimits, OpenCalls
from warren.bus import Bus, Delivery, HeaderValue, Properties, Source, Subscription
from warren.clock import Clock
from warren.errors import BusUnavailable, CallFailed, ErrorCode, Nacked, NotConfirmed, Unroutable
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.supervision import cancel_and_wait, supervised, tell
from warren.topology import Topology

# Answers that are on their way at a time.
PREFETCH = 512
# How punctual time-outs and repeats are.
TICK_S = 0.05
# A cancel that nobody takes is worth nothing after this.
CANCEL_MS = 10_000
CANCELS = 1_024
# What a request says of itself (the AMQP property ``type``), so that one queue may take both.
REQUEST_TYPE = "REQUEST"
CANCEL_TYPE = "CANCEL"

ATTEMPT_HEADER = "attempt"
NUMBER_HEADER = "n"
MORE_HEADER = "more"

_log = get_logger("gateway.backend_calls")


@dataclass(frozen=True, slots=True)
class Request:
    """What a backend is asked: where it is sent, and its body. ``properties`` are the asker's: content type,
    ``message_id``, headers.

    ``caller`` is who wants to know: one caller's time-outs alone shut no service. ``judged``: a time-out is
    the service's fault. ``one_way``: the answer goes to ``properties.reply_to``, under
    ``properties.correlation_id``, and the call is over when the broker has the request, on its disk.
    """

    exchange: str
    key: str
    body: bytes
    properties: Properties
    timeout_s: float
    caller: str = ""
    judged: bool = True
    one_way: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or the ``n``-th part of one (1, 2, 3 …), the last unless there is ``more``."""

    body: bytes
    properties: Properties
    n: int = 1
    more: bool = False


class Accepted:
    """The broker has a one-way request."""


# What comes of a call: parts, if any, then exactly one reply without ``more``, or Accepted, or a CallFailed.
Outcome = Reply | Accepted | CallFailed
OnOutcome = Callable[[Outcome], None]


class _Open:
    """A call that is open."""

    __slots__ = ("on_outcome", "request", "sending", "table")

    def __init__(self, request: Request, table: OpenCalls, on_outcome: OnOutcome) -> None:
        self.request = request
        self.table = table
        self.on_outcome = on_outcome
        self.sending: asyncio.Task[None] | None = None


class BackendCalls:
    """One gateway's."""

    def __init__(
        self,
        gateway: str,
        bus: Bus,
        topology: Topology,
        clock: Clock,
        metrics: GatewayMetrics,
        limits: Mapping[str, CallLimits],
    ) -> None:
        """``limits``: of the calls by each exchange; others are not asked by."""
        self._gateway = gateway
        self._bus = bus
        self._topology = topology
        self._clock = clock
        self._metrics = metrics
        self._tables = {exchange: OpenCalls(each) for exchange, each in limits.items()}
        self._open: dict[str, _Open] = {}
        self._number = 0
        self._queue = ""  # where answers come at present, or will
        self._cancels: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._subscription: Subscription | None = None
        metrics.waiting_from("calls", self.__len__)
        metrics.waiting_from("broken_services", lambda: sum(table.broken for table in self._tables.values()))

    def __len__(self) -> int:
        """Return how many calls are open."""
        return len(self._open)

    # ── birth and death ─────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Consume answers for as long as the bus lives. Raises what ``Bus.subscribe`` does."""
        self._subscription = await self._bus.subscribe(
            self._source,
            self._delivered,
            prefetch=PREFETCH,
            on_start=self._answerable,
            on_lost=self._unanswerable,
        )

    async def stop(self) -> None:
        """Fail what is open, and consume no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for name, call in list(self._open.items()):
            call.table.close(name)
            self._finish(name, CallFailed(ErrorCode.UNAVAILABLE, "The gateway goes"))
        await cancel_and_wait(*self._cancels)
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────────

    async def call(
        self, exchange: str, key: str, body: bytes, properties: Properties, timeout_s: float, caller: str = ""
    ) -> Reply:
        """Ask, and return the answer, which is the first part of one that has more. Raises CallFailed:
        NO_SERVICE, OVERLOADED, TIMEOUT, UNAVAILABLE. Who is cancelled has the backend told.
        """
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def settle(outcome: Outcome) -> None:
            if answer.done():
                return
            if isinstance(outcome, Reply):
                answer.set_result(outcome)
            elif isinstance(outcome, CallFailed):
                answer.set_exception(outcome)

        name = self.open(Request(exchange, key, body, properties, timeout_s, caller), settle)
        try:
            return await answer
        finally:
            self.cancel(name)  # nothing where it is answered

    def open(self, request: Request, on_outcome: OnOutcome) -> str:
        """Ask; ``on_outcome`` is told what comes of it, now or later, and nothing after the last word. Return
        the call's name.
        """
        self._number += 1
        name = f"{self._gateway}~{self._number:x}"
        table = self._tables[request.exchange]
        self._open[name] = _Open(request, table, on_outcome)
        step = table.open(
            name,
            request.key,
            request.caller,
            request.timeout_s,
            self._clock.monotonic(),
            size=len(request.body),
            judged=request.judged,
            one_way=request.one_way,
        )
        self._do(step)
        if self._timer is None and self._open:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        return name

    def cancel(self, name: str) -> None:
        """Want no answer any more: nothing is told of this call from now on, and the backend hears of it."""
        call = self._open.get(name)
        if call is None:
            return
        under_way = call.table.close(name)
        self._forget(name)
        if under_way:
            self._tell_cancel(name, call.request)

    # ── answers ─────────────────────────────────────────────────────────────────────────────────────────────

    def _source(self) -> Source:
        queue, bindings = self._topology.replies_queue(self._gateway, secrets.token_hex(4))
        self._queue = queue.name
        return Source(queue, bindings)

    def _answerable(self) -> None:
        now = self._clock.monotonic()
        for table in self._tables.values():
            self._do(*table.answerable(now))

    def _unanswerable(self) -> None:
        for table in self._tables.values():
            table.unanswerable()

    def _delivered(self, delivery: Delivery) -> None:
        """Take an answer. Whatever is in it, it must not end the consumer, and is acknowledged."""
        try:
            self._answered(delivery)
        except Exception as error:  # noqa: BLE001 - as said
            self._metrics.drops("reply_failed")
            event(_log, "reply_failed", level=logging.ERROR, error=error)
        finally:
            delivery.ack()

    def _answered(self, delivery: Delivery) -> None:
        properties = delivery.properties
        name = properties.correlation_id or ""
        call = self._open.get(name)
        if call is None:
            self._metrics.drops("reply_late")
            return
        number = properties.headers.get(NUMBER_HEADER)
        numbered = isinstance(number, int) and not isinstance(number, bool)
        more = properties.headers.get(MORE_HEADER) is True
        step = call.table.answered(name, number if numbered else None, more, self._clock.monotonic())  # type: ignore[arg-type]
        if step is None:
            self._metrics.drops("reply_repeat")
        elif isinstance(step, open_calls.Answer):
            reply = Reply(delivery.body, properties, step.n, step.more)
            if step.more:
                self._tell(call, reply)
            else:
                self._finish(name, reply)
        else:
            self._do(step)

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        self._timer = None
        try:
            now = self._clock.monotonic()
            for table in self._tables.values():
                self._do(*table.tick(now))
        except Exception as error:  # noqa: BLE001 - calls without a clock would never end
            tell("backend calls", error)
        if self._open:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _do(self, *steps: open_calls.Step | None) -> None:
        for step in steps:
            match step:
                case open_calls.Send():
                    self._send(step)
                case open_calls.Failed():
                    request = self._open[step.id].request
                    self._finish(step.id, CallFailed(step.code, step.message, step.retry_after_ms))
                    if step.cancel:
                        self._tell_cancel(step.id, request)
                case open_calls.Accepted():
                    self._finish(step.id, Accepted())
                case _:
                    pass

    def _send(self, step: open_calls.Send) -> None:
        call = self._open[step.id]
        if call.sending is not None:
            call.sending.cancel()
        sending = self._publish(step.id, call, step)
        call.sending = supervised(asyncio.get_running_loop().create_task(sending, name="backend-call"))

    async def _publish(self, name: str, call: _Open, step: open_calls.Send) -> None:
        request, table = call.request, call.table
        properties = request.properties
        headers: dict[str, HeaderValue] = {**properties.headers, ATTEMPT_HEADER: step.attempt}
        if request.one_way:
            sent = replace(properties, headers=headers)
        else:
            sent = replace(
                properties,
                correlation_id=name,
                reply_to=self._queue,
                expiration_ms=step.left_ms,
                headers=headers,
            )
        try:
            await self._bus.publish(
                request.exchange,
                request.key,
                request.body,
                replace(sent, type=properties.type or REQUEST_TYPE),
                mandatory=True,
                persistent=request.one_way,
            )
        except Unroutable:
            self._do(table.returned(name))
        except Nacked:
            self._do(table.refused(name))
        except (BusUnavailable, NotConfirmed):
            table.unknown(name, self._clock.monotonic())
        else:
            self._do(table.taken(name))

    def _tell_cancel(self, name: str, request: Request) -> None:
        """Tell the backend that an answer is wanted no more; it may not listen, and need not."""
        if len(self._cancels) >= CANCELS:
            self._metrics.drops("cancel_overflow")
            return
        task = asyncio.get_running_loop().create_task(self._publish_cancel(name, request), name="cancel-call")
        self._cancels.add(supervised(task))
        task.add_done_callback(self._cancels.discard)

    async def _publish_cancel(self, name: str, request: Request) -> None:
        properties = Properties(
            type=CANCEL_TYPE,
            message_id=request.properties.message_id,
            correlation_id=name,
            expiration_ms=CANCEL_MS,
            headers=request.properties.headers,
        )
        key = self._topology.cancel_key(request.key)
        try:
            await self._bus.publish(request.exchange, key, b"", properties, persistent=False)
        except (BusUnavailable, NotConfirmed):
            self._metrics.drops("cancel_lost")

    def _finish(self, name: str, outcome: Outcome) -> None:
        call = self._forget(name)
        self._tell(call, outcome)

    def _forget(self, name: str) -> _Open:
        call = self._open.pop(name)
        sending, call.sending = call.sending, None
        if sending is not None and sending is not asyncio.current_task():
            sending.cancel()
        return call

    @staticmethod
    def _tell(call: _Open, outcome: Outcome) -> None:
        try:
            call.on_outcome(outcome)
        except Exception as error:  # noqa: BLE001 - one asker's fault must not end the others' calls
            event(_log, "outcome_failed", level=logging.ERROR, error=error)
