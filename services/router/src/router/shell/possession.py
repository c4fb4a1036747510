"""Possession: one shard in this router's hands, from the first delivery until its channel is lost.

It does the steps of ``core/takeover.py``: begins a Shard under a new term, asks gateways for their members, goes live when they have answered, and
throws all away on loss. It publishes nothing: what is to be said waits in ``effects`` until the worker takes it. The worker and the inbox
(by the worker) call it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from router.core.effects import Effect
from router.core.gateways import Gateways
from router.core.shard import Shard, ShardLimits
from router.core.takeover import Event, State, Step, Takeover, TakeoverLimits
from warren.clock import Clock
from warren.envelope import Announce
from warren.logs import event, get_logger
from warren.metrics import RouterMetrics

_logger = get_logger("router.possession")


@dataclass(frozen=True, slots=True)
class Ground:
    """What all possessions of a router stand on."""

    router: str
    shards: int
    clock: Clock
    gateways: Gateways
    metrics: RouterMetrics
    listening_s: Callable[[], float]  # for how long heartbeats have been heard
    shard_limits: ShardLimits
    takeover_limits: TakeoverLimits


class Possession:
    """One shard's ownership."""

    def __init__(self, number: int, ground: Ground, wake: Callable[[], None]) -> None:
        """``wake`` is called when there is something to do: effects to carry out, or deliveries to apply."""
        self.number = number
        self.shard: Shard | None = None
        self.generation = 0  # counts the losses: what was decided under an earlier one must not be carried out
        self.effects: list[Effect] = []
        self._ground = ground
        self._wake = wake
        self._takeover = Takeover(ground.takeover_limits)
        self._seen_term = 0

    @property
    def state(self) -> State:
        """Where the shard stands with this router."""
        return self._takeover.state

    @property
    def live(self) -> Shard | None:
        """The shard, where envelopes may be applied to it."""
        return self.shard if self._takeover.state is State.LIVE else None

    def taken(self) -> list[Effect]:
        """Hand over what is to be carried out."""
        effects, self.effects = self.effects, []
        return effects

    def delivered(self) -> None:
        """The broker gave us something of this shard: it is ours."""
        self._step(Event.DELIVERY)

    def lost(self) -> None:
        """The shard's channel is gone: the broker gives what is not acknowledged to the next owner, perhaps to us."""
        self.generation += 1
        self.effects.clear()
        self._step(Event.LOST)

    def announced(self, part: Announce) -> None:
        """Take (a part of) a gateway's answer."""
        self._seen_term = max(self._seen_term, part.term)
        shard = self.shard
        if shard is None:
            return
        if part.term > shard.term:
            # Only an answer counts: whoever announces unasked may know the next owner, and we not yet that we have lost.
            if part.ref and shard.asked(part.gateway):
                event(_logger, "shard_outrun", level=logging.WARNING, shard=self.number, term=part.term)
                self._step(Event.OUTRUN)
            return
        self._add(shard.announced(part, self._ground.clock.wall_us()))
        self._look()

    def ask(self, gateway: str, *, members_only: bool = False) -> None:
        """Ask a gateway for its members; ``members_only``: only where the shard has some of its."""
        shard = self.live
        if shard is not None and not (members_only and gateway not in shard.rooms.gateways()):
            self._add(shard.ask(gateway, self._ground.clock.wall_us()))

    def drop_gateway(self, gateway: str) -> None:
        """A gateway is gone."""
        if self.shard is not None:
            rooms = self.shard.drop_gateway(gateway)
            if rooms:
                event(_logger, "members_dropped", shard=self.number, gateway=gateway, rooms=rooms)
            self._look()

    def tick(self) -> None:
        """Look whether the time is up for something. To be called several times a second."""
        self._look()
        shard = self.shard
        if shard is None:
            return
        now_us = self._ground.clock.wall_us()
        timeout_us = int(self._ground.takeover_limits.ask_timeout_s * 1_000_000)
        self._add(shard.ask_overdue(now_us - timeout_us, now_us))
        for gateway in shard.rooms.gateways():
            self._ground.gateways.meet(gateway, self._ground.clock.monotonic())

    def _look(self) -> None:
        """Go live where all that live have answered or have had their time."""
        if self.shard is not None and self._takeover.ready(
            self._ground.clock.monotonic(),
            listening_s=self._ground.listening_s(),
            living=self._ground.gateways.living,
            answered=self.shard.answered,
        ):
            self._step(Event.READY)

    def _step(self, what: Event) -> None:
        """Tell the table what happened, and do the step."""
        now_us = self._ground.clock.wall_us()
        term = max(now_us // 1_000, self._seen_term + 1)
        match self._takeover.happened(what, self._ground.clock.monotonic(), term=term):
            case Step.ASK:
                self._begin(now_us)
            case Step.OPEN if self.shard is not None:
                self.shard.open()
                self._ground.metrics.takeovers()
                self._say("shard_taken", self.shard)
                self._wake()
            case Step.FORGET if self.shard is not None:
                self._say("shard_lost", self.shard)
                self.shard = None
            case _:
                pass

    def _begin(self, now_us: int) -> None:
        ground = self._ground
        self.shard = Shard(self.number, ground.shards, self._takeover.term, ground.shard_limits, ground.router)
        self._add(self.shard.ask_every(ground.gateways.living, now_us))
        self._look()

    def _say(self, name: str, shard: Shard) -> None:
        event(_logger, name, shard=self.number, term=shard.term, rooms=len(shard.rooms), gateways=len(shard.answered))

    def _add(self, effects: list[Effect]) -> None:
        if effects:
            self.effects += effects
            self._wake()
