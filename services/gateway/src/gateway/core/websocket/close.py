"""The closing handshake of a WebSocket, as a table (RFC 6455 sections 5.5.1, 7.1 and 7.4).

``CloseHandshake`` is told what happens and says what to do about it; whoever owns the socket does that and
nothing else. It reads no frame, writes none, and time is an argument. No way through the table sends two
Close frames, or hands over or sends anything behind the first one.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from warren.errors import CloseCode

# The codes below 3000 that a Close frame may carry (RFC 6455 section 7.4.1 and the registry that it
# founds). 1004 is reserved, and 1005, 1006 and 1015 only name what happened: no frame has them. 3000 to
# 4999 are libraries' and applications' (7.4.2).
REGISTERED: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
BAD_DATA: Final = 1007
NO_STATUS: Final = 1005  # the Close frame had no code
ABNORMAL: Final = 1006  # there was no Close frame


def may_be_sent(code: int) -> bool:
    """Say whether a Close frame may carry this code (RFC 6455 section 7.4)."""
    return code in REGISTERED or 3000 <= code < 5000


def received_code(payload: bytes) -> int:
    """Return the code in the payload of a peer's Close frame, which is also that of the answer (RFC 6455
    section 5.5.1): 0 where it has none (the answer has none either), and that of the fault where it is no
    legal payload.
    """
    if not payload:
        return 0
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not may_be_sent(code):
        return int(CloseCode.PROTOCOL_ERROR)
    try:
        payload[2:].decode()
    except UnicodeDecodeError:  # 5.5.1: the reason is UTF-8
        return BAD_DATA
    return code


class State(IntEnum):
    """How far the end has got."""

    OPEN = 0
    CLOSING_BY_US = 1  # our Close has gone, and the peer's is awaited
    CLOSING_BY_PEER = 2  # the peer's Close came, and ours went as the answer
    LINGERING = 3  # nothing is read or sent any more: the end of the TCP connection is awaited
    CLOSED = 4


class Event(IntEnum):
    """What happens."""

    CLOSE = 0  # our side wants to end it
    PEER_CLOSE = 1  # the peer's Close was read
    PEER_DATA = 2  # anything else was read: a message, a part of one, a ping or a pong
    VIOLATION = 3  # what was read breaks the protocol or a limit: nothing behind it can be read
    READ_END = 4  # nothing more will be read
    LOST = 5  # the TCP connection has ended, and all that came before was read
    TIMEOUT = 6  # the time for the closing is up


class Step(IntEnum):
    """What to do."""

    NOTHING = 0
    DELIVER = 1  # deal with what was read
    DROP = 2  # look no further at what was read
    SEND_CLOSE = 3  # send what waits, then a Close with our code
    ANSWER_CLOSE = 4  # send a Close with the peer's code, at once
    FAIL = 5  # SEND_CLOSE with the code of the violation, then HALF_CLOSE
    HALF_CLOSE = 6  # drop what still comes unread, and end our direction of the TCP connection
    CLOSE_TCP = 7  # close the TCP connection behind what was sent
    ABORT_TCP = 8  # end the TCP connection at once


class Row(NamedTuple):
    """What follows from an event in a state."""

    state: State
    step: Step


TABLE: Final[dict[tuple[State, Event], Row]] = {
    # 7.1.2: to start the closing handshake is to send a Close.
    (State.OPEN, Event.CLOSE): Row(State.CLOSING_BY_US, Step.SEND_CLOSE),
    # 5.5.1: who receives a Close and has sent none sends one, as soon as it can.
    (State.OPEN, Event.PEER_CLOSE): Row(State.CLOSING_BY_PEER, Step.ANSWER_CLOSE),
    (State.OPEN, Event.PEER_DATA): Row(State.OPEN, Step.DELIVER),
    # 7.1.7: to fail a connection is to send a Close with the code of the fault, and to read nothing more.
    # The TCP connection stays until the peer ends it: closed over unread bytes it would be reset, and the
    # Close be lost.
    (State.OPEN, Event.VIOLATION): Row(State.LINGERING, Step.FAIL),
    # 7.1.5: it ends without a Close of either side, so its code is 1006.
    (State.OPEN, Event.READ_END): Row(State.LINGERING, Step.CLOSE_TCP),
    # 7.1.4 and 7.1.5: closed, and not cleanly: 1006.
    (State.OPEN, Event.LOST): Row(State.CLOSED, Step.NOTHING),
    # There is no deadline before something has begun to close.
    (State.OPEN, Event.TIMEOUT): Row(State.OPEN, Step.NOTHING),
    # 5.5.1: each side sends one Close.
    (State.CLOSING_BY_US, Event.CLOSE): Row(State.CLOSING_BY_US, Step.NOTHING),
    # 7.1.4: both Closes have gone, which is a clean close. Ours is not to be repeated.
    (State.CLOSING_BY_US, Event.PEER_CLOSE): Row(State.LINGERING, Step.NOTHING),
    # 1.4: what comes behind our Close and before the peer's may be discarded. Pings too: no answer of ours
    # may stand behind our Close where the peer reads no further.
    (State.CLOSING_BY_US, Event.PEER_DATA): Row(State.CLOSING_BY_US, Step.DROP),
    # 7.1.7: it has its Close already.
    (State.CLOSING_BY_US, Event.VIOLATION): Row(State.LINGERING, Step.HALF_CLOSE),
    (State.CLOSING_BY_US, Event.READ_END): Row(State.LINGERING, Step.CLOSE_TCP),
    (State.CLOSING_BY_US, Event.LOST): Row(State.CLOSED, Step.NOTHING),
    # 7.1.1: the TCP connection may be ended by whatever means where the peer does not do its part.
    (State.CLOSING_BY_US, Event.TIMEOUT): Row(State.CLOSED, Step.ABORT_TCP),
    # 5.5.1: our Close was the answer, and nothing goes behind it.
    (State.CLOSING_BY_PEER, Event.CLOSE): Row(State.CLOSING_BY_PEER, Step.NOTHING),
    # 5.5.1 and 7.1.6: who has sent a Close sends nothing more. Whoever does is not answered.
    (State.CLOSING_BY_PEER, Event.PEER_CLOSE): Row(State.CLOSING_BY_PEER, Step.DROP),
    (State.CLOSING_BY_PEER, Event.PEER_DATA): Row(State.CLOSING_BY_PEER, Step.DROP),
    (State.CLOSING_BY_PEER, Event.VIOLATION): Row(State.LINGERING, Step.HALF_CLOSE),
    # 7.1.1: the server is the one that closes the TCP connection, at once where both Closes have gone.
    (State.CLOSING_BY_PEER, Event.READ_END): Row(State.LINGERING, Step.CLOSE_TCP),
    (State.CLOSING_BY_PEER, Event.LOST): Row(State.CLOSED, Step.NOTHING),
    (State.CLOSING_BY_PEER, Event.TIMEOUT): Row(State.CLOSED, Step.ABORT_TCP),
    # Nothing is read or sent any more.
    (State.LINGERING, Event.CLOSE): Row(State.LINGERING, Step.NOTHING),
    (State.LINGERING, Event.PEER_CLOSE): Row(State.LINGERING, Step.DROP),
    (State.LINGERING, Event.PEER_DATA): Row(State.LINGERING, Step.DROP),
    (State.LINGERING, Event.VIOLATION): Row(State.LINGERING, Step.DROP),
    # 7.1.1, as above.
    (State.LINGERING, Event.READ_END): Row(State.LINGERING, Step.CLOSE_TCP),
    (State.LINGERING, Event.LOST): Row(State.CLOSED, Step.NOTHING),
    (State.LINGERING, Event.TIMEOUT): Row(State.CLOSED, Step.ABORT_TCP),
    # 7.1.4: it is over.
    **{(State.CLOSED, event): Row(State.CLOSED, Step.NOTHING) for event in Event},
}


class CloseHandshake:
    """One connection's way through the table.

    ``code`` is that of the first Close frame, whoever sent it; NO_STATUS where it had none, ABNORMAL where
    the connection ended without one, 0 before that. ``deadline`` is when the closing must be over, None
    while it has not begun.
    """

    __slots__ = ("_timeout_s", "code", "deadline", "state")

    def __init__(self, timeout_s: float) -> None:
        """Begin open. ``timeout_s`` is how long a close may take."""
        self.state = State.OPEN
        self.code = 0
        self.deadline: float | None = None
        self._timeout_s = timeout_s

    def take(self, event: Event, now: float, code: int = 0) -> Step:
        """Take an event; return what to do. ``code``: of our Close (CLOSE), of the peer's (PEER_CLOSE; 0:
        none), of the fault (VIOLATION). Raises ValueError for a code of ours that no frame may carry.
        """
        state, step = TABLE[self.state, event]
        if state is self.state:
            return step
        if step in (Step.SEND_CLOSE, Step.FAIL) and not may_be_sent(code):
            raise ValueError(f"a Close frame must not carry {code}")
        if self.state is State.OPEN:  # whatever ends that has the first word about the code
            self.deadline = now + self._timeout_s
            if event in (Event.READ_END, Event.LOST):
                self.code = ABNORMAL
            else:
                self.code = code or NO_STATUS
        self.state = state
        return step

    def tick(self, now: float) -> Step:
        """Take the time: where the deadline has passed that is a TIMEOUT."""
        if self.deadline is None or now < self.deadline:
            return Step.NOTHING
        return self.take(Event.TIMEOUT, now)
