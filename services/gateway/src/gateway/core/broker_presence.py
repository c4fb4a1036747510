"""BrokerPresence: what a gateway knows of its life at the broker, and what follows from it.

That is: whether the broker takes what is published; whether the gateway's own queue is consumed; for each
shard its own life there, how far it has been told of it, what it has asked and not got, and which router
speaks. Events and ticks come in, steps come out, to be done in their order; nobody is called. It knows no
socket and no connection. The time is an argument, in monotonic seconds.

An example: the feed of shard 3 leaves a gap. ``feed`` returns ``GapFound`` and ``SayNumber(3)``; where no
feed has come by then, a later ``tick`` returns ``SayNumber(3)`` again.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.core.feed_positions import FeedPositions, Kind
from gateway.core.feed_timeouts import FeedTimeouts
from warren.envelope import Bodies, Feed, Item, LifeEnded, Number, Reset, Speaker
from warren.position import LogPosition
from warren.topology import ALL

# Where a part of a chain could not be given out, its shard's members join again after this.
HEAL_S: Final = 1.0
# Where no router has said anything for so long there is none: then no life is begun anew for want of feeds.
ROUTERS_S: Final = 10.0


class BrokerState(enum.StrEnum):
    """Whether the broker takes what is published."""

    UP = "up"
    BLOCKED = "blocked"  # it is there, and holds publishers back (an alarm of its own)
    DOWN = "down"  # it is away


class TellClients(msgspec.Struct, frozen=True):
    """Tell all clients that the broker takes what is published (``up``), or does not."""

    up: bool


class SayNumber(msgspec.Struct, frozen=True):
    """Say to which place of a shard's log we have been told everything, so that we are fed from there: to the
    router that speaks for it, or to ``everyone``.
    """

    shard: int
    everyone: bool = False


class GiveOut(msgspec.Struct, frozen=True):
    """Give these items of a shard's chain out, in their order; what they answer is settled then."""

    shard: int
    items: Sequence[Item]


class Counted(msgspec.Struct, frozen=True):
    """Our batches up to ``number`` have counted in this life on a shard."""

    shard: int
    life: int
    number: int


class EndLife(msgspec.Struct, frozen=True):
    """End this life on a shard, in which our batches up to ``counted`` have counted (None: those that are
    known to), and begin the next one; ``life`` is to be told of it.
    """

    shard: int
    life: int
    counted: int | None


class AskAgain(msgspec.Struct, frozen=True):
    """Answers to what has counted on a shard may be lost: send again what waits for one."""

    shard: int


class RejoinMembers(msgspec.Struct, frozen=True):
    """Have the members of a shard's rooms join again, each from where it stands."""

    shard: int


class RenewReads(msgspec.Struct, frozen=True):
    """Ask again for what was asked of a shard's router: another one speaks."""

    shard: int


class GapFound(msgspec.Struct, frozen=True):
    """A feed of ``router`` leaves a gap; ``news``: it is asked for now, and was not asked for just before."""

    shard: int
    router: str
    news: bool


class ResetTaken(msgspec.Struct, frozen=True):
    """We go on from another place of a shard's log, as ``router`` says."""

    shard: int
    router: str


class Dropped(msgspec.Struct, frozen=True):
    """Something was passed over, for this reason."""

    reason: str
    count: int = 1


Step = (
    TellClients
    | SayNumber
    | GiveOut
    | Counted
    | EndLife
    | AskAgain
    | RejoinMembers
    | RenewReads
    | GapFound
    | ResetTaken
    | Dropped
)
Steps = list[Step]


class _Shard:
    """What is known of one shard."""

    __slots__ = ("begun", "heal_at", "positions", "speaker", "timeouts")

    def __init__(self, gateway: str, shard: int, now: float) -> None:
        self.positions = FeedPositions(gateway, shard)
        self.timeouts = FeedTimeouts(now)
        self.begun = False  # our present life is known to have begun in the log
        self.speaker = ALL  # the router that speaks, as far as it was heard
        self.heal_at: float | None = None  # a part of the chain could not be given out: when that is mended


class BrokerPresence:
    """One gateway's."""

    def __init__(self, gateway: str, shards: int, now: float) -> None:
        """Begin with the broker away, in life 1 on every shard, told of nothing."""
        self._shards = [_Shard(gateway, shard, now) for shard in range(shards)]
        self._state = BrokerState.DOWN
        self._is_consumed = False
        self._heard_at = float("-inf")  # when a router has said anything last

    # ── what is known ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> BrokerState:
        """Whether the broker takes what is published."""
        return self._state

    @property
    def is_up(self) -> bool:
        """Whether the broker takes what is published."""
        return self._state is BrokerState.UP

    def router_of(self, shard: int) -> str:
        """Return the key of the router that speaks for a shard; that of all routers where nobody knows."""
        return self._shards[shard].speaker

    def number(self, shard: int) -> Number:
        """Return what says where this gateway stands on a shard."""
        return self._shards[shard].positions.number()

    def bus_lacking(self) -> str | None:
        """Say why the broker is no use at present; None where it is."""
        if self._state is BrokerState.DOWN or not self._is_consumed:
            return "the broker is away"
        if self._state is BrokerState.BLOCKED:
            return "the broker holds back what is published (a memory or disk alarm)"
        return None

    def log_lacking(self) -> str | None:
        """Say of which shards no router has told in our present life there; None where there are none."""
        shards = [str(number) for number, shard in enumerate(self._shards) if shard.positions.mine is None]
        return f"no router has told of shard {', '.join(shards)} yet" if shards else None

    # ── the broker ──────────────────────────────────────────────────────────────────────────────────────────

    def bus_changed(self, *, up: bool, blocked: bool) -> Steps:
        """The connection to the broker is there or not, and it takes what is published or not."""
        before = self.is_up
        self._state = BrokerState.DOWN if not up else BrokerState.BLOCKED if blocked else BrokerState.UP
        return [TellClients(self.is_up)] if self.is_up != before else []

    def queue_consumed(self, now: float) -> Steps:
        """Our own queue is consumed anew: what was sent to the one before is lost."""
        self._is_consumed = True
        steps: Steps = []
        for number, shard in enumerate(self._shards):
            if shard.begun:
                shard.timeouts.asked(now)
                steps.append(SayNumber(number, everyone=True))
        return steps

    def queue_lost(self) -> None:
        """Our own queue is not consumed any more. What is missing is asked for when it is again."""
        self._is_consumed = False

    # ── our lives ───────────────────────────────────────────────────────────────────────────────────────────

    def life(self, number: int, life: int, now: float, *, begun: bool) -> Steps:
        """Our life on a shard is this one, and is known to have begun in its log or not."""
        shard = self._shards[number]
        shard.begun = begun
        if life == shard.positions.life:
            return []
        shard.positions.begin(life)
        shard.timeouts.anew(now)
        return [RejoinMembers(number)]

    def life_ended(self, said: LifeEnded) -> Steps:
        """A router says that a life of ours is over."""
        if not self._shards[said.shard].positions.ended(said):
            return []
        return [EndLife(said.shard, said.life, said.counted)]

    # ── routers ─────────────────────────────────────────────────────────────────────────────────────────────

    def heard(self, now: float) -> None:
        """Some router has said something."""
        self._heard_at = now

    def router_gone(self, router: str) -> None:
        """A router can't be reached: nobody knows who speaks in its place."""
        for shard in self._shards:
            if shard.speaker == router:
                shard.speaker = ALL

    def speaks(self, said: Speaker, now: float) -> Steps:
        """A router speaks for a shard from now on; what the former one was asked it may never have heard."""
        shard = self._shards[said.shard]
        shard.speaker = said.router
        steps: Steps = []
        if shard.begun:
            shard.timeouts.asked(now)
            steps.append(SayNumber(said.shard))
        steps.append(RenewReads(said.shard))
        return steps

    # ── the chain ───────────────────────────────────────────────────────────────────────────────────────────

    def knows(self, shard: int) -> bool:
        """Say whether there is such a shard."""
        return 0 <= shard < len(self._shards)

    def bodies(self, said: Bodies) -> None:
        """Keep messages that feeds will name."""
        self._shards[said.shard].positions.put(said)

    def feed(self, feed: Feed, now: float) -> Steps:
        """Take a feed: what comes next is to be given out, a gap is asked for, a repeat is passed over."""
        number = feed.shard
        shard = self._shards[number]
        verdict = shard.positions.judge(feed)
        kind = verdict.kind
        if kind is Kind.OTHER:
            return [Dropped("other_life")]
        shard.speaker = feed.router
        if kind is Kind.FOREIGN:
            return [EndLife(number, feed.life, 0)]
        steps: Steps = [GiveOut(number, verdict.items)] if verdict.items else []
        if kind is Kind.GAP:
            news = shard.timeouts.gap(now)
            steps.append(GapFound(number, feed.router, news))
            if news:
                steps.append(SayNumber(number))
            return steps
        if kind is Kind.REPEAT and feed.items:
            steps.append(Dropped("repeat", len(feed.items)))
        shard.timeouts.fed(now)
        steps.append(Counted(number, feed.life, verdict.counted))
        return steps

    def reset(self, said: Reset, now: float) -> Steps:
        """Go on from another place of the log: what lies between is not to be had as a feed any more."""
        number = said.shard
        shard = self._shards[number]
        mine: LogPosition | None = shard.positions.mine
        if said.life != shard.positions.life:
            return [Dropped("other_life")]
        shard.speaker = said.router
        if mine is not None and mine.life != said.upto.life:
            return [EndLife(number, said.life, 0)]
        if not shard.positions.reset(said):
            return []  # it was answered before
        shard.timeouts.fed(now)
        return [
            ResetTaken(number, said.router),
            Counted(number, said.life, said.counted),
            AskAgain(number),
            RejoinMembers(number),
        ]

    def spoilt(self, shard: int, now: float) -> None:
        """A part of a chain could not be given out, but our number has moved on: its members join again."""
        if self._shards[shard].heal_at is None:
            self._shards[shard].heal_at = now + HEAL_S

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float) -> Steps:
        """Ask for the feeds that are missing, or have not come for long, and end lives that nobody feeds."""
        steps: Steps = []
        there_are_routers = now - self._heard_at < ROUTERS_S
        for number, shard in enumerate(self._shards):
            if shard.heal_at is not None and shard.heal_at <= now:
                shard.heal_at = None
                steps += [AskAgain(number), RejoinMembers(number)]
            if not self._is_consumed or not shard.begun:
                continue
            positions, timeouts = shard.positions, shard.timeouts
            if timeouts.barren(now, fed=positions.mine is not None or not there_are_routers):
                steps.append(EndLife(number, positions.life, None))
            elif timeouts.due(now):
                steps.append(SayNumber(number, everyone=not timeouts.has_gap))
        return steps
