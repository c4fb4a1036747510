"""OneMessage: a connection that says one message and is told what became of it: by ``POST /publish`` without
a stream.

It has a session as every connection has, so the same rights, limits and backends decide; it is in no room,
its transport writes nothing, and what comes for everyone is thrown away. Its answer is the first word about
its message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from gateway.core import client_messages, inputs, one_message
from gateway.core.client_messages import Acked, Error
from gateway.core.memory_budget import Holding
from gateway.core.outbox import KEPT, Outbox, Put
from gateway.core.permissions import Identity
from gateway.core.session import Session
from gateway.core.websocket.frame_parser import WebSocketViolation
from gateway.core.websocket.frames import JSON
from gateway.shell.connection import ClientInfo, Connection, GatewayContext
from warren.errors import CloseCode, ErrorCode


class NoTransport:
    """The way to a client that is told nothing but its answer."""

    def __init__(self, now: float) -> None:
        """``now``: the message is there since then."""
        self.outbox = Outbox()
        self.bytes_in = self.bytes_out = self.messages_out = self.kept = self.close_code = 0
        self.heard = True
        self.counted = False
        self.on_excess: Callable[[CloseCode], None] | None = None
        self.ended = self.resting = self.quiet = False
        self.since = now

    async def read(self) -> str | bytes | None:
        """Return None: its message is handed to the connection."""
        return None

    async def rest(self, seconds: float) -> None:
        """Wait for nothing."""

    async def fail(self, violation: WebSocketViolation) -> None:
        """Do nothing."""

    def end_rest(self) -> None:
        """Do nothing."""

    def hold(self) -> None:
        """Do nothing."""

    def known(self) -> None:
        """Do nothing."""

    def check(self) -> None:
        """Do nothing."""

    def worked(self, seconds: float) -> None:
        """Do nothing."""

    def put(self, chunk: bytes) -> Put:
        """Throw it away."""
        return KEPT

    def flush(self) -> None:
        """Throw away what came for everyone."""
        self.outbox.take(self.outbox.bytes)

    def ping(self) -> None:
        """Do nothing."""
        self.heard = True

    def close(self, code: int, reason: str, *, last_words: bytes = b"") -> None:
        """Write nothing more."""
        self.ended = True

    def tick(self, now: float) -> None:
        """Have a sign of life."""
        self.heard = True

    def keep(self, size: int) -> None:
        """Do nothing: the request's bytes are counted where it is read."""
        self.kept = size

    def holding(self) -> Holding | None:
        """Return None: it holds nothing."""
        return None

    def over(self) -> None:
        """Do nothing."""

    def cut(self) -> None:
        """Write nothing more."""
        self.ended = True

    def finish(self) -> bool:
        """Throw away what came for everyone."""
        self.ended = True
        self.outbox.discard()
        return True

    def finished(self, now: float) -> bool:
        """Return True: nothing is being written."""
        return True


class OneMessage(Connection):
    """One."""

    __slots__ = ("_answer", "_frame", "_ref")

    def __init__(self, session: Session, client: ClientInfo, context: GatewayContext) -> None:
        """``session`` only visits."""
        super().__init__(session, NoTransport(context.clock.monotonic()), JSON, client, context)
        self._answer: asyncio.Future[Acked | Error] = asyncio.get_running_loop().create_future()
        self._frame: bytes | None = None
        self._ref = ""

    async def say(self, frame: bytes, ref: str, identity: Identity, timeout_s: float) -> Acked | Error:
        """Have a message taken, whose id is ``ref``, and return what became of it."""
        self._frame, self._ref = frame, ref
        self.put(inputs.TokenAccepted(identity))
        try:
            async with asyncio.timeout(timeout_s):
                return await self._answer
        except TimeoutError:
            says = "Nobody knows what became of the message; send it again with the same id"
            return client_messages.error(ErrorCode.UNAVAILABLE, says, ref)

    def finish(self) -> None:
        """Want nothing more; call it once, at the end."""
        self._reads.close(self._context.clock.monotonic())
        self.put(inputs.SocketLost())

    def _enter(self, known: bool) -> None:
        super()._enter(known)
        frame, self._frame = self._frame, None
        if frame is not None and self.user:
            self.put(frame)

    def _log_connect(self) -> None:
        """Log nothing: it is a message and no connection."""

    def _send(self, message: client_messages.ServerMessage) -> None:
        match message:
            case Acked() if message.ref == self._ref:
                self._settle(message)
            case Error() if message.ref in ("", self._ref) or message.close is not None:
                self._settle(message)

    def _close(self, code: CloseCode, reason: str) -> None:
        self._settle(one_message.closed(code, reason, self._ref))
        super()._close(code, reason)

    def _settle(self, answer: Acked | Error) -> None:
        if isinstance(answer, Error):
            self._context.metrics.errors(answer.code if isinstance(answer.code, ErrorCode) else "service")
            answer = msgspec.structs.replace(answer, close=None, reconnect=None)  # there is none to close
        if not self._answer.done():
            self._answer.set_result(answer)
