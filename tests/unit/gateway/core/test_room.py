"""room: message N goes to whoever stands at N-1."""

from gateway.core.frame_batch import Member
from gateway.core.outbox import Outbox
from gateway.core.room import Room
from gateway.core.websocket.frames import JSON
from warren.position import Position


def at(seq: int, epoch: str = "e") -> Position:
    return Position(epoch, seq)


def room(*conns: str, seq: int = 10) -> Room:
    """Return a room with members."""
    members = {conn: Member(conn, "u", JSON, Outbox()) for conn in conns}
    return Room("r", "disconnect", members, at(seq))


def test_who_stands_lower_is_apart():
    """Back with the others it is apart no more; who has been told nothing stands nowhere."""
    one = room("a", "b", "c")
    one.stand("a", at(8))
    one.apart["b"] = None
    assert [one.standing(conn) for conn in "abc"] == [at(8), None, at(10)]
    one.stand("a", at(10))
    one.stand("b", at(9))
    assert one.apart == {"b": at(9)}
    one.stand("b", at(9, "f"))
    assert one.standing("b") == at(9, "f")


def test_a_room_that_goes_on_elsewhere_leaves_its_members_where_they_are():
    """Those with the room, those behind it, and those who stand nowhere yet."""
    one = room("a", "b", "c")
    one.stand("a", at(8))
    one.apart["b"] = None
    one.go_on(at(15))
    assert one.position == at(15)
    assert one.apart == {"a": at(8), "b": None, "c": at(10)}
    one.go_on(at(2, "f"))
    assert (one.position, one.standing("c")) == (at(2, "f"), at(10))
    one.stand("c", at(10))
    assert one.standing("c") == at(10)  # a seq of another epoch is not compared
    one.stand("c", at(2, "f"))
    assert "c" not in one.apart
