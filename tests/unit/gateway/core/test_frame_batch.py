"""runs: the same bytes on every outbox, and what happens to those who are behind."""

from gateway.core.client_limits import OutboxLimits
from gateway.core.frame_batch import Delivered, FrameBatch, Member
from gateway.core.outbox import Outbox
from gateway.core.websocket.frames import JSON, MSGPACK, FrameSet, join
from warren.delivery_counts import DeliveryCounts
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
    FrameBatch(framesets).put(members, result)
    (first,), (second,), (third,) = (one.outbox.take(10_000) for one in members)
    assert first is second
    assert (first, third) == (join(framesets, JSON), join(framesets, MSGPACK))
    assert result.woken == members


def test_bytes_that_were_spelled_are_counted_once_however_many_get_them():
    """Joined ones for each variant; single ones where members that may lose some are behind."""
    framesets = [FrameSet(message(seq)) for seq in (1, 2)]
    result = Delivered([])
    FrameBatch(framesets).put([member(1), member(2), member(3, MSGPACK)], result)
    assert result.spelled == len(join(framesets, JSON)) + len(join(framesets, MSGPACK))
    behind = [member(1), member(2)]
    for one in behind:
        one.outbox.put(b"x")
    result = Delivered([])
    FrameBatch(framesets, "drop_oldest").put(behind, result)
    assert result.spelled == len(join(framesets, JSON))


def test_a_member_with_something_waiting_is_not_woken_again():
    """Whoever writes for it is at work already."""
    one, result = member(1), Delivered([])
    one.outbox.put(b"x")
    FrameBatch([FrameSet(message(1))]).put([one], result)
    assert result.woken == []


def test_who_is_behind_gets_the_numbered_messages_of_a_mixed_run():
    """Only the ephemeral ones are dropped, and they are counted."""
    framesets = [FrameSet(message(1)), FrameSet(message(0, "TYPING")), FrameSet(message(2))]
    behind, ahead, result = member(1), member(2), Delivered([])
    behind.outbox.put(b"x" * 400)
    FrameBatch(framesets).put([behind, ahead], result)
    assert behind.outbox.take(10_000)[1] == join([framesets[0], framesets[2]], JSON)
    assert ahead.outbox.take(10_000) == [join(framesets, JSON)]
    assert (result.dropped, behind.outbox.dropped, behind.outbox.count) == (1, 1, 0)


def test_who_is_behind_gets_nothing_of_an_ephemeral_run():
    """It is dropped and counted, and the connection stays."""
    behind, result = member(1), Delivered([])
    behind.outbox.put(b"x" * 400)
    FrameBatch([FrameSet(message(0, "TYPING")), FrameSet(message(0, "TYPING"))]).put([behind], result)
    assert (result.dropped, behind.outbox.count, result.too_slow) == (2, 1, [])


def test_who_is_too_slow_is_told_of_once():
    """After that nothing is kept for it and nothing is counted as dropped."""
    slow, result = member(1), Delivered([])
    slow.outbox.put(b"x" * 1_950)
    for seq in (1, 2):
        FrameBatch([FrameSet(message(seq))]).put([slow], result)
    assert (result.too_slow, result.dropped, slow.outbox.lost) == ([slow], 0, True)


def ticker(seq: int, key: str = "") -> FrameSet:
    """Return a message with a key."""
    return FrameSet(Deliver("r", "e", seq, "T", b"1", 5_000, key=key))


def test_a_lossy_room_is_one_chunk_for_who_is_idle():
    """As fast as any other; the same object for all."""
    framesets, members, result = [ticker(1), ticker(2)], [member(1), member(2)], Delivered([])
    FrameBatch(framesets, "latest_only").put(members, result)
    (first,), (second,) = (one.outbox.take(10_000) for one in members)
    assert first is second
    assert (first, result.woken) == (join(framesets, JSON), members)


def test_who_is_behind_in_a_room_of_latest_only_has_the_latest_of_each_key():
    """In the order of their seqs, after the notice of what was withheld."""
    behind, result = member(1), Delivered([])
    behind.outbox.notice = lambda room, count, seq: f"{room} {count} {seq}".encode()
    behind.outbox.put(b"x")
    for run in ([ticker(1, "a"), ticker(2, "b")], [ticker(3, "a")], [ticker(4)]):
        FrameBatch(run, "latest_only").put([behind], result)
    told, _, *rest = behind.outbox.take(10_000)
    assert (told, rest) == (
        b"r 1 1",
        [one.bytes(JSON) for one in (ticker(2, "b"), ticker(3, "a"), ticker(4))],
    )
    assert behind.outbox.replaced == 1


def test_who_is_behind_in_a_room_of_drop_oldest_has_the_newest():
    """As many as have place; the connection stays."""
    behind, result = member(1), Delivered([])
    behind.outbox.put(b"x")
    for seq in range(1, 60):
        FrameBatch([ticker(seq)], "drop_oldest").put([behind], result)
    _, *rest = behind.outbox.take(10_000)
    kept = len(rest)
    assert rest == [ticker(seq).bytes(JSON) for seq in range(60 - kept, 60)]
    assert (behind.outbox.shed, result.too_slow) == (59 - kept, [])
    assert kept > 10


def test_ephemeral_messages_of_a_lossy_room_are_dropped_first():
    """Above the soft limit, and nobody is told of them."""
    behind, result = member(1), Delivered([])
    behind.outbox.put(b"x" * 400)
    FrameBatch([FrameSet(message(0, "TYPING"))], "drop_oldest").put([behind], result)
    assert (result.dropped, behind.outbox.shed, behind.outbox.count) == (1, 0, 1)


def counted(*framesets: FrameSet) -> list[DeliveryCounts]:
    """Have these messages counted; return their counts."""
    counts = []
    for frameset in framesets:
        frameset.counts = DeliveryCounts(0)
        counts.append(frameset.counts)
    return counts


def told(counts: list[DeliveryCounts]) -> list[tuple[int, int]]:
    return [(one.written, one.withheld) for one in counts]


def test_of_each_message_it_is_counted_who_was_given_it_and_who_was_too_slow():
    """What had waited for a connection that is too slow was not written either."""
    slow, lost, fast, result = member(1), member(2), member(3), Delivered([])
    slow.outbox.put(b"x" * 1_800)
    lost.outbox.discard()
    first, second = FrameSet(message(1)), FrameSet(message(2))
    counts = counted(first, second)
    FrameBatch([first], counts=counts[:1]).put([slow, lost, fast], result)
    assert told(counts) == [(2, 1), (0, 0)]
    slow.outbox.put(b"x" * (1_999 - slow.outbox.bytes))
    FrameBatch([second], counts=counts[1:]).put([slow, lost, fast], result)
    assert (told(counts), result.too_slow) == ([(1, 2), (1, 2)], [slow])


def test_of_a_mixed_run_the_numbered_messages_are_counted():
    """Once for who gets only those, too."""
    framesets = [FrameSet(message(1)), FrameSet(message(0, "TYPING")), FrameSet(message(2))]
    counts = counted(framesets[0], framesets[2])
    behind, ahead = member(1), member(2)
    behind.outbox.put(b"x" * 400)
    FrameBatch(framesets, counts=counts).put([behind, ahead], Delivered([]))
    assert told(counts) == [(2, 0), (2, 0)]


def test_in_a_lossy_room_each_message_is_counted_by_itself_where_some_wait():
    """What a later one of its key replaces was withheld; what is not numbered is not counted."""
    behind, idle, lost = member(1), member(2), member(3)
    behind.outbox.put(b"x")
    lost.outbox.discard()
    first, second, third, typing = ticker(1, "a"), ticker(2, "b"), ticker(3, "a"), ticker(0)
    counts = counted(first, second, third)
    FrameBatch([first, second], "latest_only", counts[:2]).put([behind, idle, lost], Delivered([]))
    idle.outbox.take(10_000)
    FrameBatch([third, typing], "latest_only", counts[2:]).put([behind, idle, lost], Delivered([]))
    assert told(counts) == [(1, 2), (2, 1), (2, 1)]


def test_in_a_lossy_room_who_has_no_place_for_a_message_misses_it():
    """Where what waits can't be withheld."""
    behind = member(1)
    behind.outbox.put(b"x" * 1_990)
    one = ticker(1)
    counts = counted(one)
    FrameBatch([one], "drop_oldest", counts).put([behind], Delivered([]))
    assert told(counts) == [(0, 1)]
