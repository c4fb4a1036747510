"""App: the composition root. Builds every part of a gateway, wires them, and shows the order of birth and
death in one place. It decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from aiohttp import web

from gateway.core.broker_presence import BrokerPresence
from gateway.core.client_limits import OutboxLimits, rate_limit
from gateway.core.file_descriptor_capacity import FileDescriptorCapacity
from gateway.core.grants import GrantKeys
from gateway.core.held_leaves import HeldLeaves
from gateway.core.history_read_limit import ReadLimits, everyones
from gateway.core.hook_desk import HookDesk
from gateway.core.hub import Hub
from gateway.core.max_connection_age import MaxConnectionAge
from gateway.core.memory_budget import MemoryBudget
from gateway.core.open_calls import CallLimits
from gateway.core.presence_watchers import PresenceWatchers
from gateway.core.recent_messages import RecentMessages
from gateway.core.room_catch_up import RoomCatchUp
from gateway.core.session import SessionConfig
from gateway.core.websocket.limited_reader import Unknown
from gateway.settings import GatewaySettings, new_gateway_id
from gateway.shell.admission import Admission
from gateway.shell.auth import Authenticator
from gateway.shell.backend_calls import BackendCalls
from gateway.shell.broker_link import PREFETCH, BrokerEnds, BrokerLink
from gateway.shell.client_publisher import ClientPublisher
from gateway.shell.client_requests import ClientRequests
from gateway.shell.connection import GatewayContext
from gateway.shell.connections import Connections
from gateway.shell.downlink import Downlink
from gateway.shell.drain import Drain
from gateway.shell.event_loop_progress import EventLoopProgress
from gateway.shell.event_streams import EventStreams
from gateway.shell.heartbeat import FROZEN_BEATS, GatewayHeartbeat
from gateway.shell.hooks import Hooks
from gateway.shell.leaving import Leaving
from gateway.shell.memory_limiter import MemoryLimiter
from gateway.shell.one_messages import OneMessages
from gateway.shell.pod_stats import PodStats
from gateway.shell.publish_endpoint import PublishEndpoint
from gateway.shell.pusher_connection import PusherContext
from gateway.shell.pusher_events import PusherEvents
from gateway.shell.pusher_presence import PusherPresence
from gateway.shell.rejoining import Rejoining
from gateway.shell.room_presence import RoomPresence
from gateway.shell.room_reads import RoomReads
from gateway.shell.router_requests import RouterRequests
from gateway.shell.server import Server, SocketContext
from gateway.shell.stream_posts import StreamPosts
from gateway.shell.ticker import Ticker
from gateway.shell.uplink import Uplink
from gateway.shell.uplink_buffer import UplinkLimits
from warren.address import connection_id
from warren.batch import Pace
from warren.bus import Bus
from warren.clock import Clock, SystemClock
from warren.heartbeat import HeartbeatLoop
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.own_queue import OwnQueue
from warren.probes import Probes, Readiness
from warren.pusher_apps import PusherAppsFile
from warren.telemetry import Tracing

# From being asked away for its age to being closed: a client needs a moment to come in elsewhere first.
AGE_GRACE_S = 5.0
# Questions to backends, whether clients may do something, that are out at a time.
HOOK_CALLS = 1_024

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
        tracing: Tracing | None = None,
        gateway_id: str = "",
        routes: Iterable[web.AbstractRouteDef] = (),
        open_files: int | None = None,
    ) -> None:
        """``bus`` is not started yet, and belongs to the gateway from now on; ``tracing`` stays its caller's.
        ``routes`` are served on the clients' port beside ours; ``open_files`` is how many it may have open
        (None: any number). Raises SettingsError where a key can't be used.
        """
        self.id = gateway_id or new_gateway_id(settings.id)
        self.settings = settings
        self.bus = bus
        self.clock = clock or SystemClock()
        self.metrics = GatewayMetrics()
        self.readiness = Readiness()
        tracing = tracing or Tracing("gateway")
        topology = settings.bus.topology
        namespaces = settings.namespaces.namespaces
        limits, times = settings.limits, settings.times

        # What decides, and is shared.
        recent = RecentMessages(namespaces, limits.recent_room_bytes, limits.recent_bytes)
        self.hub = Hub(namespaces, recent)
        self.presence = BrokerPresence(self.id, topology.shards, self.clock.monotonic())
        session = SessionConfig(
            heartbeat_ms=times.heartbeat_ms,
            auth_timeout_ms=settings.auth.auth_timeout_ms,
            message_bytes=limits.message_bytes,
            rate=rate_limit(limits.rate, limits.rate_per_ms),
            rooms_max=limits.rooms_per_connection,
            rooms=settings.rooms,
            shards=topology.shards,
            calls_max=limits.calls_per_connection,
            connections_per_user=limits.connections_per_user,
            replace_oldest=limits.connections_per_user_when_exceeded == "replace",
        )

        # The way up, and the way down.
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
                Pace(limits.batch_interval_ms / 1_000, self.clock.busy),
            ),
        )
        leaving = Leaving(HeldLeaves(settings.grace_s), self.uplink, self.clock, self.metrics)
        routers = RouterRequests(bus, topology, self.presence, self.metrics)
        catch_up = RoomCatchUp(self.id, self.hub, recent, namespaces)
        reads = RoomReads(self.clock, self.metrics, self.hub, recent, catch_up, routers)
        room_presence = RoomPresence(
            PresenceWatchers(self.id, self.hub.is_here),
            self.hub,
            self.uplink,
            routers,
            self.clock,
            self.metrics,
        )
        downlink = Downlink(self.hub, reads, tracing, self.clock, self.metrics)

        # Backends that are asked.
        asked = {
            topology.rpc: CallLimits(limits.calls, limits.calls_bytes),
            topology.hooks: CallLimits(HOOK_CALLS, limits.calls_bytes),
        }
        calls = BackendCalls(self.id, bus, topology, self.clock, self.metrics, asked)
        hook_timeout_s = settings.hooks.hook_timeout_ms / 1_000
        desk = HookDesk(GrantKeys(settings.hooks.grant_key_bytes), hook_timeout_s, limits.message_bytes)
        self._hooks = Hooks(desk, calls, topology, self.clock, self.metrics, hook_timeout_s)

        # The clients.
        self._authenticator = Authenticator(
            settings.auth,
            self.clock,
            shown_claims=settings.hooks.hook_claims,
            info_claims=namespaces.info_claims,
        )
        self._memory = MemoryLimiter(MemoryBudget(limits.buffer_bytes), self.clock, self.metrics, self.hub)
        self._progress = EventLoopProgress(self.clock, self._memory)
        self.connections = Connections(
            self.id,
            self.clock,
            self.metrics,
            FileDescriptorCapacity.of(limits.connections, open_files),
            limits.full_percent,
            MaxConnectionAge(times.max_age_ms / 1_000, times.max_age_jitter_percent / 100, AGE_GRACE_S),
        )
        context = GatewayContext(
            self.hub,
            self.uplink,
            ClientPublisher(self.uplink, tracing),
            ClientRequests(calls, topology, self.clock, tracing, self.metrics, limits.message_bytes),
            reads,
            room_presence,
            leaving,
            self.presence,
            self._authenticator,
            self.clock,
            self.metrics,
            session,
            namespaces,
            self._hooks,
            settings.hooks.hook_headers,
            ReadLimits(limits.read_bytes, limits.read_bytes_per_s),
            everyones(limits.pod_read_bytes_per_s),
        )
        self._apps = PusherAppsFile(settings.pusher.apps_file)
        # its lists are read in the name of a connection that there never is: their numbers begin with 1
        nobody = connection_id(self.id, 0)
        self._pusher_events = PusherEvents(bus, topology, self.metrics)
        pusher = PusherContext(
            self._apps,
            PusherPresence(nobody, room_presence, self.hub, routers, self.clock, self.metrics),
            self._pusher_events,
        )
        sockets = SocketContext(
            OutboxLimits(limits.outbox_count, limits.outbox_bytes, limits.outbox_bytes // 4),
            Unknown(limits.unknown_message_bytes, limits.unknown_bytes),
            times.close_timeout_ms / 1_000,
            self._progress,
            self._memory,
            pusher,
        )
        stats = PodStats(
            self.id, self.connections, self.hub, self.presence, self.readiness, self.clock, self.metrics
        )
        admission = Admission(settings.listen, self.connections, self.readiness, self.clock, self.metrics)
        streams = EventStreams(admission, self.connections, context, sockets)
        posts = StreamPosts(self.id, bus, topology, self.connections, self.clock, self.metrics)
        one_messages = OneMessages(admission, self.connections, context, routers)
        publish = PublishEndpoint(admission, posts, one_messages, context)
        self._server = Server(
            settings.listen,
            self.connections,
            admission,
            context,
            sockets,
            stats,
            (*streams.routes, *publish.routes, *routes),
        )

        # The broker.
        self._own_queue = OwnQueue(bus, partial(topology.gateway_queue, self.id), prefetch=PREFETCH)
        announce_s = times.announce_ms / 1_000
        self._link = BrokerLink(
            self.presence,
            BrokerEnds(
                bus,
                topology,
                self._own_queue,
                self.uplink,
                downlink,
                room_presence,
                routers,
                calls,
                HeartbeatLoop(
                    bus,
                    topology,
                    self.clock,
                    self._own_queue,
                    every_s=announce_s,
                    frozen_s=FROZEN_BEATS * announce_s,
                ),
                GatewayHeartbeat(
                    self.id, self.clock, self.connections, self.metrics, self._own_queue, limits.uplink_bytes
                ),
                posts,
                one_messages,
            ),
            self.connections,
            Rejoining(self.id, self.connections, self.uplink, room_presence),
            self.clock,
            self.metrics,
        )
        self.refused = self._link.refused  # set where the broker can never be had

        # Time, the end, the probes.
        shortest_ms = min(
            times.heartbeat_ms,
            times.close_timeout_ms,
            times.publish_timeout_ms,
            times.grace_ms or times.heartbeat_ms,
            settings.auth.auth_timeout_ms,
        )
        self._ticker = Ticker(
            self.connections,
            (self._link, reads, room_presence, leaving),
            self.hub,
            self.clock,
            self.metrics,
            shortest_s=shortest_ms / 1_000,
        )
        self._drain = Drain(
            self.connections,
            self.uplink,
            leaving,
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
            [web.get("/websocket-stats", stats.show)],
        )
        self.readiness.register("bus", self.presence.bus_lacking)
        self.readiness.register("log", self.presence.log_lacking)
        self.readiness.register("keys", self._authenticator.lacking)
        self.readiness.register("load", self.connections.nearly_full)
        self.readiness.register("open_files", self._server.files_lacking)

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return self._server.port

    async def start(self) -> None:
        """Open the ports, then connect to the broker in the background, however long that takes. Raises
        OSError for a port that can't be had.
        """
        await self._authenticator.start()
        await self._apps.start()
        self._progress.start()
        self._ticker.start()
        await self.probes.start()
        await self._server.start()
        self._link.start()
        event(_log, "listening", gateway=self.id, port=self._server.port, internal_port=self.probes.port)

    async def stop(self) -> None:
        """Drain, then end everything in the order in which it depends on each other."""
        await self._drain.run()
        await self._link.stop_connecting()
        await self._ticker.stop()
        self.connections.cut()
        await self._server.stop()
        await self._hooks.stop()
        await self._pusher_events.close()
        self._progress.stop()
        await self._link.stop()
        await self._authenticator.stop()
        await self._apps.stop()
        await self.probes.stop()
