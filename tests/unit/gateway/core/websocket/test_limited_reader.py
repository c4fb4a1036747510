"""incoming: what a client sends, within what it may."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.gateway.core.websocket.test_frame_parser import deflated, masked

from gateway.core.websocket.frame_parser import Control, WebSocketViolation
from gateway.core.websocket.frames import PING, PONG, TEXT
from gateway.core.websocket.limited_reader import (
    CONTROLS_PER_S,
    FREE_S,
    TURN_BYTES,
    WORK_BYTES,
    WORK_BYTES_OF_A_SECOND,
    WORK_BYTES_PER_S,
    InboundLimits,
    LimitedReader,
    Unknown,
)

MIB = 1024 * 1024
FEW = Unknown(message_bytes=1_000, bytes=5_000)


def test_a_client_that_is_not_known_may_send_little():
    """The small limit is for one message, whole or inflated, and rises when it is known."""
    for frame in (masked(b"x" * 1_001), masked(deflated(b"x" * 1_001), bits=0x40)):
        incoming = LimitedReader(InboundLimits(MIB, FEW), deflate=True)
        incoming.feed(masked(b"x" * 1_000) + frame, 0.0)
        assert incoming.next(0.0) == "x" * 1_000
        with pytest.raises(WebSocketViolation) as violation:
            incoming.next(0.0)
        assert (violation.value.too_large, violation.value.limit) == (True, 1_000)
    incoming = LimitedReader(InboundLimits(MIB, FEW), deflate=True)
    assert incoming.is_unknown
    incoming.known()
    incoming.feed(masked(b"x" * MIB), 0.0)
    assert incoming.next(0.0) == "x" * MIB
    assert not incoming.is_unknown


def test_all_that_a_client_sends_before_it_is_known_is_bounded():
    """Many small messages, and one that never ends, are refused as unauthorized; who is known has no such
    bound.
    """
    for piece in (masked(b"x" * 500), masked(b"", TEXT, fin=False)):
        incoming = LimitedReader(InboundLimits(MIB, FEW), deflate=False)
        incoming.feed(piece * (5_000 // len(piece)), 0.0)
        incoming.check()
        incoming.next(0.0)
        incoming.feed(piece, 0.0)
        with pytest.raises(
            WebSocketViolation, match="More than 5000 bytes before the token was checked"
        ) as violation:
            incoming.next(0.0)
        assert (violation.value.code, violation.value.too_much) == (4001, True)
        incoming.known()
        incoming.check()


def test_the_limit_of_everyone_holds_for_the_unknown_too():
    """A gateway that takes small messages only takes no larger ones from strangers."""
    incoming = LimitedReader(InboundLimits(100, FEW), deflate=False)
    incoming.feed(masked(b"x" * 101), 0.0)
    with pytest.raises(WebSocketViolation) as violation:
        incoming.next(0.0)
    assert violation.value.limit == 100


def test_a_message_came_when_its_last_byte_came():
    """``since`` is the bound of the chunk that made it whole."""
    incoming = LimitedReader(InboundLimits(MIB), deflate=False)
    one, two = masked(b"one"), masked(b"two")
    incoming.feed(one[:3], 1.0)
    incoming.feed(one[3:] + two[:5], 2.0)
    incoming.feed(two[5:], 3.0)
    assert [incoming.next(9.0), incoming.since] == ["one", 2.0]
    assert [incoming.next(9.0), incoming.since] == ["two", 3.0]


@pytest.mark.parametrize("frame", [masked(b"", PING), masked(b"p", PONG), masked(b"", 0, fin=False)])
def test_control_frames_and_empty_parts_are_bounded_by_when_they_came(frame: bytes):
    """So many in a second at most; what came while the loop stood still counts at its own time."""
    for stalled_s, most in ((0.0, CONTROLS_PER_S), (2.0, 3 * CONTROLS_PER_S)):
        incoming = LimitedReader(InboundLimits(MIB), deflate=False)
        incoming.feed(masked(b"x", TEXT, fin=False), 10.0)
        incoming.next(10.0)
        incoming.feed(frame * (most + 1), 10.0)
        for _ in range(most):
            assert isinstance(incoming.next(10.0 + stalled_s), Control)
        with pytest.raises(WebSocketViolation) as violation:
            incoming.next(10.0 + stalled_s)
        assert violation.value.code == 4002


@pytest.mark.parametrize(("size", "free"), [(1_024, True), (4_096, True), (256, True), (1, False)])
def test_a_large_message_in_fair_parts_waits_for_nothing_and_one_of_single_bytes_does(size: int, free: bool):
    """A MiB in parts of 256 bytes and more is taken as it comes; parts of a byte are taken at so many a
    second.
    """
    incoming, waited, parts = LimitedReader(InboundLimits(MIB), deflate=False), 0.0, 0
    count = MIB // size if free else 16_384
    for number in range(count):
        incoming.feed(
            masked(b"x" * size, 0 if number else TEXT, fin=number == count - 1, key=bytes(4)), waited
        )
        incoming.next(waited)
        waited += incoming.wait_s
        incoming.wait_s = 0.0
        parts += 1
    assert parts <= WORK_BYTES / 1_023 + waited * WORK_BYTES_PER_S / 1_023 + 1 if not free else waited == 0.0


def test_bombs_of_deflate_are_taken_at_so_many_bytes_a_second():
    """Frames of a kilobyte that inflate to a MiB wait for what they cost."""
    incoming, now, count = LimitedReader(InboundLimits(MIB), deflate=True), 0.0, 40
    bomb = masked(deflated(b"x" * MIB), bits=0x40)
    for _ in range(count):
        incoming.feed(bomb, now)
        assert incoming.next(now) == "x" * MIB
        now += incoming.wait_s
        incoming.wait_s = 0.0
    assert count * (MIB - len(bomb)) <= WORK_BYTES + now * WORK_BYTES_PER_S + MIB


def test_who_keeps_the_loop_busy_waits_for_it():
    """A message is free for a moment; what it takes beyond that comes out of the allowance: a fifth of a
    second at once, then a tenth of the time.
    """
    incoming, now, busy = LimitedReader(InboundLimits(MIB), deflate=False), 0.0, 0.0
    incoming.worked(FREE_S, now)
    assert incoming.wait_s == 0.0
    for _ in range(20):
        incoming.worked(0.1 + FREE_S, now)
        busy += 0.1
        now += incoming.wait_s
        incoming.wait_s = 0.0
    assert busy == pytest.approx(
        WORK_BYTES / WORK_BYTES_OF_A_SECOND + now * WORK_BYTES_PER_S / WORK_BYTES_OF_A_SECOND
    )
    assert now == pytest.approx(18.0)


def test_who_is_not_paced_waits_for_nothing():
    """The echo, which is no place for strangers, takes what a conformance suite sends."""
    incoming = LimitedReader(InboundLimits(MIB, paced=False), deflate=True)
    incoming.feed(masked(deflated(b"x" * MIB), bits=0x40) * 20, 0.0)
    assert [incoming.next(0.0) for _ in range(20)] == ["x" * MIB] * 20
    incoming.worked(10.0, 0.0)
    assert (incoming.wait_s, incoming.parser.cost) == (0.0, 0)
    assert incoming.is_unknown  # nobody asks it who it is
    incoming.known()
    assert incoming.is_unknown


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([b"", b"x", b"x" * 1_000, b"x" * 60_000]), min_size=1, max_size=400))
def test_no_turn_is_longer_than_a_bound_and_one_frame(payloads: list[bytes]):
    """Frames and bytes count, so that neither many small ones nor few large ones keep others waiting."""
    incoming = LimitedReader(InboundLimits(MIB), deflate=False)
    incoming.feed(b"".join(masked(payload, key=bytes(4)) for payload in payloads), 0.0)
    frames = size = 0
    for payload in payloads:
        incoming.next(0.0)
        frames, size = frames + 1, size + len(payload)
        assert frames <= TURN_BYTES // 1_024
        assert size < TURN_BYTES + 60_000
        if incoming.turn_is_over():
            frames = size = 0
    incoming.new_turn()
    assert not incoming.turn_is_over()
