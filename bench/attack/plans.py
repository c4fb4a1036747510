"""What an attacker does, as data: how many connections, how each begins, what it sends once and what it
repeats. A Swarm describes clients, a Flood describes a backend. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Token = Literal["", "member", "bad"]
ROOM = "victims"  # the room of the well-behaved clients
NO_EPOCH = ("-", 0)


@dataclass(frozen=True, slots=True)
class Scene:
    """What an attack may know about the installation: the attackers, and the position from which each
    prepared room can be caught up.
    """

    seconds: float = 5.0
    origins: dict[str, tuple[str, int]] = field(default_factory=dict)

    def since(self, room: str) -> tuple[str, int]:
        """Return the oldest position of a prepared room."""
        return self.origins.get(room, NO_EPOCH)


@dataclass(frozen=True, slots=True)
class Swarm:
    """Connections of one kind. All times in seconds."""

    connections: int = 1
    token: Token = ""  # sent as the subprotocol; "": none
    packed: bool = False
    deflate: bool = False
    path: str = "/ws"
    headers: bytes = b""  # additional lines of the upgrade request
    raw: bytes = b""  # instead of the upgrade; nothing else is sent, except ``again``
    once: bytes = b""  # after the upgrade
    again: bytes = b""  # after that, repeatedly
    every: float = 0.0  # from one ``again`` to the next; 0: as fast as the socket accepts it
    each: Callable[[int], bytes] | None = None  # what connection number N sends first (instead of ``once``)
    reads: bool = True
    deaf_after: bool = False  # keeps sending after the server's close frame, until the socket is closed
    returns: float | None = 0.1  # after this time a closed connection is opened again; None: never
    opens_per_s: float = 2_000.0
    hangs_up: bool = False  # closes each connection itself once it is open and has sent ``once``


@dataclass(frozen=True, slots=True)
class Flood:
    """Notifications of a backend."""

    bodies: tuple[bytes, ...] = ()  # one after the other, repeatedly
    count: int = 0  # of the first body; 0: no end
    per_s: float = 0.0  # 0: as fast as the broker confirms
    key: str = "room.attack"
    depth: int = 0  # nesting of a table in its headers
    width: int = 0  # how many headers it has
    timestamp: int | None = None
    broken: bool = False  # its id is not UTF-8


Plan = Swarm | Flood


@dataclass(frozen=True, slots=True)
class Attack:
    """One row of the table."""

    name: str
    kind: str  # the section of the catalogue
    says: str
    plans: Callable[[Scene], tuple[Plan, ...]]
    fresh_router: bool = False  # it targets a router's memory or life, so it starts with a new one
    at_least_s: float = 0.0  # how long it takes to fill its target
