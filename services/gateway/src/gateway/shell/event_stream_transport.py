"""EventStreamTransport: one event stream's bytes. Events go out while the socket takes them, what its client
posts comes in, and it ends with an event that says why.

After the head it is the socket's protocol: aiohttp has let go of it. The peer has nothing more to say on it:
what it still sends is thrown away, and who goes on is cut. What waits for it waits in the outbox, shared with
others where they get the same; the ids of a connection's own are added when it is written. Posts come by
other requests, one at a time: a second one is refused until the messages of the first were read. A peer that
is gone is noticed by TCP. It knows nothing of sessions or of what messages mean.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Sequence

from aiohttp import web

from gateway.core.memory_budget import Holding, Standing
from gateway.core.outbox import Outbox, Put
from gateway.core.sse import events
from gateway.core.sse.position_vector import PositionVector
from gateway.core.websocket.frame_parser import TOO_BIG, WebSocketViolation
from gateway.core.websocket.limited_reader import (
    FREE_S,
    WORK_BYTES,
    WORK_BYTES_OF_A_SECOND,
    WORK_BYTES_PER_S,
)
from gateway.core.work_rate_limit import WorkRateLimit
from gateway.shell.event_stream_response import head
from gateway.shell.hijack import hijack
from gateway.shell.wakeup import Wakeup
from gateway.shell.websocket_transport import (
    MAX_WRITE_BYTES,
    SMALL_BYTES,
    TRANSPORT_BYTES,
    TransportContext,
)
from warren.errors import CloseCode

# What a peer may send behind its request: nothing is of use, and who sends more means something else.
LATE_BYTES = 64 * 1024
# A close event, and a stream without one, have a browser come back within this time, so that thousands do not
# come back together, and yet before its leave (``grace_ms``), so that nobody sees that it was away. Where the
# pod goes the clients are spread already.
COME_BACK_MS = (250, 2_000)
MOVE_MS = (100, 1_000)
NO_CODE = 1005  # the peer has ended it, and says nothing about why
ABNORMAL = 1006
_LAST_CHUNK = b"0\r\n\r\n"


def come_back_ms(code: int = NO_CODE) -> int:
    """Return when a client should come back that is closed with this code, where nobody says."""
    least, most = MOVE_MS if code == CloseCode.DRAINING else COME_BACK_MS
    return random.randint(least, most)  # noqa: S311 - it only spreads


class EventStreamTransport(asyncio.Protocol):
    """One event stream."""

    __slots__ = (
        "_blocked", "_chunked", "_close_timeout_s", "_cut", "_deadline", "_gone", "_late", "_limit",
        "_memory", "_now", "_posted", "_posted_bytes", "_progress", "_reader", "_rest", "_since",
        "_transport", "_vector", "_wait_s", "_work", "bytes_in", "bytes_out", "close_code", "counted",
        "heard", "kept", "messages_out", "on_excess", "outbox", "post_digest",
    )  # fmt: skip

    def __init__(
        self, outbox: Outbox, context: TransportContext, vector: PositionVector, message_bytes: int
    ) -> None:
        """``vector``: where its client stands; a message may have ``message_bytes``."""
        self.outbox = outbox
        self.bytes_in = self.bytes_out = self.messages_out = 0
        self.heard = True
        self.kept = 0
        self.counted = False  # the memory's to write
        self.on_excess: Callable[[CloseCode], None] | None = None
        self.close_code = 0
        self.post_digest = b""  # of the secret by which its client posts
        self._vector = vector
        self._limit = message_bytes
        self._now = context.now
        self._close_timeout_s = context.close_timeout_s
        self._progress = context.progress
        self._memory = context.memory
        self._posted: list[bytes] = []  # messages of the last post that were not read yet, the next one last
        self._posted_bytes = 0
        self._since = 0.0  # when they came, at the earliest
        self._work: WorkRateLimit | None = None  # whose messages are no great work needs none
        self._wait_s = 0.0  # for how long nothing more is to be read
        self._reader = Wakeup()  # waits for messages, or the end
        self._rest = Wakeup()  # waits for time to pass, or the end
        self._blocked = False  # the socket takes no more
        self._chunked = True
        self._deadline: float | None = None  # of the end
        self._late = 0
        self._gone = self._cut = False
        self._transport: asyncio.Transport

    def open(
        self, request: web.Request, headers: Sequence[tuple[str, str]], dead_ms: int
    ) -> web.StreamResponse:
        """Answer the request; return the response that the route gives back at once. A peer that has taken
        nothing for ``dead_ms`` is gone. Raises ConnectionError.
        """
        self._chunked = request.version >= (1, 1)
        taken = hijack(request, self)
        self._transport, self._blocked = taken.transport, taken.blocked
        self._transport.set_write_buffer_limits(TRANSPORT_BYTES)
        _notice_death(self._transport, dead_ms)
        self._write(events.retry(come_back_ms()), before=head(headers, chunked=self._chunked))
        self._late = len(taken.rest)
        return taken.response

    @property
    def ended(self) -> bool:
        """Whether nothing more can be written."""
        return self._deadline is not None or self._transport.is_closing()

    @property
    def since(self) -> float:
        """When the message that was read last may have come at the earliest."""
        return self._since

    @property
    def resting(self) -> bool:
        """Whether the client is left unread for a while."""
        return self._rest.waiting

    # ── the transport ───────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        """Throw away what a peer sends that has nothing to say here."""
        self._late += len(data)
        if self._late > LATE_BYTES:
            self.cut()

    def pause_writing(self) -> None:
        """Handle a full write buffer."""
        self._blocked = True
        self._memory.register(self)

    def resume_writing(self) -> None:
        """Handle a write buffer that has drained: the peer takes something."""
        self._blocked, self.heard = False, True
        if not self.ended:
            self._write_some()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle connection loss."""
        self._gone = True
        self._end_with(NO_CODE if exc is None and not self._cut else ABNORMAL)
        for waiter in (self._reader, self._rest):
            waiter.wake()

    # ── in ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def posted(self) -> bool:
        """Whether messages of the last post were not read yet: there is no place for another one."""
        return bool(self._posted)

    def post(self, messages: Sequence[bytes]) -> None:
        """Take the messages of one post, while nothing of the last one is ``posted``."""
        self.heard = True
        self._posted = list(reversed(messages))
        self._posted_bytes = sum(map(len, messages))
        self._since = self._progress.since
        self._memory.register(self)
        self._memory.came(self._posted_bytes)
        self._reader.wake()

    async def read(self) -> str | bytes | None:
        """Return the next message that was posted, None once the connection has ended. Raises
        WebSocketViolation where it is too large.
        """
        if self._wait_s:
            wait_s, self._wait_s = self._wait_s, 0.0
            await self.rest(wait_s)
        elif self._posted:
            await asyncio.sleep(0)  # others have their turn
        while not self.ended:
            if self._posted:
                message = self._posted.pop()
                self._posted_bytes -= len(message)
                self.bytes_in += len(message)
                if len(message) > self._limit:
                    raise WebSocketViolation(TOO_BIG, f"more than {self._limit} bytes", self._limit)
                return message
            await self._reader.wait()
        while not self._gone:
            await self._reader.wait()
        return None

    def check(self) -> None:
        """Find nothing: who is not known can post nothing."""

    def known(self) -> None:
        """Change nothing, likewise."""

    def hold(self) -> None:
        """Change nothing: what is not read can't be followed by more."""

    def worked(self, seconds: float) -> None:
        """Charge what handling the last message took of the processor; what is little costs nothing."""
        if seconds > FREE_S:
            if self._work is None:
                self._work = WorkRateLimit(WORK_BYTES, WORK_BYTES_PER_S)
            self._wait_s = self._work.spend(int((seconds - FREE_S) * WORK_BYTES_OF_A_SECOND), self._now())

    async def rest(self, seconds: float) -> None:
        """Leave the client unread for a while, or until the connection ends."""
        if self.ended:
            return
        timer = asyncio.get_running_loop().call_later(seconds, self._rest.wake)
        try:
            await self._rest.wait()
        finally:
            timer.cancel()

    def end_rest(self) -> None:
        """End ``rest`` before its time."""
        self._rest.wake()

    # ── out ─────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, chunk: bytes) -> Put:
        """Put whole events on the outbox that were made for this connection alone; ``flush`` writes them."""
        self._memory.spelled(len(chunk))
        return self.outbox.put(chunk)

    def flush(self) -> None:
        """Write what waits while the socket takes it; the rest goes when it does again."""
        if not self._blocked and not self.ended:
            self._write_some()

    def ping(self) -> None:
        """Write a comment, which shows that the stream lives, and by which TCP finds out whether its peer
        does.
        """
        if not self.ended and not self._blocked:
            self._write(events.HEARTBEAT)

    def close(self, code: int, reason: str, *, last_words: bytes = b"") -> None:
        """Write what waits, ``last_words`` (whole events) and the event that says why it ends; the peer has
        until the deadline to take it. Does nothing where one has gone already.
        """
        if self.ended:
            return
        self.messages_out += self.outbox.count
        waits = self._addressed(self.outbox.take(self.outbox.bytes))
        said = events.close(code, reason, come_back_ms(code))
        self._write(b"".join((*waits, last_words, said)), last=True)
        self._deadline = self._now() + self._close_timeout_s
        self._end_with(code)
        self.outbox.discard()
        self._drop_posted()
        self.end_rest()
        self._transport.close()

    async def fail(self, violation: WebSocketViolation) -> None:
        """Return when the peer has gone; it was told why before."""
        while not self._gone:
            await self._reader.wait()

    @property
    def quiet(self) -> bool:
        """Whether it is open, and known to take what is written."""
        return self.heard and not self._blocked and self._deadline is None

    def tick(self, now: float) -> None:
        """Cut the connection where its end has taken too long."""
        if not self._blocked:
            self.heard = True  # as far as anybody can tell: TCP finds out whether it is so
        if self._deadline is not None and now >= self._deadline and not self._gone:
            self.cut()

    def over(self) -> None:
        """Note that nothing more will be read."""
        self._end_with(ABNORMAL)

    def cut(self) -> None:
        """End the connection at once."""
        self._cut = True
        if not self._gone:
            self._transport.abort()

    def finish(self) -> bool:
        """Close the socket; False where something is still being written: then keep calling ``finished``."""
        self.outbox.discard()
        self._drop_posted()
        if self._deadline is None:
            self._deadline = self._now() + self._close_timeout_s
        self._transport.close()
        return self._gone or not self._transport.get_write_buffer_size()

    def finished(self, now: float) -> bool:
        """Say whether a connection that ``finish`` has not ended at once has gone by now."""
        self.tick(now)
        return self._gone

    # ── what it holds ───────────────────────────────────────────────────────────────────────────────────────

    def keep(self, size: int) -> None:
        """Count so many bytes of messages that were read and wait until something is known."""
        self.kept = size
        if size and not self.counted:
            self._memory.register(self)

    def holding(self) -> Holding | None:
        """Return what is held for this connection; None: nothing."""
        if self._gone or self._cut:
            return None
        queue = self.outbox.overhead + self._transport.get_write_buffer_size()
        sizes = (self._posted_bytes + self.kept, self.outbox.bytes, 0, queue)
        return Holding(Standing.ENDING if self.ended else Standing.KNOWN, *sizes) if any(sizes) else None

    def chunks(self) -> list[bytes]:
        """Return the chunks that its client has not taken yet; other connections may hold the same ones."""
        return self.outbox.chunks()

    def spill(self) -> None:
        """Let go of what waits in either direction: the connection is about to be closed."""
        self.outbox.discard()
        self.kept = 0
        self._drop_posted()

    def cut_unless_small(self) -> None:
        """Cut the connection where its client is so far behind that it would not read why it ends."""
        if not self._gone and self._transport.get_write_buffer_size() > SMALL_BYTES + TRANSPORT_BYTES:
            self.cut()

    def _drop_posted(self) -> None:
        self._posted.clear()
        self._posted_bytes = 0

    def _end_with(self, code: int) -> None:
        """Whatever ends it first has the word about the code."""
        self.close_code = self.close_code or code

    def _write_some(self) -> None:
        outbox = self.outbox
        while outbox.bytes and not self._blocked:
            before = outbox.count
            chunks = outbox.take(MAX_WRITE_BYTES)
            self.messages_out += before - outbox.count
            self._write(b"".join(self._addressed(chunks)))

    def _addressed(self, chunks: Sequence[bytes]) -> list[bytes]:
        address = self._vector.address
        return [address(chunk) for chunk in chunks]

    def _write(self, data: bytes, *, before: bytes = b"", last: bool = False) -> None:
        self.bytes_out += len(data)
        if self._chunked:
            data = b"%b%x\r\n%b\r\n%b" % (before, len(data), data, _LAST_CHUNK if last else b"")
        else:
            data = before + data
        self._transport.write(data)


def _notice_death(transport: asyncio.Transport, dead_ms: int) -> None:
    """Have TCP end a connection whose peer does not acknowledge what is sent: there is no pong to miss."""
    opened = transport.get_extra_info("socket")
    timeout = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    if opened is not None and timeout is not None and opened.family != socket.AF_UNIX:
        opened.setsockopt(socket.IPPROTO_TCP, timeout, dead_ms)
