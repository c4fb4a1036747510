"""History: windows without a hole, bounded in count, age and bytes; against a naive list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from router.core.history import History
from warren.envelope import OVERHEAD_BYTES, Deliver
from warren.namespaces import HistoryPolicy
from warren.position import Position

S = 1_000_000
POLICY = HistoryPolicy(5, 10)


def entry(seq, room="a", epoch="e", at_us=0, size=1, term=1, expires_ms=0):
    return Deliver(room, epoch, seq, "CHAT", b"x" * size, at_us, term, expires_ms=expires_ms)


def filled(count, policy=POLICY, room_bytes=1 << 30, all_bytes=1 << 30):
    history = History(room_bytes, all_bytes)
    for seq in range(1, count + 1):
        history.put(entry(seq), policy, 0)
    return history


def seqs(entries):
    return None if entries is None else [entry.seq for entry in entries]


@pytest.mark.parametrize(
    ("since", "answer"),
    [
        (Position("e", 8), []),
        (Position("e", 7), [8]),
        (Position("e", 3), [4, 5, 6, 7, 8]),
        (Position("e", 2), None),
        (Position("e", 0), None),
        (Position("e", 9), None),
        (Position("e", -1), None),
        (Position("f", 7), None),
        (Position("", 8), None),
    ],
)
def test_since_gives_all_that_was_missed_or_nothing(since, answer):
    """Of another epoch, too old, or from the future: that can't be told."""
    assert seqs(filled(8).since(since, Position("e", 8), "a", 0)) == answer


def test_where_nothing_is_kept_only_the_very_position_has_missed_nothing():
    """A room without history, or whose messages are all gone."""
    history = History(1, 1)
    assert history.since(Position("e", 3), Position("e", 3), "a", 0) == []
    assert history.since(Position("e", 2), Position("e", 3), "a", 0) is None


def test_a_window_that_does_not_reach_the_position_of_its_room_tells_nothing():
    """What is behind the room's own position has a hole at its end."""
    assert filled(3).since(Position("e", 2), Position("e", 4), "a", 0) is None
    assert filled(3).since(Position("f", 2), Position("f", 3), "a", 0) is None


def test_a_message_that_does_not_follow_begins_the_window_anew():
    """After a jump or in a new epoch nothing of before is given."""
    history = filled(3)
    history.put(entry(5), POLICY, 0)
    assert seqs(history.entries("a")) == [5]
    history.put(entry(6, epoch="f"), POLICY, 0)
    assert seqs(history.entries("a")) == [6]
    assert history.bytes == OVERHEAD_BYTES + 1


def test_what_is_older_than_the_age_is_not_given():
    """At its full age a message is given still, one microsecond later it is not."""
    history = History(1 << 20, 1 << 20)
    for seq, at_us in ((1, 0), (2, 5 * S)):
        history.put(entry(seq, at_us=at_us), POLICY, at_us)
    current = Position("e", 2)
    assert seqs(history.since(Position("e", 0), current, "a", 10 * S)) == [1, 2]
    assert history.since(Position("e", 0), current, "a", 10 * S + 1) is None
    assert seqs(history.since(Position("e", 1), current, "a", 10 * S + 1)) == [2]
    assert seqs(history.page("a", 0, 9, 1 << 20, 15 * S + 1)[0]) == []


def test_silent_rooms_are_looked_at_in_their_turn():
    """What has aged in a room where nothing is said any more goes while others are in use."""
    history = History(1 << 20, 1 << 20)
    for number in range(3):
        history.put(entry(1, room=f"silent{number}"), POLICY, 0)
    for seq in range(1, 6):
        history.put(entry(seq, at_us=60 * S), POLICY, 60 * S)
    assert history.rooms() == ["a"]


def test_a_room_is_bounded_in_bytes():
    """The oldest go; one that is larger than the bound by itself is not kept."""
    history = History(3 * (OVERHEAD_BYTES + 1), 1 << 20)
    for seq in range(1, 6):
        history.put(entry(seq), POLICY, 0)
    assert seqs(history.entries("a")) == [3, 4, 5]
    history.put(entry(6, size=10_000), POLICY, 0)
    assert history.entries("a") == []
    assert history.since(Position("e", 5), Position("e", 6), "a", 0) is None
    assert (history.bytes, history.evicted) == (0, 6)


def test_where_all_is_too_much_the_largest_rooms_give_their_oldest():
    """Small rooms keep theirs, and an eighth is free after that."""
    unit = OVERHEAD_BYTES + 1
    history = History(1 << 20, 16 * unit)
    policy = HistoryPolicy(100, 10)
    for room in "bc":
        history.put(entry(1, room=room), policy, 0)
    for seq in range(1, 16):
        history.put(entry(seq), policy, 0)
    assert (seqs(history.entries("b")), seqs(history.entries("c"))) == ([1], [1])
    assert seqs(history.entries("a")) == list(range(4, 16))
    assert history.bytes == 14 * unit


def test_a_message_is_found_by_its_position():
    """While it is kept; not one of another epoch, before or after."""
    history = filled(8)
    assert history.find("a", Position("e", 4)).seq == 4
    assert [history.find("a", Position(*at)) for at in (("e", 3), ("e", 9), ("f", 4), ("e", 0))] == [None] * 4
    assert history.find("b", Position("e", 4)) is None


def test_a_page_ends_before_a_seq_and_says_whether_there_is_more():
    """In the order of the room, bounded in count and bytes, but never empty where there is something."""
    history = filled(8)
    unit = OVERHEAD_BYTES + 1

    def page(before, limit, max_bytes=1 << 20):
        entries, more = history.page("a", before, limit, max_bytes, 0)
        return seqs(entries), more

    assert page(0, 2) == ([7, 8], True)
    assert page(7, 2) == ([5, 6], True)
    assert page(5, 2) == ([4], False)
    assert page(0, 5) == ([4, 5, 6, 7, 8], False)
    assert page(4, 5) == ([], False)
    assert page(0, 5, 2 * unit) == ([7, 8], True)
    assert page(0, 5, 1) == ([8], True)
    assert history.page("b", 0, 5, 1 << 20, 0) == ([], False)


def test_a_page_passes_over_what_has_expired():
    """But what is missed is given whole: its numbers have no hole."""
    history = History(1 << 20, 1 << 20)
    for seq, expires_ms in ((1, 0), (2, 5), (3, 6)):
        history.put(entry(seq, expires_ms=expires_ms), POLICY, 0)
    assert seqs(history.page("a", 0, 9, 1 << 20, 5_000)[0]) == [1, 3]
    assert seqs(history.since(Position("e", 0), Position("e", 3), "a", 5_000)) == [1, 2, 3]


def test_what_does_not_count_is_taken_back():
    """From a seq on; the bytes are given back too."""
    history = filled(5)
    assert seqs(history.cut("a", 4)) == [5, 4]
    assert (seqs(history.entries("a")), history.bytes) == ([1, 2, 3], 3 * (OVERHEAD_BYTES + 1))
    assert history.cut("b", 1) == []


def test_a_room_that_is_dropped_is_gone():
    """Also where nothing was kept of it."""
    history = filled(3)
    history.drop("a")
    history.drop("b")
    assert (len(history), history.bytes, "a" in history) == (0, 0, False)


class HistoryAgainstList(RuleBasedStateMachine):
    """The model is a list of all that was ever put; a window must be a suffix of what follows without a hole, as long as its policy lets."""

    @initialize(count=st.integers(1, 4), room_units=st.integers(1, 6), all_units=st.integers(4, 12))
    def begin(self, count, room_units, all_units):
        self.unit = OVERHEAD_BYTES + 1
        self.policy = HistoryPolicy(count, 10)
        self.history = History(room_units * self.unit, all_units * self.unit)
        self.room_units, self.all_units = room_units, all_units
        self.told = {"a": [], "b": [], "c": []}
        self.now = 100 * S

    @rule(room=st.sampled_from("abc"), epoch=st.sampled_from(["e", "e", "e", "f"]), size=st.sampled_from([1, 1, 200]))
    def put(self, room, epoch, size):
        told = self.told[room]
        seq = told[-1].seq + 1 if told and told[-1].epoch == epoch else 1
        said = entry(seq, room, epoch, self.now, size)
        if told and told[-1].epoch != epoch:
            told.clear()
        told.append(said)
        self.history.put(said, self.policy, self.now)

    @rule(passes=st.integers(1, 6 * S))
    def wait(self, passes):
        self.now += passes

    @rule(room=st.sampled_from("abc"))
    def drop(self, room):
        self.history.drop(room)
        self.told[room].clear()

    @rule(room=st.sampled_from("abc"), back=st.integers(-1, 6))
    def since(self, room, back):
        told = self.told[room]
        if not told:
            return
        current = Position(told[-1].epoch, told[-1].seq)
        answer = self.history.since(Position(current.epoch, current.seq - back), current, room, self.now)
        if back < 0 or back > current.seq:
            assert answer is None
        elif answer is not None:
            assert answer == (told[-back:] if back else [])
            assert all(message.at_us >= self.now - 10 * S for message in answer)
        else:
            wanted = told[-back:]
            assert (
                back > self.policy.count
                or any(message.at_us < self.now - 10 * S for message in wanted)
                or sum(OVERHEAD_BYTES + len(message.payload) for message in wanted) > self.room_units * self.unit
                or self.history.evicted
            )

    @invariant()
    def holds_to_its_bounds(self):
        held = {room: self.history.entries(room) for room in "abc"}
        sizes = {room: sum(OVERHEAD_BYTES + len(said.payload) for said in held[room]) for room in "abc"}
        assert self.history.bytes == sum(sizes.values()) <= self.all_units * self.unit
        for room in "abc":
            assert sizes[room] <= self.room_units * self.unit
            assert len(held[room]) <= self.policy.count
            assert held[room] == self.told[room][len(self.told[room]) - len(held[room]) :]


TestHistoryAgainstList = HistoryAgainstList.TestCase


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 400)), max_size=60))
def test_relief_takes_the_oldest_and_leaves_the_end_of_every_window(script):
    """Whatever the sizes, all windows together keep their bound, and each still ends at its room's last message."""
    history = History(1 << 20, 2_000)
    last = dict.fromkeys("abcdef", 0)
    for room, size in script:
        last[room] += 1
        history.put(entry(last[room], room=room, size=size), HistoryPolicy(1_000, 10), 0)
        assert history.bytes <= 2_000
        for name in history.rooms():
            kept = history.entries(name)
            assert not kept or kept[-1].seq == last[name]
