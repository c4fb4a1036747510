"""Announcer: makes this router known to the others, says in its heartbeats how far it has got with the shards
that it speaks for, and says goodbye.

It announces the router only once that has listened for long enough to know who lives, and has read the logs
of all shards that it will be given: so a shard is not given to a router that can't take it yet.
"""

from __future__ import annotations

import asyncio

from router.core.fold import FOLD_VERSION
from router.core.peers import Peers
from router.core.placement import Placement
from router.shell.router_context import RouterContext
from router.shell.shards import Shards
from warren.envelope import Envelope, RouterHeartbeat, RouterLeaving
from warren.heartbeat import HeartbeatLoop
from warren.own_queue import OwnQueue
from warren.process_memory import rss_bytes
from warren.supervision import cancel_and_wait, supervised

# How often it is seen whether enough was heard or read.
LOOK_S = 0.05
# A log that can't be read must not keep the router away from the others.
READING_S = 10.0


class Announcer:
    """One router's."""

    def __init__(
        self,
        context: RouterContext,
        heartbeat: HeartbeatLoop,
        own_queue: OwnQueue,
        peers: Peers,
        placement: Placement,
        shards: Shards,
        listen_s: float,
    ) -> None:
        """``listen_s``: for how long heartbeats must have been heard to know who lives. The router's life
        counts from here.
        """
        self._router = context.id
        self._bus = context.bus
        self._clock = context.clock
        self._metrics = context.metrics
        self._heartbeat = heartbeat
        self._own_queue = own_queue
        self._peers = peers
        self._placement = placement
        self._shards = shards
        self._listen_s = listen_s
        self._started_us = context.clock.wall_us()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to announce as soon as enough was heard and read."""
        task = asyncio.get_running_loop().create_task(self._announce(), name="router-announcer")
        self._task = supervised(task)

    async def leave(self) -> None:
        """Say goodbye: everyone places the shards anew, without this router, which speaks on until the next
        ones do.
        """
        await self._end_task()
        self._placement.leave()
        await self._heartbeat.leave()
        self._shards.follow_placement()

    async def stop(self) -> None:
        """Announce no more."""
        await self._end_task()
        await self._heartbeat.stop()

    def heartbeat(self) -> RouterHeartbeat:
        """Return the heartbeat of this moment."""
        return RouterHeartbeat(
            self._router,
            self._started_us,
            self._own_queue.name,
            FOLD_VERSION,
            self._shards.progress(),
            rss_bytes=rss_bytes(),
            lag_ms=self._metrics.lag.take(),
            waiting=self._shards.waiting,
            blocked=self._bus.blocked,
            readings=self._shards.readings(),
            gateways=self._shards.gateways_waiting(),
        )

    def goodbye(self) -> list[Envelope]:
        """Return how far we have got, so that the next speakers go on from there, and that we go."""
        return [self.heartbeat(), RouterLeaving(self._router)]

    async def _announce(self) -> None:
        while not self._heard_enough():  # noqa: ASYNC110 - it is time that must pass
            await asyncio.sleep(LOOK_S)
        self._placement.listened()
        self._shards.follow_placement()
        until = self._clock.monotonic() + READING_S
        while not self._shards.read and self._clock.monotonic() < until:  # noqa: ASYNC110 - the shards are many, and each is asked
            await asyncio.sleep(LOOK_S)
        await self._heartbeat.start(self)
        # After the first heartbeat only, so that routers that start together know each other before any
        # speaks.
        self._placement.announced = True
        self._shards.follow_placement()

    def _heard_enough(self) -> bool:
        return self._peers.listening_s(self._clock.monotonic()) >= self._listen_s

    async def _end_task(self) -> None:
        task, self._task = self._task, None
        await cancel_and_wait(task)
