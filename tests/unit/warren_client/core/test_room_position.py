"""Repeats, gaps, and what JOINED means for them, one room by itself."""

from warren_client.core.room_position import HELD, HELD_BYTES, Joined, Lost, RoomPosition
from warren_client.messages import Message, Position


def at(seq: int, epoch: str = "e1") -> Position:
    return Position(epoch, seq)


def message(seq: int, epoch: str = "e1") -> Message:
    return Message("CHAT", seq, "r", "bob", seq, epoch)


def seqs(found: list[Message | Lost]) -> list[object]:
    return [each.seq if isinstance(each, Message) else (each.since.seq, each.to.seq) for each in found]


def room(seq: int = 11) -> RoomPosition:
    made = RoomPosition()
    made.joined(Joined("e1", seq, False))
    return made


def test_the_example_of_the_protocol() -> None:
    """docs/protocol.md, "Order and position"."""
    one = room(11)
    assert one.take(message(12), False) == "new"
    one.ack("e1", 13)
    assert one.take(message(14), False) == "new"
    assert one.take(message(14), False) == "repeat"
    assert one.take(message(17), False) == "early"
    one.asked = "j"
    assert one.since == at(14)
    assert one.joined(Joined("e1", 14, True, 3)) == []
    assert [one.take(message(seq), False) for seq in (15, 16, 17)] == ["new"] * 3
    assert (one.position, one.lacks) == (at(17), False)


def test_own_messages_are_part_of_the_position_to_resume_from() -> None:
    """As far as they follow it without a gap."""
    one = room(11)
    for seq in (12, 13, 15):
        one.ack("e1", seq)
    assert one.since == at(13)
    one.ack("e0", 14)
    assert one.since == at(13)
    assert one.take(message(14), False) == "new"
    assert one.since == at(15)


def test_an_ack_that_overtakes_messages_makes_none_of_them_a_repeat() -> None:
    """It is not a position."""
    one = room(11)
    one.ack("e1", 14)
    assert [one.take(message(seq), False) for seq in (12, 13, 15)] == ["new"] * 3


def test_a_room_that_sends_own_messages_back_hands_them_out() -> None:
    """Then their ACKs are no part of the position."""
    one = room(11)
    one.ack("e1", 12)
    assert one.take(message(12), True) == "new"
    one.ack("e1", 13)
    assert one.since == at(12)


def test_own_messages_in_a_replay_are_not_handed_out() -> None:
    """Nor does a replay say that the room sends them back; also not one of a JOIN that was sent twice."""
    one = room(11)
    one.asked = "j"
    one.joined(Joined("e1", 11, True, 2))
    assert one.take(message(12), True) == "own"
    one.repeated(Joined("e1", 11, True, 3))
    assert one.take(message(13), True) == "own"
    assert one.take(message(14), True) == "own"
    assert one.take(message(15), True) == "new"


def test_a_replay_that_a_second_answer_ends_excuses_nothing() -> None:
    """The server has begun anew, and sends no more of the first."""
    one = room(11)
    one.asked = "j"
    one.joined(Joined("e1", 11, True, 3))
    assert one.take(message(12), False) == "new"
    one.repeated(Joined("e1", 14, False))
    assert one.take(message(15), False) == "early"


def test_what_a_replay_leaves_out_has_expired() -> None:
    """That is no gap."""
    one = room(11)
    one.asked = "j"
    one.joined(Joined("e1", 11, True, 5))
    assert one.is_replayed
    assert [one.take(message(seq), False) for seq in (13, 17)] == ["new", "new"]
    assert not one.is_replayed


def test_what_dropped_announces_is_no_gap() -> None:
    """Up to its seq."""
    one = room(11)
    one.withheld(14)
    assert one.take(message(15), False) == "new"
    assert one.take(message(17), False) == "early"


def test_the_first_join_loses_nothing() -> None:
    """Where there was no position there is no gap."""
    one = RoomPosition()
    assert one.joined(Joined("e1", 5, False)) == []
    assert RoomPosition(at(5)).joined(Joined("e1", 5, False)) == []


def test_what_can_not_be_recovered_is_lost_where_it_was() -> None:
    """Held messages stand before and after it."""
    one = room(11)
    for seq in (13, 14, 17):
        assert one.take(message(seq), False) == "early"
    one.asked = "j"
    assert seqs(one.joined(Joined("e1", 20, False))) == [(11, 12), 13, 14, (14, 16), 17, (17, 20)]
    assert one.position == at(20)


def test_held_messages_may_close_the_gap() -> None:
    """Then nothing is lost."""
    one = RoomPosition(at(11))
    one.asked = "j"
    for seq in (12, 13):
        assert one.take(message(seq), False) == "held"
    assert seqs(one.joined(Joined("e1", 13, False))) == [12, 13]


def test_another_epoch_loses_what_was_before_it() -> None:
    """Held messages of either epoch are handed out on their side."""
    one = room(11)
    one.asked = "j"
    one.take(message(12), False)
    one.take(message(1, "e2"), False)
    found = one.joined(Joined("e2", 3, False))
    assert seqs(found) == [12, (12, 0), 1, (1, 3)]
    assert one.position == at(3, "e2")


def test_no_more_than_so_many_messages_are_held() -> None:
    """The oldest go, and are told as lost."""
    one = room(0)
    for seq in range(2, HELD + 4):
        one.take(message(seq), False)
    assert one.is_full
    one.asked = "j"
    found = seqs(one.joined(Joined("e1", HELD + 3, False)))
    assert found[0] == (0, 3)
    assert found[1:] == list(range(4, HELD + 4))


def test_what_is_held_is_bounded_in_bytes_as_well() -> None:
    """And is let go with everything else."""
    one = room(0)
    for seq in range(2, 12):
        one.take(Message("CHAT", seq, "r", "bob", seq, "e1", size=HELD_BYTES // 4), False)
    assert one.is_full
    assert seqs(one.release()) == [(0, 7), 8, 9, 10, 11]
    assert not one.is_full


def test_a_refused_join_hands_out_what_is_held_with_its_gaps() -> None:
    """Nothing of it comes again."""
    one = room(11)
    one.take(message(13), False)
    assert seqs(one.release()) == [(11, 12), 13]


def test_held_messages_follow_as_soon_as_an_ack_explains_the_gap() -> None:
    """Without asking for anything."""
    one = room(11)
    assert one.take(message(13), False) == "early"
    assert one.lacks
    one.ack("e1", 12)
    assert [each.seq for each in one.following()] == [13]
    assert not one.lacks


def test_a_join_says_position_and_grant() -> None:
    """What there is of them."""
    assert RoomPosition().request == {}
    one = room(11)
    one.grant = "g"
    assert one.request == {"since": {"epoch": "e1", "seq": 11}, "grant": "g"}


def test_a_reader_that_catches_up_asks_for_what_it_did_not_take() -> None:
    """What is held is let go; an unanswered JOIN is still awaited."""
    one = room(11)
    one.take(message(13), False)
    one.asked = "j"
    one.let_go()
    assert (one.lacks, one.asked, one.since) == (False, "j", at(11))
