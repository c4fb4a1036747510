"""The kinds of entries in a shard's log: each entry is one record, a batch of these kinds whose first one
says whose it is.

They are written by gateways (Batch, and what follows it) and by routers (all others), and read by every
router's fold. A kind may get fields at its end, but what the fold makes of an entry may change only with a
higher version of ``Rules``. It encodes nothing (``warren/envelope.py`` does) and does no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from warren.position import Position

# The version of the fold of which a service of this release understands every entry and every item.
FOLD_VERSION: Final = 2

# What a room tells of a member.
PRESENCE_OFF: Final = 0  # nothing: the room keeps no presence, or the member is hidden
PRESENCE_COUNT: Final = 1  # that there is one more
PRESENCE_CONNECTIONS: Final = 2  # each connection
PRESENCE_USERS: Final = 3  # each user, once

# What is told of a message.
RECEIPT_NONE: Final = 0
RECEIPT_ACCEPTED: Final = 1  # its place in the log, and who is there
RECEIPT_WRITTEN: Final = 2  # once each gateway that has members has been told of it, too
RECEIPT_SEEN: Final = 3  # once as many users have said that they have seen it as were there to see it, too
RECEIPT_LEVELS: Final[Mapping[str, int]] = {
    "accepted": RECEIPT_ACCEPTED,
    "written": RECEIPT_WRITTEN,
    "seen": RECEIPT_SEEN,
}


class Kind(msgspec.Struct, frozen=True, array_like=True, tag_field="kind"):
    """One thing that crosses the bus."""


class Publish(Kind, frozen=True, array_like=True, tag="P"):
    """A message for an address. ``conn`` and ``user`` are the sender's, both empty for a backend's."""

    room: str
    type: str
    payload: bytes
    at_us: int  # when Warren took it in, µs since the Unix epoch
    conn: str = ""
    user: str = ""
    id: str = ""  # the sender's own; counted once per (room, user, id); empty: no ACK and no dedup
    binary: bool = False  # payload is raw bytes; else it is JSON text
    include_sender: bool = False
    ephemeral: bool = False  # never numbered, never kept, first to be dropped
    key: str = ""  # for rooms where a slow reader gets the latest of each key only
    expires_ms: int = 0  # not delivered after this, ms since the Unix epoch; 0: never expires
    trace: str = ""  # W3C traceparent of a sampled message, else empty
    receipt: int = 0  # whether its sender is to be told what becomes of it: one of the RECEIPT_ values
    asker: str = ""  # the router that passed it on for a backend, which is told
    unseen_ms: int = 0  # backends are told where nobody has seen it in this time; 0: they are not


class Join(Kind, frozen=True, array_like=True, tag="J"):
    """Make ``conn`` a member of ``room`` and send it first what it has not seen since ``since``.

    Of ``*`` nobody is a member: a gateway asks by it where that stands; and by one of ``conn`` itself,
    whether that may stay. What follows ``since`` counts from version 2 of the fold on; ``token_id`` and what
    follows it up to ``replace`` only in a user's own room.
    """

    room: str
    conn: str
    user: str
    ref: str = ""  # the client's ``id`` of its JOIN
    since: Position | None = None
    info: bytes = b""  # JSON that is shown with the member in the room's presence; at most 1 KiB
    presence: int = 0  # what the room tells of this member: one of the PRESENCE_ values
    token_id: str = ""  # the ``jti`` of the token that let the connection in
    issued_s: int = 0  # its ``iat``, s since the Unix epoch; 0: it says nothing
    limit: int = 0  # connections that the user may have at most; 0: any number
    replace: bool = False  # beyond the limit the oldest connection ends, else this one is refused
    came_us: int = 0  # since when it is there, as its Entered said, where it joins again; 0: it comes now


class Watch(Kind, frozen=True, array_like=True, tag="W"):
    """``conn`` wants to be told of the presence in ``room`` from here on (``on``), or not any more. It need
    not be a member. From version 2 of the fold on.
    """

    room: str
    conn: str
    user: str
    on: bool


class Inform(Kind, frozen=True, array_like=True, tag="I"):
    """``info`` is what is shown with the member ``conn`` in the presence of ``room`` from here on. From
    version 2 of the fold on.
    """

    room: str
    conn: str
    info: bytes


class Seen(Kind, frozen=True, array_like=True, tag="S"):
    """The user of the member ``conn`` has seen all messages of ``room`` up to ``seq`` of ``epoch``. From
    version 2 of the fold on.
    """

    room: str
    conn: str
    epoch: str
    seq: int


class Leave(Kind, frozen=True, array_like=True, tag="L"):
    """``conn`` is no member of ``rooms`` any more; all of them are on one shard. No answer where ``ref`` is
    empty.
    """

    rooms: tuple[str, ...]
    conn: str
    ref: str = ""
    user: str = ""
    reason: str = ""  # why, for backends, where it did not leave by itself; from version 2 of the fold on


class Batch(Kind, frozen=True, array_like=True, tag="1"):
    """Heads a gateway's record: its ``number`` (1, 2, 3 …, each used for one content only) in the gateway's
    ``life`` (1, 2, 3 …) on this shard.
    """

    gateway: str
    life: int
    number: int
    at_us: int  # when it was made, µs since the Unix epoch


class Hello(Kind, frozen=True, array_like=True, tag="2"):
    """Begins a gateway's life: stands behind the head of its batch 1, and nowhere else."""


class Notified(Kind, frozen=True, array_like=True, tag="3"):
    """Heads a record of backends' messages, passed on by a router: only Publishes follow, each with an id.
    Where none follows it says what time it is, which a shard in which nothing happens would not know.
    """

    router: str
    at_us: int


class Commanded(Kind, frozen=True, array_like=True, tag="18"):
    """Heads a record of one backend's command, passed on by a router: one Command follows. From version 2 of
    the fold on.
    """

    router: str
    at_us: int


class Command(Kind, frozen=True, array_like=True, tag="C"):
    """What a backend wants changed. ``room`` is the address whose shard it is in: a user's own room for what
    concerns the user, a connection's id for what concerns that, a room for what concerns that.
    """

    id: str  # counted once for each address
    verb: str  # disconnect, block, unblock, revoke, remove, add
    room: str
    user: str = ""
    spare: tuple[str, ...] = ()  # connections that are left alone
    code: int = 0  # the close code
    reason: str = ""
    until_ms: int = 0  # when a block or a revocation may be forgotten, ms since the Unix epoch; 0: never
    rooms: tuple[str, ...] = ()  # those to be joined
    token_id: str = ""  # the token that is revoked
    before_s: int = 0  # or all tokens issued before, s since the Unix epoch
    conn: str = ""  # the one connection that is removed from a room, in the place of a user


class Gone(Kind, frozen=True, array_like=True, tag="4"):
    """A gateway's life is over: its members have left, and no batch of it counts any more. A record of its
    own, by a router.
    """

    gateway: str
    life: int
    at_us: int


class Rules(Kind, frozen=True, array_like=True, tag="5"):
    """What all readers of the log share from here on. A record of its own, by a router.

    It begins the log's life where none has begun; ``anew``: where one has begun too (its beginning is lost,
    and no checkpoint is left). One of another life without ``anew`` does not count.
    """

    life: str  # lower-case letters and digits; never used before
    version: int  # of the fold; applied only by code that knows it
    ids: int  # message ids that are remembered
    rooms: int  # rooms without members whose position is remembered
    gone: int  # ended lives of gateways that are remembered
    at_us: int
    anew: bool = False


class Mark(Kind, frozen=True, array_like=True, tag="6"):
    """The place of a checkpoint: the fold as of this entry. A record of its own, by a router."""

    router: str
    at_us: int


class Checkpoint(Kind, frozen=True, array_like=True, tag="7"):
    """Part ``part`` of ``parts`` (0 …) of the fold as of the Mark at ``offset`` that ``router`` has put. A
    record of its own, by that router.

    All events up to ``offset`` were confirmed when it was written. ``digest`` is that of all parts together.
    """

    router: str
    offset: int
    part: int
    parts: int
    digest: bytes
    body: bytes
