"""The composition root: builds the router's parts, connects them, and knows the order of their birth and death.

Nobody imports it but ``__main__`` and the embedded service (and tests). It decides nothing and touches no message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from router.core.gateways import Gateways
from router.core.limits import ShardLimits
from router.core.routers import Routers
from router.core.takeover import TakeoverLimits
from router.settings import RouterSettings, new_router_id
from router.shell.aside import Aside
from router.shell.doors import Doors
from router.shell.events import Events
from router.shell.ground import Beginning, Ground, Turns
from router.shell.inbox import Inbox
from router.shell.intake import Intake
from router.shell.outlet import Outlet
from router.shell.owner import Owner
from router.shell.possession import Possession
from router.shell.sandbox import Sandbox
from router.shell.statistics import Statistics
from router.shell.steady import Steady
from router.shell.worker import Worker, WorkLimits
from warren.batch import BatchLimits
from warren.bus import Bus
from warren.clock import Clock, SystemClock
from warren.fault import watched
from warren.logs import event, get_logger
from warren.metrics import RouterMetrics
from warren.probes import Probes, Readiness
from warren.telemetry import Tracing
from warren.topology import Topology

# How often leases, takeovers and gauges are looked at.
TICK_S = 0.1
# A gateway is busy from so many envelopes a second on; a message is one, and the ACK to its sender another.
EGRESS_BUSY_PER_S = 500.0
# Shards that were worked on at one beat are not done at the same moment: what they have for a gateway goes together if it comes within a part of it.
EGRESS_BEATS = 4
# How long a router that goes waits for the others to claim its shards.
CLAIMS_S = 3.0

_log = get_logger("router")


class Router:
    """A whole router: a lifecycle part. It starts and closes the bus that it is given."""

    def __init__(
        self,
        settings: RouterSettings,
        bus: Bus,
        *,
        clock: Clock | None = None,
        metrics: RouterMetrics | None = None,
        tracing: Tracing | None = None,
        topology: Topology | None = None,
        id: str | None = None,  # noqa: A002 - the same word as in the settings
    ) -> None:
        """``bus`` is not started yet and has this topology (None: the settings'). What is left out is made here; ``id``: as
        ``new_router_id`` gives it.
        """
        self.id = id if id is not None else new_router_id(settings.id)
        self.settings = settings
        self.topology = topology or settings.bus.topology
        self.metrics = metrics or RouterMetrics()
        self.readiness = Readiness()
        self._bus = bus
        self._clock = clock or SystemClock()
        tracing = tracing or Tracing("warren-router", topology=self.topology)
        flow, times = settings.flow, settings.takeover
        interval_s = flow.batch_interval_ms / 1_000
        steady = Steady(bus)
        self.gateways = Gateways(times.lease_ms / 1_000)
        self.routers = Routers(times.peer_lease_ms / 1_000)
        self._doors = Doors(bus, self.topology)
        self.inbox = Inbox(
            bus, self.topology, self.id, self._clock, self.gateways, self.routers, self._doors, self.metrics
        )
        self.owner = Owner(
            bus,
            self.topology,
            self.id,
            self._clock,
            self.routers,
            every_s=times.announce_ms / 1_000,
            listening_s=self.inbox.listening_s,
            listen_s=times.listen_ms / 1_000,
            queue=lambda: self.inbox.queue,
            on_shut=self.inbox.renew,
        )
        self.outlet = Outlet(
            bus,
            self.topology,
            steady,
            self._clock,
            self.metrics,
            tracing,
            BatchLimits(
                flow.batch_count,
                flow.batch_bytes,
                flow.egress_count,
                flow.egress_bytes,
                interval_s / EGRESS_BEATS,
                EGRESS_BUSY_PER_S,
            ),
            living=lambda: self.gateways.living,
            suspect=self.inbox.suspect,
            suspected=self.gateways.suspected,
        )
        takeover_limits = TakeoverLimits(
            listen_s=times.listen_ms / 1_000,
            ask_again_s=times.ask_again_ms / 1_000,
            yield_s=times.listen_ms / 1_000,
        )
        self._beginning = Beginning()
        ground = Ground(
            router=self.id,
            topology=self.topology,
            bus=bus,
            steady=steady,
            clock=self._clock,
            gateways=self.gateways,
            routers=self.routers,
            metrics=self.metrics,
            namespaces=settings.namespaces.namespaces,
            place=self.owner.place,
            listening_s=self.inbox.listening_s,
            shard_limits=_shard_limits(settings, self.topology),
            takeover_limits=takeover_limits,
            turns=Turns(takeover_limits.at_once),
            beginning=self._beginning,
            events=frozenset(settings.events),
            window=flow.prefetch,
            sandbox=Sandbox(),
        )
        aside = Aside(steady, self.topology.dead, self.metrics)
        events = Events(bus, self.topology, steady, self.metrics)
        limits = WorkLimits(flow.batch_count, flow.batch_bytes, interval_s=interval_s)
        self.workers = [
            Worker(number, ground, self.outlet, aside, events, tracing, limits)
            for number in range(self.topology.shards)
        ]
        self.inbox.connect(self.possessions, self.owner.look)
        self.owner.connect(self._placed)
        self.intake = Intake(
            bus,
            self.topology,
            steady,
            Aside(steady, self.topology.notify_dead, self.metrics),
            self._clock,
            self.metrics,
            tracing,
            BatchLimits(flow.batch_count, flow.batch_bytes, flow.notify_prefetch, flow.egress_bytes, interval_s),
            Sandbox(),  # of its own: what holds up notifications holds up no shard
            prefetch=flow.notify_prefetch,
            max_bytes=flow.notify_bytes,
        )
        statistics = Statistics(self.id, self._clock, self.gateways, lambda: self.possessions)
        probes = settings.probes
        self.probes = Probes(
            probes.internal_host, probes.internal_port, self.readiness, self.metrics.render, statistics.routes()
        )
        self._ticker: asyncio.Task[None] | None = None
        bus.watch_blocked(self._bus_blocked)
        self._gauges()

    @property
    def possessions(self) -> list[Possession]:
        """Every shard's possession, by number."""
        return [worker.possession for worker in self.workers]

    async def start(self) -> None:
        """Begin to answer probes, wait for the broker for as long as it takes, then serve what it gives.

        Raises TopologyMismatch, and OSError where the internal port can't be had.
        """
        self.readiness.register("bus", self._bus_lacking)
        self.readiness.register("inbox", lambda: None if self.inbox.listening_s() >= 0 else "not listening yet")
        self.readiness.register("shards", self._preparing)
        await self.probes.start()
        await self._bus.start()
        await self.inbox.start()
        self._ticker = watched(asyncio.get_running_loop().create_task(self._tick(), name="router-ticker"))
        for worker in self.workers:
            worker.start()
        self.owner.start()
        await self.intake.start()

    async def stop(self) -> None:
        """Take no more, finish and acknowledge what has begun, hand the shards over one after the other, and end."""
        self.readiness.drain()
        finish_s = self.settings.takeover.stop_deadline_ms / 2_000 if self._bus.up else 0.0
        try:
            async with asyncio.timeout(finish_s):
                await self._finish()
        except TimeoutError:
            pass  # what is not acknowledged goes to the next owner
        await self.intake.kill()
        await self.owner.stop()
        for worker in self.workers:
            await worker.kill()
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
        await self.inbox.stop()
        await self._doors.close()
        await self.outlet.close()
        await self._bus.close()
        await self.probes.stop()

    async def _finish(self) -> None:
        """End the intake, say goodbye, and serve each shard until another router claims it; what nobody claims is handed over one after
        the other, while the rest work on.
        """
        await self.intake.stop()
        await self.owner.leave()
        if self.owner.routers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLAIMS_S):
                    await asyncio.gather(*(worker.possession.released.wait() for worker in self.workers))
        for worker in self.workers:
            await worker.stop()

    def _bus_lacking(self) -> str | None:
        if not self._bus.up:
            return "the broker is away"
        return "the broker holds back what is published (a memory or disk alarm)" if self._bus.blocked else None

    def _bus_blocked(self, blocked: bool) -> None:
        event(_log, "bus_blocked" if blocked else "bus_unblocked", level=logging.WARNING if blocked else logging.INFO)
        self.metrics.bus_blocked.set(blocked)

    def _preparing(self) -> str | None:
        """Return why this router could not take shards over yet: an owner that is told to go once we are ready would hand over to nobody."""
        if not self.owner.routers:
            return "listening to the other routers"
        return None if self._beginning.over(self._clock.monotonic()) else "reading the logs of its shards"

    def _placed(self) -> None:
        for worker in self.workers:
            worker.tick()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.inbox.tick()
            for worker in self.workers:
                worker.tick()
            self.outlet.tidy()
            self._gauges()

    def _gauges(self) -> None:
        live = [shard for shard in (possession.live for possession in self.possessions) if shard is not None]
        self.metrics.bus_up.set(1 if self._bus.up else 0)
        self.metrics.shards_active.set(len(live))
        self.metrics.rooms.set(sum(len(shard.rooms) for shard in live))
        self.metrics.members.set(sum(shard.rooms.memberships for shard in live))
        self.metrics.gateways.set(len(self.gateways.living))
        self.metrics.waiting("shards", sum(worker.waiting for worker in self.workers))


def _shard_limits(settings: RouterSettings, topology: Topology) -> ShardLimits:
    memory = settings.memory
    return ShardLimits(
        dedup_count=memory.dedup_count,
        dedup_age_us=memory.dedup_age_ms * 1_000,
        rooms_remembered=memory.rooms_remembered,
        room_history_bytes=memory.room_history_bytes,
        history_bytes=memory.history_bytes,
        history_floor_us=memory.history_floor_ms * 1_000,
        checkpoint_count=memory.checkpoint_count,
        # The log drops its beginning: what it has at any time must hold a whole checkpoint.
        checkpoint_bytes=topology.limits.history_bytes // 4,
    )
