"""SeenIds: counted, the oldest forgotten first."""

from hypothesis import given
from hypothesis import strategies as st

from router.core.dedup import _CHUNK, SeenIds


def key(ident):
    return ("room", "user", ident)


def test_an_id_keeps_its_place_until_too_many_have_come_after_it():
    """With a bound of two the third id makes the first one unknown."""
    ids = SeenIds()
    ids.bound(2)
    ids.put(key("1"), (1, 1))
    ids.put(key("2"), (1, 2))
    assert (ids.get(key("1")), ids.get(key("2"))) == ((1, 1), (1, 2))
    ids.put(key("3"), (1, 3))
    assert (ids.get(key("1")), ids.get(key("2")), ids.get(key("3"))) == (None, (1, 2), (1, 3))
    assert len(ids) == 2


def test_a_lower_bound_forgets_the_oldest():
    """What is too much under new rules goes at once, and a higher bound brings nothing back."""
    ids = SeenIds({key("1"): (1, 1), key("2"): (1, 2), key("3"): (1, 3)})
    ids.bound(1)
    ids.bound(5)
    assert ids.seen == {key("3"): (1, 3)}
    ids.put(key("4"), (1, 4))
    assert list(ids.seen) == [key("3"), key("4")]


@given(st.integers(1, 5), st.lists(st.integers(0, 9)), st.integers(0, 30))
def test_one_made_from_what_another_has_seen_forgets_in_the_same_order(count, idents, at):
    """Order is kept when the ids are carried over."""
    ids = SeenIds()
    ids.bound(count)
    other = None
    for number, ident in enumerate(idents):
        if number == at:
            other = SeenIds(dict(ids.seen))
            other.bound(count)
        for each in filter(None, (ids, other)):
            if each.get(key(str(ident))) is None:
                each.put(key(str(ident)), (1, number))
        assert len(ids) <= count
        assert list(ids.seen.items()) == list(ids.snapshot())
    if other is not None:
        assert list(other.seen.items()) == list(ids.seen.items())


@given(st.integers(0, 3 * _CHUNK), st.integers(1, 2 * _CHUNK), st.integers(0, 3 * _CHUNK))
def test_a_snapshot_is_what_was_there_whatever_comes_and_is_forgotten(before, count, after):
    """Also where all of it has been forgotten since."""
    ids = SeenIds({key(str(number)): (1, number) for number in range(before)})
    ids.bound(count)
    snapshot, wanted = ids.snapshot(), list(ids.seen.items())
    for number in range(before, before + after):
        ids.put(key(str(number)), (1, number))
    assert list(snapshot) == wanted
    assert list(ids.snapshot()) == list(ids.seen.items())
