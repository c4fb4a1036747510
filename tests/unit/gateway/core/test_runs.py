"""runs: the same bytes on every outbox, and what happens to those who are behind."""

from gateway.core.frames import JSON, MSGPACK, FrameSet, join
from gateway.core.limits import OutboxLimits
from gateway.core.outbox import Outbox
from gateway.core.runs import Delivered, Member, Run, is_for
from warren.envelope import Deliver

LIMITS = OutboxLimits(count=100, bytes=2_000, soft_bytes=300)


def message(seq: int, type_: str = "CHAT", conn: str = "", include_sender: bool = False) -> Deliver:
    """Return a message; seq 0 is an ephemeral one."""
    return Deliver("r", "e" if seq else "", seq, type_, b"1", 5_000, conn=conn, include_sender=include_sender)


def member(number: int, variant: int = JSON) -> Member:
    """Return a member with a small outbox."""
    return Member(f"g~{number}", f"u{number}", variant, Outbox(LIMITS))


def test_all_members_of_a_variant_get_the_same_object():
    """It is built once for the room, whatever the number of messages and members."""
    framesets = [FrameSet(message(seq)) for seq in (1, 2, 3)]
    members = [member(1), member(2), member(3, MSGPACK)]
    result = Delivered([])
    Run(framesets).put(members, result)
    (first,), (second,), (third,) = (one.outbox.take(10_000) for one in members)
    assert first is second
    assert (first, third) == (join(framesets, JSON), join(framesets, MSGPACK))
    assert result.woken == members


def test_a_member_with_something_waiting_is_not_woken_again():
    """Whoever writes for it is at work already."""
    one, result = member(1), Delivered([])
    one.outbox.put(b"x")
    Run([FrameSet(message(1))]).put([one], result)
    assert result.woken == []


def test_who_is_behind_gets_the_numbered_messages_of_a_mixed_run():
    """Only the ephemeral ones are dropped, and they are counted."""
    framesets = [FrameSet(message(1)), FrameSet(message(0, "TYPING")), FrameSet(message(2))]
    behind, ahead, result = member(1), member(2), Delivered([])
    behind.outbox.put(b"x" * 400)
    Run(framesets).put([behind, ahead], result)
    assert behind.outbox.take(10_000)[1] == join([framesets[0], framesets[2]], JSON)
    assert ahead.outbox.take(10_000) == [join(framesets, JSON)]
    assert (result.dropped, behind.outbox.dropped, behind.outbox.count) == (1, 1, 0)


def test_who_is_behind_gets_nothing_of_an_ephemeral_run():
    """It is dropped and counted, and the connection stays."""
    behind, result = member(1), Delivered([])
    behind.outbox.put(b"x" * 400)
    Run([FrameSet(message(0, "TYPING")), FrameSet(message(0, "TYPING"))]).put([behind], result)
    assert (result.dropped, behind.outbox.count, result.too_slow) == (2, 1, [])


def test_who_is_too_slow_is_told_of_once():
    """After that nothing is kept for it and nothing is counted as dropped."""
    slow, result = member(1), Delivered([])
    slow.outbox.put(b"x" * 1_950)
    for seq in (1, 2):
        Run([FrameSet(message(seq))]).put([slow], result)
    assert (result.too_slow, result.dropped, slow.outbox.lost) == ([slow], 0, True)


def test_a_message_is_for_all_but_its_sender_and_those_who_came_later():
    """The sender may ask for its own; what is not numbered has no place in time."""
    assert is_for(message(5, conn="g~1"), "g~2", 4)
    assert not is_for(message(5, conn="g~1"), "g~2", 5)
    assert not is_for(message(5, conn="g~1"), "g~1", 0)
    assert is_for(message(5, conn="g~1", include_sender=True), "g~1", 0)
    assert is_for(message(0, conn="g~1"), "g~2", 99)
