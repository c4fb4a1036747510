"""BrokerLink: a gateway's life at the broker: it connects, takes what comes into the gateway's own queue, and
ends in order. The one place where the way up and the way down meet.

``core/broker_presence.py`` decides; its steps are done here, in their order. A body is dealt with whole;
whatever is no envelope in it is counted, logged and passed over. There is no other recovery than the steps:
what is lost on the way, with a queue or while this process stood still comes with the next feed. It never
waits for one of its parts while another has something to do, and never raises into the bus.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from gateway.core import broker_presence as steps
from gateway.core.broker_presence import BrokerPresence
from gateway.core.inputs import BrokerChanged
from gateway.shell.backend_calls import BackendCalls
from gateway.shell.connections import Connections
from gateway.shell.downlink import Downlink
from gateway.shell.one_messages import OneMessages
from gateway.shell.rejoining import Rejoining
from gateway.shell.room_presence import RoomPresence
from gateway.shell.router_requests import RouterRequests
from gateway.shell.stream_posts import StreamPosts
from gateway.shell.uplink import Uplink
from warren import envelope
from warren.bus import Bus
from warren.clock import Clock
from warren.errors import WarrenError
from warren.heartbeat import HeartbeatLoop, Sender
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.own_queue import OwnQueue
from warren.supervision import cancel_and_wait, supervised
from warren.topology import Topology

# Bodies of our own queue that are on their way at a time.
PREFETCH = 64

_log = get_logger("gateway.broker_link")


@dataclass(frozen=True, slots=True)
class BrokerEnds:
    """A gateway's ends at the broker."""

    bus: Bus
    topology: Topology
    own_queue: OwnQueue
    uplink: Uplink
    downlink: Downlink
    room_presence: RoomPresence
    routers: RouterRequests
    calls: BackendCalls
    heartbeat: HeartbeatLoop
    sender: Sender  # of the heartbeats
    posts: StreamPosts
    one_messages: OneMessages


class BrokerLink:
    """One gateway's."""

    def __init__(
        self,
        presence: BrokerPresence,
        ends: BrokerEnds,
        connections: Connections,
        rejoining: Rejoining,
        clock: Clock,
        metrics: GatewayMetrics,
    ) -> None:
        """``ends`` are not started yet, and are ended by ``stop``."""
        self._presence = presence
        self._ends = ends
        self._connections = connections
        self._rejoining = rejoining
        self._clock = clock
        self._metrics = metrics
        self._connecting: asyncio.Task[None] | None = None
        # Whether the bus has told that one of its two connections is gone. The other may still seem to take
        # what is published then, and that it is gone too is not told again.
        self._is_gone = False
        self.refused = asyncio.Event()  # the broker can never be had: its topology is of other settings
        metrics.bus_up.set(0)
        ends.bus.watch(self._bus_changed)
        ends.bus.watch_blocked(self._bus_blocked)

    # ── birth and death ─────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Connect in the background, however long that takes."""
        task = asyncio.get_running_loop().create_task(self._connect(), name="connecting")
        self._connecting = supervised(task)

    async def stop_connecting(self) -> None:
        """Connect no more, where that has not come to an end."""
        connecting, self._connecting = self._connecting, None
        await cancel_and_wait(connecting)

    async def stop(self) -> None:
        """End what is at the broker, in the order in which it depends on each other; who has left is told to
        the routers before.
        """
        await self.stop_connecting()
        ends = self._ends
        await self._rejoining.stop()
        await ends.calls.stop()
        await ends.heartbeat.leave()
        await ends.posts.close()
        await ends.routers.close()
        await ends.uplink.close()
        await ends.own_queue.stop()
        await ends.bus.close()

    async def _connect(self) -> None:
        ends = self._ends
        try:
            await ends.bus.start()
            self._look()
            await ends.own_queue.start(self)
            await ends.calls.start()
            ends.uplink.begin()
            self._rejoining.ask()
            await ends.heartbeat.start(ends.sender)
        except WarrenError as error:
            event(_log, "bus_refused", level=logging.ERROR, reason=str(error))
            self.refused.set()

    # ── the broker ──────────────────────────────────────────────────────────────────────────────────────────

    def _look(self) -> None:
        bus = self._ends.bus
        up = bus.up and not self._is_gone
        self._metrics.bus_up.set(up)
        self._do(self._presence.bus_changed(up=up, blocked=bus.blocked))

    def _bus_changed(self, up: bool) -> None:
        event(_log, "bus_restored" if up else "bus_degraded", level=logging.INFO if up else logging.WARNING)
        self._is_gone = not up
        self._look()

    def _bus_blocked(self, blocked: bool) -> None:
        self._metrics.bus_blocked.set(blocked)
        name, level = ("bus_blocked", logging.WARNING) if blocked else ("bus_unblocked", logging.INFO)
        event(_log, name, level=level)
        self._look()

    def tick(self, now: float) -> None:
        """Do what is due, and tell the senders of messages that have waited too long."""
        for shard in range(self._ends.uplink.shards):
            self._follow_life(shard)
        self._do(self._presence.tick(now))
        for conn, undelivered in self._ends.uplink.expire(now):
            connection = self._connections.find(conn)
            if connection is not None:
                connection.put(undelivered)

    # ── our own queue ───────────────────────────────────────────────────────────────────────────────────────

    def begun(self) -> None:
        """The queue is consumed anew: say where we stand, and tell the routers its name."""
        for shard in range(self._ends.uplink.shards):
            self._follow_life(shard)
        self._do(self._presence.queue_consumed(self._clock.monotonic()))
        self._ends.heartbeat.soon()

    def lost(self) -> None:
        """The queue is not consumed any more."""
        self._presence.queue_lost()

    def malformed(self, reason: str) -> None:
        """Count and log what is no envelope."""
        self._metrics.drops("malformed")
        event(_log, "malformed_envelope", level=logging.WARNING, reason=reason)

    def failed(self, error: Exception) -> None:
        """Count and log what could not be dealt with."""
        self._metrics.drops("downlink_failed")
        event(_log, "downlink_failed", level=logging.ERROR, error=error)

    def take(self, envelopes: Sequence[envelope.Envelope]) -> None:
        """Deal with the envelopes of one body, in their order. A body without any is a probe of our own."""
        now = self._clock.monotonic()
        if envelopes:
            self._presence.heard(now)
        for said in envelopes:
            match said:
                case (
                    envelope.Feed()
                    | envelope.Bodies()
                    | envelope.Speaker()
                    | envelope.LifeEnded()
                    | envelope.Reset()
                ):
                    self._take_of_shard(said, now)
                case envelope.ProgressQuery():
                    if self._presence.knows(said.shard):
                        number = self._presence.number(said.shard)
                        self._ends.routers.answer(
                            said.router, envelope.Progress(*msgspec.structs.astuple(number))
                        )
                case envelope.CountsQuery():
                    if self._presence.knows(said.shard):
                        gateway = self._presence.number(said.shard).gateway
                        self._ends.routers.answer(said.router, self._ends.downlink.counts(said, gateway))
                case envelope.Page():
                    self._ends.downlink.page(said)
                case envelope.HistoryPage():
                    self._ends.downlink.history_page(said)
                case envelope.PresenceDiff():
                    self._ends.room_presence.diff(said)
                case envelope.PresencePage():
                    self._ends.room_presence.page(said)
                case envelope.Receipt():
                    self._ends.downlink.answer(said)
                case envelope.Post():
                    self._ends.posts.passed(said)
                case envelope.PostAnswer():
                    self._ends.posts.answered(said)
                case envelope.AccessAnswer():
                    self._ends.one_messages.answered(said)
                case envelope.Refused():
                    self._ends.uplink.answered((said,))
                    self._ends.downlink.answer(said)
                case _:
                    self._metrics.drops("misplaced")

    def _take_of_shard(
        self,
        said: envelope.Feed | envelope.Bodies | envelope.Speaker | envelope.LifeEnded | envelope.Reset,
        now: float,
    ) -> None:
        presence = self._presence
        if not presence.knows(said.shard):
            self._metrics.drops("misplaced")
            return
        self._follow_life(said.shard)
        match said:
            case envelope.Feed():
                self._do(presence.feed(said, now))
            case envelope.Bodies():
                presence.bodies(said)
            case envelope.Speaker():
                self._do(presence.speaks(said, now))
            case envelope.LifeEnded():
                self._do(presence.life_ended(said))
            case envelope.Reset():
                self._do(presence.reset(said, now))

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────

    def _follow_life(self, shard: int) -> None:
        """Have the presence know which life we are in on a shard: the uplink may have begun another one
        itself.
        """
        uplink = self._ends.uplink
        life, begun = uplink.life(shard), uplink.begun(shard)
        self._do(self._presence.life(shard, life, self._clock.monotonic(), begun=begun))

    def _do(self, asked: Sequence[steps.Step]) -> None:
        ends = self._ends
        for step in asked:
            match step:
                case steps.GiveOut():
                    self._give_out(step)
                case steps.Counted():
                    ends.uplink.counted(step.shard, step.life, step.number)
                case steps.SayNumber():
                    ends.routers.ask(step.shard, self._presence.number(step.shard), everyone=step.everyone)
                case steps.RenewReads():
                    ends.downlink.renew_reads(step.shard)
                    ends.room_presence.renew(step.shard)
                case steps.RejoinMembers():
                    self._rejoining.begin(step.shard)
                case steps.AskAgain():
                    ends.uplink.ask_again(step.shard)
                case steps.EndLife():
                    if ends.uplink.life_ended(step.shard, step.life, step.counted):
                        # That the log is another one may be why the life is over.
                        ends.bus.stream_remade(ends.topology.log(step.shard).name)
                        self._follow_life(step.shard)
                case steps.TellClients():
                    self._connections.tell(BrokerChanged(step.up))
                case steps.GapFound() | steps.ResetTaken() | steps.Dropped():
                    self._count(step)

    def _give_out(self, step: steps.GiveOut) -> None:
        try:
            self._ends.downlink.give_out(step.items, step.shard)
            self._ends.uplink.answered(step.items)
        except Exception as error:  # noqa: BLE001 - our number has moved on: the rest of these comes by what mends it
            self.failed(error)
            self._presence.spoilt(step.shard, self._clock.monotonic())

    def _count(self, step: steps.GapFound | steps.ResetTaken | steps.Dropped) -> None:
        match step:
            case steps.Dropped():
                self._metrics.drops(step.reason, step.count)
            case steps.GapFound():
                self._metrics.feed_gaps()
                if step.news:
                    event(_log, "feed_gap", level=logging.DEBUG, shard=step.shard, router=step.router)
            case steps.ResetTaken():
                self._metrics.resets()
                event(_log, "feed_reset", level=logging.WARNING, shard=step.shard, router=step.router)
