"""Placement: even shares, few moves, the same everywhere."""

from collections import Counter

import pytest

from router.core.placement import NOBODY, Assignment, Placement, assignments, speakers, weight

ROUTERS = [f"router-{number}" for number in range(7)]


@pytest.mark.parametrize("count", range(1, 8))
@pytest.mark.parametrize("shards", [1, 4, 16, 100])
def test_no_router_has_more_than_its_even_share(count, shards):
    """Every shard has a speaker, and the largest share is the even one, rounded up."""
    chosen = speakers(shards, ROUTERS[:count])
    assert len(chosen) == shards
    assert set(chosen) <= set(ROUTERS[:count])
    assert max(Counter(chosen).values()) <= -(-shards // count)


def test_everyone_who_knows_the_same_routers_finds_the_same_assignments():
    """The order in which routers became known does not matter, and the weights are fixed for ever."""
    assert assignments(16, ROUTERS) == assignments(16, set(ROUTERS))
    assert weight(3, "router-1") == 10_940_322_089_652_472_898


def test_the_standby_is_the_speaker_where_the_speaker_is_gone():
    """So what a standby takes over need not be moved again."""
    placed = assignments(16, ROUTERS)
    for gone in ROUTERS:
        left = speakers(16, [router for router in ROUTERS if router != gone])
        for shard, place in enumerate(placed):
            if place.speaker == gone:
                assert left[shard] == place.standby != gone


@pytest.mark.parametrize("count", range(2, 8))
def test_few_shards_move_when_a_router_comes(count):
    """Hardly more than the new one's share."""
    before, after = speakers(64, ROUTERS[: count - 1]), speakers(64, ROUTERS[:count])
    moved = sum(one != other for one, other in zip(before, after, strict=True))
    assert moved <= 2 * -(-64 // count)


def test_without_routers_nobody_has_a_shard_and_alone_one_has_all():
    """And one that is alone has no standby."""
    assert speakers(2, []) == ["", ""]
    assert assignments(1, []) == assignments(1, set())
    assert {(place.speaker, place.standby) for place in assignments(16, ["a"])} == {("a", "")}


def test_nothing_is_placed_before_it_is_known_who_lives():
    """A new router takes nothing from those that it has not heard yet."""
    placement = Placement("a", 4)
    assert not placement.update(frozenset())
    assert (placement.routers, placement.of(0), placement.ours) == (frozenset(), NOBODY, 0)
    assert placement.stood_by_for() == set()


def test_the_placement_changes_with_the_routers_and_only_then():
    """It is the same for all who know the same ones; we are always one of them, heard or not."""
    placement = Placement("a", 16)
    placement.listened()
    assert placement.update(frozenset())
    assert [placement.of(shard) for shard in range(16)] == [Assignment("a")] * 16
    assert not placement.update(frozenset({"a"}))
    assert placement.update(frozenset({"b"}))
    assert placement.routers == {"a", "b"}
    assert [placement.of(shard) for shard in range(16)] == assignments(16, ["a", "b"])
    assert placement.ours == 8
    assert placement.stood_by_for() == {"b"}


def test_who_leaves_is_given_nothing_any_more():
    """Also where its own heartbeat is heard late; alone it leaves its shards to nobody."""
    placement = Placement("a", 4)
    placement.listened()
    placement.update(frozenset({"a", "b"}))
    placement.leave()
    assert placement.update(frozenset({"a", "b"}))
    assert {placement.of(shard) for shard in range(4)} == {Assignment("b")}
    assert placement.update(frozenset({"a"}))
    assert (placement.routers, placement.of(3)) == (frozenset(), NOBODY)
