"""Shard: one shard in this router: what is read of its log goes through the fold into the feeds, the history
and the events, in one turn.

It does what ``core/shard_role.py`` says, and answers gateways while it speaks. Everything that it says
follows from the log: what it knows besides (who lives, what time it is) only makes it write into the log
(``log_maintainer.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from router.core.effects import (
    Accepted,
    BackendEvent,
    Began,
    CommandDone,
    Effect,
    Ended,
    FeedItem,
    Marked,
    Part,
    PresenceChanged,
    Ruled,
    SeenChanged,
)
from router.core.feeds import Feeds
from router.core.fold import Fold
from router.core.receipts import Receipts, Told
from router.core.shard_role import Event, ShardRole, State, Step
from router.shell.entry_telemetry import EntryTelemetry
from router.shell.events import Events
from router.shell.log_maintainer import LogMaintainer
from router.shell.log_reader import LogReader
from router.shell.shard_context import ShardContext
from router.shell.shard_history import ShardHistory
from router.shell.shard_log import ShardLog
from router.shell.shard_presence import ShardPresence
from router.shell.shard_reads import ShardReads
from warren import envelope as wire
from warren.address import gateway_of
from warren.bus import Record
from warren.logs import event, get_logger
from warren.topology import ALL

# A gateway that has not answered is asked so often how far it has got.
ASK_AGAIN_S = 1.0

_logger = get_logger("router.shard")


class Shard:
    """One shard."""

    def __init__(self, number: int, context: ShardContext) -> None:
        """Idle until it is looked at."""
        self.number = number
        self.role = ShardRole(context.router.id)
        self.outdated = ""  # why this router can't apply the log; empty where it can
        self._context = context
        self._fold = Fold(number, context.router.topology.shards)
        self._feeds = Feeds(context.router.id, number, context.limits.ring_bytes)
        router = context.router
        self._log = ShardLog(router.bus, router.topology, number, prefetch=context.limits.prefetch)
        self._history = ShardHistory(self._log, context)
        self._presence = ShardPresence(context)
        self._reads = ShardReads(number, router, self._history, context.egress.tell)
        self._maintainer = LogMaintainer(self._log, context, self.role)
        self._telemetry = EntryTelemetry(
            number, context.router.clock, context.router.metrics, context.router.tracing
        )
        self._events = Events(context.router, number, context.limits.events, self._progressed)
        self._reader: LogReader | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._receipts = Receipts()
        self._asked_at = 0.0
        # since when the shard is ours by the placement, and we don't speak yet
        self._called_at: float | None = None

    @property
    def speaks(self) -> bool:
        """Whether this router speaks for the shard."""
        return self.role.speaks

    @property
    def fold(self) -> Fold:
        """What the log tells. To be looked at, not changed."""
        return self._fold

    @property
    def version(self) -> int:
        """The version of the fold that the log asks for; 0: not known here."""
        return self._fold.version

    @property
    def waiting(self) -> int:
        """How many events and records wait for the broker."""
        return len(self._events.backlog) * self.speaks + self._maintainer.waiting

    @property
    def asking(self) -> int:
        """How many questions of backends wait for gateways."""
        return self._reads.waiting

    @property
    def prepared(self) -> bool:
        """Whether this router does for the shard what the placement asks of it."""
        assignment = self._context.placement.of(self.number)
        if assignment.speaker == self._context.router.id:
            return self.speaks and self._fold.life != ""
        return assignment.standby != self._context.router.id or self.role.state in (
            State.FOLLOWING,
            State.SPEAKING,
        )

    @property
    def read(self) -> bool:
        """Whether what is to be read before the shard could be taken over is read: the history too, where
        others speak meanwhile.
        """
        others = self._context.peers.routers.living - {self._context.router.id}
        return self.role.state is not State.STARTING and not (self._history.filling and others)

    def progress(self) -> wire.SpeakerProgress | None:
        """Return how far we have got; None where we don't speak."""
        if not self.speaks or not self._fold.life:
            return None
        return wire.SpeakerProgress(
            self.number, self._fold.life, self._events.backlog.confirmed, self._maintainer.newest
        )

    def reading(self) -> wire.ShardReading | None:
        """Return what was read; None where nothing is read."""
        if self.role.state is State.IDLE or not self._fold.life:
            return None
        rooms = self._fold.rooms
        return wire.ShardReading(
            self.number,
            self._fold.offset,
            len(rooms) - rooms.users,
            rooms.memberships - rooms.user_memberships,
            rooms.users,
            self.speaks,
        )

    def gateways_waiting(self) -> dict[str, int]:
        """Return how many entries wait to be sent to each gateway, of those for which any does."""
        return self._feeds.waiting()

    # ── placement and time ──────────────────────────────────────────────────────────────────────────────────

    def follow_placement(self) -> None:
        """Compare with the placement, and do what follows."""
        context = self._context
        others = context.peers.routers.speaking(self.number) - {context.router.id}
        assignment = context.placement.of(self.number)
        if assignment.speaker != context.router.id or self.speaks:
            self._called_at = None
        elif self._called_at is None:
            self._called_at = context.router.clock.monotonic()
        for step in self.role.follow(assignment, others, announced=context.placement.announced):
            self._do(step)

    def tick(self) -> None:
        """Do what the time asks for. To be called several times a second."""
        self.follow_placement()
        if self.role.state is State.IDLE:
            return
        context = self._context
        self._history.tidy()
        progress = context.peers.routers.progress(self.number, self._fold.life)
        if progress is not None and not self.speaks and self._fold.life:
            self._events.backlog.upto(progress.events)
        if self.speaks:
            self._keep_up()
            self._ask()
            now = context.router.clock.monotonic()
            self._ask_progress(self._receipts.ask(now))
            self._tell(self._receipts.expire(now))
            context.egress.idle(self.number, self._fold.gateways)
            self._presence.tick(self._fold)

    async def stop(self) -> None:
        """Say and write nothing more, and read no more."""
        if self.speaks:
            self.role.state = State.FOLLOWING
            self._do(Step.SILENCE)
        if self.role.state is not State.IDLE:
            self.role.state = State.IDLE
            self._do(Step.FORGET)
        await self._maintainer.close()
        await self._events.close()
        if self._ending:
            await asyncio.wait(self._ending)

    # ── gateways ────────────────────────────────────────────────────────────────────────────────────────────

    def number_said(self, said: wire.Number) -> None:
        """A gateway says how far it has got."""
        if not self.speaks:
            return
        self._maintainer.asks(said, self._fold)
        answer = self._feeds.number(said)
        if answer is not None:
            self._context.egress.tell(said.gateway, answer)
        self._context.egress.heard(said.gateway)
        self._context.egress.flush(self.number)
        self._presence.number_said(said.gateway, self._fold)

    def ask_gateways(self) -> None:
        """Have all gateways say how far they have got: what they have said may not have reached us."""
        if self.speaks:
            self._context.egress.tell(ALL, wire.Speaker(self._context.router.id, self.number))

    def progress_said(self, said: wire.Progress) -> None:
        """A gateway says how far it has been told, for the receipts that wait for it."""
        if self.speaks:
            self._tell(self._receipts.progress(said, self._fold.life))

    def counted(self, said: wire.Counts) -> None:
        """A gateway says for how many of its connections a message was what."""
        if self.speaks:
            self._reads.counted(said)

    def asked(self, read: wire.Read) -> None:
        """A gateway wants what members have missed. It asks again where nothing comes, as long as it may
        still be read.
        """
        if self.speaks and self._fold.life:
            answer = self._history.page(read, self._fold)
            if answer is not None:
                self._context.egress.tell(read.gateway, answer)

    def queried(self, query: wire.HistoryQuery) -> None:
        """A member wants a room's last messages."""
        if self.speaks and self._fold.life:
            answer = self._history.history_page(query, self._fold)
            if answer is not None:
                self._context.egress.tell(gateway_of(query.conn), answer)

    def access_queried(self, query: wire.AccessQuery) -> None:
        """A gateway wants to know whether somebody may say something who comes into no room."""
        if self.speaks and self._fold.life:
            self._context.egress.tell(gateway_of(query.conn), self._fold.access(query))

    def presence_queried(self, query: wire.PresenceQuery) -> None:
        """Somebody wants to know who is in a room."""
        if self.speaks and self._fold.life:
            self._presence.queried(query, self._fold)

    def answer(self, body: bytes) -> bytes | None:
        """Answer what a backend asks of this shard; None where we don't speak for it, or it has to be asked
        again.
        """
        if not self.speaks or not self._fold.life:
            return None
        return self._reads.answer(body, self._fold, self._feeds)

    # ── the log ─────────────────────────────────────────────────────────────────────────────────────────────

    def hints(self) -> Iterable[int]:
        """Return where other routers say that there is a checkpoint."""
        progress = self._context.peers.routers.progress(self.number)
        return () if progress is None or progress.mark < 0 else (progress.mark,)

    def known(self) -> bool:
        """Say whether another router has told of the log's life."""
        return self._context.peers.routers.progress(self.number) is not None

    def begun(self, fold: Fold) -> None:
        """What is read from now on is applied to this fold."""
        self._do(self.role.happened(Event.ANEW))
        context, before = self._context, self._fold
        self._maintainer.begin(fold, before, forked=self._reader is not None and self._reader.forked)
        self._fold = fold
        self._feeds = Feeds(context.router.id, self.number, context.limits.ring_bytes)
        self._presence.forget()
        self._end(self._history.forget())
        self._reads.begin()
        if self._reader is not None:
            self._history.begin(fold)
        self._events.backlog.begin(fold.offset)
        if fold.life:
            self._feeds.start(fold.life, fold.offset, fold.gateways, fold.ended)

    def unknown(self, reason: str) -> None:
        """The log is for routers that are newer than this one: nothing that we know of it is to be said any
        more.
        """
        self._do(self.role.happened(Event.ANEW))
        self.outdated = reason

    def caught_up(self) -> None:
        """The log is read up to about its end."""
        self._do(self.role.happened(Event.READ))
        self.follow_placement()

    def entry(self, record: Record) -> None:
        """Apply the next entry, and have said what it brings about."""
        fold, speaks = self._fold, self.speaks
        if speaks:
            self._telemetry.begin(fold)
        effects = fold.apply(record.offset, record.body)
        if speaks:
            effects = self._telemetry.traced(effects)
        emits: list[BackendEvent] = []
        internal = False
        for effect in effects:
            if type(effect) is BackendEvent:
                emits.append(effect)
                if effect.message is None:
                    self._reads.note(effect)
                elif effect.kind == "message":
                    self._history.put(effect.message)
            elif type(effect) is not FeedItem:
                internal = self._note(effect, record.offset) or internal
        self._feeds.take(fold.life, record.offset, effects, fold.gateways, fold.ended)
        self._events.take(fold.life, record.offset, emits)
        if not internal:
            self._maintainer.entered(len(record.body))
        elif speaks:
            self._maintainer.confirmed(self._events.backlog.confirmed)
        if speaks:
            self._context.egress.flush(self.number)
            self._telemetry.end(fold, effects)
            if self._events.backlog.full and self._reader is not None:
                self._reader.pause()

    def _note(self, effect: Effect, offset: int) -> bool:
        """Take what concerns neither gateways' feeds nor backends; return whether it is part of a
        checkpoint.
        """
        context = self._context
        match effect:
            case Accepted():
                if self.speaks:
                    now, before = context.router.clock.monotonic(), len(self._receipts)
                    self._tell(self._receipts.accepted(effect, offset, self._fold.gateways, now))
                    if len(self._receipts) > before:  # the question goes with the message, and behind it
                        self._ask_progress(effect.gateways)
            case SeenChanged():
                if self.speaks:
                    self._tell(self._receipts.saw(effect))
                self._presence.saw(effect, self._fold)
            case Ended():
                self._tell(self._receipts.ended(effect.gateway, effect.life))
            case Began():
                context.peers.gateways.meet(effect.gateway, context.router.clock.monotonic())
            case Marked():
                # Who is starting has enough to do, and compares the next one.
                compare = self.role.state is not State.STARTING
                self._maintainer.marked(effect, offset, self._fold, compare=compare)
                return True
            case PresenceChanged():
                self._presence.changed(effect, self._fold)
            case Part():
                whole = self._maintainer.seen(effect.part)
                if whole is not None:
                    self._events.backlog.upto(whole)
                return True
            case Ruled():
                rules = effect.rules
                event(
                    _logger,
                    "log_rules",
                    shard=self.number,
                    life=rules.life,
                    version=rules.version,
                    new=effect.new_life,
                )
                if self.speaks:
                    for gateway, ended in self._maintainer.ruled(rules, self._fold):
                        context.egress.tell(gateway, ended)
                if effect.new_life:
                    self._receipts.clear()
                    self._presence.forget()
                    self._end(self._history.forget())
                    self._reads.begin()
                    self._maintainer.life_began()
                    if self.speaks:
                        # What gateways said before the life began did not count: they are asked, and hear so.
                        context.egress.tell(ALL, wire.Speaker(context.router.id, self.number))
            case CommandDone() if self.speaks:
                answer = wire.CommandResult(effect.id, effect.room, effect.result)
                context.peer_messages.tell(effect.router, answer)
            case _:
                pass
        return False

    def _progressed(self) -> None:
        """Events were confirmed."""
        self._maintainer.confirmed(self._events.backlog.confirmed)
        if not self._events.backlog.full and self._reader is not None:
            self._reader.go_on()

    # ── speaking ────────────────────────────────────────────────────────────────────────────────────────────

    def _do(self, step: Step) -> None:
        context = self._context
        match step:
            case Step.READ:
                self._reader = LogReader(self._log, context.router, self)
                self._reader.start()
            case Step.SPEAK:
                self._feeds.begin()
                self._maintainer.speak()
                context.egress.speak(self.number, self._feeds)
                context.egress.tell(ALL, wire.Speaker(context.router.id, self.number))
                self._asked_at = context.router.clock.monotonic()
                progress = context.peers.routers.progress(self.number, self._fold.life)
                if progress is not None and self._fold.life:
                    self._events.backlog.upto(progress.events)
                self._events.speak()
                self._presence.speak()
                took_s = context.router.clock.monotonic() - (
                    self._called_at or context.router.clock.monotonic()
                )
                context.router.metrics.takeovers()
                context.router.metrics.hop_seconds("takeover", took_s)
                event(
                    _logger,
                    "shard_taken",
                    shard=self.number,
                    offset=self._fold.offset,
                    life=self._fold.life,
                    ms=round(1_000 * took_s, 1),
                )
                self._keep_up()
                context.heartbeat.soon()
            case Step.SILENCE:
                self._feeds.silence()
                self._receipts.clear()
                self._presence.silence()
                context.egress.silence(self.number)
                self._end(self._events.silence())
                self._maintainer.silence()
                if self._reader is not None:
                    self._reader.go_on()
                event(_logger, "shard_left", shard=self.number, offset=self._fold.offset)
                context.heartbeat.soon()
            case Step.FORGET:
                reader, self._reader = self._reader, None
                self.begun(Fold(self.number, context.router.topology.shards))
                if reader is not None:
                    self._end(reader.stop())
            case Step.NOTHING:
                pass

    def _keep_up(self) -> None:
        """Write into the log what a speaker must."""
        self._maintainer.keep(self._fold, nothing=self._reader is not None and self._reader.lost)

    def _ask(self) -> None:
        """Ask the gateways again that have not said how far they have got, and those of whom the log knows
        nothing.
        """
        context, fold = self._context, self._fold
        now = context.router.clock.monotonic()
        if now < self._asked_at + ASK_AGAIN_S:
            return
        self._asked_at = now
        unanswered = set(self._feeds.unanswered())
        for gateway in context.peers.gateways.living:
            if gateway in unanswered or gateway not in fold.gateways:
                context.egress.tell(gateway, wire.Speaker(context.router.id, self.number))

    def _ask_progress(self, gateways: Iterable[str]) -> None:
        """Ask gateways how far they have been told, where receipts wait for that."""
        context = self._context
        for gateway in gateways:
            context.egress.ask(gateway, wire.ProgressQuery(context.router.id, self.number))

    def _tell(self, receipts: Iterable[Told]) -> None:
        for router, receipt in receipts:
            if router:
                self._context.peer_messages.tell(router, receipt)
            else:
                self._context.egress.tell(gateway_of(receipt.conn), receipt)

    def _end(self, task: asyncio.Task[None] | None) -> None:
        """Remember a task that is ending."""
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
