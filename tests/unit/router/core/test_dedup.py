"""Dedup: ids seen, bounded in count and age."""

from hypothesis import given
from hypothesis import strategies as st

from router.core.dedup import Dedup
from warren.position import Position

ONE, TWO = Position("e", 1), Position("e", 2)


def test_a_repeat_gets_the_position_first_given():
    """What was put once is found, and a second put changes nothing."""
    dedup = Dedup(10, 1_000)
    assert dedup.get(("a", "u", "1"), 0) is None
    dedup.put(("a", "u", "1"), ONE, 0)
    dedup.put(("a", "u", "1"), TWO, 5)
    assert dedup.get(("a", "u", "1"), 5) == ONE
    assert len(dedup) == 1


def test_ids_of_other_rooms_and_users_are_others():
    """The same id counts once per room and user."""
    dedup = Dedup(10, 1_000)
    dedup.put(("a", "u", "1"), ONE, 0)
    assert dedup.get(("b", "u", "1"), 0) is None
    assert dedup.get(("a", "v", "1"), 0) is None


def test_an_id_is_forgotten_after_its_age():
    """At its full age it is still known, one microsecond later it is not."""
    dedup = Dedup(10, 1_000)
    dedup.put(("a", "u", "1"), ONE, 0)
    assert dedup.get(("a", "u", "1"), 1_000) == ONE
    assert dedup.get(("a", "u", "1"), 1_001) is None
    assert len(dedup) == 0


def test_a_clock_that_goes_back_forgets_nothing_too_early():
    """An id put later by a clock that had gone back is found for its whole age."""
    dedup = Dedup(10, 1_000)
    dedup.put(("a", "u", "1"), ONE, 5_000)
    dedup.put(("a", "u", "2"), TWO, 100)
    assert dedup.get(("a", "u", "2"), 1_100) == TWO


@given(st.integers(1, 5), st.lists(st.integers(0, 9), max_size=40))
def test_it_holds_the_latest_ids_and_never_more_than_its_count(count, ids):
    """Where it is full the oldest goes first."""
    dedup = Dedup(count, 1_000)
    model = []
    for number in ids:
        key = ("a", "u", str(number))
        assert (dedup.get(key, 0) is not None) is (key in model)
        if key not in model:
            model = [*model, key][-count:]
        dedup.put(key, ONE, 0)
        assert len(dedup) == len(model) <= count


def test_an_id_that_does_not_count_after_all_is_forgotten():
    """And leaves its place to others; one that is not known changes nothing."""
    dedup = Dedup(2, 1_000)
    for name in "12":
        dedup.put(("a", "u", name), ONE, 0)
    dedup.discard(("a", "u", "1"))
    dedup.discard(("a", "u", "none"))
    assert dedup.known() == [("a", "u", "2")]
    dedup.put(("a", "u", "3"), ONE, 0)
    assert dedup.known() == [("a", "u", "2"), ("a", "u", "3")]


def test_ids_that_are_shifted_live_longer_by_as_much():
    """Nobody was there to see them age."""
    dedup = Dedup(2, 1_000)
    dedup.put(("a", "u", "1"), ONE, 0)
    dedup.shift(5_000)
    assert dedup.get(("a", "u", "1"), 6_000) == ONE
    assert dedup.get(("a", "u", "1"), 6_001) is None


def test_what_is_too_old_goes_though_nothing_is_asked():
    """So many at a time."""
    dedup = Dedup(100, 10)
    for number in range(5):
        dedup.put(("r", "u", str(number)), Position("e", number), number)
    dedup.tidy(13, 2)
    assert [key[2] for key in dedup.known()] == ["2", "3", "4"]
    dedup.tidy(13, 2)
    assert [key[2] for key in dedup.known()] == ["3", "4"]
    dedup.tidy(13, 2)
    assert len(dedup) == 2
