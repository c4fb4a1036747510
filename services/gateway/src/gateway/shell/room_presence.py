"""RoomPresence: what clients of this gateway are told of who is in rooms.

It carries out what ``core/presence_watchers.py`` decides: watches go up by the uplink, questions to the
router that speaks for the shard, frames through the hub to watchers, and answers to connections. It decides
nothing and never waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gateway.core.hub import Hub
from gateway.core.inputs import EndRequested, PresenceRead
from gateway.core.presence_watchers import Answer, AskRouter, PresenceWatchers, SendWord, Step, TellWatchers
from gateway.core.seen_reports import SeenReports
from gateway.shell.router_requests import RouterRequests
from gateway.shell.uplink import Uplink
from warren import envelope
from warren.clock import Clock
from warren.errors import CloseCode
from warren.metrics import GatewayMetrics

TYPE = "PRESENCE"


class Follower(Protocol):
    """Whoever wants to know what routers say of the presence in rooms, besides the watchers."""

    def diff(self, diff: envelope.PresenceDiff) -> None:
        """A room has changed."""

    def page(self, page: envelope.PresencePage) -> None:
        """A list was read."""

    def renew(self, shard: int) -> None:
        """Another router speaks for a shard."""

    def doubt(self, shard: int) -> None:
        """Something of a shard may not have been told to this gateway."""

    def tick(self, now: float) -> None:
        """Do what is due."""


class RoomPresence:
    """One gateway's."""

    def __init__(
        self,
        watchers: PresenceWatchers,
        hub: Hub,
        uplink: Uplink,
        routers: RouterRequests,
        clock: Clock,
        metrics: GatewayMetrics,
    ) -> None:
        """``watchers`` decide; ``hub`` knows their connections."""
        self._watchers = watchers
        self._seen = SeenReports()
        self._hub = hub
        self._uplink = uplink
        self._routers = routers
        self._clock = clock
        self._metrics = metrics
        self.follower: Follower | None = None
        metrics.waiting_from("presence_reads", lambda: watchers.reads)
        metrics.waiting_from("presence_pages_bytes", lambda: watchers.pages_bytes)
        metrics.waiting_from("seen_reports", lambda: len(self._seen))
        metrics.waiting_from("watched_rooms", lambda: watchers.rooms)

    # ── clients ─────────────────────────────────────────────────────────────────────────────────────────────

    def watch(self, room: str, shard: int, conn: str, *, contact: bool) -> bool:
        """Tell a connection of a room in ``shard`` from now on; False where there is no place for that."""
        steps = self._watchers.watch(room, shard, conn, contact=contact)
        if steps is None:
            self._metrics.drops("watch_overflow")
            return False
        if all(self._send(step) for step in steps if isinstance(step, SendWord)):
            return True  # there are no other steps
        self._watchers.unwatch(room, conn, contact=contact)
        return False

    def unwatch(self, room: str, conn: str, *, contact: bool) -> None:
        """Tell a connection of a room no more."""
        self._do(self._watchers.unwatch(room, conn, contact=contact))

    def inform(self, up: envelope.Inform, shard: int) -> bool:
        """Send what is shown with a member from now on; False where there is no place for it."""
        steps = self._watchers.inform(up, shard)
        return all(self._send(step) for step in steps if isinstance(step, SendWord))

    def saw(self, up: envelope.Seen, shard: int) -> None:
        """Say that a connection has seen a room's messages up to here: at once, or soon."""
        now = self._clock.monotonic()
        self._seen.saw(up, shard, now)
        self._do(self._watchers.probe(up.room, shard, now))
        # The others wait for the tick: to look at all of them for each word would cost ever more.
        due = self._seen.due_of(up.room, up.conn, now, self._watchers.is_ready)
        if due is not None:
            self._send_seen(*due)

    def left(self, room: str, conn: str) -> None:
        """The connection goes from a room: say before that what it has seen there."""
        last = self._seen.left(room, conn)
        if last is not None and self._watchers.is_ready(last[1]):
            self._uplink.tell(*last)

    def ask(self, query: envelope.PresenceQuery, shard: int, digest: str = "") -> None:
        """Have a connection's question answered."""
        self._do(self._watchers.ask(query, shard, self._clock.monotonic(), digest))

    # ── routers ─────────────────────────────────────────────────────────────────────────────────────────────

    def diff(self, diff: envelope.PresenceDiff) -> None:
        """Tell watchers what has changed in a room."""
        if self.follower is not None:
            self.follower.diff(diff)
        steps = self._watchers.diff(diff)
        if steps is None:
            self._metrics.drops("presence_unwatched")
        else:
            self._do(steps)

    def page(self, page: envelope.PresencePage) -> None:
        """Give out what a router has read."""
        if self.follower is not None:
            self.follower.page(page)
        now, ready = self._clock.monotonic(), self._watchers.ready
        self._do(self._watchers.page(page, now))
        if self._watchers.ready > ready:
            self._send_all_seen(now)

    def renew(self, shard: int) -> None:
        """Ask again for what was asked of a shard's router: another one speaks."""
        self._do(self._watchers.renew(shard, self._clock.monotonic()))
        if self.follower is not None:
            self.follower.renew(shard)

    def doubt(self, shard: int) -> None:
        """Something of a shard may not have been told to this gateway."""
        self._watchers.doubt(shard)
        if self.follower is not None:
            self.follower.doubt(shard)

    def watches(self, shard: int) -> list[envelope.Watch]:
        """Return what is watched in a shard, to be sent again by ``watch_again``."""
        return self._watchers.of(shard)

    def watch_again(self, watches: Iterable[envelope.Watch], shard: int) -> None:
        """Say in a new life on a shard that these are watched."""
        for watch in watches:
            self._uplink.tell(watch, shard)

    def report_again(self, shard: int) -> None:
        """Say in a new life on a shard what is seen there."""
        self._seen.again(shard)
        self._send_all_seen(self._clock.monotonic())

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._do(self._watchers.tick(now))
        if self.follower is not None:
            self.follower.tick(now)
        if len(self._seen):
            for shard, room in self._seen.shards().items():
                self._do(self._watchers.probe(room, shard, now))
            self._send_all_seen(now)

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────

    def _do(self, steps: Iterable[Step]) -> None:
        for step in steps:
            match step:
                case SendWord():
                    self._send(step)
                case AskRouter():
                    self._metrics.reads("routers")
                    self._routers.ask(step.shard, step.query)
                case Answer():
                    member = self._hub.find(step.conn)
                    if member is not None:
                        member.put(PresenceRead(step.room, step.ref, step.payload))
                case TellWatchers():
                    self._tell(step)

    def _send_all_seen(self, now: float) -> None:
        for said, shard in self._seen.due(now, self._watchers.is_ready):
            self._send_seen(said, shard)

    def _send_seen(self, said: envelope.Seen, shard: int) -> None:
        if not self._uplink.tell(said, shard):
            self._seen.unsent(said)

    def _send(self, step: SendWord) -> bool:
        return self._uplink.tell(step.word, step.shard)

    def _tell(self, step: TellWatchers) -> None:
        """Make one frame for each variant, and put it on all outboxes; it is the first to be dropped."""
        frame = envelope.Deliver(step.room, "", 0, TYPE, step.payload, self._clock.wall_us())
        delivered = self._hub.tell(step.conns, frame)
        for member in delivered.woken:
            member.flush()
        for member in delivered.too_slow:
            member.put(EndRequested(CloseCode.TOO_SLOW))
        self._metrics.messages_out(TYPE, delivered.recipients[0])
        if delivered.missed:
            self._metrics.drops("ephemeral", len(delivered.missed))
            self._watchers.missed(
                step.room, [member.id for member in delivered.missed], self._clock.monotonic()
            )
