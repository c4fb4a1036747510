"""Owner: announces this router to the others, and says for each shard who owns it and who stands by.

It speaks only once it has listened for long enough to know who lives, so that a shard is not called for by a router that can't take it yet.
The placement is made anew whenever a router comes or goes. It takes nothing over itself: the workers look at the placement.
``app.py`` builds it, the inbox tells it that something has changed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from router.core.placement import Place, places
from router.core.routers import Routers
from warren.bus import Bus, Properties
from warren.clock import Clock
from warren.envelope import CONTENT_TYPE, Envelope, RouterBye, RouterHeartbeat, encode
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.fault import watched
from warren.knock import Knock
from warren.logs import event, get_logger
from warren.topology import ALL, Topology

_PROPERTIES = Properties(content_type=CONTENT_TYPE)
_NOBODY = Place("")
_logger = get_logger("router.owner")


class Owner:
    """A router's voice among the routers, and the placement."""

    def __init__(
        self,
        bus: Bus,
        topology: Topology,
        router: str,
        clock: Clock,
        routers: Routers,
        *,
        every_s: float,
        listening_s: Callable[[], float],
        listen_s: float,
        queue: Callable[[], str],
        on_shut: Callable[[], None],
    ) -> None:
        """``listening_s`` says for how long heartbeats have been heard; ``listen_s`` is how long is enough to begin with; ``queue``
        names our own; ``on_shut`` is called where nothing can reach it.
        """
        self._bus = bus
        self._topology = topology
        self._router = router
        self._clock = clock
        self._routers = routers
        self._every_s = every_s
        self._listening_s = listening_s
        self._listen_s = listen_s
        self._queue = queue
        self._on_shut = on_shut
        self._knock = Knock(bus, topology.routers, router)
        self._started_us = clock.wall_us()
        self._speaks = False
        self._places_shards = False
        self._leaving = False
        self._placed: frozenset[str] | None = None
        self._places: list[Place] = []
        self._changed: Callable[[], None] = lambda: None
        self._beat_now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        bus.watch(self._told)

    def connect(self, changed: Callable[[], None]) -> None:
        """``changed`` is called when the placement has changed."""
        self._changed = changed

    def place(self, shard: int) -> Place:
        """Return who owns a shard and who stands by; nobody as long as this router does not know, or where it was the only one and goes."""
        return self._places[shard] if self._places else _NOBODY

    @property
    def routers(self) -> frozenset[str]:
        """The routers that share the shards."""
        return self._placed or frozenset()

    def start(self) -> None:
        """Begin to speak as soon as enough was heard."""
        self._task = watched(asyncio.get_running_loop().create_task(self._beat(), name="router-heartbeat"))

    async def leave(self) -> None:
        """Say goodbye: everyone places the shards anew, without this router, which has handed them over when they are claimed or it has stopped."""
        await self.stop()
        self._leaving = True
        if self._speaks and self._bus.up:
            await self._say(RouterBye(self._router))
        self.look()

    async def stop(self) -> None:
        """Speak no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def look(self) -> None:
        """Make the placement anew where the living routers have changed."""
        if not self._places_shards:
            return
        own = {self._router}
        living = self._routers.living - own if self._leaving else self._routers.living | own
        if living == self._placed:
            return
        self._placed = living
        self._places = places(self._topology.shards, living)
        owned = sum(place.owner == self._router for place in self._places)
        event(_logger, "shards_placed", routers=len(living), shards=self._topology.shards, owned=owned)
        self._changed()

    def _told(self, up: bool) -> None:
        if up:
            self._beat_now.set()

    async def _beat(self) -> None:
        while (remaining_s := self._listen_s - self._listening_s()) > 0:  # noqa: ASYNC110 - it is time that must pass
            await asyncio.sleep(min(remaining_s, self._every_s))
        self._speaks = True
        while True:
            self._beat_now.clear()
            await self._say(RouterHeartbeat(self._router, self._started_us, self._queue()))
            if await self._knock.shut():
                self._on_shut()
            try:
                async with asyncio.timeout(self._every_s):
                    await self._beat_now.wait()
            except TimeoutError:
                pass
            # After the first beat only, so that routers that start together know each other before any calls for a shard.
            self._places_shards = True
            self.look()

    async def _say(self, word: Envelope) -> None:
        """Tell all routers; what is not confirmed comes again with the next one."""
        with contextlib.suppress(BusUnavailable, NotConfirmed, Unroutable):
            await self._bus.publish(self._topology.routers, ALL, encode([word]), _PROPERTIES, persistent=False)
