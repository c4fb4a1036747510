"""ClientRequests: what clients ask services: each REQUEST becomes a call, and what comes of the call an input
of its connection.

An answer is passed on as it is, once it was looked at: JSON text, or bytes. The sampling decision is taken
here, where a request enters. It keeps no answer, and decides nothing about rights.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from gateway.core import inputs
from gateway.core.actions import Request
from gateway.shell import backend_calls
from gateway.shell.backend_calls import BackendCalls, Outcome, Reply
from warren.bus import HeaderValue, Properties
from warren.clock import Clock
from warren.errors import CallFailed, ErrorCode
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.payloads import BINARY_TYPE, JSON_TYPE, is_binary, is_json
from warren.telemetry import Hop, HopKind, Tracing
from warren.topology import Topology

# By this header of its answer a service refuses a request: its value is the code of the client's ERROR.
ERROR_HEADER = "error"
MAX_REASON_BYTES = 1_024
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")

Put = Callable[[inputs.Input], None]

_log = get_logger("gateway.client_requests")


@dataclass(slots=True)
class _Asked:
    """A request that is open."""

    conn: str
    ref: str
    service: str
    put: Put
    began: float
    receive: Hop | None
    name: str = ""  # of the call; empty while it is being made


class ClientRequests:
    """Those of all connections of a gateway."""

    def __init__(
        self,
        calls: BackendCalls,
        topology: Topology,
        clock: Clock,
        tracing: Tracing,
        metrics: GatewayMetrics,
        max_bytes: int,
    ) -> None:
        """An answer, or a part of one, may have ``max_bytes``."""
        self._calls = calls
        self._topology = topology
        self._clock = clock
        self._tracing = tracing
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._open: dict[tuple[str, str], _Asked] = {}

    def ask(self, conn: str, action: Request, put: Put) -> None:
        """Ask a service for a connection; ``put`` is told what comes of it, now or later, until its last
        word.
        """
        asked = _Asked(
            conn,
            action.ref,
            action.service,
            put,
            self._clock.monotonic(),
            self._tracing.entry(action.traceparent, message_id=action.name),
        )
        send = None
        if asked.receive is not None:
            send = self._tracing.hop(HopKind.CALL, asked.receive.traceparent, message_id=action.name)
        self._open[conn, action.ref] = asked
        request = backend_calls.Request(
            self._topology.rpc,
            action.service,
            action.payload,
            self._properties(conn, action, send or asked.receive),
            action.timeout_s,
            action.user,
            action.judged,
            action.durable,
        )
        asked.name = self._calls.open(request, lambda outcome: self._told(asked, outcome))
        if send is not None:
            send.end()

    def cancel(self, conn: str, ref: str) -> None:
        """Want no answer any more; nothing where it has come."""
        asked = self._open.get((conn, ref))
        if asked is not None:
            self._end(asked, ErrorCode.CANCELLED)
            self._calls.cancel(asked.name)

    def _properties(self, conn: str, action: Request, hop: Hop | None) -> Properties:
        headers: dict[str, HeaderValue] = {"user": action.user, "connection": conn}
        if hop is not None:  # what the client gave decides nothing for the service either
            headers["traceparent"] = hop.traceparent
        return Properties(
            content_type=BINARY_TYPE if action.binary else JSON_TYPE,
            message_id=action.name,
            correlation_id=action.name if action.durable else None,
            reply_to=self._topology.rpc_replies if action.durable else None,
            timestamp_ms=self._clock.wall_us() // 1_000,
            headers=headers,
        )

    def _told(self, asked: _Asked, outcome: Outcome) -> None:
        match outcome:
            case Reply():
                self._replied(asked, outcome)
            case CallFailed():
                self._end(asked, outcome.code)
                asked.put(
                    inputs.RequestFailed(asked.ref, outcome.code, outcome.message, outcome.retry_after_ms)
                )
            case _:
                self._end(asked, "accepted")
                asked.put(inputs.RequestAccepted(asked.ref))

    def _replied(self, asked: _Asked, reply: Reply) -> None:
        refusal = reply.properties.headers.get(ERROR_HEADER)
        if refusal is not None:
            self._refused(asked, reply, refusal)
            return
        wrong, binary = self._judge(reply)
        if wrong:
            event(_log, "reply_refused", level=logging.WARNING, service=asked.service, reason=wrong)
            self._metrics.drops("reply_invalid")
            self._end(asked, ErrorCode.INTERNAL)
            if reply.more:
                self._calls.cancel(asked.name)
            says = f"The service has answered what can't be passed on: {wrong}"
            asked.put(inputs.RequestFailed(asked.ref, ErrorCode.INTERNAL, says))
            return
        if not reply.more:
            self._end(asked, "answered")
        asked.put(inputs.Responded(asked.ref, reply.body, binary, reply.n, reply.more))

    def _refused(self, asked: _Asked, reply: Reply, code: HeaderValue) -> None:
        """Tell that a service has refused a request; its body says why."""
        if reply.more:
            self._calls.cancel(asked.name)
        if not isinstance(code, str) or _CODE.fullmatch(code) is None:
            event(_log, "reply_refused", level=logging.WARNING, service=asked.service, reason="header error")
            self._metrics.drops("reply_invalid")
            code = ErrorCode.INTERNAL
        self._end(asked, "refused")
        says = reply.body[:MAX_REASON_BYTES].decode(errors="ignore")
        asked.put(inputs.RequestFailed(asked.ref, code, says or "The service has refused this"))

    def _judge(self, reply: Reply) -> tuple[str, bool]:
        """Return what is wrong with an answer (empty: nothing), and whether it is raw bytes."""
        if len(reply.body) > self._max_bytes:
            return f"more than {self._max_bytes} bytes", False
        binary = is_binary(reply.properties.content_type)
        if binary is None:
            return f"its content_type is neither {JSON_TYPE} nor {BINARY_TYPE}", False
        if not binary and not is_json(reply.body):
            return "it is no JSON text in UTF-8", False
        return "", binary

    def _end(self, asked: _Asked, outcome: str) -> None:
        if self._open.get((asked.conn, asked.ref)) is asked:
            del self._open[asked.conn, asked.ref]
        seconds = self._clock.monotonic() - asked.began
        receive = asked.receive
        self._metrics.calls(outcome)
        self._metrics.hop_seconds("call", seconds, "" if receive is None else receive.trace_id)
        if receive is not None:
            if outcome not in ("answered", "accepted"):
                receive.fail(outcome)
            receive.end()
