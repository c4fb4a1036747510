"""spreading: who gets what of a room's messages, in the small; the whole is tested with the hub, against a model."""

from gateway.core.frames import JSON, FrameSet
from gateway.core.outbox import Outbox
from gateway.core.room import Room
from gateway.core.runs import Delivered, Member
from gateway.core.spreading import Spreading
from warren.envelope import Deliver
from warren.position import Position


def message(seq: int, **more) -> Deliver:
    """Return a message; seq 0 is one that is not numbered."""
    return Deliver("r", "e" if seq else "", seq, "CHAT", b"%d" % seq, 5_000, **more)


class Rig:
    """A room of three, and what came of spreading messages in it."""

    def __init__(self) -> None:
        members = {conn: Member(conn, "u", JSON, Outbox()) for conn in ("a", "b", "c")}
        self.room = Room("r", 2, "disconnect", members, Position("e", 10))
        self.terms: dict[int, int] = {}
        self.late: dict[str, None] = {}

    def run(self, *messages: Deliver, to: str = "", now_ms: int = 0) -> Delivered:
        result = Delivered([0] * len(messages))
        spreading = Spreading(self.terms, self.late, now_ms, result)
        if to:
            spreading.catch_up(self.room, to, messages, 0, len(messages))
        else:
            spreading.run(self.room, messages, 0, len(messages))
        return result

    def got(self, conn: str) -> list[bytes]:
        return self.room.members[conn].outbox.take(10**6)


def test_all_who_stand_together_share_one_chunk():
    """The same object, and a sender that wants no copy gets one of its own."""
    rig = Rig()
    result = rig.run(message(11), message(12, conn="c"))
    assert (result.recipients, rig.room.seq) == ([3, 2], 12)
    (first,), (second,), (third,) = (rig.got(conn) for conn in "abc")
    assert first is second
    assert third == FrameSet(message(11)).bytes(JSON)


def test_who_is_apart_takes_what_is_next_for_it_and_comes_back_to_the_others():
    """Ahead of them, it waits until they have caught up."""
    rig = Rig()
    rig.room.stand("c", 12)
    assert rig.run(message(11), message(13)).recipients == [2, 1]
    assert rig.room.apart == {"c": 13}
    assert rig.run(message(12), message(13), message(14)).recipients == [2, 2, 3]
    assert rig.room.apart == {}


def test_a_sender_that_is_apart_gets_no_copy_either_but_goes_on():
    """Its own message counts for its place."""
    rig = Rig()
    rig.room.stand("c", 12)
    assert rig.run(message(13, conn="c")).recipients == [0]
    assert rig.room.apart == {"c": 13}


def test_a_newer_term_becomes_the_fence_and_an_older_says_nothing():
    """Also in the middle of a run."""
    rig = Rig()
    result = rig.run(message(11, term=5), message(12, term=4), message(12, term=6), message(13, term=5))
    assert (result.recipients, result.fenced, rig.terms) == ([3, 0, 3, 0], 2, {2: 6})


def test_a_gap_is_told_and_the_room_is_noted_as_late():
    """What lies behind it is early."""
    rig = Rig()
    result = rig.run(message(12))
    assert (result.recipients, result.early, len(result.gaps), list(rig.late)) == ([0], 1, 1, ["r"])


def test_catching_up_is_fenced_like_anything_else():
    """And reaches nobody who is no member."""
    rig = Rig()
    rig.room.stand("c", 8)
    rig.terms[2] = 5
    assert rig.run(
        message(9, term=4), message(9, term=5, expires_ms=1), message(10, term=5), to="c", now_ms=9
    ).recipients == [0, 0, 1]
    assert rig.room.apart == {}
    assert rig.run(message(9, term=5), to="nobody").recipients == [0]
