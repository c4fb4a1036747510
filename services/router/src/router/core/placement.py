"""Placement: which router owns which shard, and who stands by for it. The same for everyone who knows the
same routers.

Rendezvous hashing with a cap: each pair of shard and router has a weight that depends on nothing else, and
the heaviest pairs are taken first as long as the router has less than its even share. So the shares are even,
and few shards move when a router comes or goes. The standby of a shard is who would own it without its owner:
it takes the shard over at once, and need not give it away again. Pure; ``shell/heartbeat.py`` asks it
whenever the living routers change.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

CACHED_WEIGHTS = 65_536


@dataclass(frozen=True, slots=True)
class Place:
    """Who works on a shard; ``standby`` is empty where there is one router only."""

    owner: str
    standby: str = ""


@lru_cache(CACHED_WEIGHTS)
def weight(shard: int, router: str) -> int:
    """Return how much this shard draws to this router: the same in every process and version."""
    return int.from_bytes(blake2b(f"{shard}:{router}".encode(), digest_size=8).digest(), "big")


def owners(shards: int, routers: Collection[str]) -> list[str]:
    """Return each shard's owner; empty strings where there is no router. None has more than its even share,
    rounded up.
    """
    chosen = [""] * shards
    if not routers:
        return chosen
    share = -(-shards // len(routers))
    room = dict.fromkeys(routers, share)
    pairs = sorted(
        ((weight(shard, router), shard, router) for shard in range(shards) for router in room), reverse=True
    )
    for _, shard, router in pairs:
        if not chosen[shard] and room[router]:
            chosen[shard] = router
            room[router] -= 1
    return chosen


def places(shards: int, routers: Collection[str]) -> list[Place]:
    """Return each shard's place."""
    living = set(routers)
    without = {router: owners(shards, living - {router}) for router in living}
    return [
        Place(owner, without[owner][shard] if owner else "")
        for shard, owner in enumerate(owners(shards, living))
    ]
