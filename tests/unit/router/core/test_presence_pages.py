"""Pages: who is in a room, by name and in order."""

import pytest

from router.core import presence_pages
from router.core.fold import Fold
from router.core.presence_pages import PAGE_COUNT, numbers, presence_page, seen_state, tells_seen
from warren.envelope import (
    Batch,
    Hello,
    Join,
    PresencePage,
    PresenceQuery,
    Publish,
    Rules,
    Seen,
    SeenState,
    encode,
)
from warren.log_entries import PRESENCE_USERS
from warren.namespaces import PresencePolicy, RoomPolicy


def fold(count):
    made = Fold(0, 1)
    joins = [
        Join("a", f"g1~{number:x}", f"u{number:04}", info=b"1", presence=PRESENCE_USERS)
        for number in range(count)
    ]
    made.apply(0, encode([Rules("life", 2, 9, 9, 9, 1)]))
    made.apply(1, encode([Batch("g1", 1, 1, 1), Hello(), *joins]))
    made.apply(2, encode([Rules("life", 2, 9, 9, 9, 1)]))
    return made


def ask(made, most=10_000, receipts="off", **fields):
    policy = RoomPolicy(presence=PresencePolicy("users", max=most), receipts=receipts)
    return presence_page(PresenceQuery("a", "g2~1", "r", **fields), made, policy)


def test_pages_follow_each_other_without_a_hole():
    """In the order of the names, each with the numbers and the digest of the whole room."""
    made, keys, after = fold(25), [], ""
    for _ in range(3):
        page = ask(made, limit=10, after=after)
        assert (page.conn, page.room, page.ref, page.version, page.users) == ("g2~1", "a", "r", 1, 25)
        assert page.more == (len(keys) + len(page.members) < 25)
        keys += [member.key for member in page.members]
        after = keys[-1]
    assert keys == [f"u{number:04}" for number in range(25)]
    proofs = sum(member.proof for member in ask(made, limit=25).members)
    assert page.digest == proofs % 2**64 == made.presence.counts("a").digest


def test_who_asks_for_the_numbers_gets_no_names():
    """They cost nothing."""
    page = ask(fold(3), count=True)
    assert (page.users, page.connections, page.members, page.more, page.counts_only) == (
        3,
        3,
        (),
        False,
        False,
    )


def test_a_room_with_more_than_its_limit_tells_numbers_alone():
    """And says so."""
    page = ask(fold(3), most=2)
    assert (page.users, page.members, page.more, page.counts_only) == (3, (), False, True)
    assert len(ask(fold(3), most=3).members) == 3


@pytest.mark.parametrize(("limit", "count"), [(-1, 1), (0, 1), (10**9, PAGE_COUNT)])
def test_a_page_is_bounded_whatever_was_asked(limit, count):
    """There is one name in any case."""
    page = ask(fold(PAGE_COUNT + 1), limit=limit)
    assert (len(page.members), page.more) == (count, True)


def test_a_page_is_bounded_in_bytes(monkeypatch):
    """What does not fit comes next."""
    monkeypatch.setattr(presence_pages, "PAGE_BYTES", 400)
    page = ask(fold(5))
    assert ([member.key for member in page.members], page.more) == (["u0000", "u0001"], True)


def test_of_a_room_without_anybody_the_present_offset_is_the_version():
    """So it is above any that was told before."""
    made = fold(1)
    assert presence_page(PresenceQuery("b", "g2~1", "r"), made, RoomPolicy()) == PresencePage(
        "g2~1", "b", "r", 2, 0, 0, 0
    )
    assert numbers(made, "a").version == 1


def seen_room():
    """Return a fold whose room stands at 2, with two who have seen something."""
    made = fold(3)
    chats = [Publish("a", "CHAT", b"1", 1, "g1~0", "u0000", f"m{number}") for number in range(2)]
    said = [Seen("a", f"g1~{number}", "life-1", number) for number in (1, 2)]
    made.apply(3, encode([Batch("g1", 1, 2, 1), *chats]))
    made.apply(4, encode([Batch("g1", 1, 3, 1), *said]))
    return made


def test_the_first_page_and_the_numbers_tell_who_has_seen_what():
    """Where the room tells that; the numbers name nobody, and later pages need not say it again."""
    made = seen_room()
    state = SeenState("life-1", 3, (("u0001", 1), ("u0002", 2)))
    assert ask(made, receipts="seen").seen == state
    assert ask(made, receipts="seen", count=True).seen == SeenState("life-1", 3)
    assert ask(made, receipts="seen", after="u0001").seen is None
    assert ask(made, receipts="written").seen is None
    assert ask(made, most=2, receipts="seen").seen is None


def test_some_users_may_be_asked_for():
    """The sum is that of all."""
    assert seen_state(seen_room(), "a", ["u0002", "u0000"]) == SeenState("life-1", 3, (("u0002", 2),))


def test_only_rooms_that_tell_names_tell_what_they_have_seen():
    """And no user's own room: who watches that is somebody else."""
    by_name = RoomPolicy(presence=PresencePolicy("users"), receipts="seen")
    counted = RoomPolicy(presence=PresencePolicy("count"), receipts="seen")
    assert [tells_seen("a", by_name), tells_seen("@ann", by_name), tells_seen("a", counted)] == [
        True,
        False,
        False,
    ]
