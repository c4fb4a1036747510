"""outbox: bounded, in order, and never silent about a numbered message."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.client_limits import OutboxLimits
from gateway.core.outbox import DROPPED, KEPT, LOOSE_BYTES, SLOT_BYTES, TOO_SLOW, Outbox
from warren.delivery_counts import DeliveryCounts

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


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=8), st.integers(0, 60))
def test_turns_put_together_are_all_that_was_put(chunks, max_bytes):
    """Each turn has at least one chunk and no more bytes than it may, but for a single large one."""
    outbox = Outbox(OutboxLimits(100, 10_000, 10_000))
    for chunk in chunks:
        outbox.put(chunk)
    progress = []
    while not outbox.idle:
        turn = outbox.take(max_bytes)
        assert turn
        assert len(turn) == 1 or sum(map(len, turn)) <= max_bytes
        progress += turn
    assert progress == chunks


def test_loose_chunks_make_place_for_those_that_must_not_be_lost():
    """The oldest first, and the client is told before the next that it gets."""
    outbox = Outbox(LIMITS)
    outbox.notice = lambda room, count, seq: f"{room}:{count}:{seq}".encode()
    outbox.put_lossy(b"a" * 40, 2, "r", 7)
    outbox.put_lossy(b"b" * 40, 1, "s", 3)
    assert outbox.put(b"c" * 30) is KEPT
    assert (outbox.shed, outbox.count, outbox.bytes) == (2, 2, 70)
    assert outbox.take(1_000) == [b"r:2:7", b"b" * 40, b"c" * 30]
    assert outbox.take(1_000) == []


def test_where_nothing_loose_makes_place_the_connection_is_too_slow():
    """What must not be lost fills it; a loose chunk is then withheld itself."""
    outbox = Outbox(LIMITS)
    outbox.put(b"a" * 90)
    assert outbox.put_lossy(b"b" * 20, 1, "r", 1) is DROPPED
    assert (outbox.shed, outbox.lost) == (1, False)
    assert outbox.put(b"c" * 20) is TOO_SLOW
    assert outbox.put_lossy(b"d", 1, "r", 2) is DROPPED


def test_a_later_message_of_the_same_key_takes_the_place_of_the_one_that_waits():
    """Behind all that waits, so that seqs stay in order; other rooms' keys are others."""
    outbox = Outbox(LIMITS)
    for chunk, room, seq, key in (
        (b"1", "r", 1, "a"),
        (b"2", "r", 2, "b"),
        (b"3", "s", 9, "a"),
        (b"4", "r", 3, "a"),
    ):
        outbox.put_lossy(chunk, 1, room, seq, key)
    assert (outbox.replaced, outbox.take(1_000)) == (1, [b"2", b"3", b"4"])
    outbox.put_lossy(b"5", 1, "r", 4, "a")
    assert (outbox.replaced, outbox.take(1_000)) == (1, [b"5"])


def test_a_reader_that_never_reads_costs_no_more_than_the_limits():
    """However many messages replace each other, what is kept of them is bounded."""
    outbox = Outbox(LIMITS)
    outbox.put(b"x")
    for seq in range(10_000):
        outbox.put_lossy(b"y", 1, "r", seq, str(seq % 3))
    assert len(outbox._chunks) < 4 * LIMITS.count
    assert (outbox.count, outbox.bytes, outbox.replaced) == (4, 4, 9_997)


def test_what_the_queue_itself_takes_is_counted_for_each_chunk():
    """Also where the chunk is one that others hold; more where it may be withheld. What waits is shown in
    order.
    """
    outbox = Outbox()
    outbox.put(b"one")
    outbox.put(b"two")
    assert outbox.overhead == 2 * SLOT_BYTES
    outbox.put_lossy(b"three", 1, "room", 1)
    assert outbox.overhead == 3 * SLOT_BYTES + LOOSE_BYTES
    assert list(outbox.chunks()) == [b"one", b"two", b"three"]
    outbox.take(1_000)
    assert (outbox.overhead, list(outbox.chunks())) == (0, [])


def counts_of(*written: int) -> list[DeliveryCounts]:
    return [DeliveryCounts(0, written=one) for one in written]


def told(counts: list[DeliveryCounts]) -> list[tuple[int, int]]:
    return [(one.written, one.withheld) for one in counts]


def test_what_is_withheld_later_was_not_written():
    """For want of place, or by a later one of its key; what was taken stays written."""
    outbox = Outbox(LIMITS)
    first, second, third, fourth = counts = counts_of(1, 1, 1, 1)
    outbox.put_lossy(b"1" * 20, 1, "r", 1, None, False, [first])
    outbox.put_lossy(b"2" * 40, 1, "r", 2, "k", False, [second])
    assert outbox.take(1) == [b"1" * 20]
    outbox.put_lossy(b"3" * 50, 1, "r", 3, None, False, [third])
    outbox.put_lossy(b"4" * 10, 1, "r", 4, "k", False, [fourth])
    assert told(counts) == [(1, 0), (0, 1), (1, 0), (1, 0)]
    assert outbox.put(b"5" * 60) is KEPT
    assert told(counts) == [(1, 0), (0, 1), (0, 1), (1, 0)]
    assert outbox.take(1_000) == [b"4" * 10, b"5" * 60]
    outbox.discard()
    assert told(counts) == [(1, 0), (0, 1), (0, 1), (1, 0)]


def test_what_waits_for_a_connection_that_goes_was_not_written():
    """Whether it was too slow or has gone: each message of each chunk, once."""
    outbox = Outbox(LIMITS)
    (first, *burst), (loose,) = (counts := counts_of(5, 5, 5)), (lossy := counts_of(5))
    outbox.put(b"x" * 60, 1, False, [first])
    outbox.put(b"y" * 10, 2, False, burst)
    outbox.put_lossy(b"z" * 10, 1, "r", 9, None, False, [loose])
    outbox.take(1)
    assert outbox.put(b"w" * 95) is TOO_SLOW
    outbox.discard()
    assert (told(counts), told(lossy)) == ([(5, 0), (4, 1), (4, 1)], [(4, 1)])


class AgainstAList(RuleBasedStateMachine):
    """An outbox and a plain list that does the same without a thought for speed."""

    def __init__(self):
        super().__init__()
        self.outbox = Outbox(LIMITS)
        self.outbox.notice = lambda room, count, seq: f"{room} {count} {seq}".encode()
        # … (room, seq, key) where loose
        self.waiting: list[tuple[bytes, int, tuple[str, int, str | None] | None]] = []
        self.withheld: dict[str, tuple[int, int]] = {}
        self.lost = False
        self.dropped = self.shed = self.replaced = self.seq = 0

    def size(self) -> int:
        return sum(len(chunk) for chunk, _, _ in self.waiting)

    def count(self) -> int:
        return sum(count for _, count, _ in self.waiting)

    def withhold(self, room: str, count: int, seq: int) -> None:
        before, highest = self.withheld.get(room, (0, 0))
        self.withheld[room] = (before + count, max(highest, seq))

    def fits(self, chunk: bytes, count: int) -> bool:
        """Drop the oldest loose ones until it fits, or say that it does not."""
        while self.waiting and (
            self.size() + len(chunk) > LIMITS.bytes or self.count() + count > LIMITS.count
        ):
            loose = next((one for one in self.waiting if one[2] is not None), None)
            if loose is None:
                return False
            self.waiting.remove(loose)
            self.shed += loose[1]
            self.withhold(loose[2][0], loose[1], loose[2][1])
        return True

    @rule(
        chunk=st.binary(min_size=1, max_size=50),
        count=st.integers(1, 4),
        room=st.sampled_from("rs"),
        key=st.sampled_from([None, "a", "b"]),
        ephemeral=st.booleans(),
    )
    def put_lossy(self, chunk, count, room, key, ephemeral):
        self.seq += 1
        key = None if ephemeral else key
        seq = 0 if ephemeral else self.seq
        expected = KEPT
        if self.lost:
            expected = DROPPED
        elif self.waiting and ephemeral and self.size() + len(chunk) > LIMITS.soft_bytes:
            expected = DROPPED
            self.dropped += count
        else:
            older = next(
                (
                    one
                    for one in self.waiting
                    if key is not None and one[2] and (one[2][0], one[2][2]) == (room, key)
                ),
                None,
            )
            if older is not None:
                self.waiting.remove(older)
                self.replaced += older[1]
                self.withhold(room, older[1], older[2][1])
            if not self.fits(chunk, count):
                expected = DROPPED
                self.shed += count
                self.withhold(room, count, seq)
            else:
                self.waiting.append((chunk, count, (room, seq, key)))
        assert self.outbox.put_lossy(chunk, count, room, seq, key, ephemeral) is expected

    @rule(chunk=st.binary(min_size=1, max_size=50), count=st.integers(1, 4), ephemeral=st.booleans())
    def put(self, chunk, count, ephemeral):
        if self.lost:
            expected = DROPPED
        elif self.waiting and ephemeral and self.size() + len(chunk) > LIMITS.soft_bytes:
            expected = DROPPED
            self.dropped += count
        elif not self.fits(chunk, count):
            expected, self.lost, self.waiting, self.withheld = TOO_SLOW, True, [], {}
        else:
            expected = KEPT
            self.waiting.append((chunk, count, None))
        assert self.outbox.put(chunk, count, ephemeral) is expected

    @rule(max_bytes=st.integers(0, 200))
    def take(self, max_bytes):
        expected: list[bytes] = []
        while self.waiting and (
            not expected or sum(map(len, expected)) + len(self.waiting[0][0]) <= max_bytes
        ):
            expected.append(self.waiting.pop(0)[0])
        told = [f"{room} {count} {seq}".encode() for room, (count, seq) in self.withheld.items()]
        self.withheld = {}
        assert self.outbox.take(max_bytes) == told + expected

    @invariant()
    def agree(self):
        outbox = self.outbox
        assert (outbox.bytes, outbox.count) == (self.size(), self.count())
        assert (outbox.shed, outbox.replaced) == (self.shed, self.replaced)
        assert outbox.idle == (not self.waiting)
        assert outbox.pressed == (outbox.bytes > LIMITS.soft_bytes)
        assert (outbox.lost, outbox.dropped) == (self.lost, self.dropped)


TestOutboxAgainstAList = AgainstAList.TestCase
