"""Possession: one shard in this router's hands, from the call to own it until its lane is gone.

It tells the table (``core/takeover.py``) what happens and has its steps done: claims (``accession.py``), a Shard under a new term that asks
the gateways, the marker, the log's reading, and at last the opening. It publishes nothing itself: what is to be said waits in ``effects``
until the worker takes it. The worker (deliveries, its lane), the inbox (gateways' words) and the owner (placement, ticks) call it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from router.core.effects import Effect
from router.core.replay import Replay, Replayed
from router.core.shard import Shard
from router.core.takeover import Event, State, Step, Takeover, answered
from router.shell.accession import Accession
from router.shell.follower import Follower, Outrun
from router.shell.ground import Ground
from router.shell.log import ShardLog
from warren.bus import Lane
from warren.envelope import Announce, Claim
from warren.logs import event, get_logger

_logger = get_logger("router.possession")


class Possession:
    """One shard's ownership."""

    def __init__(
        self, number: int, ground: Ground, wake: Callable[[], None], leave: Callable[[], None], held: Callable[[], int]
    ) -> None:
        """``wake`` is called when there are effects to carry out or deliveries to apply; ``leave`` has the lane closed; ``held``
        counts the deliveries that wait.
        """
        self.number = number
        self.shard: Shard | None = None
        self.log: ShardLog | None = None
        self.generation = 0  # counts the losses: what was decided under an earlier one must not be carried out
        self.effects: list[Effect] = []
        self.released = asyncio.Event()  # whether nothing is live or being let go here
        self.released.set()
        self._ground = ground
        self._wake = wake
        self._leave = leave
        self._held = held
        self._takeover = Takeover()
        self._accession = Accession(number, ground.router, ground.steady, ground.topology)
        self._consuming = False
        self._closed = False
        self._seen_term = 0
        self._yielded: tuple[str, int] = ("", 0)  # the claim that we gave way to last
        self._call_from = 0.0  # before then we don't claim unasked
        self._claimed_at = 0.0
        self._began_at = 0.0
        self._entered_at = 0.0
        self._took_ms: dict[State, float] = {}  # how long each state lasted when it was last gone through
        self._stream = ground.topology.history_stream(number).name
        self._follower: Follower | None = None
        self._state: Replayed | None = None

    @property
    def state(self) -> State:
        """Where the shard stands with this router."""
        return self._takeover.state

    @property
    def live(self) -> Shard | None:
        """The shard, where envelopes may be applied to it."""
        return self.shard if self._takeover.state is State.LIVE else None

    @property
    def yielding(self) -> bool:
        """Whether another router waits for the shard, and what was begun is to be finished."""
        return self._takeover.state is State.YIELDING

    @property
    def wanted(self) -> bool:
        """Whether a lane should be open: this router is the shard's owner or standby, or works on it still."""
        place = self._ground.place(self.number)
        return self._ground.router in (place.owner, place.standby) or self._takeover.state is not State.IDLE

    def taken(self) -> list[Effect]:
        """Hand over what is to be carried out."""
        effects, self.effects = self.effects, []
        return effects

    # ── the lane ────────────────────────────────────────────────────────────────────────────────────────────────────

    def opened(self, lane: Lane) -> None:
        """A lane is open and will be consumed."""
        self.log = ShardLog(lane, self._stream, self._ground.router)
        self._follow()

    def consuming(self) -> None:
        """The lane is consumed."""
        self._consuming = True
        self.look()

    def given(self) -> None:
        """The broker gave us something of this shard, and it waits."""
        self._step(Event.GIVEN)
        self.look()

    def claimed(self, claim: Claim) -> bool:
        """A claim was read in its place in the queue. Return whether it is done with; else it is the next owner's to read, and we go."""
        ground = self._ground
        self._seen_term = max(self._seen_term, claim.term)
        if claim.router == ground.router:
            if self._takeover.is_ours(claim.term):
                self._step(Event.OWNED)
            return True
        if not self._is_rival(claim):
            return True
        self._yielded = (claim.router, claim.term)
        self._call_from = ground.clock.monotonic() + ground.takeover_limits.yield_s
        event(_logger, "shard_yielded", shard=self.number, to=claim.router, term=claim.term, state=str(self.state))
        self._step(Event.RIVAL)
        return False

    def finished(self) -> None:
        """All that was begun is done: a shard that another router wants is let go."""
        self._step(Event.FINISHED)

    def failed(self) -> None:
        """An entry's fate in the log is not known, so the state of the shard may be ahead of it."""
        self._step(Event.FAILED)

    def lost(self) -> None:
        """The lane is gone: the broker gives what is not acknowledged to the next owner, perhaps to us."""
        if self._takeover.state is State.IDLE:
            self._forget()
        self._step(Event.LOST)

    async def close(self) -> None:
        """End what is under way, for good."""
        self._closed = True
        self._forget()
        await self._accession.close()
        follower, self._follower = self._follower, None
        task = follower.stop() if follower is not None else None
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    # ── gateways ────────────────────────────────────────────────────────────────────────────────────────────────────

    def announced(self, part: Announce) -> None:
        """Take (a part of) a gateway's answer."""
        self._seen_term = max(self._seen_term, part.term)
        shard = self.shard
        if shard is None:
            return
        if part.term > shard.term:
            # Only an answer counts: whoever announces unasked may know the next owner, and we not yet that we have lost.
            if part.ref and shard.asked(part.gateway):
                self._outrun(part.term)
            return
        self._add(shard.announced(part, self._ground.clock.wall_us()))
        self.look()

    def ask(self, gateway: str, *, members_only: bool = False) -> None:
        """Ask a gateway for its members; ``members_only``: only where the shard has some of its."""
        shard = self.live
        if shard is not None and not (members_only and gateway not in shard.rooms.gateways()):
            self._add(shard.ask(gateway, self._ground.clock.wall_us()))

    def drop_gateway(self, gateway: str) -> None:
        """A gateway is gone."""
        if self.shard is not None:
            self._add(self.shard.drop_gateway(gateway, self._ground.clock.wall_us()))
            self.look()

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self) -> None:
        """Look whether the time is up for something. To be called several times a second."""
        self.look()
        shard = self.shard
        if shard is None:
            return
        now_us = self._ground.clock.wall_us()
        again_us = int(self._ground.takeover_limits.ask_again_s * 1_000_000)
        self._add(shard.ask_overdue(now_us - again_us, now_us))
        if shard.opened:
            shard.tidy(now_us)
        for gateway in shard.rooms.gateways():
            self._ground.gateways.meet(gateway, self._ground.clock.monotonic())

    def look(self) -> None:
        """Take the step whose time or condition has come."""
        ground, limits = self._ground, self._ground.takeover_limits
        now = ground.clock.monotonic()
        self._follow()
        match self._takeover.state:
            case State.IDLE if self._consuming and self._is_owner() and self._is_ready():
                if now < self._call_from or ground.listening_s() < limits.listen_s:
                    return
                if ground.turns.take(self.number, self.look):
                    self._step(Event.CALLED)
            case State.CLAIMING if self._held() >= ground.window:
                self._step(
                    Event.OWNED
                )  # the claim may lie behind what we hold; that we are given so much says the same
            case State.CLAIMING if now - self._claimed_at >= limits.claim_again_s:
                self._step(Event.OVERDUE if self._held() or self._is_owner() else Event.RELIEVED)
            case State.ASKING if self.shard is not None:
                living, listening_s = ground.gateways.living, ground.listening_s()
                if answered(living, self.shard.answered, listening_s=listening_s, limits=limits):
                    self._step(Event.ANSWERED)
            case _:
                pass

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _is_owner(self) -> bool:
        return self._ground.place(self.number).owner == self._ground.router

    def _is_ready(self) -> bool:
        """Say whether the shard could be taken over without a long reading first; alone there is nobody who has it meanwhile."""
        ground = self._ground
        if ground.routers.living <= {ground.router}:
            return True
        caught_up = self._follower is not None and self._follower.caught_up
        return caught_up and ground.beginning.over(ground.clock.monotonic())

    def _follow(self) -> None:
        """Follow the log where the shard may come to us, and only there."""
        if self._closed or self._takeover.state in (State.LIVE, State.YIELDING):
            return
        ground = self._ground
        if not self.wanted:
            follower, self._follower = self._follower, None
            if follower is not None:
                follower.stop()
            ground.beginning.has_read(self.number)
        elif self._follower is None:
            ground.beginning.reads(self.number, ground.clock.monotonic())
            self._follower = Follower(
                ground.bus,
                self._stream,
                ground.router,
                ground.steady,
                ground.metrics,
                self._replay,
                ground.horizon_us,
                self._caught_up,
            )
            self._follower.start()

    def _caught_up(self) -> None:
        self._ground.beginning.has_read(self.number)
        self.look()

    def _is_rival(self, claim: Claim) -> bool:
        """Say whether we give way to this claim of another router."""
        if claim.router not in self._ground.routers.living or (claim.router, claim.term) == self._yielded:
            return False  # it is dead; or we gave way to it before, and the broker gave it back since nobody else was there
        match self._takeover.state:
            case State.IDLE:
                return True
            case State.CLAIMING if self._ground.place(self.number).owner == claim.router:
                return True  # nothing has begun yet
            case _:
                return (claim.term, claim.router) > (self._takeover.term, self._ground.router)

    def _outrun(self, term: int) -> None:
        self._seen_term = max(self._seen_term, term)
        event(_logger, "shard_outrun", level=logging.WARNING, shard=self.number, term=term)
        self._step(Event.OUTRUN)

    def _step(self, what: Event) -> None:
        """Tell the table what happened, and have the step done."""
        clock = self._ground.clock
        before = self._takeover.state
        term = max(clock.wall_us() // 1_000, self._seen_term + 1)
        step = self._takeover.happened(what, term=term)
        term = self._takeover.term
        now = clock.monotonic()
        if self._takeover.state is not before:
            self._took_ms[before] = round(1_000 * (now - self._entered_at), 1)
            self._entered_at = now
        if step is Step.CLAIM:
            if before is State.IDLE:
                self._began_at = now
            else:  # who waits for its claim holds up nobody else
                self._ground.turns.give_back(self.number)
            self._claimed_at = now
            self.shard = None
            self.effects.clear()
            self._accession.claim(term)
        elif step is Step.ASK:
            self._begin(term)
        elif step is Step.MARK and self.log is not None and self._follower is not None:
            self._follower.expect(term)
            self._accession.mark(self.log, term, self._marked)
        elif step is Step.READ and self._follower is not None:
            self._accession.read(self._follower, self._read)
        elif step is Step.OPEN:
            self.released.clear()
            self._open()
        elif step is Step.FINISH:
            self._wake()
        elif step in (Step.LEAVE, Step.FORGET):
            self._say("shard_left", self.shard, reason=str(what))
            self._forget()
            if step is Step.LEAVE:
                self._leave()

    def _begin(self, term: int) -> None:
        """Make the shard under its new term, and fence and ask every gateway."""
        ground = self._ground
        self.shard = Shard(
            self.number,
            ground.topology.shards,
            term,
            ground.shard_limits,
            ground.namespaces,
            ground.router,
            ground.events,
        )
        self._add(self.shard.ask_every(ground.gateways.living, ground.clock.wall_us()))
        self.look()

    def _marked(self, confirmed: bool) -> None:
        self._step(Event.MARKED if confirmed else Event.FAILED)

    def _read(self, found: Replay | Outrun | None) -> None:
        if isinstance(found, Outrun):
            self._outrun(found.term)
            return
        follower, self._follower = self._follower, None  # it has told what it knows
        if follower is not None:
            follower.stop()
        if found is None:
            self._step(Event.FAILED)
            return
        self._state = found.finish(self._takeover.term, self._ground.clock.wall_us())
        self._step(Event.READ)

    def _open(self) -> None:
        """Give each gateway what it lacks; from now on deliveries are applied."""
        ground, shard = self._ground, self.shard
        state, self._state = self._state, None
        if shard is None:
            raise RuntimeError("a shard is read before it is made")
        self._add(shard.open(state, ground.clock.wall_us()))
        ground.turns.give_back(self.number)
        ground.metrics.takeovers()
        ground.metrics.hop_seconds("takeover", ground.clock.monotonic() - self._began_at)
        steps = {
            f"{state}_ms": self._took_ms[state]
            for state in (State.CLAIMING, State.ASKING, State.MARKING, State.READING)
        }
        self._say("shard_taken", shard, ms=round(1_000 * (ground.clock.monotonic() - self._began_at), 1), **steps)
        self._wake()

    def _forget(self) -> None:
        self.generation += 1
        self.effects.clear()
        self.shard = None
        self.log = None
        self._state = None
        self._consuming = False
        self._accession.cancel()
        self._ground.turns.give_back(self.number)
        if self._follower is not None:
            self._follower.expect(0)
        self.released.set()

    def _replay(self) -> Replay:
        ground = self._ground
        return Replay(ground.shard_limits, ground.namespaces, ground.topology.shards, self.number)

    def _say(self, name: str, shard: Shard | None, **more: str | float) -> None:
        if shard is not None:
            said: dict[str, Any] = {"shard": self.number, "term": shard.term, "rooms": len(shard.rooms), **more}
            event(_logger, name, gateways=len(shard.answered), **said)

    def _add(self, effects: list[Effect]) -> None:
        if effects:
            self.effects += effects
            self._wake()
