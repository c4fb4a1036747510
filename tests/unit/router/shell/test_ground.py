"""Ground: how far back a shard's log matters, whose turn it is, and when a new router has read enough."""

from dataclasses import replace

import pytest
from tests.support.router_ground import ground

from router.shell.ground import FIRST_READING_S, Beginning, Turns
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


def test_a_beginning_is_over_once_all_that_was_begun_is_read():
    """The first shard that is read waits for the others; what is read later, after a change of the placement, keeps nobody waiting."""
    beginning = Beginning()
    for shard in (1, 2, 3):
        beginning.reads(shard, 10.0)
    beginning.has_read(1)
    assert not beginning.over(10.1)
    beginning.has_read(2)
    beginning.has_read(2)
    assert not beginning.over(10.2)
    beginning.has_read(3)
    assert beginning.over(10.3)
    beginning.reads(4, 10.4)
    assert beginning.over(10.4)


def test_a_log_that_can_not_be_read_keeps_the_others_away_for_so_long_only():
    """The time counts from the first one."""
    beginning = Beginning()
    beginning.reads(1, 10.0)
    beginning.reads(2, 10.0 + FIRST_READING_S / 2)
    beginning.has_read(1)
    assert not beginning.over(9.9 + FIRST_READING_S)
    assert beginning.over(10.0 + FIRST_READING_S)
    assert beginning.over(10.0)


def test_whoever_reads_nothing_has_begun():
    """A router that was given no shard waits for none."""
    assert Beginning().over(0.0)
