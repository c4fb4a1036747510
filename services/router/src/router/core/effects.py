"""Effects: what one entry of a shard's log brings about, as the fold says it, in order.

Plain frozen values, the same for every reader of the log: each has its ``index`` among all that its entry
brings about (1, 2, 3 …), whoever does something with it and whoever does not. Nothing here decides anything.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from warren import envelope as wire
from warren.address import gateway_of
from warren.errors import WarrenError

EventKind = Literal[
    "client.connected", "client.disconnected", "room.joined", "room.left", "message", "undelivered"
]


class UnknownVersion(WarrenError):
    """The log's rules are those of a fold that is newer than this code: this router can't read on."""


class FeedItem(msgspec.Struct, frozen=True, gc=False):
    """``item`` is for the feeds of ``gateways``, as the members were at this place of the log."""

    index: int
    gateways: tuple[str, ...]
    item: wire.Item


class BackendEvent(msgspec.Struct, frozen=True, gc=False):
    """Tell backends what happened at ``at_us`` (µs since the Unix epoch): to ``conn`` in ``room``, or that
    ``message`` was numbered there.

    ``undelivered``: that nobody was there who could be given the message, or has seen it in time; its
    ``reason`` is ``nobody``, ``unseen`` or ``overloaded`` (too many wait to be seen).

    ``reason`` of one that left: ``left``, ``gone`` (its gateway's life has ended), or what a backend has
    brought about: ``disconnected``, ``replaced``, ``removed``, ``blocked``, ``revoked``. The message is
    without its trace, as it is to be kept.
    """

    index: int
    kind: EventKind
    room: str
    at_us: int
    conn: str = ""
    user: str = ""
    reason: str = ""
    message: wire.Deliver | None = None
    connections: int = 0  # of the user in that room, after it
    members: int = 0  # connections in that room, after it

    @property
    def gateway(self) -> str:
        """The gateway that holds the connection; named anew for each of its lives."""
        return gateway_of(self.conn)

    @property
    def generation(self) -> int:
        """The connection's number in its gateway: a later connection there has a higher one."""
        number = self.conn.partition("~")[2]
        try:
            return int(number, 16)
        except ValueError:
            return 0


class Began(msgspec.Struct, frozen=True, gc=False):
    """A Hello was taken: the chain of the gateway's ``life`` begins here."""

    index: int
    gateway: str
    life: int


class Ended(msgspec.Struct, frozen=True, gc=False):
    """The gateway's ``life`` is over, and its chain ends here; ``counted`` is the last of its batches that
    was taken.
    """

    index: int
    gateway: str
    life: int
    counted: int


class BatchRefused(msgspec.Struct, frozen=True, gc=False):
    """A batch came of a ``life`` that has ended or never began, and does not count: the gateway is to hear
    so.

    ``counted``: the last batch of that life that was taken, 0 where that is not known.
    """

    index: int
    gateway: str
    life: int
    counted: int


class Marked(msgspec.Struct, frozen=True, gc=False):
    """``router`` has put a Mark: the state as of this entry is that of its checkpoint."""

    index: int
    router: str
    at_us: int


class Part(msgspec.Struct, frozen=True, gc=False):
    """A part of a checkpoint stands here. It changes no state."""

    index: int
    part: wire.Checkpoint


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The message ``id`` has its place in the log, or had it before (``duplicate``): the router ``asker``, or
    its sender ``conn``, is to be told what ``level`` (one of the RECEIPT_ values) asks for.

    ``gateways`` are those with members there as of this entry; ``users`` and ``connections`` how many there
    are on them (-1: this shard does not know). ``readers`` are the users without its sender ``user``, and
    ``seen`` how many have seen it already.
    """

    index: int
    asker: str
    id: str
    room: str
    epoch: str
    seq: int
    duplicate: bool
    gateways: tuple[str, ...]
    users: int
    connections: int
    level: int
    conn: str = ""
    user: str = ""
    readers: int = 0
    seen: int = 0


class SeenChanged(msgspec.Struct, frozen=True, gc=False):
    """``user`` has seen the messages of ``room`` up to ``seq``, and had seen those up to ``before`` of this
    epoch (0: none).
    """

    index: int
    room: str
    epoch: str
    user: str
    before: int
    seq: int


class PresenceChanged(msgspec.Struct, frozen=True, gc=False):
    """What the presence in a watched ``room`` tells has changed: ``key`` had this ``revision`` before (-1: it
    was not there), or the numbers alone (``key`` is empty).
    """

    index: int
    room: str
    key: str
    revision: int


class CommandDone(msgspec.Struct, frozen=True, gc=False):
    """A Command that ``router`` has written was applied, or is a repeat; ``result`` is what it came to, as
    JSON, the same for all readers.
    """

    index: int
    id: str
    room: str
    router: str
    result: bytes


class Ruled(msgspec.Struct, frozen=True, gc=False):
    """``rules`` count from here on; ``new_life``: all that was before is void."""

    index: int
    rules: wire.Rules
    new_life: bool


Effect = (
    FeedItem
    | BackendEvent
    | Began
    | Ended
    | BatchRefused
    | Marked
    | Part
    | Ruled
    | Accepted
    | CommandDone
    | PresenceChanged
    | SeenChanged
)
