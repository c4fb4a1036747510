"""Ground: how far back a shard's log matters, and whose turn it is."""

from dataclasses import replace

import pytest
from tests.support.router_ground import ground

from router.shell.ground import Turns
from warren.namespaces import Namespaces

MINUTE = 60 * 1_000_000


@pytest.mark.parametrize(
    ("namespaces", "minutes"),
    [
        ("[]", 10),
        ("[{name: n, pattern: 'n*', history: {count: 5, age_s: 3600}}]", 60),
        ("[{name: n, pattern: '*', history: off}]", 10),
    ],
)
def test_a_log_matters_as_far_back_as_ids_and_histories_are_kept(namespaces, minutes):
    """Whichever is longer, the floor among them."""
    stands = replace(ground(), namespaces=Namespaces.parse(namespaces))
    assert stands.horizon_us == minutes * MINUTE
    deeper = replace(stands.shard_limits, history_floor_us=90 * MINUTE)
    assert replace(stands, shard_limits=deeper).horizon_us == 90 * MINUTE


def test_turns_are_taken_a_few_at_a_time_and_given_back_in_order():
    """Who has one may ask again; who waits is told, the longest first, and takes its own."""
    turns, told = Turns(2), []
    assert turns.take(1, lambda: told.append(1))
    assert turns.take(2, lambda: told.append(2))
    assert turns.take(2, lambda: told.append(2))
    for shard in (3, 4, 5):
        assert not turns.take(shard, lambda shard=shard: told.append(shard))
    turns.give_back(9)
    assert told == []
    turns.give_back(4)  # it does not want one any more
    turns.give_back(1)
    assert told == [3]
    assert turns.take(3, lambda: None)
    turns.give_back(2)
    assert told == [3, 5]
