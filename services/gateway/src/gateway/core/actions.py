"""What a session may ask its shell to do. Frozen; the shell does them in the order in which they come.

This module decides nothing. Session makes actions, ``shell/connection.py`` and ``shell/downlink.py`` carry
them out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.core.client_messages import ServerMessage
from warren import envelope
from warren.address import shard_of
from warren.errors import CloseCode


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message to the client, behind what waits for it."""

    message: ServerMessage


@dataclass(frozen=True, slots=True)
class Publish:
    """Send this envelope to its room's shard. ``traceparent`` is what the client gave: the shell takes the
    sampling decision with it and, for a sampled message alone, puts its own span's into ``envelope.trace``.
    """

    envelope: envelope.Publish
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Join:
    """Send this envelope to its room's shard; never dropped, it waits. ``first``: the connection was not in
    the room before.
    """

    envelope: envelope.Join
    first: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """Send this envelope to its rooms' shard; never dropped, it waits."""

    envelope: envelope.Leave


@dataclass(frozen=True, slots=True)
class Query:
    """Have this HISTORY answered, from this gateway's memory or by the routers."""

    envelope: envelope.HistoryQuery


@dataclass(frozen=True, slots=True)
class Exit:
    """Take this connection out of the room in the hub, at once: ``hub.leave(room, connection)``."""

    room: str


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Check this token, then call ``session.identify`` or ``session.refuse``. The shell reads no further
    frame before it has.
    """

    token: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Read nothing more from the client for so many seconds: it sends only what is refused."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a WebSocket ping."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the WebSocket with this code and its reason; the ERROR that explains it was sent before."""

    code: CloseCode


def leaves(rooms: Iterable[str], conn: str, user: str, shards: int) -> list[Leave]:
    """Return the Leaves that tell the routers that ``conn`` is gone from ``rooms``: one for each shard that
    has any of them.
    """
    by_shard: dict[int, list[str]] = {}
    for room in rooms:
        by_shard.setdefault(shard_of(room, shards), []).append(room)
    return [Leave(envelope.Leave(tuple(group), conn, "", user)) for group in by_shard.values()]


Action = Send | Publish | Join | Leave | Query | Exit | Authenticate | Hold | Ping | Close
