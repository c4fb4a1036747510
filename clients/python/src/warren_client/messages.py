"""What an application gets and gives: plain records without behaviour, which check themselves where they are
built.

It does no I/O and knows neither frames nor rooms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from warren_client.errors import InvalidError, WarrenError

State = Literal["idle", "connecting", "open", "waiting", "closed"]
Overflow = Literal["catch_up", "drop_oldest"]
ReceiptLevel = Literal["written", "seen"]


@dataclass(frozen=True, slots=True)
class Position:
    """How far somebody has read a room. Keep it (``dataclasses.asdict``), and give it as ``since`` another
    day.
    """

    epoch: str
    seq: int

    @staticmethod
    def of(value: Position | Mapping[str, Any]) -> Position:
        """Return a position that was kept, also as the mapping that JSON gives back."""
        if isinstance(value, Position):
            return value
        epoch, seq = (value.get("epoch"), value.get("seq")) if isinstance(value, Mapping) else (None, None)
        if not isinstance(epoch, str) or not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
            what = "since: must be a Position, or a mapping with epoch (text) and seq (a whole number)"
            raise InvalidError("invalid_message", what)
        return Position(epoch, seq)


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a room, or to this connection. ``seq`` and ``epoch`` are None if it is not numbered."""

    type: str
    payload: Any
    room: str | None = None
    sender: str | None = None
    seq: int | None = None
    epoch: str | None = None
    id: str | None = None
    key: str | None = None
    timestamp: int | None = None
    traceparent: str | None = None
    ref: str | None = None
    n: int = 1
    more: bool = False
    size: int = field(default=0, compare=False, repr=False)  # of its frame

    @property
    def position(self) -> Position | None:
        """Where it stands in its room."""
        return Position(self.epoch, self.seq) if self.epoch is not None and self.seq else None


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of the room are lost to this reader: those after ``since`` up to ``position``, where it goes
    on.
    """

    room: str
    since: Position | None
    position: Position


@dataclass(frozen=True, slots=True)
class Dropped:
    """``count`` messages were withheld from this reader, because it was too slow: none numbered above ``seq``
    (0: none of them is numbered). ``by`` says who did: the server, where the room allows it, or this client's
    own queue.
    """

    room: str | None
    count: int
    seq: int
    by: Literal["server", "client"]


Item = Message | Gap | Dropped


@dataclass(frozen=True, slots=True)
class Receipt:
    """What has become of a message. ``complete`` False: not in time, or not known."""

    id: str
    room: str | None
    level: ReceiptLevel
    complete: bool
    readers: int | None = None
    seen: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The ACK of a message: where it stands in the log. ``seq`` is None if it is not numbered."""

    id: str
    room: str | None
    seq: int | None
    epoch: str | None

    @property
    def position(self) -> Position | None:
        """Where it stands in its room."""
        return Position(self.epoch, self.seq) if self.epoch is not None and self.seq else None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server allows this connection. ``rate`` 0: no limit."""

    message_bytes: int | None = None
    rate: int = 0
    rate_per_ms: int = 0
    rooms: int | None = None


@dataclass(frozen=True, slots=True)
class Welcome:
    """Who the server takes this client for."""

    connection: str
    user: str
    limits: Limits = field(default_factory=Limits)
    rooms: tuple[str, ...] = ()  # those that the server has joined for it
    heartbeat_ms: int | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a room. ``connection`` is there in rooms that tell of each connection."""

    user: str
    info: Any = None
    connection: str | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How many are in a room."""

    users: int = 0
    connections: int = 0


@dataclass(frozen=True, slots=True)
class PresenceChange:
    """What has changed in a room's presence. ``member`` is None for ``seen``, ``count`` and ``reset``: then
    look at the presence itself. ``reset`` takes the place of changes that the application was too slow to
    read.
    """

    kind: Literal["joined", "left", "updated", "seen", "count", "reset"]
    member: Member | None = None


@dataclass(frozen=True, slots=True)
class ContactChange:
    """Whether a user is connected anywhere; None: not known any more. ``user`` None: several have changed."""

    user: str | None
    online: bool | None


@dataclass(frozen=True, slots=True)
class Notice:
    """What happens to the client as a whole: ``state`` (``detail`` is the new one), ``degraded``,
    ``restored``, ``reconnect`` (asked by the server), ``left`` (``detail`` is the room), ``error`` (what no
    caller waits for).
    """

    kind: Literal["state", "degraded", "restored", "reconnect", "left", "error"]
    detail: str
    error: WarrenError | None = None
