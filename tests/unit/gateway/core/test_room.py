"""room: message N goes to whoever stands at N-1."""

from gateway.core.frames import JSON
from gateway.core.outbox import Outbox
from gateway.core.room import Room, Verdict
from gateway.core.runs import Member
from warren.position import Position


def room(*conns: str, seq: int = 10) -> Room:
    """Return a room with members."""
    members = {conn: Member(conn, "u", JSON, Outbox()) for conn in conns}
    return Room("r", 0, "disconnect", members, Position("e", seq))


def test_messages_are_judged_by_where_the_room_stands():
    """Only the next one moves it."""
    one = room("a")
    verdicts = [one.judge("e", seq) for seq in (10, 12, 11, 12, 3)]
    assert verdicts == [Verdict.REPEAT, Verdict.EARLY, Verdict.NEXT, Verdict.NEXT, Verdict.REPEAT]
    assert one.position == Position("e", 12)


def test_it_is_behind_what_is_known_to_exist():
    """Until it has got there."""
    one = room("a")
    assert not one.behind
    one.judge("e", 13)
    for seq in (11, 12, 13):
        assert one.behind
        one.judge("e", seq)
    assert not one.behind


def test_an_unknown_epoch_makes_it_behind_until_its_own_goes_on_or_it_begins_anew():
    """Nobody knows what lies between."""
    one = room("a")
    assert one.judge("f", 1) is Verdict.FOREIGN
    assert one.behind
    one.judge("e", 11)
    assert not one.behind
    one.judge("f", 1)
    one.restart(Position("f", 1))
    assert not one.behind


def test_who_stands_elsewhere_is_apart():
    """Behind the room it lags, ahead of it it waits; back with the others it is apart no more."""
    one = room("a", "b", "c")
    one.stand("a", 8)
    one.stand("b", 12)
    assert (one.apart, one.lagging(), one.known) == ({"a": 8, "b": 12}, ["a"], 12)
    assert [one.standing(conn) for conn in "abc"] == [8, 12, 10]
    one.stand("a", 10)
    assert one.apart == {"b": 12}


def test_the_only_member_takes_the_room_along_but_not_back():
    """What the room has had it has had."""
    one = room("a")
    one.stand("a", 12)
    assert (one.seq, one.apart) == (12, {})
    one.stand("a", 5)
    assert (one.seq, one.apart) == (12, {"a": 5})


def test_a_restart_names_those_who_stood_elsewhere():
    """In another epoch that is everybody."""
    one = room("a", "b")
    one.stand("a", 12)
    assert one.restart(Position("e", 12)) == ("b",)
    assert one.restart(Position("e", 12)) == ()
    assert one.restart(Position("f", 12)) == ("a", "b")
    assert (one.apart, one.behind) == ({}, False)
