"""MessageWindows: rooms' last messages without a hole, within a bound of bytes."""

from warren.delivery_counts import COUNTS_BYTES
from warren.envelope import OVERHEAD_BYTES, Deliver
from warren.largest_first import kept_bytes
from warren.message_windows import (
    COUNTED_WINDOW_BYTES,
    FEW,
    WINDOW_BYTES,
    MessageWindow,
    MessageWindows,
)
from warren.namespaces import HistoryPolicy

POLICY = HistoryPolicy(5, 10)


def message(seq: int, room: str = "a", size: int = 1, at_us: int = 0, expires_ms: int = 0) -> Deliver:
    return Deliver(room, "e", seq, "CHAT", b"x" * size, at_us, expires_ms=expires_ms)


UNIT = kept_bytes(message(1))


def filled(count: int, first: int = 1) -> tuple[MessageWindows, MessageWindow]:
    windows = MessageWindows(1 << 20)
    window = windows.open("a", "e", POLICY)
    for seq in range(first, first + count):
        windows.append(window, message(seq))
    return windows, window


def seqs(messages: list[Deliver] | None) -> list[int] | None:
    return None if messages is None else [each.seq for each in messages]


def test_bytes_are_those_of_all_windows_and_their_messages():
    """However they come and go; few messages are kept in a list, and many are not."""
    windows, window = filled(FEW + 1)
    assert windows.bytes == window.bytes == WINDOW_BYTES + (FEW + 1) * UNIT
    assert not isinstance(window.messages, list)
    windows.shrink(window, 3)
    assert (window.first, window.last, windows.evicted) == (4, FEW + 1, 0)
    windows.evict(window)
    assert (windows.bytes, windows.evicted) == (WINDOW_BYTES + (FEW - 3) * UNIT, 1)
    windows.close("a")
    windows.close("a")
    assert (windows.bytes, len(windows), windows.get("a")) == (0, 0, None)


def test_what_lies_between_two_seqs_is_given_whole_or_not_at_all():
    """At either end a message may be missing."""
    _, window = filled(4, first=7)
    assert seqs(window.between(6, 10)) == [7, 8, 9, 10]
    assert seqs(window.between(7, 9)) == [8, 9]
    assert window.between(5, 9) is None
    assert window.between(8, 11) is None
    assert MessageWindow("a", "e", POLICY).between(0, 1) is None


def test_messages_from_before_go_in_front():
    """The newest of them is given first."""
    windows, window = filled(2, first=7)
    windows.prepend(window, [message(6), message(5)])
    assert [each.seq for each in window.messages] == [5, 6, 7, 8]
    assert windows.bytes == WINDOW_BYTES + 4 * UNIT
    windows.prepend(window, [message(seq) for seq in range(4, 4 - FEW, -1)])
    assert not isinstance(window.messages, list)


def test_a_page_ends_before_a_seq_and_says_whether_there_is_more():
    """Within the policy's count; what is too old or has expired is passed over."""
    windows, window = filled(7)

    def page(before: int, limit: int = 9, max_bytes: int = 1 << 20) -> tuple[list[int] | None, bool]:
        found, more = window.page(before, limit, max_bytes, oldest_us=0, now_us=2_000)
        return seqs(found), more

    assert page(0) == ([3, 4, 5, 6, 7], False)
    assert page(0, limit=2) == ([6, 7], True)
    assert page(6) == ([3, 4, 5], False)
    assert page(0, max_bytes=2 * (OVERHEAD_BYTES + 1)) == ([6, 7], True)
    assert page(0, max_bytes=1) == ([7], True)
    windows.append(window, message(8, expires_ms=2))
    windows.append(window, message(9, at_us=-1))
    assert page(0) == ([5, 6, 7], False)


def test_where_all_is_too_much_the_largest_give_their_oldest():
    """Until an eighth is free; one that has nothing left is closed."""
    windows = MessageWindows(2 * WINDOW_BYTES + 9 * UNIT)
    large, small = windows.open("large", "e", POLICY), windows.open("small", "e", POLICY)
    windows.append(small, message(1, "small"))
    assert not windows.relieve()
    for seq in range(1, 10):
        windows.append(large, message(seq, "large"))
    assert windows.relieve()
    assert windows.bytes <= (2 * WINDOW_BYTES + 9 * UNIT) * 7 / 8
    assert (len(small.messages), large.last, windows.evicted) == (1, 9, large.first - 1)
    alone = MessageWindows(8)
    alone.append(alone.open("a", "e", POLICY), message(1))
    assert alone.relieve()
    assert (len(alone), alone.bytes) == (0, 0)


def test_each_window_has_its_turn():
    """One after the other; one that is closed has none any more."""
    windows = MessageWindows(1 << 20)
    for room in "abc":
        windows.open(room, "e", POLICY)
    assert [window.room for window in windows.in_turn(2)] == ["a", "b"]
    for window in windows.in_turn(2):
        windows.close(window.room)
    assert [window.room for window in windows.in_turn(9)] == ["b"]
    assert [window.room for window in windows.in_turn(len(windows))] == ["b"]


def test_where_messages_are_counted_each_has_its_counts_for_as_long_as_it_is_kept():
    """Few or many, however they come and go; those that were put before others begin anew, and say so."""
    windows = MessageWindows(1 << 20, counted=True)
    window = windows.open("a", "e", POLICY)
    for seq in range(7, 7 + FEW + 2):
        counts = windows.append(window, message(seq))
        assert counts is not None
        counts.written = seq
    windows.prepend(window, [message(6), message(5)])

    def written(*seqs: int) -> list[int | None]:
        found = [window.counts_of(seq) for seq in seqs]
        return [None if one is None else one.written for one in found]

    assert written(4, 5, 6, 7, FEW + 8, FEW + 9) == [None, 0, 0, 7, FEW + 8, None]
    assert [window.counts_of(seq).whole for seq in (6, 7)] == [False, True]
    windows.shrink(window, FEW)
    windows.evict(window)
    assert written(FEW + 5, FEW + 6) == [None, FEW + 6]
    size = WINDOW_BYTES + COUNTED_WINDOW_BYTES + 3 * (UNIT + COUNTS_BYTES)
    assert (windows.bytes, window.bytes) == (size, size)
    windows.prepend(window, [message(FEW + 5)])
    assert written(FEW + 5, FEW + 6) == [0, FEW + 6]
    windows.close("a")
    assert windows.bytes == 0


def test_where_messages_are_not_counted_there_are_no_counts():
    """Nor anywhere to keep them."""
    windows, window = filled(1)
    assert windows.append(window, message(2)) is None
    assert (window.counts, window.counts_of(2)) == (None, None)
