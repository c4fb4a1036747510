"""Blocks by room and user, and in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.blocks import Blocks

KEYS = [("@bob", "bob"), ("a", "ann"), ("a", "eve"), ("ab", "ann"), ("b", "eve")]


def of(*keys: tuple[str, str]) -> Blocks:
    return Blocks(dict.fromkeys(keys, 5))


def test_one_is_put_changed_and_dropped():
    """It stands once in the order, however often it is put."""
    blocks = Blocks()
    for until_ms in (7, 0):
        blocks.put(("a", "ann"), until_ms)
    assert (len(blocks), ("a", "ann") in blocks, ("a", "eve") in blocks) == (1, True, False)
    assert list(blocks.walk("", "", ("", ""))) == [(("a", "ann"), 0)]
    assert (blocks.drop(("a", "ann")), blocks.drop(("a", "ann"))) == (True, False)
    assert list(blocks.walk("", "", ("", ""))) == []


@pytest.mark.parametrize(
    ("room", "prefix", "after", "found"),
    [
        ("", "", ("", ""), KEYS),
        ("", "", ("a", "ann"), KEYS[2:]),
        ("", "", ("a", "bob"), KEYS[2:]),  # which is there no more
        ("", "@", ("", ""), KEYS[:1]),
        ("", "a", ("", ""), KEYS[1:4]),
        ("", "a", ("a", "eve"), KEYS[3:4]),
        ("a", "", ("", ""), KEYS[1:3]),
        ("a", "", ("a", "ann"), KEYS[2:3]),
        ("a", "", ("b", "eve"), []),
        ("x", "", ("", ""), []),
    ],
)
def test_those_of_a_room_or_of_rooms_are_walked_behind_a_key(room, prefix, after, found):
    """In the order of rooms, and of users in each."""
    blocks = of(*reversed(KEYS))
    assert [key for key, _ in blocks.walk(room, prefix, after)] == found


_keys = st.tuples(st.sampled_from(["@ann", "a", "ab", "b"]), st.sampled_from(["ann", "bob", "eve"]))


@given(st.lists(st.tuples(_keys, st.booleans())), st.lists(_keys))
def test_the_order_is_that_of_what_there_is(changes, begun):
    """Whatever was put and dropped."""
    blocks, kept = of(*begun), set(begun)
    for key, is_put in changes:
        if is_put:
            blocks.put(key, 0)
            kept.add(key)
        else:
            assert blocks.drop(key) == (key in kept)
            kept.discard(key)
    assert [key for key, _ in blocks.walk("", "", ("", ""))] == sorted(kept) == sorted(blocks.until)
