"""Census: answers in parts, numbered, with what happened meanwhile on top."""

from router.core.census import Census
from warren.envelope import Announce, Members
from warren.position import Position

AT = Position("e", 3)


def part(ref, *rooms, gateway="g1", last=True):
    return Announce(gateway, 0, 1, tuple(rooms), last, ref)


def members(room, *conns, position=AT):
    return Members(room, tuple((conn, "u") for conn in conns), position)


def test_an_answer_is_whole_with_its_last_part():
    """Parts are collected, also of one room; the picture has each room's members and the gateway's position."""
    census = Census()
    ref = census.ask(["g1"], 0)
    assert census.take(part(ref, members("a", "g1~1"), last=False), 0) is None
    assert census.asked("g1")
    answer = census.take(part(ref, members("a", "g1~2"), members("b", "g1~1", position=None)), 0)
    assert answer.picture() == {"a": ({"g1~1": "u", "g1~2": "u"}, AT), "b": ({"g1~1": "u"}, None)}
    assert not census.asked("g1")
    assert census.answered == {"g1"}


def test_what_was_applied_since_the_ask_is_on_top_of_the_answer():
    """A join applied meanwhile stays, a leave applied meanwhile stays left, the later of both counts."""
    census = Census()
    ref = census.ask(["g1"], 0)
    census.note("g1", "a", "g1~3", "new")
    census.note("g1", "a", "g1~1", None)
    census.note("g1", "b", "g1~1", "x")
    census.note("g1", "b", "g1~1", None)
    census.note("g2", "a", "g2~1", "other")
    answer = census.take(part(ref, members("a", "g1~1", "g1~2")), 0)
    assert answer.picture() == {"a": ({"g1~2": "u", "g1~3": "new"}, AT)}


def test_an_answer_tells_how_far_the_gateway_has_got_in_its_rooms():
    """Of each room with members there and of everyone's address, whatever the parts; not of rooms that it has left."""
    census = Census()
    ref = census.ask(["g1"], 0)
    census.take(part(ref, members("a", "g1~1"), members("empty"), last=False), 0)
    later = Position("e", 9)
    answer = census.take(part(ref, members("a", "g1~2", position=later), members("*", position=later)), 0)
    assert answer.positions() == {"a": AT, "*": later}


def test_a_late_answer_to_an_earlier_ask_is_not_taken():
    """Only the number of the last ask counts, and what was noted since then: the picture has all that was before."""
    census = Census()
    first = census.ask(["g1"], 0)
    census.note("g1", "a", "g1~3", "new")
    second = census.ask(["g1"], 5)
    census.note("g1", "a", "g1~4", "newer")
    assert census.take(part(first, members("a", "g1~1")), 5) is None
    answer = census.take(part(second, members("a", "g1~2")), 5)
    assert answer.picture() == {"a": ({"g1~2": "u", "g1~4": "newer"}, AT)}


def test_an_ask_to_every_gateway_is_answered_by_unknown_ones_until_it_is_closed():
    """Before close anyone may answer, once; after it only who is known to have been asked."""
    census = Census()
    ref = census.ask_every(["g1"], 0)
    assert census.take(part(ref, gateway="g2"), 0) is not None
    assert census.take(part(ref, gateway="g2"), 0) is None
    assert census.take(part(ref, members("a", "g3~1"), gateway="g3", last=False), 0) is None
    census.close()
    assert census.take(part(ref, gateway="g4"), 0) is None
    assert census.take(part(ref, members("a", "g3~2"), gateway="g3"), 0) is not None
    assert census.take(part(ref, gateway="g1"), 0) is not None
    assert census.answered == {"g1", "g2", "g3"}


def test_an_unasked_word_is_no_answer():
    """Number 0 is nobody's ask, not even before there was one."""
    assert Census().take(part(0), 0) is None


def test_who_has_not_answered_in_time_is_overdue():
    """Asked before the given moment and not answered; asking again begins the time anew."""
    census = Census()
    census.ask(["g1"], 10)
    census.ask(["g2"], 20)
    assert census.overdue(11) == ["g1"]
    census.ask(["g1"], 20)
    assert census.overdue(11) == []


def test_a_gateway_that_is_dropped_has_not_answered_and_is_not_waited_for():
    """Nothing is kept of it."""
    census = Census()
    ref = census.ask(["g1", "g2"], 0)
    census.take(part(ref), 0)
    census.drop("g1")
    census.drop("g2")
    assert census.answered == set()
    assert census.overdue(100) == []
