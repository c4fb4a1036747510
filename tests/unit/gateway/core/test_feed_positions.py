"""FeedPositions: repeat, next or gap. That all schedules come out right is in
tests/model/test_feed_chains.py.
"""

import pytest

from gateway.core.feed_positions import FeedPositions, Kind, Verdict
from warren.envelope import Ack, Bodies, Deliver, Feed, LifeEnded, Named, Number, Reset
from warren.position import LogPosition


def at(offset, index=1, life="l"):
    return LogPosition(life, offset, index)


def ack(ident):
    return Ack("g~1", "a", ident, "l-1", 1)


def message(seq):
    return Deliver("a", "l-1", seq, "CHAT", b"1", 0)


def feed(after, upto, *items, life=1, counted=7, log="l"):
    place = None if after is None else at(*after, log)
    return Feed("r1", 3, life, counted, place, at(*upto, log), tuple((*where, item) for where, item in items))


def standing(*place, life=1):
    positions = FeedPositions("g", 3, life)
    positions.mine = at(*place)
    return positions


def test_a_life_begins_with_the_feed_that_has_nothing_before_it():
    """Any other is a gap; the number says that nothing has been told."""
    positions = FeedPositions("g", 3)
    assert positions.judge(feed((4, 1), (5, 1))) == Verdict(Kind.GAP)
    assert positions.number() == Number("g", 3, 1, None)
    begun = feed(None, (5, 1), ((5, 1), ack("i")))
    assert positions.judge(begun) == Verdict(Kind.APPLY, (ack("i"),), 7)
    assert positions.number() == Number("g", 3, 1, at(5))
    assert positions.judge(begun) == Verdict(Kind.REPEAT, (), 7)


@pytest.mark.parametrize(
    ("after", "upto", "verdict", "mine"),
    [
        ((5, 2), (7, 1), Verdict(Kind.APPLY, (ack("b"), ack("c")), 7), (7, 1)),  # next
        ((4, 9), (7, 1), Verdict(Kind.APPLY, (ack("b"), ack("c")), 7), (7, 1)),  # in part a repeat
        # likewise, from the very beginning
        (None, (7, 1), Verdict(Kind.APPLY, (ack("b"), ack("c")), 7), (7, 1)),
        ((5, 2), (5, 2), Verdict(Kind.REPEAT, (), 7), (5, 2)),  # an empty one
        ((4, 1), (5, 1), Verdict(Kind.REPEAT, (), 7), (5, 2)),
        ((5, 3), (7, 1), Verdict(Kind.GAP), (5, 2)),  # the item (5, 3) is missing
        ((6, 0), (7, 1), Verdict(Kind.GAP), (5, 2)),
    ],
)
def test_a_feed_is_a_repeat_or_the_next_or_a_gap(after, upto, verdict, mine):
    """The index counts like the offset does; items up to the own number are not given again."""
    positions = standing(5, 2)
    items = [((5, 2), ack("a")), ((5, 3), ack("b")), ((7, 1), ack("c"))] if upto == (7, 1) else []
    assert positions.judge(feed(after, upto, *items)) == verdict
    assert positions.mine == at(*mine)


def test_an_empty_feed_moves_the_number():
    """How far the log is counts as told."""
    positions = standing(5, 2)
    assert positions.judge(feed((5, 2), (9, 0))) == Verdict(Kind.APPLY, (), 7)
    assert positions.mine == at(9, 0)


def test_a_feed_for_another_life_is_dropped():
    """A lower or a higher one; it changes nothing."""
    positions = standing(5, 2, life=2)
    for life in (1, 3):
        assert positions.judge(feed((5, 2), (7, 1), life=life)) == Verdict(Kind.OTHER)
    assert positions.mine == at(5, 2)
    positions.begin(3)
    assert positions.number() == Number("g", 3, 3, None)
    assert positions.judge(feed(None, (7, 1), life=3)).kind is Kind.APPLY


def test_a_feed_that_counts_in_another_life_of_the_log_is_foreign():
    """Offsets of two lives are never compared."""
    positions = standing(5, 2)
    for upto in ((4, 1), (9, 1)):
        assert positions.judge(feed((1, 1), upto, log="m")) == Verdict(Kind.FOREIGN)
    assert positions.mine == at(5, 2)


def test_a_named_message_is_put_in():
    """Bodies may come from whoever speaks, more than once."""
    positions = standing(5, 2)
    bodies = Bodies(3, "l", ((6, 1, message(1)),))
    positions.put(bodies)
    positions.put(bodies)
    named = feed((5, 2), (6, 2), ((6, 1), Named()), ((6, 2), ack("i")))
    assert positions.judge(named) == Verdict(Kind.APPLY, (message(1), ack("i")), 7)


def test_a_missing_body_is_a_gap_at_that_item():
    """What is before it is applied, and the number says so; nothing is known to be settled."""
    positions = standing(5, 2)
    named = feed((5, 2), (6, 3), ((6, 1), ack("i")), ((6, 2), Named()), ((6, 3), ack("j")))
    assert positions.judge(named) == Verdict(Kind.GAP, (ack("i"),))
    assert positions.mine == at(6, 1)
    assert positions.judge(named) == Verdict(Kind.GAP)
    positions.put(Bodies(3, "l", ((6, 2, message(1)),)))
    assert positions.judge(named) == Verdict(Kind.APPLY, (message(1), ack("j")), 7)


def test_a_missing_body_at_the_very_beginning_leaves_nothing_told():
    """The chain begins again with the Hello."""
    positions = FeedPositions("g", 3)
    assert positions.judge(feed(None, (6, 1), ((6, 1), Named()))) == Verdict(Kind.GAP)
    assert positions.number() == Number("g", 3, 1, None)


def test_bodies_are_bounded():
    """What does not fit is a gap when it is named."""
    positions = FeedPositions("g", 3, bodies_bytes=200)
    positions.put(Bodies(3, "l", ((6, 1, message(1)), (6, 2, message(2)))))
    named = feed(None, (6, 2), ((6, 1), Named()), ((6, 2), Named()))
    assert positions.judge(named) == Verdict(Kind.GAP)


def test_a_reset_moves_the_number_forward_only():
    """A doubled or late one, or one of another life, changes nothing."""
    positions = standing(5, 2)
    assert not positions.reset(Reset("r1", 3, 2, at(9), 0))
    assert not positions.reset(Reset("r1", 3, 1, at(5, 2), 0))
    assert not positions.reset(Reset("r1", 3, 1, at(9, 1, "m"), 0))
    assert positions.mine == at(5, 2)
    assert positions.reset(Reset("r1", 3, 1, at(9), 0))
    assert positions.mine == at(9)
    fresh = FeedPositions("g", 3)
    assert fresh.reset(Reset("r1", 3, 1, at(9), 0))
    assert fresh.mine == at(9)


def test_only_the_present_life_can_end():
    """What is said of a former one is late."""
    positions = FeedPositions("g", 3, 2)
    assert [positions.ended(LifeEnded(3, life, 0)) for life in (1, 2, 3)] == [False, True, False]
