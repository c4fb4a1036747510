"""What the address of a stream joins."""

from __future__ import annotations

import json

from gateway.core.sse.position_vector import VECTOR_BYTES, Shown, size_of
from gateway.core.sse.stream_entry import REF_MAX, StreamEntry, within
from warren.position import Position

SHOWN = Shown({"a": Position("e", 3), "c": Position("e", 4)}, frozenset({"default", "b"}))


def test_who_comes_for_the_first_time_joins_what_the_address_names():
    """What everybody joins is joined for it, and is not asked for twice."""
    entry = StreamEntry(("a", "default", "b"))
    assert not entry.resumes
    assert entry.unasked(("default", "@ann")) == ("default", "@ann")
    joins = entry.joins(("default", "@ann"))
    assert [(join.type, join.room, join.id, join.payload) for join in joins] == [
        ("JOIN", "a", "a", b"null"),
        ("JOIN", "b", "b", b"null"),
    ]


def test_who_comes_back_joins_all_with_its_positions():
    """Also what it had joined by a post; not what it had left."""
    entry = StreamEntry(("a", "b", "x"), SHOWN)
    assert entry.resumes
    assert entry.unasked(("default", "@ann")) == ("@ann",)
    joins = entry.joins(entry.unasked(("default", "@ann")))
    assert [join.room for join in joins] == ["@ann", "a", "x", "c"]
    assert [json.loads(join.payload) for join in joins] == [
        None,
        {"since": {"epoch": "e", "seq": 3}},
        None,
        {"since": {"epoch": "e", "seq": 4}},
    ]


def test_who_has_left_everything_comes_back_too():
    """It is in no room, and joins none."""
    entry = StreamEntry((), Shown(left=frozenset({"default", "@ann"})))
    assert entry.resumes
    assert entry.joins(entry.unasked(("default", "@ann"))) == []


def test_a_long_name_is_cut_where_it_is_an_id():
    """An id has at most 64 characters."""
    (join,) = StreamEntry(("r" * 128,)).joins(())
    assert (join.room, join.id) == ("r" * 128, "r" * REF_MAX)


def test_no_more_rooms_than_ids_hold():
    """The first ones; the rest is left out."""
    rooms = [f"{number:0120}" for number in range(100)]
    taken = within(rooms)
    assert taken == rooms[: len(taken)]
    assert size_of(taken) <= VECTOR_BYTES < size_of(rooms[: len(taken) + 1])
    assert within(rooms[5:], rooms[:5]) == rooms[5 : len(taken)]
    assert StreamEntry.has_place(taken[:-1], rooms[0])
    assert not StreamEntry.has_place(taken, rooms[-1])
