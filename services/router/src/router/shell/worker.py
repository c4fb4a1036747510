"""Worker: one shard's way through this router: take ▶ decide ▶ log ▶ egress ▶ events ▶ ack, in order.

While the egress of one batch is on its way the next one is decided and logged already, but it leaves only when the last one is confirmed.
Deliveries that come before the shard is live wait, unacknowledged (the prefetch bounds them). What can't be handled is answered and set
aside, and takes nothing else with it; what was delivered before is screened first. It decides nothing about rooms (``core/shard.py``) or
ownership (``possession.py``), and keeps no lane open itself (``seat.py``). ``app.py`` builds one for each shard.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from dataclasses import dataclass, field

import msgspec

from router.core.effects import Effect
from router.core.plan import Plan, plan
from router.core.shard import Shard
from router.shell.aside import SHARD_HEADER, Aside
from router.shell.events import Events
from router.shell.ground import Ground
from router.shell.opening import claim_in, opened
from router.shell.outlet import Outlet
from router.shell.possession import Possession
from router.shell.screening import Screening
from router.shell.seat import Seat
from warren import envelope as wire
from warren.batch import Cadence
from warren.bus import Delivery, Lane, Properties
from warren.envelope import CONTENT_TYPE, encode
from warren.errors import WarrenError
from warren.fault import watched
from warren.logs import event, get_logger
from warren.telemetry import Hop, HopKind, Tracing

_logger = get_logger("router.worker")


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """How much is decided at once, and how often of a busy shard."""

    count: int = 1_024  # envelopes
    bytes: int = 262_144  # of the deliveries
    effects: int = 8_192  # a join may bring back a hundred messages
    interval_s: float = 0.0  # from one beat to the next, at which a busy shard is worked on; 0: always at once


@dataclass(slots=True)
class Work:
    """A batch that is being decided, or waits to be carried out."""

    generation: int
    effects: list[Effect] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)
    deliveries: list[Delivery] = field(default_factory=list)
    spoilt: list[tuple[bytes, str]] = field(default_factory=list)  # bodies with parts that are no envelopes
    hops: list[Hop] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def trace(self) -> str:
        """The trace id of its first sampled message, for the times of the whole batch; empty where none is sampled."""
        return self.hops[0].trace_id if self.hops else ""


class Worker:
    """One shard."""

    def __init__(
        self,
        number: int,
        ground: Ground,
        outlet: Outlet,
        aside: Aside,
        events: Events,
        tracing: Tracing,
        limits: WorkLimits,
    ) -> None:
        """Idle until it is started and a lane is open."""
        self.number = number
        self._ground = ground
        self._outlet = outlet
        self._aside = aside
        self._events = events
        self._tracing = tracing
        self._limits = limits
        self._cadence = Cadence(limits.interval_s)
        self._inbound: deque[Delivery] = deque()
        self._screening = Screening(ground.sandbox, self._trial, self._take, self._poison)
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self.possession = Possession(number, ground, self._wake.set, self._leave, lambda: self.waiting)
        self.seat = Seat(
            ground.bus,
            ground.topology.shard_queue(number),
            ground.steady,
            self,
            prefetch=ground.window,
            wanted=lambda: self.possession.wanted,
        )

    @property
    def waiting(self) -> int:
        """How many deliveries wait."""
        return self._screening.waiting + len(self._inbound)

    def start(self) -> None:
        """Begin to work."""
        self._task = watched(asyncio.get_running_loop().create_task(self._run(), name=f"shard-{self.number}"))
        self.seat.start()

    def tick(self) -> None:
        """Look whether the time is up for something. To be called several times a second, and when the placement has changed."""
        if not self._stopping:
            self.possession.tick()
            self.seat.look()

    async def stop(self) -> None:
        """Hand the shard over: take no more, finish and acknowledge what has begun, close the lane. It lasts as long as the broker is away."""
        began = self._ground.clock.monotonic()
        live = self.possession.live is not None
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait((self._task,))
        await self._screening.close()
        await self.seat.close()
        await self.possession.close()
        if live:
            took_s = self._ground.clock.monotonic() - began
            self._ground.metrics.hop_seconds("handover", took_s)
            event(_logger, "shard_handed_over", shard=self.number, ms=round(1_000 * took_s, 1))

    async def kill(self) -> None:
        """Give up what has begun, and end."""
        self._stopping = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._screening.close()
        await self.possession.close()
        await self.seat.kill()

    # ── the lane ────────────────────────────────────────────────────────────────────────────────────────────────────

    def opened(self, lane: Lane) -> None:
        """A lane is open and will be consumed."""
        self.possession.opened(lane)

    def consuming(self) -> None:
        """The lane is consumed."""
        self.possession.consuming()

    def delivered(self, delivery: Delivery) -> None:
        """Take a delivery of the shard's queue."""
        if not self._stopping:
            self._screening.take(delivery)

    def _take(self, delivery: Delivery) -> None:
        if self._stopping:
            return  # stays unacknowledged, and goes to the next owner
        if self.possession.live is None:
            claim = claim_in(delivery.body)
            if claim is not None:
                if self.possession.claimed(claim):
                    delivery.ack()
                return
            self._inbound.append(delivery)
            self.possession.given()
        else:
            self._inbound.append(delivery)
        self._wake.set()

    def lost(self) -> None:
        """The lane is gone."""
        self._screening.lost()
        self._inbound.clear()
        self.possession.lost()

    def _leave(self) -> None:
        """Close the lane: what is not acknowledged goes to the next owner."""
        self._screening.lost()
        self._inbound.clear()
        self.seat.leave()

    def _trial(self, delivery: Delivery) -> None:
        """Do with a delivery, in the sandbox, what can fail for what is in it: on a shard that is empty, since the real one may not be open yet."""
        ground = self._ground
        now_us, namespaces = ground.clock.wall_us(), ground.namespaces
        topology, limits, events = ground.topology, ground.shard_limits, ground.events
        shard = Shard(self.number, topology.shards, 1, limits, namespaces, ground.router, events)
        effects = shard.open(None, now_us)
        for envelope in opened(delivery.body)[0]:
            try:
                effects += shard.apply(envelope, now_us, again=True)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001, S112 - it would take no other with it
                continue
        plan(effects, ground.gateways.living, whole=self._outlet.whole)

    async def _poison(self, delivery: Delivery, reason: str) -> None:
        """Set aside what would end this router."""
        try:
            await self._aside.put(
                delivery.body, reason, Properties(content_type=CONTENT_TYPE), {SHARD_HEADER: self.number}
            )
        except Exception as error:  # noqa: BLE001 - ours; the broker sets it aside
            event(_logger, "aside_failed", level=logging.ERROR, reason=reason, error=error)
            delivery.reject(requeue=False)
        else:
            delivery.ack()

    # ── the pipeline ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        flight: asyncio.Task[None] | None = None
        now = self._ground.clock.monotonic
        try:
            while not self._stopping:
                await self._wake.wait()
                self._wake.clear()
                while (work := self._next()) is not None:
                    if not await self._log(work):
                        continue
                    if flight is not None:
                        await flight
                    flight = asyncio.get_running_loop().create_task(self._carry_out(work))
                    pause_s = self._cadence.pause(work.kinds.total(), now())
                    if pause_s and not self._stopping:
                        await asyncio.sleep(pause_s)
                if self.possession.yielding:
                    if flight is not None:
                        await flight
                    if not self.possession.effects:
                        self.possession.finished()
            if flight is not None:
                await flight
        finally:
            if flight is not None and not flight.done():
                flight.cancel()
                await asyncio.gather(flight, return_exceptions=True)

    # ── decide ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _next(self) -> Work | None:
        """Decide the next batch; None where there is nothing to do now."""
        work = Work(self.possession.generation, self.possession.taken())
        shard = self.possession.live
        if shard is not None and self._inbound and not self._stopping:
            self._decide(shard, work)
        if not work.effects and not work.deliveries:
            return None
        work.plan = plan(work.effects, self._ground.gateways.living, whole=self._outlet.whole)
        return work

    def _decide(self, shard: Shard, work: Work) -> None:
        """Apply deliveries up to the limits, or up to the claim of another router."""
        metrics, clock, limits = self._ground.metrics, self._ground.clock, self._limits
        began, repeats, size = clock.monotonic(), shard.duplicates, 0
        while (
            self._inbound
            and work.kinds.total() < limits.count
            and size < limits.bytes
            and len(work.effects) < limits.effects
        ):
            delivery = self._inbound.popleft()
            envelopes, spoilt = opened(delivery.body)
            if len(envelopes) == 1 and isinstance(envelopes[0], wire.Claim) and not spoilt:
                if not self.possession.claimed(envelopes[0]):
                    self._inbound.clear()  # the claim and what comes after it is the next owner's
                    break
                delivery.ack()
                continue
            work.deliveries.append(delivery)
            size += len(delivery.body)
            if spoilt:
                work.spoilt.append((delivery.body, spoilt))
            self._apply(shard, envelopes, work, again=delivery.redelivered)
        if not work.deliveries:
            return
        for kind, count in work.kinds.items():
            metrics.messages(kind, count)
        if shard.duplicates > repeats:
            metrics.duplicates(shard.duplicates - repeats)
        metrics.batch_size("process", work.kinds.total())
        metrics.hop_seconds("process", clock.monotonic() - began, work.trace)

    def _apply(self, shard: Shard, envelopes: list[wire.Envelope], work: Work, *, again: bool) -> None:
        """Apply one delivery's envelopes; one that breaks something takes no other with it."""
        now_us = self._ground.clock.wall_us()
        oldest_us = 0
        for envelope in envelopes:
            work.kinds[type(envelope).__name__.lower()] += 1
            if isinstance(envelope, wire.Publish):
                oldest_us = oldest_us or envelope.at_us
                if envelope.trace:
                    envelope = self._traced(envelope, work.hops, len(envelopes))
            try:
                work.effects += shard.apply(envelope, now_us, again=again)
            except Exception as error:  # noqa: BLE001 - whatever it is, the rest of the shard goes on
                event(_logger, "apply_failed", level=logging.ERROR, shard=self.number, error=error)
                work.effects += shard.refuse_internal(envelope, f"internal: {type(error).__name__}")
        if oldest_us:
            self._ground.metrics.hop_seconds("queue", (now_us - oldest_us) / 1_000_000)

    def _traced(self, message: wire.Publish, hops: list[Hop], batch: int) -> wire.Publish:
        """Open the span of a sampled message."""
        hop = self._tracing.hop(HopKind.PROCESS, message.trace, message_id=message.id, shard=self.number, batch=batch)
        if hop is None:
            return message
        hops.append(hop)
        return msgspec.structs.replace(message, trace=hop.traceparent)

    # ── carry out ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _log(self, work: Work) -> bool:
        """Append what the log must have before anything leaves. False: it may not have it, and the shard is left."""
        log = self.possession.log
        if work.generation != self.possession.generation or (work.plan.log and log is None):
            self._end(work)
            return False
        if not work.plan.log or log is None:
            return True
        clock = self._ground.clock
        began = clock.monotonic()
        try:
            await log.append(work.plan.log)
        except WarrenError as error:
            if work.generation == self.possession.generation:
                event(_logger, "log_failed", level=logging.WARNING, shard=self.number, reason=str(error))
                self.possession.failed()
            self._end(work)
            return False
        self._ground.metrics.batch_size("log", len(work.plan.log))
        self._ground.metrics.hop_seconds("log", clock.monotonic() - began, work.trace)
        return True

    async def _carry_out(self, work: Work) -> None:
        """Do what was decided, then acknowledge. It never raises but for being cancelled."""
        if work.generation != self.possession.generation:
            self._end(work)
            return  # decided for a possession that is over; the broker gives these deliveries to the next owner
        clock = self._ground.clock
        began = clock.monotonic()
        try:
            await self._outlet.send(work.plan)
            await self._events.send(work.plan.events)
            await self._set_aside(work)
        except Exception as error:  # noqa: BLE001 - ours; the queue's delivery limit is the last resort
            event(_logger, "carry_out_failed", level=logging.ERROR, shard=self.number, error=error)
            for delivery in work.deliveries:
                delivery.reject(requeue=True)
            return
        finally:
            self._end(work)
        self._ground.metrics.hop_seconds("egress", clock.monotonic() - began, work.trace)
        for delivery in work.deliveries:
            delivery.ack()

    def _end(self, work: Work) -> None:
        """End the spans of a batch."""
        for hop in work.hops:
            hop.end()

    async def _set_aside(self, work: Work) -> None:
        """Keep what could not be handled, each with its reason."""
        headers = {SHARD_HEADER: self.number}
        for body, reason in work.spoilt:
            await self._aside.put(body, reason, Properties(content_type=CONTENT_TYPE), headers)
        for reject in work.plan.aside:
            self._ground.metrics.rejected(reject.reason.partition(":")[0])
            body = encode([reject.message])
            await self._aside.put(body, reject.reason, Properties(content_type=CONTENT_TYPE), headers)
