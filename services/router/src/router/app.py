"""The composition root: builds the router's parts, connects them, and knows the order of their birth and death.

Nobody imports it but ``__main__`` and the embedded service (and tests). It decides nothing and touches no message.
"""

from __future__ import annotations

import asyncio

from router.core.gateways import Gateways
from router.core.shard import ShardLimits
from router.core.takeover import TakeoverLimits
from router.settings import RouterSettings, new_router_id
from router.shell.aside import Aside
from router.shell.inbox import Inbox
from router.shell.intake import Intake
from router.shell.outlet import Outlet
from router.shell.possession import Ground, Possession
from router.shell.statistics import Statistics
from router.shell.steady import Steady
from router.shell.worker import Worker, WorkLimits
from warren.batch import BatchLimits
from warren.bus import Bus, Source, Subscription
from warren.clock import Clock, SystemClock
from warren.metrics import RouterMetrics
from warren.probes import Probes, Readiness
from warren.telemetry import Tracing
from warren.topology import Topology

# How often leases, takeovers and gauges are looked at.
TICK_S = 0.1


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
        id: str | None = None,  # noqa: A002 - the same word as in the settings
    ) -> None:
        """``bus`` is not started yet and has the settings' topology. What is left out is made here; ``id``: as ``new_router_id`` gives it."""
        self.id = id if id is not None else new_router_id(settings.id)
        self.settings = settings
        self.topology = Topology(settings.bus.prefix, settings.bus.shards)
        self.metrics = metrics or RouterMetrics()
        self.readiness = Readiness()
        self._bus = bus
        self._clock = clock or SystemClock()
        tracing = tracing or Tracing("warren-router", topology=self.topology)
        flow = settings.flow
        steady = Steady(bus)
        self.gateways = Gateways(settings.takeover.lease_ms / 1_000)
        self.inbox = Inbox(bus, self.topology, self.id, self._clock, self.gateways, self.metrics)
        self.outlet = Outlet(
            bus,
            self.topology,
            steady,
            self._clock,
            self.metrics,
            tracing,
            BatchLimits(flow.batch_count, flow.batch_bytes, flow.egress_count, flow.egress_bytes),
            living=lambda: self.gateways.living,
            suspect=self.inbox.suspect,
        )
        ground = Ground(
            router=self.id,
            shards=self.topology.shards,
            clock=self._clock,
            gateways=self.gateways,
            metrics=self.metrics,
            listening_s=self.inbox.listening_s,
            shard_limits=_shard_limits(settings),
            takeover_limits=TakeoverLimits(
                settings.takeover.listen_ms / 1_000, settings.takeover.ask_timeout_ms / 1_000
            ),
        )
        aside = Aside(steady, self.topology.dead, self.metrics)
        limits = WorkLimits(flow.batch_count, flow.batch_bytes)
        self.workers = [
            Worker(number, ground, self.outlet, aside, tracing, limits) for number in range(self.topology.shards)
        ]
        self.inbox.connect(self.possessions)
        self.intake = Intake(
            bus,
            self.topology,
            steady,
            Aside(steady, self.topology.notify_dead, self.metrics),
            self._clock,
            self.metrics,
            tracing,
            BatchLimits(flow.batch_count, flow.batch_bytes, flow.notify_prefetch, flow.egress_bytes),
            prefetch=flow.notify_prefetch,
            max_bytes=flow.notify_bytes,
        )
        statistics = Statistics(self.id, self._clock, self.gateways, lambda: self.possessions)
        probes = settings.probes
        self.probes = Probes(
            probes.internal_host, probes.internal_port, self.readiness, self.metrics.render, statistics.routes()
        )
        self._subscriptions: list[Subscription] = []
        self._ticker: asyncio.Task[None] | None = None
        self._gauges()

    @property
    def possessions(self) -> list[Possession]:
        """Every shard's possession, by number."""
        return [worker.possession for worker in self.workers]

    async def start(self) -> None:
        """Begin to answer probes, wait for the broker for as long as it takes, then serve what it gives.

        Raises TopologyMismatch, and OSError where the internal port can't be had.
        """
        self.readiness.register("bus", lambda: None if self._bus.up else "the broker is away")
        self.readiness.register("inbox", lambda: None if self.inbox.listening_s() >= 0 else "not listening yet")
        await self.probes.start()
        await self._bus.start()
        await self.inbox.start()
        self._ticker = asyncio.get_running_loop().create_task(self._tick(), name="router-ticker")
        for worker in self.workers:
            worker.start()
            self._subscriptions.append(await self._subscribe(worker))
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
        for worker in self.workers:
            await worker.kill()
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            await subscription.close()
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
        await self.inbox.stop()
        await self.outlet.close()
        await self._bus.close()
        await self.probes.stop()

    async def _finish(self) -> None:
        """End the intake and every worker; each shard is handed over as soon as its worker is done, while the others work on."""
        await self.intake.stop()
        for worker in self.workers:
            await worker.stop()
            if self._subscriptions:
                await self._subscriptions.pop(0).close()

    async def _subscribe(self, worker: Worker) -> Subscription:
        queue = self.topology.shard_queue(worker.number)
        return await self._bus.subscribe(
            lambda: Source(queue),
            worker.delivered,
            prefetch=self.settings.flow.prefetch,
            on_lost=worker.lost,
        )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.inbox.tick()
            for worker in self.workers:
                worker.possession.tick()
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


def _shard_limits(settings: RouterSettings) -> ShardLimits:
    memory = settings.memory
    return ShardLimits(memory.dedup_count, memory.dedup_age_ms * 1_000, memory.rooms_remembered)
