"""The kinds of entries in a shard's log: each entry is one record, a batch of these kinds whose first one
says whose it is.

They are written by gateways (Batch, and what follows it) and by routers (all others), and read by every
router's fold. A kind may get fields at its end, but what the fold makes of an entry may change only with a
higher version of ``Rules``. It encodes nothing (``warren/envelope.py`` does) and does no I/O.
"""

from __future__ import annotations

import msgspec

from warren.position import Position


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


class Join(Kind, frozen=True, array_like=True, tag="J"):
    """Make ``conn`` a member of ``room`` and send it first what it has not seen since ``since``.

    Of ``*`` nobody is a member: a gateway asks by it where that stands.
    """

    room: str
    conn: str
    user: str
    ref: str = ""  # the client's ``id`` of its JOIN
    since: Position | None = None


class Leave(Kind, frozen=True, array_like=True, tag="L"):
    """``conn`` is no member of ``rooms`` any more; all of them are on one shard. No answer where ``ref`` is
    empty.
    """

    rooms: tuple[str, ...]
    conn: str
    ref: str = ""
    user: str = ""


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
    """Heads a record of backends' messages, passed on by a router: only Publishes follow, each with an id."""

    router: str
    at_us: int


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
