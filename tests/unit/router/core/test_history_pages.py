"""Pages: what is proved to be whole, page by page; and history for members."""

import pytest

from router.core.fold import Fold
from router.core.history import History
from router.core.history_pages import PAGE_BYTES, history_page, page
from warren.envelope import (
    Batch,
    Deliver,
    Hello,
    HistoryQuery,
    Join,
    Publish,
    Read,
    Rules,
    encode,
)
from warren.namespaces import HistoryPolicy
from warren.position import Position

NOW_US = 1_000_000


class Room:
    """A room with a member, and messages of which the last ``kept`` are kept."""

    def __init__(self, sizes, kept=100):
        self.fold, self.history = Fold(0, 1), History(10**8, 10**8, 0)
        messages = [Publish("a", "CHAT", b"x" * size, NOW_US, "g1~1", "u") for size in sizes]
        entries = [
            [Rules("life", 1, 9, 9, 9, 1)],
            [Batch("g1", 1, 1, 1), Hello()],
            [Batch("g1", 1, 2, 1), Join("a", "g1~1", "u"), *messages],
        ]
        for offset, entry in enumerate(entries):
            for effect in self.fold.apply(offset, encode(entry)):
                message = getattr(effect, "message", None)
                if isinstance(message, Deliver):
                    self.history.put(message, HistoryPolicy(kept, 300), NOW_US)

    def read(self, after, upto, epoch="life-1"):
        return page(Read("g1", 0, "a", epoch, after, upto, 7), self.fold, self.history, NOW_US)


def test_what_follows_up_to_what_was_asked():
    """In order, from the number after the last one, under the read's own reference."""
    answer = Room([1] * 5).read(1, 4)
    assert [message.seq for message in answer.messages] == [2, 3, 4]
    assert (answer.room, answer.epoch, answer.after, answer.whole, answer.kept, answer.ref) == (
        "a", "life-1", 1, True, True, 7
    )  # fmt: skip


def test_as_much_as_fits_and_one_in_any_case():
    """The rest is asked for again."""
    room = Room([PAGE_BYTES // 2, PAGE_BYTES // 3, 10, PAGE_BYTES * 2, 10])
    for after, expected, whole in ((0, [1, 2, 3], False), (3, [4], False), (4, [5], True)):
        answer = room.read(after, 5)
        assert ([message.seq for message in answer.messages], answer.whole) == (expected, whole)


def test_what_has_not_been_read_here_yet_is_waited_for():
    """A gateway may have heard of more than this router; as far as it goes it is answered."""
    room = Room([1] * 3)
    assert room.read(3, 5) is None
    assert room.read(4, 5) is None
    answer = room.read(2, 5)
    assert ([message.seq for message in answer.messages], answer.whole) == ([3], False)
    assert room.read(3, 3).whole


@pytest.mark.parametrize(("after", "epoch"), [(0, "life-1"), (2, "other-1"), (2, "life-2"), (-1, "life-1")])
def test_what_can_not_be_proved_to_be_whole_is_not_given(after, epoch):
    """Too old, of another epoch, or of no number at all."""
    answer = Room([1] * 5, kept=2).read(after, 5, epoch)
    assert (answer.messages, answer.kept) == ((), False)


def test_history_is_for_members_alone():
    """Whoever is no member as far as the log was read is not answered: its JOIN may come yet."""
    room = Room([1] * 5)
    answer = history_page(HistoryQuery("a", "g1~1", "r", limit=2), room.fold, room.history, NOW_US)
    assert ([message.seq for message in answer.messages], answer.more, answer.ref) == ([4, 5], True, "r")
    older = history_page(HistoryQuery("a", "g1~1", "r", before=3, limit=9), room.fold, room.history, NOW_US)
    assert ([message.seq for message in older.messages], older.more) == ([1, 2], False)
    assert history_page(HistoryQuery("a", "g1~2", "r"), room.fold, room.history, NOW_US) is None
    assert history_page(HistoryQuery("a", "nobody", "r"), room.fold, room.history, NOW_US) is None


@pytest.mark.parametrize("limit", [-5, 0, 10**9])
def test_a_limit_that_makes_no_sense_is_held_to_the_bounds(limit):
    """At least one, at most what a page holds."""
    room = Room([1] * 150)
    answer = history_page(
        HistoryQuery("a", "g1~1", "r", before=-7, limit=limit), room.fold, room.history, NOW_US
    )
    assert len(answer.messages) == (100 if limit > 0 else 1)


def test_the_position_that_is_asked_from_is_the_rooms_own():
    """The fold's, not the history's: a room without history has none to give."""
    room = Room([1] * 3)
    room.history.drop("a")
    assert room.fold.position("a") == Position("life-1", 3)
    assert not room.read(1, 3).kept
    assert room.read(3, 3).kept
