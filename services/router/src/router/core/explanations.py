"""Explanations: what became of a message: what the log tells of it at once, and what gateways answer who are
asked for how many of their connections it was what.

Only who speaks for a shard has any open. One is answered once all gateways that were asked have answered, or
after ``patience_s``: which of them has not is said, and so is each that can't know. Bounded: beyond ``count``
open ones, the next has to be asked again. It asks nobody itself. Pure: the time is an argument.

One, by example: message 12 of chat:a was for g1, g2 and g3. g1 answers "written 40, withheld 1"; the last
member on g2 has left, so it has forgotten; g3 is frozen. After a second: g1 counted, g2 forgotten, g3 silent;
written 40 and withheld 1, and both may be more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from router.core.control_reads import ExplainRead
from router.core.feeds import Feeds
from router.core.fold import Fold
from router.core.history import History
from warren.address import EVERYONE
from warren.contract.queries import Explained, GatewayReached, GatewayState
from warren.envelope import Counts, CountsQuery, Deliver
from warren.position import Position

COUNT: Final = 64
PATIENCE_S: Final = 1.0
# An answer that nobody has taken by then is void: whoever asked is gone.
UNTAKEN_S: Final = 1.0

_COUNTS: Final = ("written", "withheld", "expired")


@dataclass(frozen=True, slots=True)
class Trace:
    """What the log tells of a message."""

    id: str
    room: str
    position: Position
    message: Deliver | None  # None: it is not kept (any more)
    # the gateways that it was for, each with whether its chain has got there; None: not known (any more)
    reached: Mapping[str, bool] | None
    asked: frozenset[str]  # living gateways that may know more


def trace(read: ExplainRead, fold: Fold, history: History, feeds: Feeds) -> Trace | None:
    """Return what the log tells of a message; None where its id is not known (any more)."""
    room = read.room
    place = fold.place(room, read.user, read.id)
    if place is None:
        return None
    if not place.seq:  # it has no number by which it could be found
        return Trace(read.id, room, place, None, None, frozenset())
    reached = feeds.reached(room, place.epoch, place.seq)
    # Who has members now may have given it to those that came later, and catch up.
    now = fold.gateways if room == EVERYONE else fold.rooms.targets(room)
    asked = frozenset(gateway for gateway in (*(reached or ()), *now) if gateway in fold.gateways)
    message = history.find(room, place.epoch, place.seq)
    return Trace(read.id, room, place, message, reached, asked)


def explained(known: Trace, answers: Mapping[str, Counts]) -> Explained:
    """Return what became of a message, with what the gateways have answered that were asked."""
    message, reached = known.message, known.reached or {}
    gateways = [
        _gateway(known, gateway, answers.get(gateway), reached.get(gateway))
        for gateway in sorted({*reached, *known.asked})
    ]
    # Of who had no members then only what it has done counts.
    shown = [
        each for each in gateways if each.gateway in reached or each.written or each.withheld or each.expired
    ]
    counted = [each for each in shown if each.written is not None]
    any_counted = bool(counted) or known.reached == {}
    unknown: list[str] = []
    if (
        known.reached is None
        or not all(each.state in ("counted", "behind") for each in shown)
        or any(each.state == "silent" for each in gateways)
    ):
        unknown += _COUNTS
    if message is None:
        unknown.append("message")
    if known.reached is None:
        unknown.append("gateways")
    return Explained(
        id=known.id,
        address=known.room,
        epoch=known.position.epoch,
        seq=known.position.seq,
        accepted_at=None if message is None else message.at_us // 1_000,
        type=None if message is None else message.type,
        bytes=None if message is None else len(message.payload),
        expires_at=None if message is None else message.expires_ms or None,
        gateways=shown if shown or known.reached is not None else None,
        written=sum(each.written or 0 for each in counted) if any_counted else None,
        withheld=sum(each.withheld or 0 for each in counted) if any_counted else None,
        expired=sum(each.expired or 0 for each in counted) if any_counted else None,
        unknown=unknown,
    )


def _gateway(known: Trace, gateway: str, answer: Counts | None, fed: bool | None) -> GatewayReached:
    if answer is None:
        state: GatewayState = "silent" if gateway in known.asked else "gone"
        return GatewayReached(gateway=gateway, fed=fed, state=state)
    seq = answer.upto if answer.upto >= 0 else None
    if not answer.kept:
        state = "behind" if 0 <= answer.upto < answer.seq else "forgotten"
        return GatewayReached(gateway=gateway, fed=fed, state=state, seq=seq)
    return GatewayReached(
        gateway=gateway,
        fed=fed,
        state="counted" if answer.whole else "partly",
        seq=seq,
        written=answer.written,
        withheld=answer.withheld,
        expired=answer.expired,
    )


@dataclass(slots=True)
class _Open:
    """One for which answers are waited."""

    known: Trace
    due: float
    answers: dict[str, Counts] = field(default_factory=dict)


class Explanations:
    """One shard's."""

    def __init__(self, router: str, shard: int, count: int = COUNT, patience_s: float = PATIENCE_S) -> None:
        """At most ``count`` are open at a time, none for much longer than ``patience_s``."""
        self._router = router
        self._shard = shard
        self._count = count
        self._patience_s = patience_s
        self._open: dict[ExplainRead, _Open] = {}  # the oldest first

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def is_open(self, read: ExplainRead, now: float) -> bool:
        """Say whether this is waited for already."""
        while self._open:
            oldest, one = next(iter(self._open.items()))
            if one.due + UNTAKEN_S > now:
                break
            del self._open[oldest]
        return read in self._open

    def begin(self, read: ExplainRead, known: Trace, now: float) -> dict[str, CountsQuery]:
        """Wait for what gateways know of a message; return what each is to be asked. Nothing is waited for,
        and nobody to be asked, where too many are open.
        """
        if len(self._open) >= self._count:
            return {}
        self._open[read] = _Open(known, now + self._patience_s)
        place = known.position
        query = CountsQuery(self._router, self._shard, known.room, place.epoch, place.seq)
        return dict.fromkeys(sorted(known.asked), query)

    def counted(self, said: Counts) -> None:
        """A gateway has answered."""
        for one in self._open.values():
            place = (one.known.room, one.known.position)
            if place == (said.room, Position(said.epoch, said.seq)) and said.gateway in one.known.asked:
                one.answers[said.gateway] = said

    def answer(self, read: ExplainRead, now: float) -> Explained | None:
        """Return what became of a message, once; None where that has to be asked again."""
        one = self._open.get(read)
        if one is None or (len(one.answers) < len(one.known.asked) and now < one.due):
            return None
        del self._open[read]
        return explained(one.known, one.answers)

    def clear(self) -> None:
        """Forget all: the log is another one."""
        self._open.clear()
