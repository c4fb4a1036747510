"""Replay: what of a log counts, and what a new owner makes of it. That it equals what was live is in test_shard_replay.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.limits import ShardLimits
from router.core.replay import Replay
from warren import envelope as wire
from warren.address import shard_of
from warren.envelope import Checkpoint, Deliver, Marker
from warren.namespaces import HistoryPolicy, Namespaces, RoomPolicy
from warren.position import Position

NOW = 1_764_000_000_000_000
OFF = Namespaces([RoomPolicy("off", "off:*", history=HistoryPolicy(0, 0))])
LIFE = 36  # "10"


def entry(seq, term=LIFE, room="a", epoch="10-1", ident="", at_us=NOW, user="u"):
    return Deliver(room, epoch, seq, "CHAT", b"1", at_us, term, user=user, id=ident)


def begun(*rooms, term=LIFE, generation=1):
    return [Marker("r1", term), Checkpoint(term, LIFE, generation, tuple(rooms))]


def read(*log, limits=None, shards=1, number=0):
    replay = Replay(limits or ShardLimits(), OFF, shards, number)
    for envelope in log:
        replay.take([envelope])
    return replay


def seqs(known, room="a"):
    return [kept.seq for kept in known.history.entries(room)]


def test_an_empty_log_begins_a_life():
    """Its epoch is made of the first owner's term, which no other has; the log is to be told."""
    known = read(Marker("r1", 5)).finish(36, NOW)
    assert known.lives.position("a") == Position("10-1", 0)
    assert known.lives.checkpoint() == [Checkpoint(36, 36, 1, ())]


def test_positions_histories_and_ids_come_back():
    """Each where the last entry left it, under the life and generation that the log has."""
    replay = read(
        *begun(("old", "10-0", 9)),
        entry(1, ident="x"),
        entry(2, ident="~g1~1.5"),
        entry(1, room="b"),
        Marker("r2", 40),
        entry(3, term=40, ident="y"),
    )
    assert (replay.highest_term, replay.skipped, replay.uncounted) == (40, 0, 0)
    known = replay.finish(41, NOW)
    assert known.lives.logged() == {
        "old": Position("10-0", 9),
        "a": Position("10-1", 3),
        "b": Position("10-1", 1),
    }
    assert known.lives.position("never") == Position("10-1", 0)
    assert (seqs(known), seqs(known, "b"), seqs(known, "old")) == ([1, 2, 3], [1], [])
    assert known.ids.get(("a", "u", "x"), NOW) == Position("10-1", 1)
    assert known.ids.known() == [("a", "u", "x"), ("a", "u", "y")]
    assert known.own_ids.known() == [("a", "u", "~g1~1.5")]
    assert not known.lives.due


def test_what_a_fenced_owner_writes_after_the_marker_of_a_later_one_does_not_count():
    """Neither its messages nor its checkpoints nor its markers; what it wrote before that does."""
    replay = read(
        *begun(),
        entry(1, ident="x"),
        Marker("r2", 40),
        entry(2, ident="zombie"),
        Checkpoint(LIFE, LIFE, 2, ()),
        Marker("r0", 37),
        entry(2, term=40, ident="y"),
        entry(3, ident="late"),
    )
    assert (replay.highest_term, replay.uncounted) == (40, 3)
    known = replay.finish(41, NOW)
    assert [kept.id for kept in known.history.entries("a")] == ["x", "y"]
    assert known.ids.known() == [("a", "u", "x"), ("a", "u", "y")]
    assert (known.lives.generation, known.lives.position("a").seq) == (1, 2)


def test_a_checkpoint_says_all_there_is():
    """Rooms that it does not name have been forgotten, with their messages; others keep theirs."""
    known = read(
        *begun(),
        entry(1),
        entry(2),
        entry(1, room="b"),
        Checkpoint(LIFE, LIFE, 2, (("a", "10-1", 2),)),
        entry(3),
    ).finish(40, NOW)
    assert (seqs(known), seqs(known, "b")) == ([1, 2, 3], [])
    assert known.lives.position("b") == Position("10-2", 0)


def test_a_checkpoint_in_parts_counts_with_its_last():
    """One that its owner did not end does not count, and none of it is mixed into the next one's."""
    torn = Checkpoint(LIFE, LIFE, 7, (("torn", "10-1", 5),), False)
    known = read(*begun(), entry(1), torn).finish(40, NOW)
    assert (seqs(known), known.lives.generation, "torn" in known.lives) == ([1], 1, False)
    replay = read(
        *begun(),
        torn,
        Marker("r2", 40),
        Checkpoint(40, LIFE, 2, (("a", "10-1", 5),), False),
        Checkpoint(40, LIFE, 2, (("b", "10-1", 6),)),
    )
    assert replay.finish(41, NOW).lives.logged() == {"a": Position("10-1", 5), "b": Position("10-1", 6)}


def test_a_log_without_its_beginning_tells_as_much():
    """Entries before the first checkpoint give the histories, the checkpoint all positions."""
    known = read(entry(8), entry(9), *begun(("a", "10-1", 9), ("b", "10-1", 4), term=40), entry(10, term=40)).finish(
        41, NOW
    )
    assert seqs(known) == [8, 9, 10]
    assert known.lives.logged() == {"a": Position("10-1", 10), "b": Position("10-1", 4)}
    assert known.lives.life == LIFE


def test_a_window_that_does_not_reach_the_checkpoint_s_position_is_dropped():
    """What is behind has a hole."""
    known = read(entry(8), Checkpoint(LIFE, LIFE, 1, (("a", "10-1", 9),))).finish(40, NOW)
    assert (seqs(known), known.lives.position("a").seq) == ([], 9)


def test_a_checkpoint_at_the_very_beginning_may_be_torn():
    """Its first parts may have been dropped with what stood before, so it does not count; the next one does."""
    tail = Checkpoint(LIFE, LIFE, 3, (("b", "10-1", 4),))
    known = read(tail, entry(9)).finish(41, NOW)
    assert (known.lives.life, known.lives.position("a")) == (41, Position("10-1", 9))
    known = read(Checkpoint(LIFE, LIFE, 3, (), False), tail, Checkpoint(LIFE, LIFE, 4, (("c", "10-1", 1),))).finish(
        41, NOW
    )
    assert (known.lives.generation, known.lives.logged()) == (4, {"c": Position("10-1", 1)})


def test_a_log_without_any_checkpoint_begins_a_new_life():
    """Rooms that it names go on, all others are in an epoch that nobody has seen."""
    known = read(entry(8), entry(9)).finish(40, NOW)
    assert known.lives.position("a") == Position("10-1", 9)
    assert known.lives.position("b") == Position("14-1", 0)
    assert known.lives.checkpoint() == [Checkpoint(40, 40, 1, (("a", "10-1", 9),))]


def test_a_fenced_owner_s_entry_gives_way_where_the_fence_has_been_dropped():
    """The later term's entry counts in its place, and the id of the former one was never seen."""
    replay = read(entry(5, ident="x"), entry(6, ident="zombie"), entry(6, term=40, ident="y"), entry(7, term=40))
    known = replay.finish(41, NOW)
    assert [(kept.seq, kept.id) for kept in known.history.entries("a")] == [(5, "x"), (6, "y"), (7, "")]
    assert known.ids.known() == [("a", "u", "x"), ("a", "u", "y")]
    assert replay.uncounted == 1


@pytest.mark.parametrize(
    "nonsense",
    [
        wire.Heartbeat("g1", 1),
        entry(0),
        entry(-1),
        entry(1),  # stands there already
        entry(3, epoch=""),
        entry(3, epoch="Ä"),
        entry(3, room=""),
        entry(3, room="no room"),
        entry(3, room="g1~1"),
        Checkpoint(LIFE, 0, 1, ()),
        Checkpoint(LIFE, LIFE, 0, ()),
    ],
)
def test_what_makes_no_sense_is_skipped_and_counted(nonsense):
    """And changes nothing."""
    replay = read(*begun(), entry(1), entry(2), nonsense)
    assert replay.skipped == 1
    known = replay.finish(40, NOW)
    assert (known.lives.logged(), seqs(known)) == ({"a": Position("10-1", 2)}, [1, 2])
    assert not known.lives.due


def test_rooms_of_another_shard_are_skipped():
    """In entries and in checkpoints."""
    ours, other = (next(name for name in "abcdef" if shard_of(name, 2) == number) for number in (0, 1))
    log = [*begun((ours, "10-1", 5), (other, "10-1", 5)), entry(6, room=ours), entry(6, room=other)]
    replay = read(*log, shards=2, number=0)
    assert replay.skipped == 2
    assert replay.finish(40, NOW).lives.logged() == {ours: Position("10-1", 6)}


def test_a_room_that_is_not_logged_any_more_is_forgotten():
    """Its ids count still; the log is told by a new generation, so that nothing is numbered twice if it is logged again. Once that
    has been told, it is over.
    """
    log = [*begun(("off:b", "10-1", 5)), entry(1, room="off:a", ident="x")]
    known = read(*log).finish(40, NOW)
    assert known.ids.known() == [("off:a", "u", "x")]
    assert known.lives.logged() == {}
    (told,) = known.lives.checkpoint()
    assert told == Checkpoint(40, LIFE, 2, ())
    assert not read(*log, Marker("r2", 40), told).finish(41, NOW).lives.due


def test_ids_do_not_age_while_nobody_works():
    """However long that was; those that were too old at the last entry are forgotten."""
    limits = ShardLimits(dedup_age_us=1_000)
    known = read(*begun(), entry(1, ident="x"), entry(2, ident="y", at_us=NOW + 900), limits=limits).finish(
        40, NOW + 9_000_000
    )
    assert known.ids.get(("a", "u", "x"), NOW + 9_000_100) is not None
    assert known.ids.get(("a", "u", "x"), NOW + 9_000_101) is None
    assert known.ids.get(("a", "u", "y"), NOW + 9_001_000) is not None


def test_what_was_logged_since_the_last_checkpoint_counts_for_the_next_one():
    """However often the owner changes."""
    limits = ShardLimits(checkpoint_count=4)
    log = [*begun(), entry(1), entry(2), entry(3)]
    assert not read(*log, limits=limits).finish(40, NOW).lives.due
    assert read(*log, Marker("r2", 40), entry(4, term=40), limits=limits).finish(41, NOW).lives.due


anything = st.one_of(
    st.builds(
        entry,
        st.integers(-1, 4),
        st.integers(0, 3),
        st.sampled_from(["a", "b", "*", "@u", "off:x", "no room", ""]),
        st.sampled_from(["10-1", "10-2", "", "Ä"]),
        st.sampled_from(["", "1", "2", "~g~1.1"]),
        st.integers(1, 3),
    ),
    st.builds(Marker, st.just("r"), st.integers(-1, 3)),
    st.builds(
        Checkpoint,
        st.integers(0, 3),
        st.integers(-1, 40),
        st.integers(-1, 3),
        st.lists(
            st.tuples(st.sampled_from(["a", "b", "no room"]), st.sampled_from(["10-1", ""]), st.integers(-1, 4))
        ).map(tuple),
        st.booleans(),
    ),
    st.builds(wire.Heartbeat, st.just("g"), st.integers(0, 1)),
)


@given(st.lists(anything, max_size=40))
def test_whatever_stands_in_a_log_each_window_ends_at_its_room_s_position(log):
    """It never breaks; no window has a hole or an entry twice, and every id that is known stands for a position."""
    known = read(*log).finish(100, NOW)
    for room in known.history.rooms():
        kept = known.history.entries(room)
        if kept:
            last = known.lives.position(room)
            assert (kept[-1].epoch, kept[-1].seq) == (last.epoch, last.seq)
            assert [said.seq for said in kept] == list(range(kept[0].seq, last.seq + 1))
            assert len({said.epoch for said in kept}) == 1
    for ids in (known.ids, known.own_ids):
        assert all(ids.get(key, NOW) is not None for key in ids.known())
