"""RoomReads: what rooms' members lack, and HISTORY, from this gateway's memory of the rooms where it has
that, else from the routers.

It carries out what ``core/room_catch_up.py`` decides: answers go to connections, messages through the hub,
questions to the router that speaks for the shard; each is repeated until it is answered, or whoever asked is
gone. It decides nothing and never waits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from gateway.core.hub import Delivered, Gap, Hub
from gateway.core.inputs import EndRequested, Resynced
from gateway.core.recent_messages import RecentMessages
from gateway.core.room_catch_up import Ask, Give, RoomCatchUp, Step, Tell
from gateway.shell.router_requests import RouterRequests
from warren import envelope
from warren.address import EVERYONE
from warren.clock import Clock
from warren.errors import CloseCode
from warren.metrics import GatewayMetrics

# A HISTORY without an answer is asked again after this.
AGAIN_S = 2.0


class _Asked(NamedTuple):
    """A client's HISTORY, the shard of its room, and when to ask (again)."""

    query: envelope.HistoryQuery
    shard: int
    due: float


class RoomReads:
    """Who on this gateway is given what was said before."""

    def __init__(
        self,
        clock: Clock,
        metrics: GatewayMetrics,
        hub: Hub,
        recent: RecentMessages,
        catch_up: RoomCatchUp,
        routers: RouterRequests,
    ) -> None:
        """``recent`` and ``catch_up`` are the hub's too."""
        self._clock = clock
        self._metrics = metrics
        self._hub = hub
        self._recent = recent
        self._catch_up = catch_up
        self._routers = routers
        # HISTORY that is not answered: (connection, room) ▶ ref ▶ the question.
        self._asked: dict[tuple[str, str], dict[str, _Asked]] = {}
        metrics.waiting_from("catch_up", lambda: len(catch_up))
        metrics.waiting_from("history", lambda: sum(map(len, self._asked.values())))

    # ── members ─────────────────────────────────────────────────────────────────────────────────────────────

    def entered(self, item: envelope.Entered, shard: int) -> None:
        """Make a connection a member at this place of the chain of ``shard``; nothing where it does not want
        to be (any more).

        Of everyone's room it says where that stands, since nobody joins it: all who are here lack what has
        not come.
        """
        if item.room == EVERYONE:
            gap = self._hub.everyone_at(item.position)
            if gap is not None:
                self.behind([gap], shard)
            return
        member = self._hub.find(item.conn)
        quiet = None if member is None else member.entered(item)
        if quiet is None:
            return
        clock = self._clock
        steps = self._catch_up.entered(item, shard, clock.monotonic(), clock.wall_us(), quiet=quiet)
        if any(isinstance(step, Give) for step in steps) and not any(isinstance(step, Ask) for step in steps):
            self._metrics.reads("memory")
        self._do(steps)
        for asked in list(self._asked.get((item.conn, item.room), {}).values()):
            self.history(asked.query, asked.shard)

    def behind(self, gaps: Sequence[Gap], shard: int) -> None:
        """Have everyone catch up who stands before a hole in the chain of a shard."""
        self._do(self._catch_up.behind(gaps, shard, self._clock.monotonic(), self._clock.wall_us()))

    def page(self, page: envelope.Page) -> None:
        """Give out what a router read."""
        self._do(self._catch_up.page(page, self._clock.monotonic(), self._clock.wall_us()))

    def left(self, room: str, conn: str) -> None:
        """Forget a connection that is no member of a room any more, or does not want to be."""
        self._catch_up.left(room, conn)
        self._asked.pop((conn, room), None)

    # ── HISTORY ─────────────────────────────────────────────────────────────────────────────────────────────

    def history(self, query: envelope.HistoryQuery, shard: int) -> None:
        """Answer a client's HISTORY of a room in ``shard``: at once, or when a router has. Who has asked to
        join before waits for that.
        """
        if query.room not in self._hub.rooms_of(query.conn):
            self._waits(query, shard, math.inf)
            return
        known = self._recent.page(query.room, query.before, query.limit, self._clock.wall_us())
        if known is None:
            self._ask(query, shard, self._clock.monotonic())
            return
        self._metrics.reads("memory")
        messages, more = known
        page = envelope.HistoryPage(query.conn, query.room, query.ref, tuple(messages), more)
        if not self.history_page(page) and (member := self._hub.find(query.conn)) is not None:
            member.put(page)

    def history_page(self, page: envelope.HistoryPage) -> bool:
        """Give a client the answer to a HISTORY that waits; False where none does: it was answered before."""
        open_here = self._asked.get((page.conn, page.room), {})
        if open_here.pop(page.ref, None) is None:
            return False
        if not open_here:
            del self._asked[page.conn, page.room]
        member = self._hub.find(page.conn)
        if member is not None:
            member.put(page)
        return True

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────

    def renew(self, shard: int) -> None:
        """Ask again at once for what is not answered on a shard: another router speaks for it."""
        now = self._clock.monotonic()
        self._do(self._catch_up.renew(shard, now))
        for asked in self._open():
            if asked.due < math.inf and asked.shard == shard:
                self._ask(asked.query, shard, now)

    def tick(self, now: float) -> None:
        """Ask again for what has been without an answer for long."""
        self._do(self._catch_up.tick(now))
        for asked in self._open():
            if asked.due <= now:
                self._ask(asked.query, asked.shard, now)

    def _open(self) -> list[_Asked]:
        return [asked for open_here in self._asked.values() for asked in open_here.values()]

    def _ask(self, query: envelope.HistoryQuery, shard: int, now: float) -> None:
        self._waits(query, shard, now + AGAIN_S)
        self._metrics.reads("routers")
        self._routers.ask(shard, query)

    def _waits(self, query: envelope.HistoryQuery, shard: int, due: float) -> None:
        asked = _Asked(query, shard, due)
        self._asked.setdefault((query.conn, query.room), {})[query.ref] = asked

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────

    def _do(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step:
                case Tell():
                    self._tell(step.joined)
                case Give():
                    self._give(step)
                case Ask():
                    self._metrics.reads("routers")
                    self._routers.ask(step.read.shard, step.read)

    def _tell(self, joined: envelope.Joined) -> None:
        member = self._hub.find(joined.conn)
        if member is not None:
            member.put(joined if joined.ref else Resynced(joined.room, joined.position))

    def _give(self, give: Give) -> None:
        delivered = self._hub.give(
            give.room, give.conns, give.messages, give.own_upto, self._clock.wall_us() // 1_000
        )
        self._charge(give, delivered)
        for member in delivered.woken:
            member.flush()
        for member in delivered.too_slow:
            member.put(EndRequested(CloseCode.TOO_SLOW))

    def _charge(self, give: Give, delivered: Delivered) -> None:
        size = 0
        for message, recipients in zip(give.messages, delivered.recipients, strict=True):
            if recipients:
                size += envelope.size_of(message)
                self._metrics.messages_out(message.type, recipients)
        if delivered.expired:
            self._metrics.drops("expired", delivered.expired)
        for conn in give.conns:
            member = self._hub.find(conn)
            if member is not None:
                member.charge(size)
