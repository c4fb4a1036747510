"""The composition root: builds the router's parts, connects them, and knows the order of their birth and
death.

Nobody imports it but ``__main__`` and the embedded service (and tests). It decides nothing and touches no
message.
"""

from __future__ import annotations

import asyncio
import logging

from router.core.gateway_leases import GatewayLeases, Totals
from router.core.log_maintenance import Bounds, MarkTimes
from router.core.router_leases import RouterLeases
from router.settings import RouterSettings, new_router_id
from router.shell.dead_letters import DeadLetters
from router.shell.egress import Egress
from router.shell.heartbeat import Heartbeat
from router.shell.installation_statistics import InstallationStatistics
from router.shell.notifications import Notifications
from router.shell.peer_inbox import PeerInbox
from router.shell.retrying_publisher import RetryingPublisher
from router.shell.sandbox_process import SandboxProcess
from router.shell.shard import Shard
from router.shell.shard_context import ShardContext, ShardLimits
from router.shell.stale_queues import StaleQueues
from warren.batch import BatchLimits, Pace
from warren.bus import Bus
from warren.clock import Clock, SystemClock
from warren.envelope import Spoken
from warren.logs import event, get_logger
from warren.metrics import RouterMetrics
from warren.probes import Probes, Readiness
from warren.supervision import supervised
from warren.telemetry import Tracing
from warren.topology import Topology

# How often leases, shards and gauges are looked at.
TICK_S = 0.1
# How long a router that goes waits for the others to speak for its shards.
HANDOVER_S = 3.0
# Who does not even hear itself for so many heartbeats is deaf.
DEAF_BEATS = 3
# After this many times the seconds of a checkpoint anything that has come is enough for one.
LATE = 10

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
        """``bus`` is not started yet and has this topology (None: the settings'). What is left out is made
        here; ``id``: as ``new_router_id`` gives it.
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
        pace = Pace(flow.batch_interval_ms / 1_000, self._clock.busy)
        publisher = RetryingPublisher(bus)
        self.gateways = GatewayLeases(times.lease_ms / 1_000)
        self.routers = RouterLeases(times.peer_lease_ms / 1_000)
        self._stale_queues = StaleQueues(bus, self.topology)
        self.inbox = PeerInbox(
            bus,
            self.topology,
            self.id,
            self._clock,
            self.gateways,
            self.routers,
            self._stale_queues,
            self.metrics,
            deaf_s=DEAF_BEATS * times.announce_ms / 1_000,
        )
        self.heartbeat = Heartbeat(
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
            dead=self.inbox.dead,
        )
        self.egress = Egress(
            bus,
            self.topology,
            publisher,
            self._clock,
            self.metrics,
            tracing,
            BatchLimits(batch_bytes=flow.batch_bytes),
            pace,
            suspect=self.inbox.suspect,
        )
        context = ShardContext(
            router=self.id,
            topology=self.topology,
            bus=bus,
            publisher=publisher,
            clock=self._clock,
            gateways=self.gateways,
            routers=self.routers,
            metrics=self.metrics,
            tracing=tracing,
            namespaces=settings.namespaces.namespaces,
            egress=self.egress,
            limits=_shard_limits(settings),
            events=frozenset(settings.events),
            place=self.heartbeat.place,
            known=lambda: self.heartbeat.known,
            listened=lambda: self.inbox.listening_s() >= times.lease_ms / 1_000,
            changed=self.heartbeat.soon,
            outdated=self._outdated,
        )
        self.shards = [Shard(number, context) for number in range(self.topology.shards)]
        self.inbox.connect(self.shards, self._moved)
        self.heartbeat.connect(self._look, self._spoken, lambda: all(shard.read for shard in self.shards))
        self.notifications = Notifications(
            bus,
            self.topology,
            publisher,
            DeadLetters(publisher, self.topology.notify_dead, self.metrics),
            self._clock,
            self.metrics,
            tracing,
            BatchLimits(flow.batch_count, flow.batch_bytes, flow.notify_prefetch),
            pace,
            SandboxProcess(),
            router=self.id,
            prefetch=flow.notify_prefetch,
            max_bytes=flow.notify_bytes,
        )
        statistics = InstallationStatistics(self.id, self._clock, self.gateways, lambda: self.shards)
        probes = settings.probes
        self.probes = Probes(
            probes.internal_host,
            probes.internal_port,
            self.readiness,
            self.metrics.render,
            statistics.routes(),
        )
        self._ticker: asyncio.Task[None] | None = None
        self._lacks = ""  # why this router can't do its part before it is another one
        self._standing_down: asyncio.Task[None] | None = None
        bus.watch_blocked(self._bus_blocked)
        self._gauges()

    async def start(self) -> None:
        """Begin to answer probes, wait for the broker for as long as it takes, then serve what it gives.

        Raises TopologyMismatch, and OSError where the internal port can't be had.
        """
        self.readiness.register("bus", self._bus_lacking)
        self.readiness.register(
            "inbox", lambda: None if self.inbox.listening_s() >= 0 else "not listening yet"
        )
        self.readiness.register("shards", self.preparing)
        await self.probes.start()
        await self._bus.start()
        await self.inbox.start()
        self._ticker = supervised(asyncio.get_running_loop().create_task(self._tick(), name="router-ticker"))
        self.heartbeat.start()
        await self.notifications.start()

    async def stop(self) -> None:
        """Take no more, finish what has begun, speak until the others do, and end. Whatever fails on the way,
        the rest is done.
        """
        self.readiness.drain()
        standing_down, self._standing_down = self._standing_down, None
        if standing_down is not None:
            standing_down.cancel()
            await asyncio.gather(standing_down, return_exceptions=True)
        finish_s = self.settings.takeover.stop_deadline_ms / 2_000 if self._bus.up else 0.0
        try:
            async with asyncio.timeout(finish_s):
                await self._finish()
        except TimeoutError:
            pass  # what is not done goes to the next ones
        except Exception as error:  # noqa: BLE001 - the next ones take over as from one that died
            event(_log, "stop_failed", level=logging.ERROR, error=error)
        await self.notifications.kill()
        await self.heartbeat.stop()
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
        await asyncio.gather(*(shard.stop() for shard in self.shards))
        await self.inbox.stop()
        await self._stale_queues.close()
        await self.egress.close()
        await self._bus.close()
        await self.probes.stop()

    async def _finish(self) -> None:
        """Take no more notifications, say goodbye, and speak for each shard until another router does."""
        await self.notifications.stop()
        began = self._clock.monotonic()
        spoken = [shard for shard in self.shards if shard.speaks]
        await self.heartbeat.leave()
        if self.heartbeat.routers:
            until = began + HANDOVER_S
            # It is heard in the others' heartbeats, shard by shard.
            while any(shard.speaks for shard in spoken) and self._clock.monotonic() < until:  # noqa: ASYNC110
                await asyncio.sleep(TICK_S / 10)
        if spoken:
            took_s = self._clock.monotonic() - began
            self.metrics.hop_seconds("handover", took_s)
            event(_log, "shards_handed_over", shards=len(spoken), ms=round(1_000 * took_s, 1))

    def _outdated(self, shard: int, reason: str) -> None:
        """The log of a shard is for newer routers: leave all shards to them. The process stays, since another
        life of it would know no more.
        """
        if self._lacks:
            return
        self._lacks = f"shard {shard}: {reason}"
        event(_log, "router_outdated", level=logging.ERROR, shard=shard, reason=reason)
        task = asyncio.get_running_loop().create_task(self._stand_down(), name="router-stands-down")
        self._standing_down = supervised(task)

    async def _stand_down(self) -> None:
        await self.heartbeat.leave()
        await self.notifications.stop()
        await self.notifications.kill()

    def preparing(self) -> str | None:
        """Return what this router still lacks to do its part for each shard; None: a message goes through at
        once.
        """
        if self._lacks:
            return self._lacks
        if not self.heartbeat.known:
            listening = not self.heartbeat.routers
            return "listening to the other routers" if listening else "reading the logs of its shards"
        waiting = sum(not shard.settled for shard in self.shards)
        return f"{waiting} of {self.topology.shards} shards are not taken yet" if waiting else None

    def _bus_lacking(self) -> str | None:
        if not self._bus.up:
            return "the broker is away"
        return (
            "the broker holds back what is published (a memory or disk alarm)" if self._bus.blocked else None
        )

    def _bus_blocked(self, blocked: bool) -> None:
        event(
            _log,
            "bus_blocked" if blocked else "bus_unblocked",
            level=logging.WARNING if blocked else logging.INFO,
        )
        self.metrics.bus_blocked.set(blocked)

    def _moved(self) -> None:
        """A router has come or gone, or says something new."""
        self.heartbeat.look()
        self._look()

    def _look(self) -> None:
        for shard in self.shards:
            shard.look()

    def _spoken(self) -> tuple[Spoken, ...]:
        said = (shard.spoken() for shard in self.shards)
        return tuple(spoken for spoken in said if spoken is not None)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.inbox.tick()
            for shard in self.shards:
                shard.tick()
            self.egress.tidy(self.gateways.living)
            self._gauges()

    def _gauges(self) -> None:
        spoken = [shard for shard in self.shards if shard.speaks]
        self.metrics.bus_up.set(1 if self._bus.up else 0)
        self.metrics.shards_active.set(len(spoken))
        self.metrics.rooms.set(sum(len(shard.fold.rooms) for shard in spoken))
        self.metrics.members.set(sum(shard.fold.rooms.memberships for shard in spoken))
        totals, kept_bytes = self.gateways.totals(), self.topology.limits.kept_bytes
        self.metrics.gateways.set(totals.gateways)
        self.metrics.uplink_bytes.set(totals.uplink_bytes)
        self.metrics.log_kept_bytes.set(kept_bytes)
        if (outgrown := self.gateways.outgrown(totals.uplink_bytes, kept_bytes)) is not None:
            _log_outgrown(outgrown, totals, kept_bytes)
        self.metrics.waiting("shards", sum(shard.waiting for shard in self.shards))


def _log_outgrown(outgrown: bool, totals: Totals, kept_bytes: int) -> None:
    event(
        _log,
        "log_too_small" if outgrown else "log_large_enough",
        level=logging.WARNING if outgrown else logging.INFO,
        gateways=totals.gateways,
        uplink_bytes=totals.uplink_bytes,
        kept_bytes=kept_bytes,
        hint="while routers are away the gateways may write more than a shard's log keeps, and it is lost "
        "unread: raise WARREN_BROKER_LOG_BYTES, "
        "or lower WARREN_GATEWAY_UPLINK_BYTES"
        if outgrown
        else None,
    )


def _shard_limits(settings: RouterSettings) -> ShardLimits:
    memory = settings.memory
    soon_us = memory.checkpoint_s * 1_000_000
    return ShardLimits(
        bounds=Bounds(memory.dedup_count, memory.rooms_remembered),
        marks=MarkTimes(memory.checkpoint_bytes, soon_us, LATE * soon_us),
        ring_bytes=memory.ring_bytes,
        room_history_bytes=memory.room_history_bytes,
        history_bytes=memory.history_bytes,
        history_floor_us=memory.history_floor_ms * 1_000,
        prefetch=settings.flow.prefetch,
    )
