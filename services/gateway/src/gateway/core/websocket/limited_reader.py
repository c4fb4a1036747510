"""LimitedReader: what one client sends, read within limits on bytes, frames and work.

Whoever is not known yet may send little (``Unknown``). Frames that cost more than their bytes are charged:
parts of messages and control frames count as ``PART_BYTES`` at least, and a compressed message as what it is
inflated to; who exceeds that is to be left unread for ``wait_s``. Control frames and empty parts have a bound
of their own, beyond which the connection ends. It answers nothing, and time is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.arrival_times import ArrivalTimes
from gateway.core.client_limits import TokenBucket
from gateway.core.websocket.frame_parser import Control, FrameParser, WebSocketViolation
from gateway.core.websocket.frames import CLOSE
from gateway.core.work_rate_limit import WorkRateLimit
from warren.errors import CloseCode

# Pings, pongs and empty parts of messages that a peer may send in a second. They have no size that would hold
# the reader back, and each ping costs a write: without a bound one client holds the event loop for a second
# at a time.
CONTROLS_PER_S = 100
# Bytes of work beyond those that came: at once, and each second after that. It is 8,192 and 4,096 parts of a
# byte, or 8 and 4 MiB out of nothing but a compressed megabyte of blanks.
WORK_BYTES = 8 * 1024 * 1024
WORK_BYTES_PER_S = 4 * 1024 * 1024
# A message that keeps the event loop busy for longer than this pays for the rest of its time out of the same
# allowance, so that one client has a fifth of a second at once and a tenth of a core after that. An ordinary
# message takes a tenth of it.
FREE_S = 0.001
WORK_BYTES_OF_A_SECOND = 10 * WORK_BYTES_PER_S
# What a frame counts for in a turn of the event loop, besides its bytes; and how much may be done for one
# connection until others have their turn.
FRAME_BYTES = 1024
TURN_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Unknown:
    """What a client may send before it is known: the largest message in bytes, also once it is inflated, and
    how many bytes in all.
    """

    message_bytes: int = 32 * 1024
    bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class InboundLimits:
    """What one client may send: the largest message in bytes, also once it is inflated; less until
    ``known`` is called (``unknown``); and, where it is ``paced``, work beyond the bytes that came only as
    much as everyone. Who is not paced stays a stranger for ever, who only gets back what it sent.
    """

    message_bytes: int
    unknown: Unknown | None = None
    paced: bool = True


class LimitedReader:
    """One client's bytes. ``since``: when the last message that ``next`` returned may have come at the
    earliest.
    """

    __slots__ = (
        "_arrivals",
        "_controls",
        "_in_turn",
        "_left",
        "_limit",
        "_paced",
        "_unknown",
        "_work",
        "parser",
        "since",
        "wait_s",
    )

    def __init__(self, limits: InboundLimits, *, deflate: bool, window_bits: int = 15) -> None:
        """``deflate`` and ``window_bits`` are as FrameParser has them."""
        limit, unknown = limits.message_bytes, limits.unknown
        self._limit = limit
        self._unknown = unknown
        self._left = unknown.bytes if unknown is not None else 0
        if unknown is not None:
            limit = min(limit, unknown.message_bytes)
        self.parser = FrameParser(limit, deflate=deflate, window_bits=window_bits)
        self.since = 0.0
        self.wait_s = 0.0  # for how long nothing more is to be read; set by ``next``
        self._arrivals = ArrivalTimes()
        self._controls: TokenBucket | None = None
        self._work: WorkRateLimit | None = None  # who sends whole messages, not compressed, needs none
        self._in_turn = 0
        self._paced = limits.paced

    @property
    def is_unknown(self) -> bool:
        """Whether the client is not known yet, or never will be."""
        return self._unknown is not None or not self._paced

    def known(self) -> None:
        """Lift the limits of an unknown client: from now on only the limit for everyone counts."""
        self._unknown = None
        self.parser.limit = self._limit

    def feed(self, data: bytes, since: float) -> None:
        """Append bytes as they come; they came at ``since`` at the earliest."""
        if self._unknown is not None:
            self._left -= len(data)
        self._arrivals.came(len(data), since)
        self.parser.feed(data)

    def check(self) -> None:
        """Raise WebSocketViolation where a client that is not known has sent more than it may."""
        if self._unknown is not None and self._left < 0:
            raise WebSocketViolation(
                CloseCode.UNAUTHORIZED, f"More than {self._unknown.bytes} bytes before the token was checked"
            )

    def next(self, now: float) -> str | bytes | Control | None:
        """Return the next message, control frame or part of a message; None where more bytes are needed.
        Raises WebSocketViolation, and must not be asked again after that.
        """
        if self._unknown is not None:
            self.check()
        parser = self.parser
        before = parser.waiting
        item = parser.next()
        if item is None:
            return None
        left = parser.waiting
        self.since = self._arrivals.of(left)
        self._in_turn += FRAME_BYTES + before - left + parser.cost
        if parser.cost:
            self._charge(parser.cost, now)
            parser.cost = 0
        if isinstance(item, Control) and item.opcode != CLOSE and (item.opcode or not item.payload):
            self._count_control(now)
        return item

    def worked(self, seconds: float, now: float) -> None:
        """Charge the time for which handling the last message has kept the event loop busy: what is beyond
        FREE_S counts as work.
        """
        if seconds > FREE_S:
            self._charge(int((seconds - FREE_S) * WORK_BYTES_OF_A_SECOND), now)

    def turn_is_over(self) -> bool:
        """Say whether others should have their turn now; if so, a new one begins."""
        if self._in_turn < TURN_BYTES:
            return False
        self._in_turn = 0
        return True

    def new_turn(self) -> None:
        """Begin a new turn: others had theirs."""
        self._in_turn = 0

    def _charge(self, work: int, now: float) -> None:
        if self._paced:
            if self._work is None:
                self._work = WorkRateLimit(WORK_BYTES, WORK_BYTES_PER_S)
            self.wait_s = self._work.spend(work, now)

    def _count_control(self, now: float) -> None:
        if self._controls is None:
            self._controls = TokenBucket(CONTROLS_PER_S, 1_000)
        if self._controls.take(now, self.since):
            raise WebSocketViolation(
                CloseCode.RATE_LIMITED, f"More than {CONTROLS_PER_S} pings, pongs or empty frames in a second"
            )
