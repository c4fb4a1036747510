"""The closing handshake: each row of its table, its codes, and walks through it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.websocket.close import (
    ABNORMAL,
    NO_STATUS,
    REGISTERED,
    TABLE,
    CloseHandshake,
    Event,
    Row,
    State,
    Step,
    may_be_sent,
    received_code,
)
from warren.errors import CloseCode

TIMEOUT_S = 3.0

# The table once more, as a reader of the RFC would draw it: a line for each state, a column for each event.
ROWS = """
                 CLOSE       PEER_CLOSE    PEER_DATA VIOLATION   READ_END   LOST     TIMEOUT
OPEN             SEND_CLOSE  ANSWER_CLOSE  DELIVER   FAIL        CLOSE_TCP  NOTHING  NOTHING
CLOSING_BY_US    NOTHING     NOTHING       DROP      HALF_CLOSE  CLOSE_TCP  NOTHING  ABORT_TCP
CLOSING_BY_PEER  NOTHING     DROP          DROP      HALF_CLOSE  CLOSE_TCP  NOTHING  ABORT_TCP
LINGERING        NOTHING     DROP          DROP      DROP        CLOSE_TCP  NOTHING  ABORT_TCP
CLOSED           NOTHING     NOTHING       NOTHING   NOTHING     NOTHING    NOTHING  NOTHING
"""
NEXT = """
                 CLOSE            PEER_CLOSE       PEER_DATA        VIOLATION  READ_END   LOST    TIMEOUT
OPEN             CLOSING_BY_US    CLOSING_BY_PEER  OPEN             LINGERING  LINGERING  CLOSED  OPEN
CLOSING_BY_US    CLOSING_BY_US    LINGERING        CLOSING_BY_US    LINGERING  LINGERING  CLOSED  CLOSED
CLOSING_BY_PEER  CLOSING_BY_PEER  CLOSING_BY_PEER  CLOSING_BY_PEER  LINGERING  LINGERING  CLOSED  CLOSED
LINGERING        LINGERING        LINGERING        LINGERING        LINGERING  LINGERING  CLOSED  CLOSED
CLOSED           CLOSED           CLOSED           CLOSED           CLOSED     CLOSED     CLOSED  CLOSED
"""


def parsed(table: str) -> dict[tuple[State, Event], str]:
    head, *lines = table.strip().splitlines()
    events = [Event[name] for name in head.split()]
    return {
        (State[state], event): cell
        for state, *cells in (line.split() for line in lines)
        for event, cell in zip(events, cells, strict=True)
    }


# How to come to each state.
WAYS: dict[State, list[Event]] = {
    State.OPEN: [],
    State.CLOSING_BY_US: [Event.CLOSE],
    State.CLOSING_BY_PEER: [Event.PEER_CLOSE],
    State.LINGERING: [Event.READ_END],
    State.CLOSED: [Event.LOST],
}


@pytest.mark.parametrize(("state", "event"), [(state, event) for state in State for event in Event])
def test_each_row_of_the_table(state: State, event: Event) -> None:
    """In each state each event has its step and its next state; no pair is missing."""
    handshake = CloseHandshake(TIMEOUT_S)
    for each in WAYS[state]:
        handshake.take(each, 0.0, 1000)
    assert handshake.state is state
    step = handshake.take(event, 0.0, 1000)
    assert (step.name, handshake.state.name) == (parsed(ROWS)[state, event], parsed(NEXT)[state, event])
    assert TABLE[state, event] == Row(handshake.state, step)


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([(Event.CLOSE, 4005), (Event.PEER_CLOSE, 1000)], 4005),
        ([(Event.CLOSE, 4005), (Event.CLOSE, 4001)], 4005),
        ([(Event.PEER_CLOSE, 1000), (Event.CLOSE, 4005)], 1000),
        ([(Event.PEER_CLOSE, 0), (Event.READ_END, 0)], NO_STATUS),
        ([(Event.VIOLATION, 1002), (Event.PEER_CLOSE, 1000)], 1002),
        ([(Event.PEER_DATA, 0), (Event.LOST, 0)], ABNORMAL),
        ([(Event.READ_END, 0), (Event.PEER_CLOSE, 1000)], ABNORMAL),
        ([(Event.PEER_DATA, 0)], 0),
    ],
)
def test_the_first_close_names_the_code(events: list[tuple[Event, int]], code: int) -> None:
    """Whoever sent it; 1005 where it had none, and 1006 where the connection ended without one."""
    handshake = CloseHandshake(TIMEOUT_S)
    for event, its in events:
        handshake.take(event, 0.0, its)
    assert handshake.code == code


@pytest.mark.parametrize("event", [Event.CLOSE, Event.PEER_CLOSE, Event.VIOLATION, Event.READ_END])
def test_a_close_has_a_deadline_that_nothing_moves(event: Event) -> None:
    """It runs from the first sign of the end; then the TCP connection is aborted, once."""
    handshake = CloseHandshake(TIMEOUT_S)
    assert handshake.tick(1_000.0) is Step.NOTHING
    handshake.take(event, 1_000.0, 1000)
    handshake.take(Event.CLOSE, 1_002.0, 1000)
    handshake.take(Event.PEER_DATA, 1_002.0)
    assert handshake.tick(1_002.9) is Step.NOTHING
    assert handshake.tick(1_003.0) is Step.ABORT_TCP
    assert handshake.tick(1_004.0) is Step.NOTHING


@pytest.mark.parametrize("code", [0, 999, 1004, NO_STATUS, ABNORMAL, 1015, 1016, 2999, 5000, 70_000])
def test_a_code_that_no_frame_may_carry_is_never_sent(code: int) -> None:
    """To close with it is a fault of ours, and changes nothing."""
    handshake = CloseHandshake(TIMEOUT_S)
    assert not may_be_sent(code)
    for event in (Event.CLOSE, Event.VIOLATION):
        with pytest.raises(ValueError, match=str(code)):
            handshake.take(event, 0.0, code)
    assert (handshake.state, handshake.code, handshake.deadline) == (State.OPEN, 0, None)


@pytest.mark.parametrize("code", [*sorted(REGISTERED), 3000, 4999, *CloseCode])
def test_registered_and_private_codes_may_be_sent(code: int) -> None:
    """The registry's, libraries' and applications', and all of our own."""
    assert may_be_sent(code)
    assert CloseHandshake(TIMEOUT_S).take(Event.CLOSE, 0.0, int(code)) is Step.SEND_CLOSE


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", 0),
        (b"\x03", 1002),
        (struct.pack("!H", 1000), 1000),
        (struct.pack("!H", 1014) + b"gone", 1014),
        (struct.pack("!H", 3000), 3000),
        (struct.pack("!H", 4999), 4999),
        (struct.pack("!H", 1004), 1002),
        (struct.pack("!H", 1005), 1002),
        (struct.pack("!H", 1006), 1002),
        (struct.pack("!H", 1015), 1002),
        (struct.pack("!H", 999), 1002),
        (struct.pack("!H", 2999), 1002),
        (struct.pack("!H", 5000), 1002),
        (struct.pack("!H", 1000) + b"\xff", 1007),
    ],
)
def test_a_close_frame_is_judged(payload: bytes, code: int) -> None:
    """Codes that nobody may send, a lone byte and a reason that is no UTF-8 are answered as what they are."""
    assert received_code(payload) == code


@given(payload=st.binary(max_size=125))
def test_whatever_a_peer_closes_with_can_be_answered(payload: bytes) -> None:
    """The answer has a legal code, or none where the peer's had none."""
    code = received_code(payload)
    assert may_be_sent(code) or (code == 0 and payload == b"")


@given(events=st.lists(st.sampled_from(Event), max_size=12))
def test_no_way_through_the_table_says_two_closes_or_anything_behind_one(events: list[Event]) -> None:
    """However events follow each other: at most one Close is sent, nothing is handed over once either side has
    closed, and a state that was left is never come back to.
    """
    handshake = CloseHandshake(TIMEOUT_S)
    steps, states = [], [handshake.state]
    for now, event in enumerate(events):
        steps.append(handshake.take(event, now, 1000))
        states.append(handshake.state)
    closes = [at for at, step in enumerate(steps) if step in (Step.SEND_CLOSE, Step.ANSWER_CLOSE, Step.FAIL)]
    assert len(closes) <= 1
    ends = [at for at, event in enumerate(events) if event not in (Event.PEER_DATA, Event.TIMEOUT)]
    delivered = [at for at, step in enumerate(steps) if step is Step.DELIVER]
    assert not ends or all(at < ends[0] for at in delivered)
    assert states == sorted(states)
    assert (handshake.code == 0) == (handshake.deadline is None) == (handshake.state is State.OPEN)
