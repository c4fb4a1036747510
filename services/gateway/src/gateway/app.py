"""App: the composition root. Builds every part of a gateway, wires them, and shows the order of birth and
death in one place.

It decides nothing itself. ``__main__`` runs it in a process of its own, ``embedded`` runs several on a memory
bus.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial

from aiohttp import web

from gateway.core.capacity import Capacity
from gateway.core.client_limits import OutboxLimits
from gateway.core.file_descriptor_capacity import places
from gateway.core.history_read_limit import ReadLimits, everyones
from gateway.core.hub import Hub
from gateway.core.max_connection_age import MaxConnectionAge
from gateway.core.memory_budget import MemoryBudget
from gateway.core.recent_messages import RecentMessages
from gateway.core.room_catch_up import RoomCatchUp
from gateway.core.session import SessionConfig
from gateway.core.websocket.limited_reader import Unknown
from gateway.settings import GatewaySettings, TimeSettings, new_gateway_id
from gateway.shell.auth import Authenticator
from gateway.shell.client_publisher import ClientPublisher
from gateway.shell.connection import GatewayContext
from gateway.shell.connections import Connections
from gateway.shell.downlink import PREFETCH, Downlink
from gateway.shell.drain import Drain
from gateway.shell.event_loop_progress import EventLoopProgress
from gateway.shell.heartbeat import FROZEN_BEATS, GatewayHeartbeat
from gateway.shell.memory_limiter import MemoryLimiter
from gateway.shell.rejoining import Rejoining
from gateway.shell.room_reads import RoomReads
from gateway.shell.router_requests import RouterRequests
from gateway.shell.server import Server
from gateway.shell.uplink import Uplink
from gateway.shell.uplink_buffer import UplinkLimits
from warren.batch import Pace
from warren.bus import Bus
from warren.clock import Clock, SystemClock
from warren.errors import WarrenError
from warren.heartbeat import HeartbeatLoop
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.namespaces import RateLimit
from warren.own_queue import OwnQueue
from warren.probes import Probes, Readiness
from warren.process_memory import peak_rss_bytes, rss_bytes
from warren.supervision import supervised
from warren.telemetry import Tracing
from warren.topology import Topology

# Each connection is ticked so many times in the shortest time that it has to keep, and at least every second.
TICKS = 4
MAX_TICK_S = 1.0
# From being asked away for its age to being closed: a client needs a moment to come in elsewhere first.
AGE_GRACE_S = 5.0
# Rooms whose last messages are looked through at each tick for what is too old.
TIDY_ROOMS = 64
# What is said of the broker: it can be published to; it holds publishers back (an alarm of its own); it is
# away.
UP, BLOCKED, DOWN = "up", "blocked", "down"
# From this part of all sockets that it can have on the pod is not ready: clients go elsewhere before any is
# turned away.
FILES_FULL_PERCENT = 95

_log = get_logger("gateway")


class Gateway:
    """One gateway. Ports are open (and ``port`` is known) after ``start``; the broker may still
    be away then.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        bus: Bus,
        *,
        clock: Clock | None = None,
        metrics: GatewayMetrics | None = None,
        tracing: Tracing | None = None,
        topology: Topology | None = None,
        gateway_id: str = "",
        routes: Iterable[web.AbstractRouteDef] = (),
        on_failed: Callable[[], None] | None = None,
        open_files: int | None = None,
    ) -> None:
        """``bus`` is not started yet, and belongs to the gateway from now on; ``tracing`` stays its caller's.
        ``routes`` are served on the clients' port beside ours; ``on_failed`` is told where the broker can
        never be had (a topology of other settings); ``open_files`` is how many it may have open (None: any
        number). Raises SettingsError where a key can't be used.
        """
        self.id = gateway_id or new_gateway_id(settings.id)
        self.settings = settings
        self.bus = bus
        self.clock = clock or SystemClock()
        self.metrics = metrics or GatewayMetrics()
        self.readiness = Readiness()
        self._tracing = tracing or Tracing("gateway")
        topology = topology or settings.bus.topology
        self._began = self.clock.monotonic()
        limits, times = settings.limits, settings.times
        room = places(limits.connections, open_files)
        if room.capped:
            _log_capped(limits.connections, room.connections, open_files)
        self._authenticator = Authenticator(settings.auth, self.clock)
        namespaces = settings.namespaces.namespaces
        self._recent = recent = RecentMessages(namespaces, limits.recent_room_bytes, limits.recent_bytes)
        self.hub = Hub(lambda room: namespaces.policy(room).slow, recent)
        self.uplink = Uplink(
            self.id,
            bus,
            topology,
            self.clock,
            self.metrics,
            UplinkLimits(
                limits.uplink_count,
                limits.uplink_bytes,
                times.publish_timeout_ms / 1_000,
                limits.batch_count,
                limits.batch_bytes,
            ),
            Pace(limits.batch_interval_ms / 1_000, self.clock.busy),
            on_undelivered=self._undelivered,
            on_overflow=lambda shard: self._downlink.begin_anew(shard),
        )
        self._own_queue = OwnQueue(bus, partial(topology.gateway_queue, self.id), prefetch=PREFETCH)
        self._heartbeat = HeartbeatLoop(
            bus,
            topology,
            self.clock,
            self._own_queue,
            every_s=times.announce_ms / 1_000,
            frozen_s=FROZEN_BEATS * times.announce_ms / 1_000,
        )
        self._routers = RouterRequests(bus, topology, self.metrics)
        self._reads = RoomReads(
            topology.shards,
            self.clock,
            self.metrics,
            self.hub,
            recent,
            RoomCatchUp(self.id, topology.shards, self.hub, recent, namespaces),
            self._routers,
        )
        self.connections = Connections(
            self.id,
            self.clock,
            self.metrics,
            places=room.connections,
            tick_s=min(
                MAX_TICK_S,
                min(
                    times.heartbeat_ms,
                    times.close_timeout_ms,
                    times.publish_timeout_ms,
                    settings.auth.auth_timeout_ms,
                )
                / 1_000
                / TICKS,
            ),
            on_tick=self._tick,
            ages=_ages(times),
        )
        self._memory = MemoryLimiter(
            MemoryBudget(limits.buffer_bytes), self.clock, self.metrics, lambda: self.hub.spelled
        )
        self._progress = EventLoopProgress(self.clock, self._memory.turn)
        self._rejoining = Rejoining(
            self.id, topology.shards, self.connections.all, self.uplink.place_for_joins, self.uplink.join
        )
        self._heartbeat_sender = GatewayHeartbeat(
            self.id, self.clock, self.connections, self.metrics, self._own_queue, limits.uplink_bytes
        )
        self._downlink = Downlink(
            self.id,
            self._own_queue,
            self._heartbeat,
            topology,
            self.clock,
            self.metrics,
            self._tracing,
            self.hub,
            self.uplink,
            self._routers,
            self._reads,
            on_rejoin=self._rejoining.begin,
        )
        self._server = Server(
            settings.listen,
            self.connections,
            self.readiness,
            GatewayContext(
                self.hub,
                self.uplink,
                self._authenticator,
                self.clock,
                self.metrics,
                ClientPublisher(self.uplink, self._tracing, topology.shards),
                topology.shards,
                self._reads.history,
                self._reads.left,
                ReadLimits(limits.read_bytes, limits.read_bytes_per_s),
                everyones(limits.pod_read_bytes_per_s),
            ),
            SessionConfig(
                heartbeat_ms=times.heartbeat_ms,
                auth_timeout_ms=settings.auth.auth_timeout_ms,
                message_bytes=limits.message_bytes,
                rate=RateLimit(limits.rate, limits.rate_per_ms) if limits.rate else None,
                rooms_max=limits.rooms_per_connection,
                rooms=settings.rooms,
            ),
            namespaces,
            OutboxLimits(limits.outbox_count, limits.outbox_bytes, limits.outbox_bytes // 4),
            self._progress,
            self._memory,
            Unknown(limits.unknown_message_bytes, limits.unknown_bytes),
            close_timeout_s=times.close_timeout_ms / 1_000,
            bus_up=lambda: self._bus_state() == UP,
            sockets_max=room.sockets,
            stats=self.stats,
            routes=routes,
        )
        self._drain = Drain(
            self.connections,
            self.uplink,
            self.readiness,
            self.clock,
            window_s=times.drain_ms / 1_000,
            deadline_s=times.drain_deadline_ms / 1_000,
        )
        self.probes = Probes(
            settings.probes.internal_host,
            settings.probes.internal_port,
            self.readiness,
            self.metrics.render,
            [web.get("/websocket-stats", self._server.show_stats)],
        )
        self._connecting: asyncio.Task[None] | None = None
        self._on_failed = on_failed
        self.failed = False  # the broker can never be had
        self.readiness.register("bus", self._bus_lacking)
        self.readiness.register("log", self._log_lacking)
        self.readiness.register("keys", self._authenticator.lacking)
        load = Capacity(room.connections, limits.full_percent)
        self.readiness.register("load", lambda: "nearly full" if load.full(len(self.connections)) else None)
        if room.sockets:
            files = Capacity(room.sockets, FILES_FULL_PERCENT)
            self.readiness.register(
                "open_files", lambda: "nearly all are used" if files.full(self._server.sockets) else None
            )
        bus.watch(self._bus_changed)
        bus.watch_blocked(self._bus_blocked)

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return self._server.port

    async def start(self) -> None:
        """Open the ports, then connect to the broker in the background, however long that takes. Raises
        OSError for a port that can't be had.
        """
        self.metrics.bus_up.set(0)
        await self._authenticator.start()
        self._progress.start()
        await self.connections.start()
        await self.probes.start()
        await self._server.start()
        self._connecting = supervised(
            asyncio.get_running_loop().create_task(self._connect(), name="connecting")
        )
        event(_log, "listening", gateway=self.id, port=self._server.port, internal_port=self.probes.port)

    async def stop(self) -> None:
        """Drain, then end everything in the order in which it depends on each other."""
        if self._server.port:
            await self._drain.run()
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
        await self.connections.stop()
        await self._server.stop()
        self._progress.stop()
        await self._rejoining.stop()
        await self._heartbeat.leave()
        await self._routers.close()
        await self.uplink.close()
        await self._downlink.stop()
        await self.bus.close()
        await self._authenticator.stop()
        await self.probes.stop()

    def stats(self) -> dict[str, object]:
        """Return what ``/websocket-stats`` shows of this pod. Memory is in bytes, uptime in seconds."""
        metrics = self.metrics
        return {
            "gateway": self.id,
            "connections": len(self.connections),
            "messages": metrics.total_in,
            "messages_out": metrics.total_out,
            "errors": metrics.total_errors,
            "rooms": self.hub.rooms,
            "memory": {"rss": rss_bytes(), "peak_rss": peak_rss_bytes()},
            "uptime": round(self.clock.monotonic() - self._began, 3),
            "bus": self._bus_state(),
            "draining": self.readiness.draining,
        }

    async def _connect(self) -> None:
        try:
            await self.bus.start()
            self.metrics.bus_up.set(1)
            self.connections.degraded(self._bus_state() == UP)  # those who came before the broker was there
            await self._downlink.start()
            self.uplink.begin()
            self._rejoining.ask()
            await self._heartbeat.start(self._heartbeat_sender)
        except WarrenError as error:
            event(_log, "bus_refused", level=logging.ERROR, reason=str(error))
            self.failed = True
            if self._on_failed is not None:
                self._on_failed()

    def _bus_lacking(self) -> str | None:
        if not self.bus.up or not self._own_queue.active:
            return "the broker is away"
        return (
            "the broker holds back what is published (a memory or disk alarm)" if self.bus.blocked else None
        )

    def _log_lacking(self) -> str | None:
        shards = self._downlink.lacking()
        if not shards:
            return None
        return f"no router has told of shard {', '.join(map(str, shards))} yet"

    def _bus_state(self) -> str:
        return DOWN if not self.bus.up else BLOCKED if self.bus.blocked else UP

    def _bus_changed(self, up: bool) -> None:
        self.metrics.bus_up.set(up)
        event(_log, "bus_restored" if up else "bus_degraded", level=logging.INFO if up else logging.WARNING)
        self.connections.degraded(self._bus_state() == UP)

    def _bus_blocked(self, blocked: bool) -> None:
        self.metrics.bus_blocked.set(blocked)
        event(
            _log,
            "bus_blocked" if blocked else "bus_unblocked",
            level=logging.WARNING if blocked else logging.INFO,
        )
        self.connections.degraded(self._bus_state() == UP)

    def _undelivered(self, conn: str, ref: str, error: WarrenError) -> None:
        connection = self.connections.find(conn)
        if connection is not None:
            connection.undelivered(ref, error)

    def _tick(self, now: float) -> None:
        self._downlink.tick(now)
        self._reads.tick(now)
        self.uplink.expire(now)
        self._recent.tidy(self.clock.wall_us(), TIDY_ROOMS)
        self.metrics.rooms.set(self.hub.rooms)


def _log_capped(wanted: int, taken: int, open_files: int | None) -> None:
    event(
        _log,
        "places_capped",
        level=logging.WARNING,
        wanted=wanted,
        places=taken,
        open_files=open_files,
        hint="WARREN_GATEWAY_CONNECTIONS is more than open files allow: raise their hard limit (ulimit "
        "-Hn, LimitNOFILE), or lower it",
    )


def _ages(times: TimeSettings) -> MaxConnectionAge | None:
    if not times.max_age_ms:
        return None
    return MaxConnectionAge(times.max_age_ms / 1_000, times.max_age_jitter_percent / 100, AGE_GRACE_S)
