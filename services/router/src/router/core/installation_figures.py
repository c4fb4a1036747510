"""InstallationFigures: the whole installation in figures, as one router knows it from the heartbeats of all
gateways and routers.

Every router hears the same heartbeats, so it does not matter which one is asked. Lists come in pages. What a
router's heartbeat does not tell (one of an older release) counts as nothing. It changes nothing. Pure: times
are arguments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from router.core.message_rates import MessageRates
from router.core.peers import Peers
from warren import __version__
from warren.contract import installation as told
from warren.envelope import Heartbeat, RouterHeartbeat, ShardReading

# So many shards without a speaker are named.
SILENT_TOLD: Final = 100

Broker = Literal["up", "blocked", "away"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Moment:
    """What this router knows by itself: the time by both clocks, and how it sees the broker."""

    now: float  # monotonic seconds
    wall_us: int
    broker: Broker = "up"


@dataclass(frozen=True, slots=True)
class _Shard:
    """What all routers have read of one shard: of several that speak the one that has read most counts."""

    farthest: ShardReading | None
    speakers: tuple[str, ...]
    standbys: tuple[str, ...]
    least: int


class InstallationFigures:
    """Those of one moment."""

    def __init__(self, router: str, shards: int, peers: Peers, rates: MessageRates, moment: Moment) -> None:
        """``router`` is ours."""
        self._router = router
        self._count = shards
        self._peers = peers
        self._rates = rates
        self._moment = moment
        self._beats: Mapping[str, RouterHeartbeat] = peers.routers.all_said()
        self._waiting: Counter[str] = Counter()
        for beat in self._beats.values():
            for each in beat.gateways:
                self._waiting[each.gateway] += each.entries
        self._shards = _shards(shards, self._beats)

    def overview(self) -> told.Installation:
        """Return the sums."""
        totals, rates = self._peers.gateways.totals(), self._rates.total()
        rooms, members, users = self._counts()
        routers = [self._of_router(beat) for _, beat in sorted(self._beats.items())]
        silent = [number for number, shard in enumerate(self._shards) if not shard.speakers]
        return told.Installation(
            version=__version__,
            at=self._moment.wall_us // 1_000,
            connections=totals.connections,
            users=users,
            rooms=rooms,
            members=members,
            in_rate=round(rates.messages_in, 2),
            out_rate=round(rates.messages_out, 2),
            error_rate=round(rates.errors, 2),
            gateways=totals.gateways,
            gateway_lag_ms=self._gateway_lag(),
            router_lag_ms=self._router_lag(),
            waiting=self._waiting.total(),
            shards=self._count,
            silent_shards=silent[:SILENT_TOLD],
            broker=_worst([self._moment.broker, *(each.broker for each in routers)]),
            routers=routers,
        )

    def sample(self, at_ms: int) -> told.Sample:
        """Return the sums as the sample of a moment."""
        totals, rates = self._peers.gateways.totals(), self._rates.total()
        rooms, members, users = self._counts()
        return told.Sample(
            at=at_ms,
            connections=totals.connections,
            users=users,
            rooms=rooms,
            members=members,
            in_rate=round(rates.messages_in, 2),
            out_rate=round(rates.messages_out, 2),
            error_rate=round(rates.errors, 2),
            gateways=totals.gateways,
            routers=len(self._beats),
            gateway_lag_ms=self._gateway_lag(),
            router_lag_ms=self._router_lag(),
            waiting=self._waiting.total(),
        )

    def gateways(self, limit: int, after: str) -> tuple[list[told.GatewayFigures], str]:
        """Return so many gateways behind one, by name, and the name of the last where more follow."""
        beats = self._peers.gateways.all_said()
        names, more = _page(sorted(beats), limit, lambda name: name > after)
        return [self._of_gateway(beats[name]) for name in names], names[-1] if more else ""

    def shards(self, limit: int, after: int) -> tuple[list[told.ShardFigures], str]:
        """Return so many shards behind one, by number, and the number of the last where more follow."""
        numbers, more = _page(range(self._count), limit, lambda number: number > after)
        return [self._of_shard(number) for number in numbers], str(numbers[-1]) if more else ""

    def _of_router(self, beat: RouterHeartbeat) -> told.RouterFigures:
        ours = beat.router == self._router
        own: Broker = "blocked" if beat.blocked else "up"
        return told.RouterFigures(
            router=beat.router,
            answers=ours,
            uptime=self._uptime(beat.started_us),
            heard_ms=self._heard_ms(self._peers.routers.heard_at(beat.router)),
            speaks=len(beat.shards),
            reads=len(beat.readings),
            behind=sum(self._behind(each) for each in beat.readings),
            lag_ms=_lag(beat.lag_ms),
            waiting=beat.waiting,
            broker=self._moment.broker if ours else own,
            memory=beat.rss_bytes,
        )

    def _of_gateway(self, beat: Heartbeat) -> told.GatewayFigures:
        rates = self._rates.of(beat.gateway)
        return told.GatewayFigures(
            gateway=beat.gateway,
            uptime=self._uptime(beat.started_us),
            heard_ms=self._heard_ms(self._peers.gateways.heard_at(beat.gateway)),
            connections=beat.connections,
            in_rate=round(rates.messages_in, 2),
            out_rate=round(rates.messages_out, 2),
            error_rate=round(rates.errors, 2),
            lag_ms=_lag(beat.lag_ms),
            waiting=self._waiting[beat.gateway],
            memory=beat.rss_bytes,
        )

    def _of_shard(self, number: int) -> told.ShardFigures:
        shard = self._shards[number]
        reading = shard.farthest
        return told.ShardFigures(
            shard=number,
            speakers=list(shard.speakers),
            standbys=list(shard.standbys),
            offset=None if reading is None else reading.offset,
            behind=0 if reading is None else max(0, reading.offset - shard.least),
            rooms=0 if reading is None else reading.rooms,
            members=0 if reading is None else reading.members,
            users=0 if reading is None else reading.users,
        )

    def _counts(self) -> tuple[int, int, int]:
        known = [shard.farthest for shard in self._shards if shard.farthest is not None]
        return (
            sum(each.rooms for each in known),
            sum(each.members for each in known),
            sum(each.users for each in known),
        )

    def _behind(self, reading: ShardReading) -> int:
        if not 0 <= reading.shard < self._count:
            return 0
        farthest = self._shards[reading.shard].farthest
        return 0 if farthest is None else max(0, farthest.offset - reading.offset)

    def _gateway_lag(self) -> int | None:
        return _lag(max((beat.lag_ms for beat in self._peers.gateways.all_said().values()), default=-1))

    def _router_lag(self) -> int | None:
        return _lag(max((beat.lag_ms for beat in self._beats.values()), default=-1))

    def _uptime(self, started_us: int) -> int:
        return max(0, self._moment.wall_us - started_us) // 1_000_000

    def _heard_ms(self, at: float | None) -> int:
        return 0 if at is None else max(0, round((self._moment.now - at) * 1_000))


def _shards(count: int, beats: Mapping[str, RouterHeartbeat]) -> list[_Shard]:
    readings: list[list[tuple[str, ShardReading]]] = [[] for _ in range(count)]
    speakers: list[list[str]] = [[] for _ in range(count)]
    for router, beat in sorted(beats.items()):
        for reading in beat.readings:
            if 0 <= reading.shard < count:
                readings[reading.shard].append((router, reading))
        for progress in beat.shards:
            if 0 <= progress.shard < count:
                speakers[progress.shard].append(router)
    return [_shard(readings[number], speakers[number]) for number in range(count)]


def _shard(readings: list[tuple[str, ShardReading]], speakers: list[str]) -> _Shard:
    """A router that is still reading an old part of the log knows rooms as they were: who has read most
    counts, and of equals who speaks.
    """
    farthest = max((each for _, each in readings), key=lambda each: (each.offset, each.speaks), default=None)
    standbys = tuple(router for router, _ in readings if router not in speakers)
    return _Shard(farthest, tuple(speakers), standbys, min((each.offset for _, each in readings), default=0))


def _page(values: Iterable[T], limit: int, behind: Callable[[T], bool]) -> tuple[list[T], bool]:
    found: list[T] = []
    for value in values:
        if behind(value):
            if len(found) == limit:
                return found, True
            found.append(value)
    return found, False


def _worst(seen: list[Broker]) -> Broker:
    for state in ("away", "blocked"):
        if state in seen:
            return state
    return "up"


def _lag(lag_ms: int) -> int | None:
    return None if lag_ms < 0 else lag_ms
