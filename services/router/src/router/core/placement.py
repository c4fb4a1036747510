"""Placement: which router is to speak for which shard, and who stands by for it. The same for everyone who
knows the same routers.

Rendezvous hashing with a cap: each pair of shard and router has a weight that depends on nothing else, and
the heaviest pairs are taken first as long as the router has less than its even share. So the shares are even,
and few shards move when a router comes or goes. The standby of a shard is who would get it without its
speaker: it goes on at once, and need not give the shard away again.

Nothing is placed before this router knows who lives, so that it never takes all for itself. Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

CACHED_WEIGHTS = 65_536


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who works on a shard: who is to speak (empty: nobody is known), and who stands by (empty: there is one
    router only).
    """

    speaker: str
    standby: str = ""


NOBODY = Assignment("")


@lru_cache(CACHED_WEIGHTS)
def weight(shard: int, router: str) -> int:
    """Return how much this shard draws to this router: the same in every process and version."""
    return int.from_bytes(blake2b(f"{shard}:{router}".encode(), digest_size=8).digest(), "big")


def speakers(shards: int, routers: Collection[str]) -> list[str]:
    """Return who is to speak for each shard; empty strings where there is no router. None has more than its
    even share, rounded up.
    """
    chosen = [""] * shards
    if not routers:
        return chosen
    share = -(-shards // len(routers))
    left = dict.fromkeys(routers, share)
    pairs = sorted(
        ((weight(shard, router), shard, router) for shard in range(shards) for router in left), reverse=True
    )
    for _, shard, router in pairs:
        if not chosen[shard] and left[router]:
            chosen[shard] = router
            left[router] -= 1
    return chosen


def assignments(shards: int, routers: Collection[str]) -> list[Assignment]:
    """Return each shard's assignment."""
    living = set(routers)
    without = {router: speakers(shards, living - {router}) for router in living}
    return [
        Assignment(speaker, without[speaker][shard] if speaker else "")
        for shard, speaker in enumerate(speakers(shards, living))
    ]


class Placement:
    """The placement as one router sees it, and that router's part in it."""

    def __init__(self, router: str, shards: int) -> None:
        """Begin without any; ``router`` is ours."""
        self.router = router
        # the other routers know of us, so that they make the same placement
        self.announced = False
        self._shards = shards
        self._knows_who_lives = False
        self._leaving = False
        self._routers: frozenset[str] | None = None
        self._assignments: list[Assignment] = []

    @property
    def routers(self) -> frozenset[str]:
        """The routers that share the shards."""
        return self._routers or frozenset()

    @property
    def ours(self) -> int:
        """For how many shards we are to speak."""
        return sum(assignment.speaker == self.router for assignment in self._assignments)

    def of(self, shard: int) -> Assignment:
        """Return a shard's assignment; nobody's as long as this router does not know who lives, or where it
        was the only one and goes.
        """
        return self._assignments[shard] if self._assignments else NOBODY

    def stood_by_for(self) -> set[str]:
        """Return the speakers for which we stand by."""
        return {assignment.speaker for assignment in self._assignments if assignment.standby == self.router}

    def listened(self) -> None:
        """Enough was heard to know who lives."""
        self._knows_who_lives = True

    def leave(self) -> None:
        """We take part no more."""
        self._leaving = True

    def update(self, living: frozenset[str]) -> bool:
        """Make the placement anew where the ``living`` routers are others than before; return whether it
        was.
        """
        if not self._knows_who_lives:
            return False
        routers = living - {self.router} if self._leaving else living | {self.router}
        if routers == self._routers:
            return False
        self._routers = routers
        self._assignments = assignments(self._shards, routers)
        return True
