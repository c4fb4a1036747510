"""SeenPositions: a seq only grows, in one epoch, and what is forgotten is the same for all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.core import seen_positions
from router.core.seen_positions import SeenPart, SeenPositions

SAID = st.tuples(
    st.sampled_from("abc"), st.integers(1, 3), st.sampled_from(["ann", "bob", "eve"]), st.integers(1, 9)
)


def restored(seen: SeenPositions) -> SeenPositions:
    """Return what is made from a snapshot, in parts of one user."""
    made = SeenPositions()
    for part in seen.snapshot()[1]:
        for user, seq in part.users.items():
            made.add(SeenPart(part.room, part.generation, {user: seq}))
    return made


def parts(seen: SeenPositions) -> list[tuple[str, int, list[tuple[str, int]]]]:
    return [(part.room, part.generation, list(part.users.items())) for part in seen.snapshot()[1]]


def test_a_seq_only_grows():
    """What was seen before is returned where there is news."""
    seen = SeenPositions()
    assert seen.saw("a", 1, "ann", 3) == 0
    assert seen.saw("a", 1, "ann", 2) is None
    assert seen.saw("a", 1, "ann", 3) is None
    assert seen.saw("a", 1, "ann", 7) == 3
    assert seen.saw("a", 1, "bob", 2) == 0
    assert (dict(seen.users("a", 1)), seen.sum("a", 1), len(seen)) == ({"ann": 7, "bob": 2}, 9, 2)


def test_another_epoch_voids_what_was_seen():
    """Whether it is asked for or said."""
    seen = SeenPositions()
    seen.saw("a", 1, "ann", 7)
    assert (dict(seen.users("a", 2)), seen.sum("a", 2), seen.count("a", 2, 1, "")) == ({}, 0, 0)
    assert seen.saw("a", 2, "bob", 1) == 0
    assert (dict(seen.users("a", 2)), len(seen)) == ({"bob": 1}, 1)


def test_how_many_have_seen_a_message():
    """Without one, as its sender."""
    seen = SeenPositions()
    for user, seq in (("ann", 3), ("bob", 5), ("eve", 9)):
        seen.saw("a", 1, user, seq)
    assert [seen.count("a", 1, seq, "eve") for seq in (3, 4, 6)] == [2, 1, 0]
    assert seen.count("a", 1, 4, "") == 2


def test_of_a_large_room_those_are_forgotten_who_have_seen_nothing_new_for_longest(monkeypatch):
    """The sum is that of those who are known."""
    monkeypatch.setattr(seen_positions, "USERS", 2)
    seen = SeenPositions()
    for user, seq in (("ann", 1), ("bob", 2), ("ann", 3), ("eve", 4)):
        seen.saw("a", 1, user, seq)
    assert (dict(seen.users("a", 1)), seen.sum("a", 1), len(seen)) == ({"ann": 3, "eve": 4}, 7, 2)


def test_beyond_the_bound_whole_rooms_are_forgotten(monkeypatch):
    """Those in which nothing was seen for longest."""
    monkeypatch.setattr(seen_positions, "MOST", 3)
    seen = SeenPositions()
    for room, user in (("a", "ann"), ("b", "ann"), ("a", "bob"), ("c", "ann")):
        seen.saw(room, 1, user, 1)
    assert [room for room, *_ in parts(seen)] == ["a", "c"]
    assert len(seen) == 3


@given(st.lists(SAID, max_size=40), st.lists(SAID, max_size=20))
def test_what_is_made_from_a_snapshot_goes_on_alike(before, after):
    """And the snapshot stays what it was, whatever is seen later."""
    seen = SeenPositions()
    for said in before:
        seen.saw(*said)
    count, walk = seen.snapshot()
    assert count == len(seen)
    twin, as_it_was = restored(seen), parts(seen)
    assert len(twin) == len(seen)
    for said in after:
        assert twin.saw(*said) == seen.saw(*said)
    assert parts(twin) == parts(seen)
    assert [(part.room, part.generation, list(part.users.items())) for part in walk] == as_it_was
    for room in "abc":
        for generation in (1, 2, 3):
            assert seen.sum(room, generation) == sum(seen.users(room, generation).values())
