"""The composition root: builds the router's parts and shows the order of their birth and death.

It decides nothing and touches no message.
"""

from __future__ import annotations

from functools import partial

from router.core.peers import Peers, PeerTimes
from router.core.placement import Placement
from router.core.webhook_addresses import networks_of
from router.settings import RouterSettings, new_router_id
from router.shell.announcer import Announcer
from router.shell.api_keys import ApiKeyFile
from router.shell.backend_queues import AnswerQueue, NotificationQueue
from router.shell.control import Control
from router.shell.control_queue import ControlLimits, ControlQueue
from router.shell.dead_letters import DeadLetters
from router.shell.egress import Egress
from router.shell.gauges import Gauges
from router.shell.handover import Handover
from router.shell.http_api import HttpApi, HttpApiLimits
from router.shell.installation import Installation
from router.shell.installation_statistics import InstallationStatistics
from router.shell.message_writer import MessageWriter
from router.shell.notifications import NotificationLimits, Notifications
from router.shell.peer_inbox import PREFETCH, PeerInbox
from router.shell.peer_messages import PeerMessages
from router.shell.pusher_api import PusherApi
from router.shell.pusher_webhooks import PusherWebhooks
from router.shell.readiness import RouterReadiness
from router.shell.receipt_replies import ReceiptReplies
from router.shell.retrying_publisher import RetryingPublisher
from router.shell.router_calls import RouterCalls
from router.shell.router_context import RouterContext
from router.shell.sandbox_process import SandboxProcess
from router.shell.shard_context import ShardContext, ShardLimits
from router.shell.shards import Shards
from router.shell.speaker_probes import SpeakerProbes
from router.shell.stale_queues import StaleQueues
from router.shell.ticker import Ticker
from warren.batch import BatchLimits, Pace
from warren.bus import Bus
from warren.clock import Clock, SystemClock
from warren.heartbeat import HeartbeatLoop
from warren.metrics import RouterMetrics
from warren.own_queue import OwnQueue
from warren.probes import Probes, Readiness
from warren.pusher_apps import PusherAppsFile
from warren.telemetry import Tracing
from warren.topology import Topology

# So long after the lease of a gateway has ended, at the latest, receipts that waited for it are given.
RECEIPT_BEYOND_LEASE_S = 2.5
# Messages of commands that may wait for one shard.
COMMANDS = 8_192


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
        self.topology = topology = topology or settings.bus.topology
        self.metrics = metrics or RouterMetrics()
        self._bus = bus
        clock = clock or SystemClock()
        tracing = tracing or Tracing("warren-router", topology=topology)
        publisher = RetryingPublisher(bus)
        context = RouterContext(self.id, bus, topology, publisher, clock, self.metrics, tracing)
        flow, times, probes = settings.flow, settings.takeover, settings.probes
        pace = Pace(flow.batch_interval_ms / 1_000, clock.busy)
        batches = BatchLimits(flow.batch_count, flow.batch_bytes, flow.notify_prefetch)

        # who lives, and who speaks for which shard
        self.peers = Peers(
            self.id,
            PeerTimes(times.lease_ms / 1_000, times.peer_lease_ms / 1_000, times.announce_ms / 1_000),
        )
        self.placement = Placement(self.id, topology.shards)
        own_queue = OwnQueue(bus, partial(topology.router_queue, self.id), prefetch=PREFETCH)
        self.heartbeat = HeartbeatLoop(bus, topology, clock, own_queue, every_s=times.announce_ms / 1_000)

        # from the logs to the gateways, other routers and backends
        self._peer_messages = PeerMessages(context)
        self._receipts = ReceiptReplies(context, times.lease_ms / 1_000 + RECEIPT_BEYOND_LEASE_S)
        self.egress = Egress(context, self.peers.gateways, BatchLimits(batch_bytes=flow.batch_bytes), pace)
        self.shards = Shards(
            ShardContext(
                context,
                self.peers,
                self.placement,
                self.heartbeat,
                self.egress,
                settings.namespaces.namespaces,
                ShardLimits.of(settings),
                self._peer_messages,
            )
        )

        # from gateways, other routers and backends
        self._stale_queues = StaleQueues(bus, topology)
        self._calls = RouterCalls(self.id, self.placement, self._peer_messages, self.metrics)
        self._inbox = PeerInbox(
            context, own_queue, self.peers, self.shards, self._stale_queues, self._receipts, self._calls
        )
        self._peer_messages.own_to(self._inbox.take_own)
        self._speaker_probes = SpeakerProbes(context, self.placement, self._inbox)
        dead_letters = DeadLetters(publisher, topology.notify_dead, self.metrics)
        sandbox = SandboxProcess()
        taken = NotificationLimits(batches, flow.notify_prefetch, flow.notify_bytes)
        self.notifications = Notifications(
            context, dead_letters, sandbox, taken, pace, NotificationQueue(), self._receipts
        )
        self.answers = Notifications(
            context, dead_letters, sandbox, taken, pace, AnswerQueue(), self._receipts
        )
        installation = Installation(context, self.peers)
        self._writer = MessageWriter(context, BatchLimits(flow.batch_count, flow.batch_bytes, COMMANDS))
        self.control = Control(context, self._writer, self._calls, self.shards, installation)
        self.control_queue = ControlQueue(
            context,
            self.control,
            DeadLetters(publisher, topology.dead, self.metrics),
            sandbox,
            ControlLimits(flow.notify_prefetch, flow.notify_bytes),
        )
        api = settings.api
        self._apps = PusherAppsFile(settings.pusher.apps_file)
        self.http_api = HttpApi(
            context,
            self.control,
            ApiKeyFile(api.keys_file),
            HttpApiLimits(api.host, api.port, api.connections, flow.notify_bytes, api.admin),
            settings.namespaces.namespaces,
            PusherApi(context, self.control, self._apps),
        )
        self._webhooks = PusherWebhooks(context, self._apps, networks_of(settings.webhooks.webhook_networks))

        # coming and going
        self._announcer = Announcer(
            context,
            self.heartbeat,
            own_queue,
            self.peers,
            self.placement,
            self.shards,
            times.listen_ms / 1_000,
        )
        self._handover = Handover(
            context,
            self.placement,
            self.shards,
            self._announcer,
            self._speaker_probes,
            (self.notifications, self.answers),
        )
        gauges = Gauges(context, self.peers, self.shards)
        self._ticker = Ticker(
            [self._inbox, self.shards, self.egress, self._handover, gauges, self._receipts, installation]
        )

        # what it tells of itself
        self.readiness = Readiness()
        RouterReadiness(context, self.peers, self.placement, self.shards).register(self.readiness)
        statistics = InstallationStatistics(context, self.peers.gateways, self.shards)
        self.probes = Probes(
            probes.internal_host,
            probes.internal_port,
            self.readiness,
            self.metrics.render,
            statistics.routes(),
        )

    async def start(self) -> None:
        """Begin to answer probes, wait for the broker for as long as it takes, then serve what it gives.

        Raises TopologyMismatch, and OSError where a port can't be had.
        """
        await self.probes.start()
        await self._bus.start()
        await self._inbox.start()
        self._ticker.start()
        self._announcer.start()
        self._speaker_probes.start()
        await self.notifications.start()
        await self.answers.start()
        await self.control_queue.start()
        await self._apps.start()
        await self._webhooks.start()
        await self.http_api.start()

    async def stop(self) -> None:
        """Take no more, finish what has begun, speak until the others do, and end. Whatever fails on the way,
        the rest is done.
        """
        self.readiness.drain()
        await self.http_api.stop()
        await self._webhooks.stop()
        await self._apps.stop()
        await self.control_queue.stop()
        await self._writer.close()
        await self._handover.finish(self.settings.takeover.stop_deadline_ms / 2_000)
        await self._ticker.stop()
        await self.shards.stop()
        await self._inbox.stop()
        await self._stale_queues.close()
        await self.egress.close()
        await self._receipts.close()
        await self._peer_messages.close()
        await self._bus.close()
        await self.probes.stop()
