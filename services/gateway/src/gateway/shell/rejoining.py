"""Rejoining: has all members of a shard join again, each from where it stands, where our life on it is over
or a part of the chain is lost.

Some at a time, and no more than the uplink has place for: a pod may hold a hundred thousand memberships.
Clients notice nothing, as the sessions ask by themselves. Everyone's room (``*``) has no members to join it:
of its shard the gateway asks itself, before them, where it stands. It keeps one task for each shard that is
joining again; a second reason begins it anew.
"""

from __future__ import annotations

import asyncio

from gateway.core.inputs import Rejoin
from gateway.shell.connections import Connections
from gateway.shell.room_presence import RoomPresence
from gateway.shell.uplink import Uplink
from warren.address import EVERYONE, connection_id, shard_of
from warren.envelope import INTERNAL_ID, Join
from warren.supervision import cancel_and_wait, supervised

SLICE = 64


class Rejoining:
    """The shards whose members join again."""

    def __init__(
        self, gateway: str, connections: Connections, uplink: Uplink, presence: RoomPresence
    ) -> None:
        """Joins go by ``uplink``, the gateway's own too; behind them who watches whose ``presence``."""
        self._connections = connections
        self._uplink = uplink
        self._presence = presence
        self._everyone = shard_of(EVERYONE, uplink.shards)
        # Asked in the name of a connection that there never is: their numbers begin with 1.
        self._where = Join(EVERYONE, connection_id(gateway, 0), "", f"{INTERNAL_ID}{EVERYONE}")
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def ask(self) -> None:
        """Ask where everyone's room stands; once at the start, lest what is said before this gateway has been
        told of any of it be lost later.
        """
        self._uplink.join(self._where, self._everyone)

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
        await cancel_and_wait(*tasks)

    async def _run(self, shard: int) -> None:
        members, rejoin = self._connections.all(), Rejoin(shard)
        if shard == self._everyone:
            await self._uplink.place_for_joins(shard)
            self.ask()
        for begin in range(0, len(members), SLICE):
            await self._uplink.place_for_joins(shard)
            for member in members[begin : begin + SLICE]:
                member.put(rejoin)
            await asyncio.sleep(0)
        watches = self._presence.watches(shard)
        for begin in range(0, len(watches), SLICE):
            await self._uplink.place_for_joins(shard)
            self._presence.watch_again(watches[begin : begin + SLICE], shard)
            await asyncio.sleep(0)
        self._presence.report_again(shard)
        self._presence.doubt(shard)
        if self._tasks.get(shard) is asyncio.current_task():
            del self._tasks[shard]
