"""Rejoining: has all members of a shard join again, each from where it stands, where our life on it is over
or a part of the chain is lost.

Some at a time, and no more than the uplink has place for: a pod may hold a hundred thousand memberships.
Clients notice nothing, as the sessions ask by themselves. Everyone's room (``*``) has no members to join it:
of its shard the gateway asks itself, before them, where it stands. It keeps one task for each shard that is
joining again; a second reason begins it anew. The downlink begins it, ``app.py`` ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from warren.address import EVERYONE, connection_id, shard_of
from warren.envelope import INTERNAL_ID, Join
from warren.supervision import supervised

SLICE = 64


class Member(Protocol):
    """A connection."""

    def rejoin(self, shard: int) -> None:
        """Join again what it is in, or has asked for, on a shard."""
        ...


class Rejoining:
    """The shards whose members join again."""

    def __init__(
        self,
        gateway: str,
        shards: int,
        members: Callable[[], Sequence[Member]],
        place: Callable[[int], Awaitable[None]],
        ask: Callable[[Join], object],
    ) -> None:
        """``members`` are all connections; ``place(shard)`` returns once the uplink takes some more joins,
        ``ask`` gives it one of our own.
        """
        self._members = members
        self._place = place
        self._ask = ask
        self._everyone = shard_of(EVERYONE, shards)
        # Asked in the name of a connection that there never is: their numbers begin with 1.
        self._where = Join(EVERYONE, connection_id(gateway, 0), "", f"{INTERNAL_ID}{EVERYONE}")
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def ask(self) -> None:
        """Ask where everyone's room stands; once at the start, lest what is said before this gateway has been
        told of any of it be lost later.
        """
        self._ask(self._where)

    def begin(self, shard: int) -> None:
        """Have all members of a shard join again."""
        before = self._tasks.pop(shard, None)
        if before is not None:
            before.cancel()
        task = supervised(asyncio.get_running_loop().create_task(self._run(shard), name=f"rejoining-{shard}"))
        self._tasks[shard] = task

    async def stop(self) -> None:
        """End what is not done."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, shard: int) -> None:
        members = self._members()
        if shard == self._everyone:
            await self._place(shard)
            self.ask()
        for begin in range(0, len(members), SLICE):
            await self._place(shard)
            for member in members[begin : begin + SLICE]:
                member.rejoin(shard)
            await asyncio.sleep(0)
        if self._tasks.get(shard) is asyncio.current_task():
            del self._tasks[shard]
