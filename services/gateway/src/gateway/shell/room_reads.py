"""Room reads: what rooms' members lack, and HISTORY, from this gateway's memory of the rooms where it has
that, else from the routers.

It carries out what ``core/room_catch_up.py`` decides: answers go to connections, messages through the hub,
questions to the router that speaks for the shard; each is repeated until it is answered, or whoever asked is
gone. It decides nothing and never waits. Downlink and connections call it, the gateway's tick drives it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gateway.core.hub import Delivered, Gap, Hub
from gateway.core.recent_messages import RecentMessages
from gateway.core.room_catch_up import Ask, Give, RoomCatchUp, Step, Tell
from gateway.shell.connection import Connection
from gateway.shell.router_requests import RouterRequests
from warren import envelope
from warren.address import EVERYONE, shard_of
from warren.clock import Clock
from warren.errors import CloseCode
from warren.metrics import GatewayMetrics

# A HISTORY without an answer is asked again after this.
AGAIN_S = 2.0


class RoomReads:
    """Who on this gateway is given what was said before."""

    def __init__(
        self,
        shards: int,
        clock: Clock,
        metrics: GatewayMetrics,
        hub: Hub,
        recent: RecentMessages,
        catch_up: RoomCatchUp,
        routers: RouterRequests,
    ) -> None:
        """``recent`` and ``catch_up`` are the hub's too."""
        self._shards = shards
        self._clock = clock
        self._metrics = metrics
        self._hub = hub
        self._recent = recent
        self._catch_up = catch_up
        self._routers = routers
        # HISTORY that is not answered: (connection, room) ▶ ref ▶ the question, and when to ask (again).
        self._asked: dict[tuple[str, str], dict[str, tuple[envelope.HistoryQuery, float]]] = {}
        metrics.waiting_from("catch_up", lambda: len(catch_up))
        metrics.waiting_from("history", lambda: sum(map(len, self._asked.values())))

    # ── members ─────────────────────────────────────────────────────────────────────────────────────────────

    def entered(self, item: envelope.Entered) -> None:
        """Take that a connection is a member at this place of the chain; nothing where it does not want to be
        (any more).

        Of everyone's room it says where that stands, since nobody joins it: all who are here lack what has
        not come.
        """
        if item.room == EVERYONE:
            gap = self._hub.everyone_at(item.position)
            if gap is not None:
                self.behind([gap])
            return
        connection = self._find(item.conn)
        quiet = None if connection is None else connection.session.awaits_join(item.room, item.ref)
        if quiet is None:
            return
        clock = self._clock
        steps = self._catch_up.entered(item, clock.monotonic(), clock.wall_us(), quiet=quiet)
        if any(isinstance(step, Give) for step in steps) and not any(isinstance(step, Ask) for step in steps):
            self._metrics.reads("memory")
        self._do(steps)
        for query, _ in list(self._asked.get((item.conn, item.room), {}).values()):
            self.history(query)

    def behind(self, gaps: Sequence[Gap]) -> None:
        """Have everyone catch up who stands before a hole in the chain."""
        self._do(self._catch_up.behind(gaps, self._clock.monotonic(), self._clock.wall_us()))

    def page(self, page: envelope.Page) -> None:
        """Take what a router read."""
        self._do(self._catch_up.page(page, self._clock.monotonic(), self._clock.wall_us()))

    def left(self, room: str, conn: str) -> None:
        """Take that a connection is no member of a room any more, or does not want to be."""
        self._catch_up.left(room, conn)
        self._asked.pop((conn, room), None)

    # ── HISTORY ─────────────────────────────────────────────────────────────────────────────────────────────

    def history(self, query: envelope.HistoryQuery) -> None:
        """Answer a client's HISTORY: at once, or when a router has. Who has asked to join before waits for
        that.
        """
        if query.room not in self._hub.rooms_of(query.conn):
            self._waits(query, math.inf)
            return
        known = self._recent.page(query.room, query.before, query.limit, self._clock.wall_us())
        if known is None:
            self._ask(query, self._clock.monotonic())
            return
        self._metrics.reads("memory")
        messages, more = known
        page = envelope.HistoryPage(query.conn, query.room, query.ref, tuple(messages), more)
        if not self.history_page(page) and (connection := self._find(query.conn)) is not None:
            connection.answer(page)

    def history_page(self, page: envelope.HistoryPage) -> bool:
        """Take the answer to a HISTORY that waits; False where none does: it was answered before."""
        open_here = self._asked.get((page.conn, page.room), {})
        if open_here.pop(page.ref, None) is None:
            return False
        if not open_here:
            del self._asked[page.conn, page.room]
        connection = self._find(page.conn)
        if connection is not None:
            connection.answer(page)
        return True

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────

    def renew(self, shard: int) -> None:
        """Ask again at once for what is not answered on a shard: another router speaks for it."""
        now = self._clock.monotonic()
        self._do(self._catch_up.renew(shard, now))
        for query, due in self._open():
            if due < math.inf and shard_of(query.room, self._shards) == shard:
                self._ask(query, now)

    def tick(self, now: float) -> None:
        """Ask again for what has been without an answer for long."""
        self._do(self._catch_up.tick(now))
        for query, due in self._open():
            if due <= now:
                self._ask(query, now)

    def _open(self) -> list[tuple[envelope.HistoryQuery, float]]:
        return [asked for open_here in self._asked.values() for asked in open_here.values()]

    def _ask(self, query: envelope.HistoryQuery, now: float) -> None:
        self._waits(query, now + AGAIN_S)
        self._metrics.reads("routers")
        self._routers.ask(shard_of(query.room, self._shards), query)

    def _waits(self, query: envelope.HistoryQuery, due: float) -> None:
        self._asked.setdefault((query.conn, query.room), {})[query.ref] = (query, due)

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
        connection = self._find(joined.conn)
        if connection is None:
            return
        if joined.ref:
            connection.answer(joined)
        else:
            connection.resynced(joined.room, joined.position)

    def _give(self, give: Give) -> None:
        delivered = self._hub.give(
            give.room, give.conns, give.messages, give.own_upto, self._clock.wall_us() // 1_000
        )
        self._charge(give, delivered)
        for member in delivered.woken:
            if isinstance(member, Connection):
                member.flush()
        for member in delivered.too_slow:
            if isinstance(member, Connection):
                member.end(CloseCode.TOO_SLOW)

    def _charge(self, give: Give, delivered: Delivered) -> None:
        size = 0
        for message, recipients in zip(give.messages, delivered.recipients, strict=True):
            if recipients:
                size += envelope.size_of(message)
                self._metrics.messages_out(message.type, recipients)
        if delivered.expired:
            self._metrics.drops("expired", delivered.expired)
        for conn in give.conns:
            connection = self._find(conn)
            if connection is not None:
                connection.caught_up(size)

    def _find(self, conn: str) -> Connection | None:
        member = self._hub.find(conn)
        return member if isinstance(member, Connection) else None
