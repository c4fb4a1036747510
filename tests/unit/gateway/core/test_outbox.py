"""outbox: bounded, in order, and never silent about a numbered message."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.limits import OutboxLimits
from gateway.core.outbox import DROPPED, KEPT, TOO_SLOW, Outbox

LIMITS = OutboxLimits(count=8, bytes=100, soft_bytes=40)


def test_what_was_put_comes_out_in_order():
    """Also over several turns."""
    outbox = Outbox(LIMITS)
    for chunk in (b"a" * 10, b"b" * 10, b"c" * 10):
        assert outbox.put(chunk) is KEPT
    assert outbox.take(25) == [b"a" * 10, b"b" * 10]
    assert outbox.take(25) == [b"c" * 10]
    assert outbox.take(25) == []
    assert outbox.idle


def test_a_chunk_larger_than_everything_fits_an_empty_outbox():
    """And comes out though it is more than a turn's bytes."""
    outbox = Outbox(LIMITS)
    assert outbox.put(b"x" * 1_000, 50) is KEPT
    assert outbox.take(10) == [b"x" * 1_000]


def test_ephemeral_chunks_are_dropped_first():
    """Above the soft limit, while numbered ones still fit."""
    outbox = Outbox(LIMITS)
    outbox.put(b"x" * 35)
    assert outbox.put(b"t" * 10, 3, ephemeral=True) is DROPPED
    assert outbox.put(b"y" * 10) is KEPT
    assert (outbox.dropped, outbox.count, outbox.bytes, outbox.pressed) == (3, 2, 45, True)


def test_beyond_the_bytes_the_connection_is_too_slow():
    """It is said once, and all that waited goes."""
    outbox = Outbox(LIMITS)
    outbox.put(b"x" * 60)
    assert outbox.put(b"y" * 41) is TOO_SLOW
    assert outbox.put(b"z") is DROPPED
    assert (outbox.take(1_000), outbox.bytes, outbox.count, outbox.lost) == ([], 0, 0, True)


def test_beyond_the_count_the_connection_is_too_slow():
    """A chunk counts as many messages as it holds."""
    outbox = Outbox(LIMITS)
    outbox.put(b"x", 5)
    assert outbox.put(b"y", 3) is KEPT
    assert outbox.put(b"z", 1) is TOO_SLOW


@given(st.lists(st.binary(max_size=30), max_size=8), st.integers(0, 60))
def test_turns_put_together_are_all_that_was_put(chunks, max_bytes):
    """Each turn has at least one chunk and no more bytes than it may, but for a single large one."""
    outbox = Outbox(OutboxLimits(100, 10_000, 10_000))
    for chunk in chunks:
        outbox.put(chunk)
    turns = []
    while not outbox.idle:
        turn = outbox.take(max_bytes)
        assert turn
        assert len(turn) == 1 or sum(map(len, turn)) <= max_bytes
        turns += turn
    assert turns == chunks


class AgainstAList(RuleBasedStateMachine):
    """An outbox and a plain list that does the same without a thought for speed."""

    def __init__(self):
        super().__init__()
        self.outbox = Outbox(LIMITS)
        self.waiting: list[tuple[bytes, int]] = []
        self.lost = False
        self.dropped = 0

    @rule(chunk=st.binary(min_size=1, max_size=50), count=st.integers(1, 4), ephemeral=st.booleans())
    def put(self, chunk, count, ephemeral):
        size = sum(len(waiting) for waiting, _ in self.waiting) + len(chunk)
        messages = sum(number for _, number in self.waiting) + count
        if self.lost:
            expected = DROPPED
        elif self.waiting and ephemeral and size > LIMITS.soft_bytes:
            expected = DROPPED
            self.dropped += count
        elif self.waiting and (size > LIMITS.bytes or messages > LIMITS.count):
            expected, self.lost, self.waiting = TOO_SLOW, True, []
        else:
            expected = KEPT
            self.waiting.append((chunk, count))
        assert self.outbox.put(chunk, count, ephemeral) is expected

    @rule(max_bytes=st.integers(0, 200))
    def take(self, max_bytes):
        expected: list[bytes] = []
        while self.waiting and (not expected or sum(map(len, expected)) + len(self.waiting[0][0]) <= max_bytes):
            expected.append(self.waiting.pop(0)[0])
        assert self.outbox.take(max_bytes) == expected

    @invariant()
    def agree(self):
        outbox = self.outbox
        assert outbox.bytes == sum(len(chunk) for chunk, _ in self.waiting)
        assert outbox.count == sum(count for _, count in self.waiting)
        assert outbox.idle == (not self.waiting)
        assert outbox.pressed == (outbox.bytes > LIMITS.soft_bytes)
        assert (outbox.lost, outbox.dropped) == (self.lost, self.dropped)


TestOutboxAgainstAList = AgainstAList.TestCase
