"""Placement: even shares, few moves, the same everywhere."""

from collections import Counter

import pytest

from router.core.placement import owners, places, weight

ROUTERS = [f"router-{number}" for number in range(7)]


@pytest.mark.parametrize("count", range(1, 8))
@pytest.mark.parametrize("shards", [1, 4, 16, 100])
def test_no_router_has_more_than_its_even_share(count, shards):
    """Every shard has an owner, and the largest share is the even one, rounded up."""
    chosen = owners(shards, ROUTERS[:count])
    assert len(chosen) == shards
    assert set(chosen) <= set(ROUTERS[:count])
    assert max(Counter(chosen).values()) <= -(-shards // count)


def test_everyone_who_knows_the_same_routers_finds_the_same_places():
    """The order in which routers became known does not matter, and the weights are fixed for ever."""
    assert places(16, ROUTERS) == places(16, set(ROUTERS))
    assert weight(3, "router-1") == 10_940_322_089_652_472_898


def test_the_standby_is_the_owner_where_the_owner_is_gone():
    """So what a standby takes over need not be moved again."""
    placed = places(16, ROUTERS)
    for gone in ROUTERS:
        left = owners(16, [router for router in ROUTERS if router != gone])
        for shard, place in enumerate(placed):
            if place.owner == gone:
                assert left[shard] == place.standby != gone


@pytest.mark.parametrize("count", range(2, 8))
def test_few_shards_move_when_a_router_comes(count):
    """Hardly more than the new one's share."""
    before, after = owners(64, ROUTERS[: count - 1]), owners(64, ROUTERS[:count])
    moved = sum(one != other for one, other in zip(before, after, strict=True))
    assert moved <= 2 * -(-64 // count)


def test_without_routers_nobody_has_a_shard_and_alone_one_has_all():
    """And one that is alone has no standby."""
    assert owners(2, []) == ["", ""]
    assert places(1, []) == places(1, set())
    assert {(place.owner, place.standby) for place in places(16, ["a"])} == {("a", "")}
