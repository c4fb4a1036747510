"""Egress: what leaves for the gateways. For each gateway one batch under way over all shards: at once when
idle, else what has come meanwhile.

It is best effort: where a publish is returned or not confirmed the gateway's chains go back to where they
were and are sent again (gateways drop what they have), and the gateway is suspected. What goes to all at once
leaves before the feeds that name it. Where nothing is said for a while an empty feed says how far the log is.
It decides nothing about what goes where (``core/feeds.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from router.core.feeds import Feeds
from router.core.gateway_leases import GatewayLeases
from router.shell.retrying_publisher import FIRST_PAUSE_S, LONGEST_PAUSE_S
from router.shell.router_context import RouterContext
from warren.batch import BatchLimits, Pace, Pacer
from warren.bus import Properties
from warren.envelope import CONTENT_TYPE, Bodies, Deliver, Envelope, Feed, encode, size_of
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.logs import event, get_logger
from warren.retry import Backoff
from warren.supervision import cancel_and_wait, supervised
from warren.telemetry import SEQ, Hop, HopKind
from warren.topology import ALL

# After so long without a word on a shard an empty feed goes out.
IDLE_S = 0.5
# Answers that wait for one gateway, which asks again for what it does not get.
ANSWERS = 4_096
ANSWERS_BYTES = 16 * 1024 * 1024
# What goes to all at once and is not confirmed yet. Beyond it, it is left out: who is to be fed it finds a
# gap, and is given it by value.
BODIES = 1_024
BODIES_BYTES = 16 * 1024 * 1024
_PROPERTIES = Properties(content_type=CONTENT_TYPE)

_logger = get_logger("router.egress")


@dataclass(slots=True)
class _Destination:
    """One gateway, and what waits to be sent to it."""

    key: str
    pacer: Pacer
    # shards that have something for it ▶ since when (monotonic)
    dirty: dict[int, float] = field(default_factory=dict, init=False)
    answers: deque[tuple[Envelope, int]] = field(default_factory=deque, init=False)  # each with its bytes
    answers_bytes: int = field(default=0, init=False)
    asks: dict[Envelope, None] = field(default_factory=dict, init=False)  # what it is to answer behind feeds
    # shard ▶ when something was last said of it
    said: dict[int, float] = field(default_factory=dict, init=False)
    # shards of which something is to be said in any case
    idle: set[int] = field(default_factory=set, init=False)
    # it lives, so that a pause after a failure may end
    heard: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    task: asyncio.Task[None] | None = field(default=None, init=False)

    def has_no_room_for(self, size: int) -> bool:
        """Say whether the oldest answers must go for one of so many bytes."""
        full = len(self.answers) >= ANSWERS or self.answers_bytes + size > ANSWERS_BYTES
        return bool(self.answers) and full

    def take_answer(self) -> tuple[Envelope, int]:
        """Take the oldest answer."""
        envelope, size = self.answers.popleft()
        self.answers_bytes -= size
        return envelope, size


class Egress:
    """What is sent to all gateways."""

    def __init__(
        self, context: RouterContext, gateways: GatewayLeases, limits: BatchLimits, pace: Pace
    ) -> None:
        """``gateways`` are those that live; one that can't be reached is trusted less long."""
        self._bus = context.bus
        self._topology = context.topology
        self._publisher = context.publisher
        self._clock = context.clock
        self._metrics = metrics = context.metrics
        self._tracing = context.tracing
        self._gateways = gateways
        self._limits = limits
        self._pace = pace
        self._feeds: dict[int, Feeds] = {}  # of the shards that we speak for
        self._destinations: dict[str, _Destination] = {}
        self._bodies: set[asyncio.Task[None]] = set()
        self._bodies_bytes = 0
        self._starting = 0  # bodies that are to leave before anything else
        metrics.waiting_from("egress", lambda: sum(len(feeds.dirty()) for feeds in self._feeds.values()))

    def speak(self, shard: int, feeds: Feeds) -> None:
        """We speak for a shard from now on; these are its feeds."""
        self._feeds[shard] = feeds

    def silence(self, shard: int) -> None:
        """We speak for it no more."""
        self._feeds.pop(shard, None)
        for destination in self._destinations.values():
            destination.dirty.pop(shard, None)
            destination.said.pop(shard, None)

    def flush(self, shard: int) -> None:
        """A shard has something to send: it goes at once to each gateway for which nothing is under way."""
        feeds = self._feeds[shard]
        while (bodies := feeds.next_bodies()) is not None:
            self._to_all(bodies)
        self._answer(feeds)
        now = self._clock.monotonic()
        for gateway in feeds.dirty():
            destination = self._destination(gateway)
            destination.dirty.setdefault(shard, now)
            self._go(destination)

    def tell(self, key: str, envelope: Envelope) -> None:
        """Send something besides the feeds to one gateway (or ALL), once."""
        destination, size = self._destination(key), size_of(envelope)
        while destination.has_no_room_for(size):
            destination.take_answer()
            self._metrics.rejected("answer_dropped")
        destination.answers.append((envelope, size))
        destination.answers_bytes += size
        self._go(destination)

    def ask(self, gateway: str, question: Envelope) -> None:
        """Ask a gateway something, once, behind what its feeds have for it by now; a question that waits
        already is the same one.
        """
        destination = self._destination(gateway)
        destination.asks[question] = None
        self._go(destination)

    def heard(self, gateway: str) -> None:
        """A gateway says something: what could not reach it may reach it now."""
        destination = self._destinations.get(gateway)
        if destination is not None:
            destination.heard.set()

    def idle(self, shard: int, gateways: Iterable[str]) -> None:
        """Say to these how far a shard's log is, where nothing was said of it for a while. To be called
        several times a second.
        """
        now, waits = self._clock.monotonic(), self._feeds[shard].unanswered()
        since = now - IDLE_S
        for gateway in gateways:
            destination = self._destination(gateway)
            if destination.said.get(shard, since) <= since and gateway not in waits:
                destination.dirty.setdefault(shard, now)
                destination.idle.add(shard)
                self._go(destination)

    def tick(self) -> None:
        """Forget gateways that are not known to live, and have nothing under way."""
        living = self._gateways.living
        for key in [
            key
            for key, destination in self._destinations.items()
            if destination.task is None and key not in living
        ]:
            del self._destinations[key]

    async def close(self) -> None:
        """Give up what waits."""
        self._feeds.clear()
        await cancel_and_wait(*(each.task for each in self._destinations.values()), *self._bodies)

    def _destination(self, key: str) -> _Destination:
        destination = self._destinations.get(key)
        if destination is None:
            destination = self._destinations[key] = _Destination(key, Pacer(self._pace))
        return destination

    def _go(self, destination: _Destination) -> None:
        if destination.task is None:
            destination.task = supervised(
                asyncio.get_running_loop().create_task(self._run(destination), name="egress")
            )

    async def _run(self, destination: _Destination) -> None:
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        now = self._clock.monotonic
        try:
            while True:
                # What the feeds name is about to leave, in this very turn.
                while self._starting:  # noqa: ASYNC110
                    await asyncio.sleep(0)
                hops: list[Hop] = []
                feeds, others = self._collect(destination, hops)
                asks, destination.asks = destination.asks, {}
                if not feeds and not others and not asks:
                    if destination.answers:  # it came up just now, in place of a feed
                        continue
                    return
                full = bool(destination.dirty or destination.answers)  # more than goes at once
                began, count = now(), sum(len(feed.items) for feed in feeds) + len(others)
                failed = await self._publish(destination.key, [*others, *feeds, *asks], hops)
                if failed is None:
                    backoff.reset()
                    if destination.key != ALL:
                        self._metrics.batch_size("egress", count)
                        self._metrics.delivered("one", count)
                        self._metrics.hop_seconds("egress", now() - began, hops[0].trace_id if hops else "")
                    pause_s = destination.pacer.pause(count, now())
                    if pause_s and not full:
                        await asyncio.sleep(pause_s)
                    continue
                self._failed(destination, feeds, failed, count)
                await self._pause(destination, failed, backoff.next())
        finally:
            destination.task = None

    async def _pause(self, destination: _Destination, failed: str, longest_s: float) -> None:
        """Wait a little: no longer than the broker is away, or than the gateway is silent."""
        if not failed:
            await self._publisher.wait(longest_s)
            return
        destination.heard.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await destination.heard.wait()

    def _collect(self, destination: _Destination, hops: list[Hop]) -> tuple[list[Feed], list[Envelope]]:
        """Take what goes next: what was told, and of each shard the next feed, as far as it fits."""
        others: list[Envelope] = []
        size, now, most = 0, self._clock.monotonic(), self._limits.batch_bytes
        while destination.answers and (not others or size + destination.answers[0][1] <= most):
            envelope, its = destination.take_answer()
            others.append(envelope)
            size += its
        most = max(most, size + most // 2)  # however many answers wait, the feeds have their share
        taken: list[Feed] = []
        for shard in list(destination.dirty):
            if size >= most:
                break
            since = destination.dirty.pop(shard)
            feeds, idle = self._feeds.get(shard), shard in destination.idle
            destination.idle.discard(shard)
            if feeds is None:
                continue
            feed = feeds.next(destination.key, most - size)
            if feed is None and idle:
                feed = feeds.idle(destination.key)
            self._answer(feeds)
            if feed is None:
                continue
            if destination.key in feeds.dirty():
                destination.dirty[shard] = since  # behind the others: what did not fit comes next
            destination.said[shard] = now
            if feed.items:
                self._metrics.hop_seconds("egress_wait", now - since)
            size += sum(size_of(item) for _, _, item in feed.items)
            taken.append(self._traced(feed, destination.key, hops) if self._tracing.on else feed)
        return taken, others

    def _answer(self, feeds: Feeds) -> None:
        """Tell gateways what they must hear besides their feeds."""
        for gateway, answer in feeds.answers():
            self.tell(gateway, answer)

    def _traced(self, feed: Feed, key: str, hops: list[Hop]) -> Feed:
        """Open the spans of sampled messages' way to one gateway."""
        if not any(isinstance(item, Deliver) and item.trace for _, _, item in feed.items):
            return feed
        items = []
        for offset, index, item in feed.items:
            if isinstance(item, Deliver) and item.trace:
                hop = self._tracing.hop(HopKind.PUBLISH_EGRESS, item.trace, message_id=item.id, key=key)
                if hop is not None:
                    if item.seq:
                        hop.set(SEQ, item.seq)
                    hops.append(hop)
                    item = msgspec.structs.replace(item, trace=hop.traceparent)
            items.append((offset, index, item))
        return msgspec.structs.replace(feed, items=tuple(items))

    def _failed(self, destination: _Destination, feeds: Sequence[Feed], outcome: str, count: int) -> None:
        """The chains go back to where they were."""
        if outcome:
            self._metrics.rejected(outcome, count)
            if destination.key != ALL:
                self._suspect(destination.key)
        for feed in reversed(feeds):
            of = self._feeds.get(feed.shard)
            if of is not None:
                of.lost(destination.key, feed.after)
                if destination.key in of.dirty():
                    destination.dirty.setdefault(feed.shard, self._clock.monotonic())

    def _suspect(self, gateway: str) -> None:
        if self._gateways.shorten(gateway, self._clock.monotonic()):
            event(_logger, "gateway_suspected", level=logging.WARNING, gateway=gateway)

    def _to_all(self, bodies: Bodies) -> None:
        size = sum(size_of(message) for _, _, message in bodies.messages)
        if self._bodies and (len(self._bodies) >= BODIES or self._bodies_bytes + size > BODIES_BYTES):
            self._metrics.rejected("bodies_dropped", len(bodies.messages))
            return
        self._starting += 1
        task = asyncio.get_running_loop().create_task(self._send_all(bodies), name="egress-all")
        self._bodies.add(task)
        self._bodies_bytes += size

        def done(task: asyncio.Task[None]) -> None:
            self._bodies.discard(task)
            self._bodies_bytes -= size

        task.add_done_callback(done)
        supervised(task)

    async def _send_all(self, bodies: Bodies) -> None:
        """What is not confirmed is not repeated: who has not got it asks for what it lacks."""
        self._starting -= 1
        hops: list[Hop] = []
        self._metrics.delivered("all", len(bodies.messages))
        failed = await self._publish(
            ALL, [self._traced_bodies(bodies, hops) if self._tracing.on else bodies], hops
        )
        if failed:
            self._metrics.rejected(failed, len(bodies.messages))

    def _traced_bodies(self, bodies: Bodies, hops: list[Hop]) -> Bodies:
        messages = []
        for offset, index, message in bodies.messages:
            hop = self._tracing.hop(HopKind.PUBLISH_EGRESS, message.trace, message_id=message.id, key=ALL)
            if hop is not None:
                hop.set(SEQ, message.seq)
                hops.append(hop)
                message = msgspec.structs.replace(message, trace=hop.traceparent)
            messages.append((offset, index, message))
        return msgspec.structs.replace(bodies, messages=tuple(messages))

    async def _publish(self, key: str, envelopes: Sequence[Envelope], hops: Sequence[Hop]) -> str | None:
        """Publish; None once it is confirmed, else why it was not (empty: the broker is away)."""
        try:
            # Where there is no gateway at all nothing is amiss.
            await self._bus.publish(
                self._topology.egress,
                key,
                encode(envelopes),
                _PROPERTIES,
                mandatory=key != ALL,
                persistent=False,
            )
        except Unroutable:
            return "egress_unroutable"
        except NotConfirmed:
            return "egress_not_confirmed"
        except BusUnavailable:
            return ""
        finally:
            for hop in hops:
                hop.end()
        return None
