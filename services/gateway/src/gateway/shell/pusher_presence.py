"""PusherPresence: what clients of the Pusher protocol are told of who is in their presence channels.

It carries out what ``core/pusher_rosters.py`` decides: the rooms are watched in the name of a connection
that there never is, lists are read from the router that speaks for the shard, and each one who comes or goes
is one frame, spelled once for each variant and put on the outboxes of those who are to be told. Such a frame
is never withheld, since its clients can't ask what they miss: one that reads too slowly is closed. It decides
nothing and never waits.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.core.actions import Follow
from gateway.core.codec_pusher import channel_of, spell
from gateway.core.hub import Hub
from gateway.core.inputs import EndRequested, MembersListed
from gateway.core.outbox import KEPT, TOO_SLOW
from gateway.core.pusher_rosters import Ask, Changed, PusherRosters, Step, Subscribed, Watch
from gateway.core.websocket import frames
from gateway.shell.room_presence import RoomPresence
from gateway.shell.router_requests import RouterRequests
from warren import envelope
from warren.clock import Clock
from warren.errors import CloseCode
from warren.metrics import GatewayMetrics
from warren.pusher.channels import id_of

ADDED = "pusher_internal:member_added"
REMOVED = "pusher_internal:member_removed"


class PusherPresence:
    """One gateway's."""

    def __init__(
        self,
        own: str,
        presence: RoomPresence,
        hub: Hub,
        routers: RouterRequests,
        clock: Clock,
        metrics: GatewayMetrics,
    ) -> None:
        """``own`` is a connection that there never is."""
        self._own = own
        self._rosters = PusherRosters(own)
        self._presence = presence
        self._hub = hub
        self._routers = routers
        self._clock = clock
        self._metrics = metrics
        self._channels: dict[str, str] = {}  # of rooms that are followed
        self._unwatched: dict[str, int] = {}  # rooms whose watch found no place on its way ▶ their shards
        presence.follower = self
        metrics.waiting_from("pusher_rooms", lambda: self._rosters.rooms)
        metrics.waiting_from("pusher_members", lambda: self._rosters.members)

    # ── clients ─────────────────────────────────────────────────────────────────────────────────────────────

    def follow(self, conn: str, channel: str, asked: Follow) -> None:
        """Tell a connection who is in a room, or not any more."""
        if asked.on:
            self._channels[asked.room] = channel
            now = self._clock.monotonic()
            self._do(
                self._rosters.follow(asked.room, asked.shard, conn, asked.user, asked.info, asked.limit, now)
            )
        else:
            self._do(self._rosters.leave(asked.room, conn))

    # ── routers ─────────────────────────────────────────────────────────────────────────────────────────────

    def diff(self, diff: envelope.PresenceDiff) -> None:
        """A room has changed."""
        self._do(self._rosters.diff(diff, self._clock.monotonic()))

    def page(self, page: envelope.PresencePage) -> None:
        """A list was read."""
        self._do(self._rosters.page(page, self._clock.monotonic()))

    def renew(self, shard: int) -> None:
        """Ask again for what was asked of a shard's router."""
        self._do(self._rosters.renew(shard, self._clock.monotonic()))

    def doubt(self, shard: int) -> None:
        """Something of a shard may not have been told to this gateway."""
        self._rosters.doubt(shard)

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._do(self._rosters.tick(now))
        for room, shard in list(self._unwatched.items()):
            del self._unwatched[room]
            self._watch(room, shard)

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────

    def _do(self, steps: Iterable[Step]) -> None:
        for step in steps:
            match step:
                case Ask():
                    self._metrics.reads("routers")
                    self._routers.ask(step.shard, step.query)
                case Subscribed():
                    member = self._hub.find(step.conn)
                    if member is not None:
                        member.put(MembersListed(step.room, step.data))
                case Changed():
                    self._tell(step)
                case Watch(on=True):
                    self._watch(step.room, step.shard)
                case Watch():
                    self._unwatched.pop(step.room, None)
                    self._channels.pop(step.room, None)
                    self._presence.unwatch(step.room, self._own, contact=False)

    def _watch(self, room: str, shard: int) -> None:
        if not self._presence.watch(room, shard, self._own, contact=False):
            self._unwatched[room] = shard

    def _tell(self, step: Changed) -> None:
        """Make the frames once for each variant, and put them on all outboxes."""
        channel = self._channels.get(step.room) or channel_of(step.room)
        texts = [_spelled(channel, user, info) for user, info in step.changes]
        chunks: dict[frames.Variant, bytes] = {}
        count, told = len(texts), 0
        for conn in step.conns:
            member = self._hub.find(conn)
            if member is None:
                continue
            chunk = chunks.get(member.variant)
            if chunk is None:
                chunk = b"".join(frames.text_frame(text, member.variant) for text in texts)
                chunks[member.variant] = chunk
            idle = member.outbox.idle
            put = member.outbox.put(chunk, count)
            if put is TOO_SLOW:
                member.put(EndRequested(CloseCode.TOO_SLOW))
            elif put is KEPT:
                told += count
                if idle:
                    member.flush()
        self._metrics.messages_out("PRESENCE", told)


def _spelled(channel: str, user: str, info: bytes | None) -> bytes:
    """Return the frame that says that one has come, with what is shown of them, or gone (None)."""
    told: dict[str, str | msgspec.Raw] = {"user_id": id_of(user)}
    if info:
        told["user_info"] = msgspec.Raw(info)
    return spell(REMOVED if info is None else ADDED, msgspec.json.encode(told).decode(), channel)
