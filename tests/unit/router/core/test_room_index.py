"""The index of rooms: all that begin alike, in order, whatever the size of its runs."""

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from router.core import room_index
from router.core.room_index import RoomIndex

names = st.lists(st.text("@ab:", min_size=1, max_size=4), unique=True, max_size=40)


def whole(prefix, given_names):
    index = RoomIndex(prefix, given_names)
    steps = 0
    while not index.whole:
        index.step()
        steps += 1
    return index, steps


@given(names, st.text("@ab:", max_size=2), st.text("@ab:", max_size=4), st.integers(1, 7))
def test_it_gives_what_a_sorted_list_gives(rooms, prefix, after, run):
    """Behind any name; users' rooms only where the prefix asks for them."""
    before, room_index.RUN = room_index.RUN, run
    try:
        index, steps = whole(prefix, rooms)
    finally:
        room_index.RUN = before
    users = prefix.startswith("@")
    expected = sorted(name for name in rooms if name.startswith(prefix) and name.startswith("@") == users)
    assert list(index.after(after)) == [name for name in expected if name > after]
    assert steps == -(-len(rooms) // run)


def test_a_page_looks_at_little():
    """The rest of the names is not walked."""
    index, _ = whole("", [f"room{number}" for number in range(50_000)])
    assert list(islice(index.after("room2"), 3)) == ["room20", "room200", "room2000"]
