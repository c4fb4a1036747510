"""History: windows without a hole, bounded in count, floor, age and bytes; against a naive list."""

import gc
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from router.core.history import TIDY_EVERY, TIDY_ROOMS, History
from warren.envelope import OVERHEAD_BYTES, Deliver, decode, encode
from warren.largest_first import kept_bytes
from warren.message_windows import FEW, WINDOW_BYTES
from warren.namespaces import HistoryPolicy
from warren.position import Position

S = 1_000_000
POLICY = HistoryPolicy(5, 10)


def entry(seq, room="a", epoch="e", at_us=0, size=1, expires_ms=0):
    return Deliver(room, epoch, seq, "CHAT", b"x" * size, at_us, expires_ms=expires_ms)


UNIT = kept_bytes(entry(1))


def make(room_bytes=1 << 20, all_bytes=1 << 20, floor_us=0):
    return History(room_bytes, all_bytes, floor_us)


def filled(count, policy=POLICY):
    history = make()
    for seq in range(1, count + 1):
        history.put(entry(seq), policy, 0)
    return history


def kept_of(history, room):
    """Return all that is kept of a room."""
    window = history._windows.get(room)
    return [] if window is None else list(window.messages)


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
    history = make(1, 1)
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
    assert seqs(kept_of(history, "a")) == [5]
    history.put(entry(6, epoch="f"), POLICY, 0)
    assert seqs(kept_of(history, "a")) == [6]
    assert history.bytes == WINDOW_BYTES + UNIT


def test_what_is_older_than_the_age_is_not_given():
    """At its full age a message is given still, one microsecond later it is not."""
    history = make()
    for seq, at_us in ((1, 0), (2, 5 * S)):
        history.put(entry(seq, at_us=at_us), POLICY, at_us)
    current = Position("e", 2)
    assert seqs(history.since(Position("e", 0), current, "a", 10 * S)) == [1, 2]
    assert history.since(Position("e", 0), current, "a", 10 * S + 1) is None
    assert seqs(history.since(Position("e", 1), current, "a", 10 * S + 1)) == [2]
    assert seqs(history.page("a", 0, 9, 1 << 20, 15 * S + 1)[0]) == []


def busy(*seconds, floor_us=10 * S, policy=POLICY, **bounds):
    """A window whose entries came at these times."""
    history = make(floor_us=floor_us, **bounds)
    for number, at_s in enumerate(seconds, 1):
        history.put(entry(number, at_us=int(at_s * S)), policy, int(at_s * S))
    return history


def test_what_is_younger_than_the_floor_is_kept_whatever_the_count_says():
    """Told by the room's newest entry: at the full floor an entry goes, one microsecond before it does not,
    and the count stays in any case.
    """
    history = busy(*range(8), *[10] * 7)
    assert seqs(kept_of(history, "a")) == list(range(2, 16))
    assert seqs(history.since(Position("e", 1), Position("e", 15), "a", 10 * S)) == list(range(2, 16))
    history.put(entry(16, at_us=18 * S - 1), POLICY, 18 * S - 1)
    assert seqs(kept_of(history, "a")) == list(range(9, 17))
    history.put(entry(17, at_us=60 * S), POLICY, 0)
    assert seqs(kept_of(history, "a")) == list(range(13, 18))


def test_the_floor_asks_no_clock():
    """Whenever the entries are read again, the windows are the same; a room that falls silent keeps what it
    had, up to its age.
    """
    again = make(floor_us=10 * S)
    live = busy(*range(100, 108), *[109] * 7)
    for said in [
        entry(number, at_us=at_s * S) for number, at_s in enumerate([*range(100, 108), *[109] * 7], 1)
    ]:
        again.put(said, POLICY, 0)
    assert kept_of(again, "a") == kept_of(live, "a")
    live = busy(*[5] * 20, policy=HistoryPolicy(5, 300))
    assert len(live.since(Position("e", 0), Position("e", 20), "a", 305 * S)) == 20
    assert live.since(Position("e", 0), Position("e", 20), "a", 305 * S + 1) is None


def test_a_floor_above_the_age_counts_in_its_place():
    """For those who catch up; a page shows nothing that is older than the age."""
    history = busy(0, 6, floor_us=20 * S)
    assert seqs(history.since(Position("e", 0), Position("e", 2), "a", 15 * S)) == [1, 2]
    assert history.page("a", 0, 9, 1 << 20, 15 * S) == ([entry(2, at_us=6 * S)], False)
    assert history.since(Position("e", 0), Position("e", 2), "a", 20 * S + 1) is None


def test_without_a_floor_the_count_is_strict():
    """Also where entries carry one time, or a later one than those after them."""
    assert seqs(kept_of(busy(*[9] * 8, floor_us=0), "a")) == [4, 5, 6, 7, 8]
    assert seqs(kept_of(busy(*range(8, 0, -1), floor_us=0), "a")) == [4, 5, 6, 7, 8]


def test_bytes_bound_the_floor():
    """However young: of the room, and of all together."""
    assert seqs(kept_of(busy(*[0] * 20, room_bytes=7 * UNIT), "a")) == list(range(14, 21))
    history = busy(*[0] * 20, all_bytes=WINDOW_BYTES + 16 * UNIT)
    kept = seqs(kept_of(history, "a"))
    assert kept == list(range(21 - len(kept), 21))
    assert history.bytes == WINDOW_BYTES + len(kept) * UNIT
    assert 13 <= len(kept) <= 16


def test_a_page_shows_nothing_that_only_the_floor_keeps():
    """The count of the namespace is what it lets be read; before that there is nothing."""
    history = busy(*[0] * 20)
    assert (seqs(history.page("a", 0, 9, 1 << 20, 0)[0]), history.page("a", 0, 9, 1 << 20, 0)[1]) == (
        [16, 17, 18, 19, 20],
        False,
    )
    assert (seqs(history.page("a", 18, 9, 1 << 20, 0)[0]), history.page("a", 16, 9, 1 << 20, 0)) == (
        [16, 17],
        ([], False),
    )


def test_silent_rooms_are_looked_at_in_their_turn():
    """What has aged in a room where nothing is said any more goes while others are in use."""
    history = make()
    for number in range(2 * TIDY_ROOMS):
        history.put(entry(1, room=f"silent{number}"), POLICY, 0)
    for seq in range(1, 3 * TIDY_EVERY + 1):
        history.put(entry(seq, at_us=60 * S), POLICY, 60 * S)
    assert [window.room for window in history._windows.in_turn(len(history))] == ["a"]


def test_a_room_is_bounded_in_bytes():
    """The oldest go; one that is larger than the bound by itself is not kept."""
    history = make(3 * UNIT)
    for seq in range(1, 6):
        history.put(entry(seq), POLICY, 0)
    assert seqs(kept_of(history, "a")) == [3, 4, 5]
    history.put(entry(6, size=10_000), POLICY, 0)
    assert kept_of(history, "a") == []
    assert history.since(Position("e", 5), Position("e", 6), "a", 0) is None
    assert (history.bytes, history.evicted) == (0, 6)


def test_where_all_is_too_much_the_largest_rooms_give_their_oldest():
    """Small rooms keep theirs, and an eighth is free after that."""
    most = 3 * WINDOW_BYTES + 16 * UNIT
    history = make(all_bytes=most)
    policy = HistoryPolicy(100, 10)
    for room in "bc":
        history.put(entry(1, room=room), policy, 0)
    for seq in range(1, 16):
        history.put(entry(seq), policy, 0)
    assert (seqs(kept_of(history, "b")), seqs(kept_of(history, "c"))) == ([1], [1])
    kept = seqs(kept_of(history, "a"))
    assert kept == list(range(16 - len(kept), 16))
    assert (
        most - most // 8 - UNIT
        < history.bytes
        == 3 * WINDOW_BYTES + (2 + len(kept)) * UNIT
        <= most - most // 8
    )


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
    history = make()
    for seq, expires_ms in ((1, 0), (2, 5), (3, 6)):
        history.put(entry(seq, expires_ms=expires_ms), POLICY, 0)
    assert seqs(history.page("a", 0, 9, 1 << 20, 5_000)[0]) == [1, 3]
    assert seqs(history.since(Position("e", 0), Position("e", 3), "a", 5_000)) == [1, 2, 3]


def test_a_room_that_is_dropped_is_gone():
    """Also where nothing was kept of it."""
    history = filled(3)
    history.drop("a")
    history.drop("b")
    assert (len(history), history.bytes) == (0, 0)


def fresh(room, seq, size, ident):
    """An entry as a router has it: each with texts of its own."""
    made = Deliver(
        room,
        "abcdefgh-1",
        seq,
        "CHAT",
        b"x" * size,
        1_764_000_000_000_000 + seq,
        "0123456789~1f",
        "ann",
        ident,
    )
    return decode(encode([made]))[0]


SHAPES = {
    "one room": [("room", seq, 20, f"m{seq}") for seq in range(1, 20_001)],
    "a room for each message": [(f"room{number}", 1, 20, f"m{number}") for number in range(20_000)],
    "ten in each room": [
        (f"room{number % 2_000}", number // 2_000 + 1, 20, f"m{number}") for number in range(20_000)
    ],
    "more than a list takes": [
        (f"room{number % 400}", number // 400 + 1, 20, f"m{number}") for number in range(400 * (FEW + 4))
    ],
    "large payloads": [("room", seq, 10_000, f"m{seq}") for seq in range(1, 1_001)],
    "long ids": [("room" * 50, seq, 20, f"{'i' * 250}{seq}") for seq in range(1, 10_001)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_counted_is_what_is_held(shape):
    """Within a quarter, whatever the rooms and messages are like."""
    script = SHAPES[shape]
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        history = History(1 << 40, 1 << 40, 0)
        for each in script:
            history.put(fresh(*each), HistoryPolicy(1 << 20, 3_600), 0)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.8 <= history.bytes / held <= 1.25


def test_silent_rooms_keep_nothing_though_nothing_is_said_anywhere():
    """A bounded number of them is looked at each time."""
    history = make()
    for number in range(100):
        history.put(entry(1, room=f"r{number}"), POLICY, 0)
    history.tidy(5 * S, 1_000)
    assert len(history) == 100
    history.tidy(11 * S, 30)
    assert len(history) == 70
    for _ in range(3):
        history.tidy(11 * S, 30)
    assert (len(history), history.bytes) == (0, 0)
    history.tidy(11 * S, 30)


def test_what_stood_behind_an_entry_that_went_for_its_bytes_is_judged_too():
    """Gateways' clocks differ: the second entry is older than the first, and older than the floor once the
    first is gone.
    """
    history = make(room_bytes=2 * UNIT, floor_us=3 * S)
    policy = HistoryPolicy(1, 10)
    for seq, at_us in ((1, 100 * S), (2, 99 * S), (3, 102 * S)):
        history.put(entry(seq, at_us=at_us), policy, 102 * S)
    assert [kept.seq for kept in kept_of(history, "a")] == [3]


class HistoryAgainstList(RuleBasedStateMachine):
    """The model is a list of all that was ever put; a window must be a suffix of what follows without a hole,
    as long as its policy lets.
    """

    @initialize(
        count=st.integers(1, 4),
        room_units=st.integers(1, 9),
        all_units=st.integers(4, 18),
        floor_us=st.sampled_from([0, 3 * S, 15 * S]),
    )
    def begin(self, count, room_units, all_units, floor_us):
        self.unit = UNIT
        self.policy = HistoryPolicy(count, 10)
        self.floor_us, self.kept_us = floor_us, max(10 * S, floor_us)
        self.history = make(room_units * self.unit, all_units * self.unit, floor_us)
        self.room_units, self.all_units = room_units, all_units
        self.told = {"a": [], "b": [], "c": []}
        self.now = 100 * S

    @rule(
        room=st.sampled_from("abc"),
        epoch=st.sampled_from(["e", "e", "e", "f"]),
        size=st.sampled_from([1, 1, 200]),
        off_us=st.sampled_from([0, 0, 0, -S, S]),  # gateways' clocks differ
    )
    def put(self, room, epoch, size, off_us):
        told = self.told[room]
        seq = told[-1].seq + 1 if told and told[-1].epoch == epoch else 1
        said = entry(seq, room, epoch, self.now + off_us, size)
        if told and told[-1].epoch != epoch:
            told.clear()
        told.append(said)
        self.history.put(said, self.policy, self.now)
        held = kept_of(self.history, room)
        assert len(held) <= self.policy.count or held[0].at_us > said.at_us - self.floor_us

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
            assert not answer or answer[0].at_us >= self.now - self.kept_us
        else:
            wanted = told[-back:]
            assert (
                any(later.at_us >= wanted[0].at_us + self.floor_us for later in wanted[self.policy.count :])
                or (not self.floor_us and back > self.policy.count)
                or any(message.at_us < self.now - self.kept_us for message in wanted)
                or sum(kept_bytes(message) for message in wanted) > self.room_units * self.unit
                or self.history.evicted
            )

    @rule(room=st.sampled_from("abc"))
    def page(self, room):
        page, more = self.history.page(room, 0, 100, 1 << 20, self.now)
        held = kept_of(self.history, room)
        assert page == [said for said in held[-self.policy.count :] if said.at_us >= self.now - 10 * S]
        assert not more

    @invariant()
    def holds_to_its_bounds(self):
        held = {room: kept_of(self.history, room) for room in "abc"}
        sizes = {room: sum(kept_bytes(said) for said in held[room]) for room in "abc"}
        windows = len(self.history) * WINDOW_BYTES
        assert self.history.bytes == windows + sum(sizes.values()) <= self.all_units * self.unit
        for room in "abc":
            assert sizes[room] <= self.room_units * self.unit
            assert held[room] == self.told[room][len(self.told[room]) - len(held[room]) :]


TestHistoryAgainstList = HistoryAgainstList.TestCase


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 400)), max_size=60),
    st.sampled_from([0, 10 * S]),
)
def test_relief_takes_the_oldest_and_leaves_the_end_of_every_window(script, floor_us):
    """Whatever the sizes, all windows together keep their bound, and each still ends at its room's last
    message.
    """
    history = make(all_bytes=6_000, floor_us=floor_us)
    last = dict.fromkeys("abcdef", 0)
    for room, size in script:
        last[room] += 1
        history.put(entry(last[room], room=room, size=size), HistoryPolicy(5, 10), 0)
        assert history.bytes <= 6_000
        for name in [window.room for window in history._windows.in_turn(len(history))]:
            kept = kept_of(history, name)
            assert not kept or kept[-1].seq == last[name]
