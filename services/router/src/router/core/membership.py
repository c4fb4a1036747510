"""Membership: who is in which room, as joins, leaves, gateways' answers and their deaths tell it; and what backends are told of it.

Each coming and going is an event once, also where a gateway is gone and its members leave with it. Only where the owner of the shard has
changed meanwhile an event may come twice, and none is lost: members that a gateway names to a new owner had come before; a leave of someone
unknown is an event, unless it was one already. It knows no position (it only tells ``Lives`` which rooms have members) and answers nobody.
Pure. ``core/shard.py`` owns one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from router.core.census import Answer, Census
from router.core.effects import Emit, EventKind
from router.core.lives import Lives
from router.core.rooms import RoomTable
from warren.address import gateway_of, is_connection

# How many departures are remembered that an own word of the departed may still follow.
GATEWAYS_GONE = 1_024
MEMBERS_LOST = 8_192

T = TypeVar("T")


class Membership:
    """The members of a shard's rooms."""

    def __init__(self, events: frozenset[str]) -> None:
        """``events``: which kinds backends are told of, of ``client`` and ``room``."""
        self.rooms = RoomTable()
        self.census = Census()
        self._clients = "client" in events
        self._rooms_too = "room" in events
        self._pictured: set[str] = set()  # gateways whose members are known from themselves
        self._gone: dict[str, None] = {}  # gateways whose members have left with them
        self._lost: dict[tuple[str, str], None] = {}  # (room, connection) that its gateway did not know any more

    def enter(self, lives: Lives, room: str, conn: str, user: str, at_us: int, *, again: bool) -> list[Emit]:
        """A connection joins. ``again``: a former owner may have been told already, and may have told nobody."""
        new = self._add(lives, room, conn, user)
        return self._event(room, conn, user, at_us, "") if new or again else []

    def leave(self, lives: Lives, room: str, conn: str, user: str, at_us: int, *, again: bool) -> list[Emit]:
        """A connection leaves. ``user`` counts where it was not known."""
        gateway = gateway_of(conn)
        user = self.rooms.members(room, gateway).get(conn) or user or (room[1:] if room[:1] == "@" else "")
        known = self._remove(lives, room, conn)
        told = (room, conn) in self._lost or gateway in self._gone
        self._lost.pop((room, conn), None)
        return self._event(room, conn, user, at_us, "left") if known or again or not told else []

    def replace(
        self,
        lives: Lives,
        gateway: str,
        answer: Answer,
        owns: Callable[[str], bool],
        at_us: int,
    ) -> list[Emit]:
        """Take a gateway's answer: whom it names are its members, and nobody else. ``owns`` says which rooms are this shard's."""
        events: list[Emit] = []
        picture = answer.picture()
        # What a gateway names at first had come under a former owner, unless it is back from what was taken for its end.
        silent = gateway not in self._pictured and gateway not in self._gone
        self._pictured.add(gateway)
        self._gone.pop(gateway, None)
        for room in list(self.rooms.rooms_of(gateway)):
            kept = picture[room][0] if room in picture else {}
            for conn, user in list(self.rooms.members(room, gateway).items()):
                if conn not in kept:
                    self._remove(lives, room, conn)
                    events += self._event(room, conn, user, at_us, "lost")
                    _remember(self._lost, (room, conn), MEMBERS_LOST)
        for room, (members, _) in picture.items():
            if not members or not owns(room):
                continue
            for conn, user in members.items():
                if not is_connection(conn) or gateway_of(conn) != gateway:
                    continue
                if self._add(lives, room, conn, user) and not silent:
                    events += self._event(room, conn, user, at_us, "")
        return events

    def drop(self, lives: Lives, gateway: str, at_us: int) -> list[Emit]:
        """A gateway is gone, and its members with it."""
        events: list[Emit] = []
        self.census.drop(gateway)
        self._pictured.discard(gateway)
        _remember(self._gone, gateway, GATEWAYS_GONE)
        for room in list(self.rooms.rooms_of(gateway)):
            for conn, user in self.rooms.members(room, gateway).items():
                events += self._event(room, conn, user, at_us, "gone")
        for room in self.rooms.drop_gateway(gateway):
            if room not in self.rooms:
                lives.rest(room)
        return events

    def gone(self, answer: Answer, owns: Callable[[str], bool], at_us: int) -> list[Emit]:
        """A gateway has answered a new owner and is gone before that began: those it named have left."""
        return [
            event
            for room, (members, _) in answer.picture().items()
            if members and owns(room)
            for conn, user in members.items()
            if is_connection(conn)
            for event in self._event(room, conn, user, at_us, "gone")
        ]

    def _add(self, lives: Lives, room: str, conn: str, user: str) -> bool:
        gateway = gateway_of(conn)
        lives.wake(room)
        new = self.rooms.join(room, gateway, conn, user)
        self.census.note(gateway, room, conn, user)
        return new

    def _remove(self, lives: Lives, room: str, conn: str) -> bool:
        gateway = gateway_of(conn)
        known = self.rooms.leave(room, gateway, conn)
        if known and room not in self.rooms:
            lives.rest(room)
        self.census.note(gateway, room, conn, None)
        return known

    def _event(self, room: str, conn: str, user: str, at_us: int, reason: str) -> list[Emit]:
        """Say that a connection is there (no ``reason``) or has left. Being in its user's own room is being there at all."""
        kind: EventKind
        if room[:1] == "@":
            if not self._clients:
                return []
            kind = "client.disconnected" if reason else "client.connected"
        else:
            if not self._rooms_too:
                return []
            kind = "room.left" if reason else "room.joined"
        return [Emit(kind, room, at_us, conn, user, reason)]


def _remember(departed: dict[T, None], who: T, most: int) -> None:
    """Note a departure; the oldest is forgotten where there are too many."""
    departed[who] = None
    if len(departed) > most:
        del departed[next(iter(departed))]
