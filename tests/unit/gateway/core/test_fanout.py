"""spreading: who gets what of a room's messages, in the small; the whole is tested with the hub, against a
model.
"""

from gateway.core.fanout import Fanout
from gateway.core.frame_batch import Delivered, Gap, Member
from gateway.core.outbox import Outbox
from gateway.core.recent_messages import RecentMessages
from gateway.core.room import Room
from gateway.core.websocket.frames import JSON, FrameSet
from warren.envelope import Deliver
from warren.namespaces import Namespaces
from warren.position import Position


def message(seq: int, epoch: str = "e", **more) -> Deliver:
    """Return a message; seq 0 is one that is not numbered."""
    return Deliver("r", epoch if seq else "", seq, "CHAT", b"%d" % seq, 5_000, **more)


def spelled(*messages: Deliver) -> bytes:
    return b"".join(FrameSet(one).bytes(JSON) for one in messages)


class Rig:
    """A room of three, and what came of spreading messages in it."""

    def __init__(self) -> None:
        members = {conn: Member(conn, "u", JSON, Outbox()) for conn in ("a", "b", "c")}
        self.room = Room("r", "disconnect", members, Position("e", 10))
        self.recent = RecentMessages(Namespaces(), 1 << 20, 1 << 20)

    def run(self, *messages: Deliver, now_ms: int = 0) -> Delivered:
        result = Delivered([0] * len(messages))
        Fanout(now_ms, result, self.recent).run(self.room, messages, 0, len(messages))
        return result

    def give(self, conns: str, *messages: Deliver, own_upto: int = 0, now_ms: int = 0) -> Delivered:
        result = Delivered([0] * len(messages))
        Fanout(now_ms, result, self.recent).give(self.room, conns, messages, own_upto)
        return result

    def counted(self, *seqs: int) -> list[tuple[int, int, int]]:
        found = [self.recent.counts("r", "e", seq) for seq in seqs]
        return [(one.written, one.withheld, one.expired) for one in found if one is not None]

    def got(self, conn: str) -> list[bytes]:
        return self.room.members[conn].outbox.take(10**6)


def test_all_who_stand_together_share_one_chunk():
    """The same object, and a sender that wants no copy gets one of its own."""
    rig = Rig()
    result = rig.run(message(11), message(12, conn="c"))
    assert (result.recipients, rig.room.seq) == ([3, 2], 12)
    (first,), (second,), (third,) = (rig.got(conn) for conn in "abc")
    assert first is second
    assert third == spelled(message(11))


def test_who_is_apart_gets_only_what_is_not_numbered():
    """And not its own; who has been told nothing yet gets nothing at all."""
    rig = Rig()
    rig.room.stand("b", Position("e", 8))
    rig.room.apart["c"] = None
    assert rig.run(message(0), message(11), message(0, conn="b")).recipients == [2, 1, 1]
    assert rig.got("a") == [spelled(message(0), message(11), message(0))]
    assert (rig.got("b"), rig.got("c")) == ([spelled(message(0))], [])


def test_a_message_that_does_not_follow_leaves_all_members_behind():
    """What came before it they get; the gap is told, and repeats are none."""
    rig = Rig()
    result = rig.run(
        message(10), message(11, conn="a"), message(14), message(15), message(3, "f"), message(0)
    )
    assert (result.recipients, result.repeats) == ([0, 2, 0, 0, 0, 3], 1)
    assert result.gaps == [
        Gap("r", Position("e", 11), Position("e", 14)),
        Gap("r", Position("e", 15), Position("f", 3)),
    ]
    assert rig.room.position == Position("f", 3)
    assert rig.room.apart == dict.fromkeys("abc", Position("e", 11))


def test_what_is_not_numbered_comes_once_where_a_hole_follows():
    """Who stands apart only from the hole on has had it with the others."""
    rig = Rig()
    rig.room.apart["c"] = None
    assert rig.run(message(0), message(13)).recipients == [2, 0]
    assert rig.got("a") == [spelled(message(0))]
    rig.room.stand("b", Position("e", 8))
    assert rig.run(message(0), message(15), message(0)).recipients == [2, 0, 2]
    assert rig.got("b") == [spelled(message(0)), spelled(message(0)), spelled(message(0))]


def test_some_members_are_given_what_they_lack_in_one_chunk():
    """Whoever stands just before it; so nobody gets anything twice or out of order."""
    rig = Rig()
    rig.room.stand("a", Position("e", 8))
    rig.room.stand("b", Position("e", 8))
    result = rig.give("abcx", message(9), message(10))
    assert (result.recipients, result.repeats) == ([2, 2], 4)
    (first,), (second,) = rig.got("a"), rig.got("b")
    assert first is second
    assert (rig.got("c"), rig.room.apart) == ([], {})
    assert rig.give("a", message(9), message(10)).recipients == [0, 0]


def test_a_sender_is_given_its_own_only_where_it_was_told_so():
    """What it missed before it came; not what it said since."""
    rig = Rig()
    rig.room.go_on(Position("e", 13))
    run = [message(11, conn="a"), message(12, conn="a"), message(13, conn="a", include_sender=True)]
    assert rig.give("ab", *run, own_upto=11).recipients == [2, 1, 2]
    assert rig.got("a") == [spelled(run[0], run[2])]
    assert (rig.got("b"), rig.room.apart) == ([spelled(*run)], {"c": Position("e", 10)})


def test_what_has_expired_counts_for_the_place_and_reaches_nobody():
    """Also where all of it has."""
    rig = Rig()
    result = rig.run(message(11, expires_ms=9), message(12), now_ms=10)
    assert (result.recipients, result.expired, result.gaps) == ([0, 3], 1, [])
    rig.room.stand("a", Position("e", 11))
    assert rig.give("a", message(12, expires_ms=9), now_ms=10).expired == 1
    assert (rig.room.apart, rig.got("a")) == ({}, [spelled(message(12))])


def test_of_each_message_it_is_counted_for_how_many_it_was_what():
    """A sender that gets no copy is none of them; who is apart is counted when it is given the message."""
    rig = Rig()
    rig.room.stand("b", Position("e", 9))
    typing, own, late = message(0), message(11, conn="c"), message(12, conn="c", expires_ms=9)
    rig.run(own, typing, late, message(13), now_ms=10)
    assert rig.counted(11, 12, 13) == [(1, 0, 0), (0, 0, 1), (2, 0, 0)]
    rig.recent.extend(Position("e", 13), [message(10)])
    rig.give("b", message(10), own, late, message(13), now_ms=10)
    assert rig.counted(10, 11, 12, 13) == [(1, 0, 0), (2, 0, 0), (0, 0, 2), (3, 0, 0)]
    rig.room.go_on(Position("e", 13))
    rig.give("cb", message(13))
    assert rig.counted(13) == [(3, 0, 0)]


def test_what_has_expired_is_counted_for_those_who_would_have_been_given_it():
    """Without its sender, unless that is to have it."""
    rig = Rig()
    rig.run(
        message(11, conn="a", expires_ms=9),
        message(12, conn="a", expires_ms=9, include_sender=True),
        now_ms=10,
    )
    assert rig.counted(11, 12) == [(0, 0, 2), (0, 0, 3)]
    for conn in "ab":
        rig.room.stand(conn, Position("e", 10))
    run = [message(11, conn="a", expires_ms=9), message(12, conn="a", expires_ms=9)]
    rig.give("ab", *run, own_upto=11, now_ms=10)
    assert rig.counted(11, 12) == [(0, 0, 4), (0, 0, 4)]
