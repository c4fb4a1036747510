"""recent_messages: what is told from memory is what the router would tell; against a naive list."""

import gc
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.core.recent_messages import LEAST_COUNT, PAGE_BYTES, RecentMessages
from warren.delivery_counts import COUNTS_BYTES
from warren.envelope import OVERHEAD_BYTES, Deliver, decode, encode
from warren.largest_first import kept_bytes
from warren.message_windows import COUNTED_WINDOW_BYTES, FEW, WINDOW_BYTES
from warren.namespaces import HistoryPolicy, Namespaces, RoomPolicy
from warren.position import Position

S = 1_000_000
MB = 1 << 20


def message(seq, room="a", epoch="e", at_us=0, size=1, expires_ms=0):
    return Deliver(room, epoch, seq, "CHAT", b"x" * size, at_us, expires_ms=expires_ms)


UNIT = kept_bytes(message(1)) + COUNTS_BYTES
ROOM = WINDOW_BYTES + COUNTED_WINDOW_BYTES


def make(count=5, age_s=10, room_bytes=MB, all_bytes=MB):
    """Return a memory whose rooms keep so much; rooms that begin with ``off`` keep nothing."""
    policies = [
        RoomPolicy("off", "off*", history=HistoryPolicy(0, 0)),
        RoomPolicy("all", "*", history=HistoryPolicy(count, age_s)),
    ]
    return RecentMessages(Namespaces(policies), room_bytes, all_bytes)


def filled(first, last, **more):
    recent = make(**more)
    for seq in range(first, last + 1):
        recent.put(message(seq))
    return recent


def seqs(messages):
    return None if messages is None else [one.seq for one in messages]


def paged(page):
    return None if page is None else (seqs(page[0]), page[1])


@pytest.mark.parametrize(
    ("since", "answer"),
    [
        (Position("e", 8), []),
        (Position("e", 7), [8]),
        (Position("e", 3), [4, 5, 6, 7, 8]),
        (Position("e", 2), None),  # beyond the policy's count: the router may keep more
        (Position("e", 0), None),
        (Position("e", 9), None),
        (Position("e", -1), None),
        (Position("f", 7), None),
    ],
)
def test_since_gives_all_that_was_missed_or_nothing(since, answer):
    """What can't be told from here is asked of the router."""
    assert seqs(filled(1, 8).since("a", since, Position("e", 8), 0)) == answer


def test_since_gives_nothing_that_it_has_not():
    """What lies before the memory, what lies behind it, and a room that it has not."""
    recent = filled(5, 8)
    assert recent.since("a", Position("e", 3), Position("e", 8), 0) is None
    assert seqs(recent.since("a", Position("e", 4), Position("e", 8), 0)) == [5, 6, 7, 8]
    assert recent.since("a", Position("e", 7), Position("e", 9), 0) is None
    assert recent.since("b", Position("e", 7), Position("e", 8), 0) is None


def test_what_is_older_than_the_age_is_not_given_to_who_comes_back():
    """At its full age a message is given still, one microsecond later it is not; a member since before is
    given it.
    """
    recent = make()
    recent.put(message(1, at_us=0))
    recent.put(message(2, at_us=5 * S))
    upto = Position("e", 2)
    assert seqs(recent.since("a", Position("e", 0), upto, 10 * S)) == [1, 2]
    assert recent.since("a", Position("e", 0), upto, 10 * S + 1) is None
    assert seqs(recent.since("a", Position("e", 1), upto, 10 * S + 1)) == [2]
    assert seqs(recent.between("a", Position("e", 0), 2)) == [1, 2]


def test_a_member_is_given_more_than_the_policy_keeps():
    """It was a member when they were said."""
    assert seqs(filled(1, 8).between("a", Position("e", 0), 8)) == list(range(1, 9))
    recent = filled(1, LEAST_COUNT + 8)
    assert recent.between("a", Position("e", 7), 9) is None
    assert seqs(recent.between("a", Position("e", 8), 9)) == [9]
    assert recent.between("a", Position("f", 8), 9) is None


def test_a_message_that_does_not_follow_begins_the_memory_anew():
    """After a jump or in a new epoch nothing of before is given."""
    recent = filled(1, 3)
    recent.put(message(5))
    assert recent.between("a", Position("e", 2), 5) is None
    recent.put(message(6, epoch="f"))
    assert seqs(recent.between("a", Position("f", 5), 6)) == [6]
    assert recent.bytes == ROOM + UNIT


def test_a_room_that_begins_elsewhere_has_no_memory_of_before():
    """What came in between is not known; where it begins just where its memory ends nothing is lost."""
    recent = filled(1, 3)
    recent.begin("a", Position("e", 3))
    assert paged(recent.page("a", 0, 9, 0)) == ([1, 2, 3], False)
    recent.begin("a", Position("e", 4))
    assert (len(recent), recent.bytes, recent.page("a", 0, 9, 0)) == (0, 0, None)
    recent.put(message(5))
    recent.begin("a", Position("f", 5))
    assert len(recent) == 0


def test_a_trace_ends_with_its_delivery():
    """Who is given a message later is not part of it, as with what the router keeps."""
    recent = make()
    recent.put(msgspec.structs.replace(message(1), trace="00-1-2-01"))
    assert recent.between("a", Position("e", 0), 1) == [message(1)]


def test_nothing_is_kept_of_a_room_without_history():
    """It has an empty history, and that is told at once."""
    recent = make()
    recent.put(message(1, room="off:1"))
    recent.extend(Position("e", 1), [message(1, room="off:1")])
    assert (len(recent), recent.page("off:1", 0, 9, 0)) == (0, ([], False))


def test_a_room_is_forgotten_with_its_bytes():
    """And one that is not here may be forgotten too."""
    recent = filled(1, 3)
    recent.forget("a")
    recent.forget("a")
    assert (len(recent), recent.bytes) == (0, 0)


@pytest.mark.parametrize(
    ("first", "before", "limit", "answer"),
    [
        (1, 0, 3, ([6, 7, 8], True)),
        (1, 0, 5, ([4, 5, 6, 7, 8], False)),  # the policy lets no more be read
        (1, 0, 100, ([4, 5, 6, 7, 8], False)),
        (1, 6, 100, ([4, 5], False)),
        (1, 6, 1, ([5], True)),
        (1, 2, 9, ([], False)),
        (1, -3, 3, ([6, 7, 8], True)),
        (1, 0, 0, ([8], True)),
        (4, 0, 9, ([4, 5, 6, 7, 8], False)),
        (5, 0, 9, None),  # there may be a fifth
        (5, 0, 3, ([6, 7, 8], True)),
        (5, 0, 4, None),
        (5, 7, 9, None),
    ],
)
def test_a_page_is_the_routers_or_nothing(first, before, limit, answer):
    """It is told from here only where the memory reaches as far back as the policy lets anybody read."""
    assert paged(filled(first, 8).page("a", before, limit, 0)) == answer


def test_a_page_is_whole_where_the_room_has_no_more():
    """Seq 1 is the first there ever was."""
    assert paged(filled(1, 2).page("a", 0, 9, 0)) == ([1, 2], False)


def test_a_page_leaves_out_what_is_too_old_and_what_has_expired():
    """By each message's own time: gateways' clocks differ."""
    recent = make(count=4)
    for seq, at_s, expires_ms in ((1, 4, 0), (2, 0, 0), (3, 5, 11_000), (4, 5, 11_001)):
        recent.put(message(seq, at_us=at_s * S, expires_ms=expires_ms))
    assert paged(recent.page("a", 0, 9, 11 * S)) == ([1, 4], False)


def test_a_page_has_a_bound_in_bytes_but_one_message_in_any_case():
    """Payload and overhead."""
    size = PAGE_BYTES // 2 - OVERHEAD_BYTES
    recent = make(room_bytes=4 * MB, all_bytes=4 * MB)
    for seq in (1, 2, 3):
        recent.put(message(seq, size=size))
    assert paged(recent.page("a", 0, 9, 0)) == ([2, 3], True)
    recent.put(message(4, size=PAGE_BYTES))
    assert paged(recent.page("a", 0, 9, 0)) == ([4], True)


def test_what_was_read_goes_before_what_is_kept():
    """So that the next who comes back is served from here."""
    recent = filled(8, 9)
    recent.extend(Position("e", 9), [message(seq) for seq in (5, 6, 7, 8)])
    assert seqs(recent.between("a", Position("e", 4), 9)) == [5, 6, 7, 8, 9]
    assert recent.bytes == ROOM + 5 * UNIT


@pytest.mark.parametrize(
    ("read", "epoch"),
    [((4, 5, 6), "e"), ((8, 9), "e"), ((5, 6, 7), "f"), ((), "e")],
    ids=["it leaves a hole", "it is here", "another epoch", "nothing"],
)
def test_what_does_not_reach_up_to_what_is_kept_is_passed_over(read, epoch):
    """A memory has no hole."""
    recent = filled(8, 9)
    recent.extend(Position(epoch, 9), [message(seq, epoch=epoch) for seq in read])
    assert recent.bytes == ROOM + 2 * UNIT


def test_what_was_read_is_kept_alone_where_it_reaches_the_room():
    """Else the next message would leave a hole."""
    recent = make()
    recent.extend(Position("e", 7), [message(seq) for seq in (5, 6)])
    assert len(recent) == 0
    recent.extend(Position("e", 6), [message(seq) for seq in (5, 6)])
    recent.put(message(7))
    assert seqs(recent.between("a", Position("e", 4), 7)) == [5, 6, 7]


def test_what_was_read_is_bounded_from_its_old_end():
    """By the room's bytes and by its count."""
    recent = make(room_bytes=4 * UNIT)
    recent.extend(Position("e", 9), [message(seq) for seq in range(1, 10)])
    assert seqs(recent.between("a", Position("e", 5), 9)) == [6, 7, 8, 9]
    assert recent.between("a", Position("e", 4), 9) is None
    recent = filled(LEAST_COUNT + 1, LEAST_COUNT + 3)
    recent.extend(Position("e", LEAST_COUNT + 3), [message(seq) for seq in range(1, LEAST_COUNT + 1)])
    assert recent.between("a", Position("e", 2), 9) is None
    assert recent.between("a", Position("e", 3), 9) is not None
    recent = make(room_bytes=UNIT - 1)
    recent.extend(Position("e", 1), [message(1)])
    assert (len(recent), recent.bytes) == (0, 0)


def test_bytes_bound_a_room():
    """The oldest go; a message that is larger than all empties the memory."""
    recent = filled(1, 9, room_bytes=4 * UNIT)
    assert seqs(recent.between("a", Position("e", 5), 9)) == [6, 7, 8, 9]
    assert (recent.between("a", Position("e", 4), 9), recent.evicted) == (None, 5)
    recent.put(message(10, size=5 * UNIT))
    assert (len(recent), recent.bytes) == (0, 0)


def test_silent_rooms_are_looked_at_in_turn_for_what_has_aged():
    """The memory of members who catch up lasts a minute at least."""
    recent = make()
    for room in "abc":
        recent.put(message(1, room=room))
        recent.put(message(2, room=room, at_us=S))
    recent.tidy(60 * S, 9)
    assert recent.bytes == 3 * (ROOM + 2 * UNIT)
    recent.tidy(60 * S + 1, 2)
    assert recent.bytes == 3 * ROOM + 4 * UNIT
    recent.tidy(61 * S + 1, 3)
    assert (len(recent), recent.bytes) == (0, 0)


def test_a_message_is_counted_for_as_long_as_it_is_kept():
    """In its own room and epoch; one that was read from the router begins anew, and says so."""
    recent = make()
    for seq in (3, 4):
        recent.put(message(seq)).written = seq
    assert recent.put(message(1, room="off")) is None
    recent.extend(Position("e", 4), [message(1), message(2)])
    found = [recent.counts("a", "e", seq) for seq in (2, 3, 4)]
    assert [(one.written, one.whole) for one in found] == [(0, False), (3, True), (4, True)]
    for room, epoch, seq in (("a", "f", 3), ("a", "e", 5), ("b", "e", 3), ("off", "e", 1)):
        assert recent.counts(room, epoch, seq) is None
    recent.forget("a")
    assert recent.counts("a", "e", 3) is None


class AgainstList(RuleBasedStateMachine):
    """The model is a list of all that was ever said in a room, and what a router tells that keeps the last
    ``count`` of it and no bytes' bound.
    """

    @initialize(count=st.integers(1, 6), room_units=st.integers(1, 9), all_units=st.integers(4, 30))
    def begin(self, count, room_units, all_units):
        self.count = count
        self.room_bytes, self.all_bytes = ROOM + room_units * UNIT, all_units * UNIT
        self.recent = make(count, 10, room_units * UNIT, self.all_bytes)
        self.said = {"a": [], "b": [], "c": []}
        self.now = 100 * S

    @rule(
        room=st.sampled_from("abc"),
        epoch=st.sampled_from(["e", "e", "e", "f"]),
        size=st.sampled_from([1, 1, 200]),
        off_us=st.sampled_from([0, 0, 0, -S, S]),
        is_here=st.sampled_from([True, True, True, False]),
        expires_ms=st.sampled_from([0, 0, 105_000]),
    )
    def put(self, room, epoch, size, off_us, is_here, expires_ms):
        said = self.said[room]
        if said and said[-1].epoch != epoch:
            said.clear()
        one = message(len(said) + 1, room, epoch, self.now + off_us, size, expires_ms)
        said.append(one)
        if is_here:
            self.recent.put(one)
        else:  # there was nobody here, and now somebody enters
            self.recent.begin(room, Position(epoch, one.seq))

    @rule(passes=st.integers(1, 6 * S), rooms=st.integers(0, 3))
    def wait(self, passes, rooms):
        self.now += passes
        self.recent.tidy(self.now, rooms)

    @rule(room=st.sampled_from("abc"))
    def forget(self, room):
        self.recent.forget(room)

    @rule(room=st.sampled_from("abc"), first=st.integers(1, 12), count=st.integers(1, 6))
    def read(self, room, first, count):
        said = self.said[room]
        if said:
            self.recent.extend(Position(said[-1].epoch, len(said)), said[first - 1 : first - 1 + count])

    @rule(room=st.sampled_from("abc"), back=st.integers(-1, 8))
    def since(self, room, back):
        said = self.said[room]
        if not said:
            return
        upto = Position(said[-1].epoch, len(said))
        answer = self.recent.since(room, Position(upto.epoch, upto.seq - back), upto, self.now)
        member = self.recent.between(room, Position(upto.epoch, upto.seq - back), upto.seq)
        wanted = said[len(said) - back :] if 0 < back <= len(said) else []
        if answer is not None:
            assert answer == wanted
            assert len(answer) <= self.count
            assert all(one.at_us >= self.now - 10 * S for one in answer)
        if member is not None:
            assert member == wanted
            kept = len(member) <= self.count and all(one.at_us >= self.now - 10 * S for one in member)
            assert (answer is not None) == (kept and 0 <= back <= len(said))

    @rule(room=st.sampled_from("abc"), before=st.integers(0, 12), limit=st.integers(1, 5))
    def page(self, room, before, limit):
        answer = self.recent.page(room, before, limit, self.now)
        readable = [
            one
            for one in self.said[room][-self.count :]
            if (not before or one.seq < before) and one.at_us >= self.now - 10 * S
        ]
        readable = [one for one in readable if not 0 < one.expires_ms <= self.now // 1_000]
        assert answer is None or answer == (readable[-limit:], len(readable) > limit)

    @invariant()
    def holds_to_its_bounds(self):
        assert self.recent.bytes <= self.all_bytes
        total = 0
        for room, said in self.said.items():
            count = 0  # how many of the last are kept
            while said and self.recent.between(
                room, Position(said[-1].epoch, len(said) - count - 1), len(said)
            ):
                count += 1
            size = sum(kept_bytes(one) + COUNTS_BYTES for one in said[len(said) - count :]) + ROOM * bool(
                count
            )
            assert size <= self.room_bytes
            total += size
        assert self.recent.bytes == total


TestRecentMessagesAgainstList = AgainstList.TestCase


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 400)), max_size=60))
def test_relief_takes_the_oldest_and_leaves_the_end_of_every_memory(script):
    """Whatever the sizes, all rooms together keep their bound, and what is kept of each ends at its last
    message.
    """
    recent = make(all_bytes=6_000)
    last = dict.fromkeys("abcdef", 0)
    for room, size in script:
        last[room] += 1
        recent.put(message(last[room], room=room, size=size))
        assert recent.bytes <= 6_000
    kept = [room for room in last if recent.between(room, Position("e", last[room] - 1), last[room])]
    assert len(kept) == len(recent)


@pytest.mark.parametrize("each", [1, FEW + 1, 100])
def test_bytes_are_what_it_really_takes(each):
    """Within a fifth, whether rooms are quiet or busy."""
    rooms = 4_000 // each
    recent = make(count=200, all_bytes=1 << 30)
    bodies = [
        encode(
            [
                Deliver(
                    f"room:{room}",
                    "e1-0",
                    seq,
                    "CHAT",
                    b"x" * 200,
                    17 * 10**14,
                    "g-0~4f2",
                    "somebody",
                    f"id-{room}-{seq}",
                )
            ]
        )
        for room in range(rooms)
        for seq in range(1, each + 1)
    ]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for body in bodies:
        recent.put(decode(body)[0])
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert recent.bytes == pytest.approx(taken, rel=0.2)
