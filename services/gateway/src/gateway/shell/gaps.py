"""Gaps: asks the routers for what is missing here, again and again until it has come.

A room that lacks messages asks by Resume, a single member by its JOIN with the position it stands at. A gap that is noticed is asked for
at once, what is catching up is given a moment, and each is asked for again every two seconds while it lasts. It keeps one time for each
late room and nothing else; what is late the hub says. The downlink reports, the lobby's tick drives it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.core.hub import Hub, Late
from warren import envelope
from warren.address import shard_of
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.position import Position

AGAIN_S = 2.0

_log = get_logger("gateway.gaps")


class Way(Protocol):
    """The part of the uplink that is used here."""

    def resume(self, up: envelope.Resume) -> bool:
        """Take a Resume; False where there is no place."""
        ...


class Gaps:
    """What is missing on this gateway."""

    def __init__(
        self,
        gateway: str,
        shards: int,
        hub: Hub,
        uplink: Way,
        metrics: GatewayMetrics,
        again: Callable[[str, str, Position], None],
    ) -> None:
        """``again(conn, room, since)`` has a connection ask for what it lacks."""
        self._gateway = gateway
        self._shards = shards
        self._hub = hub
        self._uplink = uplink
        self._metrics = metrics
        self._again = again
        self._due: dict[str, float] = {}  # room ▶ when to ask (again)

    def noticed(self, rooms: set[str], now: float) -> None:
        """Ask for what is missing in these rooms, where it was not asked for a moment ago."""
        for room in rooms:
            self._due.setdefault(room, now)
        self.tick(now)

    def renew(self, shard: int, now: float) -> None:
        """Ask again for what single members of a shard lack; what its rooms lack comes with the answer to our announcement."""
        for late in list(self._hub.late()):
            if shard_of(late.room, self._shards) == shard:
                self._due[late.room] = now + AGAIN_S
                self._ask_members(late)

    def tick(self, now: float) -> None:
        """Ask for what is due."""
        late = list(self._hub.late())
        for room in self._due.keys() - {one.room for one in late}:
            del self._due[room]
        for one in late:
            if self._due.setdefault(one.room, now + AGAIN_S) <= now:
                self._due[one.room] = now + AGAIN_S
                self._ask(one)

    def _ask(self, late: Late) -> None:
        if late.position is not None:
            event(_log, "resume", shard_room=late.room, epoch=late.position.epoch, seq=late.position.seq)
            if self._uplink.resume(envelope.Resume(self._gateway, late.room, late.position)):
                self._metrics.resumes("room")
        self._ask_members(late)

    def _ask_members(self, late: Late) -> None:
        for conn, since in late.members:
            self._metrics.resumes("member")
            self._again(conn, late.room, since)
