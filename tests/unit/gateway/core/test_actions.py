"""actions: what a session may ask for."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.actions import leaves
from warren.address import shard_of

ROOMS = st.lists(st.text("abcdef:", min_size=1, max_size=5), unique=True)


@given(ROOMS, st.integers(1, 16))
def test_leaves_name_each_room_once_and_each_shard_once(rooms, shards):
    """All rooms of one envelope are on one shard."""
    envelopes = [leave.envelope for leave in leaves(rooms, "g~1", "ann", shards)]
    assert sorted(room for one in envelopes for room in one.rooms) == sorted(rooms)
    groups = [{shard_of(room, shards) for room in one.rooms} for one in envelopes]
    assert all(len(group) == 1 for group in groups)
    assert len(set().union(*groups)) == len(groups)
    assert all((one.conn, one.ref, one.user) == ("g~1", "", "ann") for one in envelopes)
