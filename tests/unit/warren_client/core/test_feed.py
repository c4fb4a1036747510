"""Bounded queues, and what they do when they are full."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_client.core.feed import Feed, Inbox
from warren_client.errors import ClosedError
from warren_client.messages import Dropped, Gap, Message, Position


def message(seq: int | None) -> Message:
    return Message("CHAT", seq, "r", "bob", seq, "e" if seq else None)


def at(seq: int) -> Position:
    return Position("e", seq)


def items(inbox: Inbox) -> list[object]:
    found: list[object] = []
    while (item := inbox.take()) is not None:
        found.append(item.seq or "-" if isinstance(item, Message) else item)
    return found


def test_a_full_feed_drops_the_oldest() -> None:
    """The newest items stay."""
    feed: Feed[int] = Feed(2)
    for number in range(5):
        feed.put(number)
    assert [feed.take(), feed.take(), feed.take()] == [3, 4, None]


def test_a_full_feed_with_a_summary_says_that_alone() -> None:
    """Who is too slow for changes is told once to look anew."""
    feed: Feed[str] = Feed(2, "look")
    for word in ("a", "b", "c", "d"):
        feed.put(word)
    assert [feed.take(), feed.take(), feed.take()] == ["look", "d", None]


def test_it_wakes_for_each_item_and_for_the_end() -> None:
    """After the end nothing is put any more."""
    feed: Feed[int] = Feed(2)
    woken: list[int] = []
    feed.wake = lambda: woken.append(1)
    feed.put(1)
    error = ClosedError("over")
    feed.end(error)
    feed.end(None)
    feed.put(2)
    assert (len(woken), list(feed.items), feed.error) == (2, [1], error)


def test_catch_up_takes_no_numbered_message_when_it_is_full_until_half_is_read() -> None:
    """It says that it has no space, and keeps saying so until its owner goes on."""
    inbox = Inbox("r", 4, "catch_up")
    for seq in range(1, 5):
        assert inbox.has_space()
        inbox.put(message(seq))
    assert not inbox.has_space()
    inbox.take()
    assert (inbox.has_space(), inbox.is_read) == (False, False)
    inbox.take()
    assert inbox.is_read
    inbox.go_on()
    assert inbox.has_space()
    assert (inbox.is_read, inbox.taken) == (False, at(2))


def test_catch_up_counts_the_ephemeral_messages_that_it_drops() -> None:
    """They are told as one Dropped, without a number."""
    inbox = Inbox("r", 1, "catch_up")
    inbox.put(message(1))
    for _ in range(3):
        inbox.put(message(None))
    assert items(inbox) == [1, Dropped("r", 3, 0, "client")]


def test_drop_oldest_says_how_many_and_up_to_where() -> None:
    """The newest messages stay, and a Dropped before them stands for the others."""
    inbox = Inbox("r", 2, "drop_oldest")
    for seq in range(1, 7):
        assert inbox.has_space()
        inbox.put(message(seq))
    assert items(inbox) == [Dropped("r", 4, 4, "client"), 5, 6]


def test_a_gap_is_never_dropped() -> None:
    """What is dropped before and after it is told around it."""
    inbox = Inbox("r", 2, "drop_oldest")
    inbox.put(message(1))
    inbox.put(Gap("r", at(1), at(5)))
    for seq in (6, 7, 8, 9):
        inbox.put(message(seq))
    found = items(inbox)
    assert Gap("r", at(1), at(5)) in found
    assert sum(each.count for each in found if isinstance(each, Dropped)) == 3
    assert found[-2:] == [8, 9]


def test_gaps_without_a_message_between_them_are_one() -> None:
    """From where the first began to where the last ended."""
    inbox = Inbox("r", 2, "catch_up")
    inbox.put(Gap("r", at(1), at(5)))
    inbox.put(Dropped("r", 2, 6, "server"))
    inbox.put(Gap("r", at(6), at(9)))
    assert items(inbox) == [Gap("r", at(1), at(9)), Dropped("r", 2, 6, "server")]
    assert inbox.taken == at(9)


@given(
    overflow=st.sampled_from(["catch_up", "drop_oldest"]),
    limit=st.integers(1, 5),
    steps=st.lists(st.sampled_from(["message", "typing", "gap", "dropped", "take"]), max_size=80),
)
def test_whatever_comes_it_is_bounded_and_accounts_for_every_message(
    overflow: str, limit: int, steps: list[str]
) -> None:
    """Each message that was put in is read, or counted by a Dropped; the order stays."""
    inbox = Inbox("r", limit, overflow)  # type: ignore[arg-type]
    put = seq = 0
    found: list[object] = []
    for step in steps:
        if step == "message" and inbox.has_space():
            seq += 1
            put += 1
            inbox.put(message(seq))
        elif step == "typing":
            put += 1
            inbox.put(message(None))
        elif step == "gap":
            inbox.put(Gap("r", at(seq), at(seq)))
        elif step == "dropped":
            inbox.put(Dropped("r", 1, seq, "server"))
        elif step == "take":
            if (item := inbox.take()) is not None:
                found.append(item)
            if inbox.is_read:
                inbox.go_on()
        assert len(inbox.items) <= 4 * limit + 3
    while (item := inbox.take()) is not None:
        found.append(item)
    dropped = sum(each.count for each in found if isinstance(each, Dropped) and each.by == "client")
    read = [each for each in found if isinstance(each, Message)]
    assert len(read) + dropped == put
    numbers = [each.seq for each in read if each.seq]
    assert numbers == sorted(numbers)
    if overflow == "catch_up":
        assert numbers == list(range(1, seq + 1))


@pytest.mark.parametrize("overflow", ["catch_up", "drop_oldest"])
def test_what_waits_is_bounded_in_bytes_as_well(overflow: str) -> None:
    """By the size of the frames; one large one is taken nevertheless."""
    inbox = Inbox("r", 100, overflow, 1_000)  # type: ignore[arg-type]
    put = 0
    for seq in range(1, 11):
        if inbox.has_space():
            put += 1
            inbox.put(Message("CHAT", seq, "r", "bob", seq, "e", size=400))
    assert sum(isinstance(item, Message) for item in inbox.items) == 3
    assert put == (3 if overflow == "catch_up" else 10)
    inbox.take()
    inbox.take()
    inbox.take()
    assert inbox.is_read == (overflow == "catch_up")


@pytest.mark.parametrize("overflow", ["catch_up", "drop_oldest"])
def test_what_was_taken_is_the_position_to_go_on_from(overflow: str) -> None:
    """It is that of the last message or gap that was taken, and the last message is what was seen."""
    inbox = Inbox("r", 5, overflow)  # type: ignore[arg-type]
    inbox.put(message(3))
    inbox.put(message(None))
    inbox.put(Gap("r", at(3), at(7)))
    inbox.take()
    inbox.take()
    assert (inbox.taken, inbox.last) == (at(3), message(3))
    inbox.take()
    assert (inbox.taken, inbox.last) == (at(7), message(3))
