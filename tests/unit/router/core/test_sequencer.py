"""Sequencer: positions, and how they are forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.sequencer import Sequencer, Standing, base36
from warren.position import Position


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (35, "z"), (36, "10"), (1295, "zz"), (1296, "100")])
def test_generations_are_written_in_base_36(number, text):
    """Digits, then lower-case letters."""
    assert base36(number) == text


def test_a_room_counts_from_one_in_the_present_epoch():
    """A room that is not in the table stands at 0, and looking at it changes nothing."""
    sequencer = Sequencer("life")
    assert sequencer.position("a") == Position("life-1", 0)
    assert len(sequencer) == 0
    assert sequencer.advance("a") == Standing(1, 1)
    assert sequencer.advance("a") == Standing(1, 2)
    assert sequencer.position("a") == Position("life-1", 2)
    assert "a" in sequencer
    assert sequencer.epoch(0) == ""


def test_the_rooms_used_longest_ago_are_forgotten_and_begin_a_new_epoch():
    """An eighth more than need be is forgotten at once; the others keep their epoch."""
    sequencer = Sequencer("life")
    for number in range(9):
        sequencer.advance(f"r{number}")
    sequencer.advance("r0")  # used again: r1 is the oldest now
    sequencer.forget(9)
    assert len(sequencer) == 9
    sequencer.forget(8)
    assert list(sequencer.idle) == ["r3", "r4", "r5", "r6", "r7", "r8", "r0"]
    assert sequencer.position("r1") == Position("life-2", 0)
    assert sequencer.position("r0") == Position("life-1", 2)
    assert sequencer.advance("r1") == Standing(2, 1)


def test_a_room_with_members_keeps_its_epoch_though_nothing_was_said_in_it():
    """Members were told (epoch, 0): that must go on to hold, also when they have left in a later
    generation.
    """
    sequencer = Sequencer("life")
    sequencer.wake("a")
    sequencer.advance("b")
    sequencer.forget(0)
    assert sequencer.position("a") == Position("life-1", 0)
    sequencer.rest("a")
    assert sequencer.position("a") == Position("life-1", 0)
    assert list(sequencer.idle) == ["a"]


def test_an_unused_room_of_the_present_epoch_takes_no_place():
    """It stands where a room without an entry does."""
    sequencer = Sequencer("life")
    sequencer.wake("a")
    sequencer.rest("a")
    assert len(sequencer) == 0


def test_a_room_that_had_members_rests_as_the_latest_used():
    """It goes behind the others; woken again it takes its position along."""
    sequencer = Sequencer("life")
    sequencer.advance("a")
    sequencer.wake("a")
    sequencer.wake("a")
    sequencer.advance("b")
    sequencer.rest("a")
    sequencer.rest("a")
    assert list(sequencer.idle) == ["b", "a"]
    sequencer.wake("b")
    assert (sequencer.awake, sequencer.position("b")) == ({"b": Standing(1, 1)}, Position("life-1", 1))


def test_everyone_never_rests():
    """The room of everyone is always there."""
    sequencer = Sequencer("life")
    sequencer.wake("*")
    sequencer.rest("*")
    assert list(sequencer.awake) == ["*"]


def test_names_of_very_many_generations_are_not_kept():
    """The names at hand are bounded, and a name is the same when it is made again."""
    sequencer = Sequencer("life")
    names = [sequencer.epoch(generation) for generation in range(1, 3_000)]
    assert len(sequencer._epochs) <= 1_024
    assert [sequencer.epoch(generation) for generation in range(1, 3_000)] == names
    assert sequencer.epoch(0) == ""


@given(st.lists(st.tuples(st.sampled_from(["advance", "wake", "rest", "forget"]), st.sampled_from("abcde"))))
def test_no_number_is_given_twice_in_an_epoch(steps):
    """Whatever is woken, laid to rest and forgotten: a room's seqs in an epoch are 1, 2, 3 …"""
    sequencer, last = Sequencer("life"), {}
    for step, room in steps:
        if step == "forget":
            sequencer.forget(2)
            assert len(sequencer.idle) <= 2
        elif step == "advance":
            standing = sequencer.advance(room)
            assert standing.seq == last.get((room, standing.generation), 0) + 1
            last[room, standing.generation] = standing.seq
        else:
            getattr(sequencer, step)(room)
