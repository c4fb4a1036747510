"""Heartbeat: announces this router to the others with what it knows and speaks for, and says for each shard
who speaks and who reads along.

It announces itself only once it has listened for long enough to know who lives, and has read the logs of all
shards that it will be given: so a shard is not given to a router that can't take it yet. The placement is
made anew whenever a router comes or goes. A speaker's inbox is tried several times a second by who stands by
for it: where nobody is behind it any more, the speaker is gone, and no lease has to end first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from router.core.fold import FOLD_VERSION
from router.core.placement import Place, places
from router.core.router_leases import RouterLeases
from warren.bus import Bus, Properties
from warren.clock import Clock
from warren.envelope import CONTENT_TYPE, Envelope, RouterHeartbeat, RouterLeaving, Spoken, encode
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.logs import event, get_logger
from warren.overlap import Overlap
from warren.queue_probe import QueueProbe
from warren.supervision import supervised
from warren.topology import ALL, Topology

# How often a speaker's inbox is tried by who stands by for it.
PROBE_S = 0.05
# A log that can't be read must not keep the router away from the others.
READING_S = 10.0
_PROPERTIES = Properties(content_type=CONTENT_TYPE)
_NOBODY = Place("")
_logger = get_logger("router.heartbeat")


class Heartbeat:
    """A router's voice among the routers, and the placement."""

    def __init__(
        self,
        bus: Bus,
        topology: Topology,
        router: str,
        clock: Clock,
        routers: RouterLeases,
        *,
        every_s: float,
        listening_s: Callable[[], float],
        listen_s: float,
        queue: Callable[[], str],
        on_shut: Callable[[], None],
        dead: Callable[[str], None],
    ) -> None:
        """``listening_s`` says for how long heartbeats have been heard; ``listen_s`` is how long is enough to
        begin with; ``queue`` names our own; ``on_shut`` is called where nothing can reach it; ``dead`` is
        told of a router that nothing reaches.
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
        self._dead = dead
        self._queue_probe = QueueProbe(bus, topology.routers, router)
        self._overlap = Overlap("router-heartbeat", every_s / 4)
        self._probes: dict[str, QueueProbe] = {}
        self._probing: dict[str, asyncio.Task[None]] = {}
        self._started_us = clock.wall_us()
        self._listened = False
        self._announced = False
        self._leaving = False
        self._placed: frozenset[str] | None = None
        self._places: list[Place] = []
        self._changed: Callable[[], None] = lambda: None
        self._shards: Callable[[], tuple[Spoken, ...]] = lambda: ()
        self._read: Callable[[], bool] = lambda: True
        self._beat_now = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        bus.watch(self._told)

    def connect(
        self, changed: Callable[[], None], shards: Callable[[], tuple[Spoken, ...]], read: Callable[[], bool]
    ) -> None:
        """``changed`` is called when the placement has changed; ``shards`` are those that we speak for;
        ``read`` says whether we have read all logs that we were given.
        """
        self._changed, self._shards, self._read = changed, shards, read

    @property
    def known(self) -> bool:
        """Whether the others know of us, so that the placement is theirs too."""
        return self._announced

    @property
    def routers(self) -> frozenset[str]:
        """The routers that share the shards."""
        return self._placed or frozenset()

    def place(self, shard: int) -> Place:
        """Return who speaks for a shard and who reads along; nobody as long as this router does not know, or
        where it was the only one and goes.
        """
        return self._places[shard] if self._places else _NOBODY

    def start(self) -> None:
        """Begin to announce as soon as enough was heard and read."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            supervised(loop.create_task(self._beat(), name="router-heartbeat")),
            supervised(loop.create_task(self._probe(), name="router-probe")),
        ]

    async def leave(self) -> None:
        """Say goodbye: everyone places the shards anew, without this router, which speaks on until the next
        ones do.
        """
        await self.stop()
        self._leaving = True
        if self._announced and self._bus.up:
            await self._say([self._word(), RouterLeaving(self._router)])
        self.look()

    async def stop(self) -> None:
        """Announce no more."""
        tasks, self._tasks = [*self._tasks, *self._probing.values()], []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._overlap.close()

    def soon(self) -> None:
        """Tell the others now what has changed."""
        self._beat_now.set()

    def look(self) -> None:
        """Make the placement anew where the living routers have changed."""
        if not self._listened:
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
        self._listened = True
        self.look()
        until = self._clock.monotonic() + READING_S
        while not self._read() and self._clock.monotonic() < until:  # noqa: ASYNC110 - the shards are many, and each is asked
            await asyncio.sleep(PROBE_S)
        while True:
            self._beat_now.clear()
            next_at = asyncio.get_running_loop().time() + self._every_s
            await self._overlap.run(self._say_now)
            if not self._announced:
                # After the first beat only, so that routers that start together know each other before any
                # speaks.
                self._announced = True
                self.look()
                self._changed()
            await self._overlap.run(self._try_own)
            try:
                async with asyncio.timeout_at(next_at):
                    await self._beat_now.wait()
            except TimeoutError:
                pass

    async def _probe(self) -> None:
        """Try the inboxes of those for whom we stand by."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PROBE_S)
            if not self._announced or not self._bus.up or self._bus.blocked:
                continue
            speakers = {place.owner for place in self._places if place.standby == self._router}
            self._probes = {
                name: self._probes.get(name) or QueueProbe(self._bus, self._topology.routers, name)
                for name in speakers
            }
            for name, queue_probe in self._probes.items():
                if name not in self._probing:  # one that is not answered holds up none of the others
                    self._probing[name] = supervised(
                        loop.create_task(self._try(name, queue_probe), name="router-probe")
                    )

    async def _try(self, name: str, queue_probe: QueueProbe) -> None:
        try:
            if await queue_probe.unreachable():
                self._dead(name)
        finally:
            del self._probing[name]

    async def _try_own(self) -> None:
        if await self._queue_probe.unreachable():
            self._on_shut()

    async def _say_now(self) -> None:
        await self._say([self._word()])

    def _word(self) -> RouterHeartbeat:
        return RouterHeartbeat(self._router, self._started_us, self._queue(), FOLD_VERSION, self._shards())

    async def _say(self, words: Sequence[Envelope]) -> None:
        """Tell all routers; what is not confirmed comes again with the next one."""
        with contextlib.suppress(BusUnavailable, NotConfirmed, Unroutable):
            await self._bus.publish(self._topology.routers, ALL, encode(words), _PROPERTIES, persistent=False)
