"""The roster: what a client makes of PRESENCE frames, and what it counts."""

from __future__ import annotations

from typing import Any

from tests.faults.roster import PAGE, Roster, Traffic


def shown(*names: str) -> list[dict[str, str]]:
    return [{"user": name, "proof": f"{ord(name[0]):016x}"} for name in names]


def frame(digest: str = "", **parts: Any) -> dict[str, Any]:
    total = sum(ord(name) for name in digest)
    counts = {"users": len(digest), "connections": len(digest)}
    return {"version": 1, "count": counts, "digest": f"{total:016x}", **parts}


def page(digest: str, after: str, names: str, *, more: bool = False) -> dict[str, Any]:
    return frame(digest, page=True, after=after, more=more, joined=shown(*names))


def test_a_list_comes_in_pages_behind_a_join() -> None:
    """It is known when the last one has come; who is not in it is gone."""
    roster = Roster(traffic := Traffic())
    roster.members = {"b": 98, "x": 120}
    roster.joined()
    assert roster.take(page("abc", "", "ab", more=True), 10, 1.0) == {"limit": PAGE, "after": "b"}
    assert not roster.known
    assert roster.take(page("abc", "b", "c"), 5, 2.0) is None
    assert (set(roster.members), roster.known, roster.agrees) == ({"a", "b", "c"}, True, True)
    assert (traffic.first_pages, traffic.asked, roster.list_bytes) == (15, [], 15)


def test_changes_are_added_and_taken_away() -> None:
    """One that was missed shows in the digest."""
    roster = Roster(traffic := Traffic())
    roster.take(frame("ab", joined=shown("a", "b")), 10, 1.0)
    roster.take(frame("bc", left=["a"], joined=shown("c")), 10, 1.0)
    assert (set(roster.members), roster.agrees, roster.users) == ({"b", "c"}, True, 2)
    roster.take(frame("bcd"), 3, 1.0)
    assert not roster.agrees
    assert (traffic.changes, traffic.numbers) == (20, 3)


def test_a_list_that_was_asked_for_is_counted_as_that() -> None:
    """Once at a time; pages that nobody waits for are left alone."""
    roster = Roster(traffic := Traffic())
    assert roster.ask() == {"limit": PAGE, "after": ""}
    assert roster.ask() is None
    roster.take(page("a", "x", "z"), 1, 1.0)
    assert roster.members == {}
    roster.take(page("a", "", "a"), 7, 2.0)
    assert (roster.agrees, roster.asks, traffic.asked) == (True, 1, [(1.0, 1), (2.0, 7)])


def test_what_says_nothing_of_who_is_there_is_passed_over() -> None:
    """Such as the answer to a watch."""
    roster = Roster(Traffic())
    assert roster.take({"watching": True}, 5, 1.0) is None
    assert roster.members == {}


def seen(total, epoch="e", **users):
    return {"seen": {"epoch": epoch, "sum": total, **({"users": users} if users else {})}}


def told(version=1, **more):
    return {"version": version, "count": {"users": 0, "connections": 0}, "digest": "0" * 16, **more}


def test_what_is_seen_agrees_by_its_sum():
    """The greater seq counts, another epoch voids all, and the first page has all users."""
    roster = Roster(Traffic())
    roster.take(told(**seen(12, ann=7, bob=5)), 10, 0.0)
    roster.take(told(**seen(12, ann=3)), 10, 0.0)
    assert (roster.seen, roster.agrees) == ({"ann": 7, "bob": 5}, True)
    roster.take(told(**seen(16)), 10, 0.0)
    assert not roster.agrees
    assert roster.ask() is not None
    page = {"page": True, "after": "", "more": False, "joined": []}
    roster.take(told(**page, **seen(16, ann=7, eve=9)), 10, 0.0)
    assert (roster.seen, roster.agrees) == ({"ann": 7, "eve": 9}, True)
    roster.take(told(**seen(1, "f", bob=1)), 10, 0.0)
    assert (roster.seen, roster.agrees) == ({"bob": 1}, True)
