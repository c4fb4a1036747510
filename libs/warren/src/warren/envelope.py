"""All that crosses the bus between gateways and routers: kinds as frozen structs, and the bytes of a batch of them.

A batch is one AMQP body: MessagePack ``[version, [envelope, …]]``, each envelope an array that begins with its kind. Payloads
travel as opaque bytes and are never decoded on the way. A newer service may append fields to a kind: an older one ignores them, and
fills in what an older sender left out, so that both live side by side during an upgrade. This module does no I/O and knows no
AMQP name. The gateway's uplink and downlink and the router's worker, outlet and intake call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from warren.errors import MalformedEnvelope, UnsupportedEnvelope
from warren.position import LogPosition, Position

VERSION: Final = 1
CONTENT_TYPE: Final = "application/vnd.warren.batch+msgpack"


class _Envelope(msgspec.Struct, frozen=True, array_like=True, tag_field="kind"):
    """One thing that crosses the bus."""


# ── up: gateway (or the router's intake) ▶ a shard ───────────────────────────────────────────────────────────────────────


class Publish(_Envelope, frozen=True, array_like=True, tag="P"):
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


class Join(_Envelope, frozen=True, array_like=True, tag="J"):
    """Make ``conn`` a member of ``room`` and send it first what it has not seen since ``since``."""

    room: str
    conn: str
    user: str
    ref: str = ""  # the client's ``id`` of its JOIN
    since: Position | None = None


class Leave(_Envelope, frozen=True, array_like=True, tag="L"):
    """``conn`` is no member of ``rooms`` any more; all of them are on one shard. No answer where ``ref`` is empty."""

    rooms: tuple[str, ...]
    conn: str
    ref: str = ""
    user: str = ""


class Claim(_Envelope, frozen=True, array_like=True, tag="C"):
    """``router`` takes this shard under ``term``: reading its own claim back it owns what comes after it."""

    router: str
    term: int


class Resume(_Envelope, frozen=True, array_like=True, tag="R"):
    """``gateway`` has a gap in ``room``: it has got to ``position``, and wants what comes after that (or a Resync)."""

    gateway: str
    room: str
    position: Position


class HistoryQuery(_Envelope, frozen=True, array_like=True, tag="Q"):
    """``conn`` wants the last ``limit`` messages of ``room`` before the seq ``before`` (0: before now)."""

    room: str
    conn: str
    ref: str
    before: int = 0
    limit: int = 100


class Inquiry(_Envelope, frozen=True, array_like=True, tag="I"):
    """What became of messages of ``room`` that were confirmed, but whose answers may be lost? Each is (connection, user, id); those
    that are known are acknowledged again, the others are passed over.
    """

    room: str
    asked: tuple[tuple[str, str, str], ...]


# ── to the routers' inboxes ──────────────────────────────────────────────────────────────────────────────────────────────


class Heartbeat(_Envelope, frozen=True, array_like=True, tag="H"):
    """A gateway lives. ``started_us`` tells two lives of one name apart. The rest feeds the statistics of the whole
    installation; counters run from the gateway's start.
    """

    gateway: str
    started_us: int
    connections: int = 0
    messages_in: int = 0
    messages_out: int = 0
    errors: int = 0
    rss_bytes: int = 0
    queue: str = ""  # its own at present: whose door the routers close when its lease ends


class Bye(_Envelope, frozen=True, array_like=True, tag="B"):
    """A gateway goes in order; its members have left."""

    gateway: str


class Spoken(msgspec.Struct, frozen=True, array_like=True):
    """How far the router that speaks for ``shard`` has got, in the ``life`` of the shard's log."""

    shard: int
    life: str
    events: int  # all events of the entries up to this offset are confirmed
    mark: int  # the offset of the newest whole checkpoint's Mark; -1: none is known


class RouterHeartbeat(_Envelope, frozen=True, array_like=True, tag="h"):
    """A router lives and shares in the shards."""

    router: str
    started_us: int
    queue: str = ""  # as in a gateway's heartbeat
    knows: int = 0  # the highest version of the fold that it can apply
    shards: tuple[Spoken, ...] = ()  # those that it speaks for


class RouterBye(_Envelope, frozen=True, array_like=True, tag="b"):
    """A router goes in order: it hands its shards over."""

    router: str


class Members(msgspec.Struct, frozen=True, array_like=True):
    """A room's members on one gateway and how far that gateway has got in it."""

    room: str
    members: tuple[tuple[str, str], ...]  # (connection, user)
    position: Position | None = None


class Announce(_Envelope, frozen=True, array_like=True, tag="A"):
    """A gateway's answer to Ask: its members on that shard. Long answers come in parts, the ``last`` one marked."""

    gateway: str
    shard: int
    term: int
    rooms: tuple[Members, ...]
    last: bool = True
    ref: int = 0  # the Ask's that this answers; 0: unasked


# ── down: router ▶ a gateway ─────────────────────────────────────────────────────────────────────────────────────────────


class Deliver(_Envelope, frozen=True, array_like=True, tag="D"):
    """A message for a gateway's members of ``room``. ``seq`` 0: not numbered (ephemeral, or to a single connection).

    A numbered one is an entry of the shard's log just as it is; there ``to`` and ``trace`` are empty.
    """

    room: str
    epoch: str
    seq: int
    type: str
    payload: bytes
    at_us: int
    term: int = 0
    conn: str = ""  # the sender's connection, which gets no copy unless include_sender
    user: str = ""
    id: str = ""
    binary: bool = False
    include_sender: bool = False
    key: str = ""
    expires_ms: int = 0
    trace: str = ""
    to: str = ""  # for this one connection only, which is catching up; the room's position does not move


class Joined(_Envelope, frozen=True, array_like=True, tag="j"):
    """``conn`` is a member and stands at ``position``; ``missed`` messages after that follow, each a Deliver ``to`` it alone."""

    conn: str
    room: str
    position: Position
    recovered: bool
    missed: int = 0
    ref: str = ""
    term: int = 0


class Left(_Envelope, frozen=True, array_like=True, tag="l"):
    """``conn`` is no member of ``room`` any more."""

    conn: str
    room: str
    ref: str = ""
    term: int = 0


class Ack(_Envelope, frozen=True, array_like=True, tag="a"):
    """The message ``id`` of ``conn`` is accepted at ``seq`` (0: not numbered). ``again``: for an Inquiry; it may have been said before."""

    conn: str
    room: str
    id: str
    epoch: str
    seq: int
    term: int = 0
    again: bool = False


class Refused(_Envelope, frozen=True, array_like=True, tag="r"):
    """What ``conn`` asked for under ``ref`` was refused: the ``code`` of an ERROR frame and a message for its developer."""

    conn: str
    ref: str
    code: str
    message: str
    term: int = 0


class Resync(_Envelope, frozen=True, array_like=True, tag="y"):
    """All members of ``room`` on this gateway stand at ``position`` from now on; what lies before it is lost to them."""

    room: str
    position: Position
    term: int = 0


class HistoryPage(_Envelope, frozen=True, array_like=True, tag="q"):
    """The answer to HistoryQuery: ``messages`` in their order; ``more``: there are older ones."""

    conn: str
    room: str
    ref: str
    messages: tuple[Deliver, ...]
    more: bool
    term: int = 0


class Ask(_Envelope, frozen=True, array_like=True, tag="?"):
    """``router`` owns ``shard`` under ``term`` from now on: drop what older terms send, and answer with Announce."""

    router: str
    shard: int
    term: int
    ref: int = 0  # given back in each part of the answer


# ── in the shard's log, between its Delivers ─────────────────────────────────────────────────────────────────────────────


class Marker(_Envelope, frozen=True, array_like=True, tag="M"):
    """``router`` owns the shard under ``term``: entries of older terms that come after this do not count."""

    router: str
    term: int


class Checkpoint(_Envelope, frozen=True, array_like=True, tag="K"):
    """The positions of a shard's rooms at this place of its log, in several parts where need be, the ``last`` one marked.

    ``life`` and ``generation`` make the epoch of rooms that begin after this (see the router's ``core/lives.py``).
    """

    term: int
    life: int
    generation: int
    rooms: tuple[tuple[str, str, int], ...]  # (room, epoch, seq)
    last: bool = True


# ── one log: entries of a shard's stream. A record of it is one batch, whose first envelope says whose it is ──────────────


class Batch(_Envelope, frozen=True, array_like=True, tag="1"):
    """Heads a gateway's record: its ``number`` (1, 2, 3 …, each used for one content only) in the gateway's ``life`` (1, 2, 3 …) on this shard."""

    gateway: str
    life: int
    number: int
    at_us: int  # when it was made, µs since the Unix epoch


class Hello(_Envelope, frozen=True, array_like=True, tag="2"):
    """Begins a gateway's life: stands behind the head of its batch 1, and nowhere else."""


class Notified(_Envelope, frozen=True, array_like=True, tag="3"):
    """Heads a record of backends' messages, passed on by a router: only Publishes follow, each with an id."""

    router: str
    at_us: int


class Gone(_Envelope, frozen=True, array_like=True, tag="4"):
    """A gateway's life is over: its members have left, and no batch of it counts any more. A record of its own, by a router."""

    gateway: str
    life: int
    at_us: int


class Rules(_Envelope, frozen=True, array_like=True, tag="5"):
    """What all readers of the log share from here on. A record of its own, by a router.

    It begins the log's life where none has begun; ``anew``: where one has begun too (its beginning is lost, and no checkpoint is left).
    One of another life without ``anew`` does not count.
    """

    life: str  # lower-case letters and digits; never used before
    version: int  # of the fold; applied only by code that knows it
    ids: int  # message ids that are remembered
    rooms: int  # rooms without members whose position is remembered
    gone: int  # ended lives of gateways that are remembered
    at_us: int
    anew: bool = False


class Mark(_Envelope, frozen=True, array_like=True, tag="6"):
    """The place of a checkpoint: the fold as of this entry. A record of its own, by a router."""

    router: str
    at_us: int


class Checkpoint2(_Envelope, frozen=True, array_like=True, tag="7"):
    """Part ``part`` of ``parts`` (0 …) of the fold as of the Mark at ``offset`` that ``router`` has put. A record of its own, by that router.

    All events up to ``offset`` were confirmed when it was written. ``digest`` is that of all parts together.
    """

    router: str
    offset: int
    part: int
    parts: int
    digest: bytes
    body: bytes


# ── one log: between gateways and the routers that speak for a shard ─────────────────────────────────────────────────────


class Number(_Envelope, frozen=True, array_like=True, tag="8"):
    """A gateway stands at ``mine`` on a shard in its ``life`` there (None: it has been told nothing in that life): feed it from there."""

    gateway: str
    shard: int
    life: int
    mine: LogPosition | None


class Read(_Envelope, frozen=True, array_like=True, tag="9"):
    """A gateway wants what follows the seq ``after`` of a room's ``epoch``, up to ``upto`` or as much of it as fits a page."""

    gateway: str
    shard: int
    room: str
    epoch: str
    after: int
    upto: int
    ref: int


class Speaker(_Envelope, frozen=True, array_like=True, tag="10"):
    """``router`` speaks for ``shard`` from now on: each gateway answers with its Number."""

    router: str
    shard: int


class LifeEnded(_Envelope, frozen=True, array_like=True, tag="11"):
    """The gateway's ``life`` on ``shard`` is over, or never began: its batches up to ``counted`` were taken (0: none is known), later ones not."""

    shard: int
    life: int
    counted: int


class Reset(_Envelope, frozen=True, array_like=True, tag="12"):
    """What the gateway lacks on ``shard`` is not to be had any more: it stands at ``upto`` now, and its members join again from where they stand."""

    router: str
    shard: int
    life: int
    upto: LogPosition
    counted: int


class Entered(_Envelope, frozen=True, array_like=True, tag="13"):
    """``conn`` is a member of ``room``, which stands at ``position`` at this place of the log; ``ref`` and ``since`` as its Join said."""

    conn: str
    room: str
    position: Position
    ref: str = ""
    since: Position | None = None


class Named(_Envelope, frozen=True, array_like=True, tag="14"):
    """Stands for a message that went out to all gateways at once (Bodies), whose place in the log is that of this item."""


class Page(_Envelope, frozen=True, array_like=True, tag="15"):
    """The answer to Read: ``messages`` follow ``after`` without a hole, ``whole``: they reach up to what was asked. ``kept`` False: what follows
    ``after`` is not to be had (any more), and there are no messages.
    """

    room: str
    epoch: str
    after: int
    messages: tuple[Deliver, ...]
    whole: bool
    kept: bool
    ref: int


Item = Deliver | Entered | Left | Ack | Refused | Named


class Feed(_Envelope, frozen=True, array_like=True, tag="16"):
    """All that the log has for a gateway's ``life`` on ``shard`` behind ``after``, up to ``upto``: a link of a chain.

    Each item is (offset, index, item), in the order of the log; ``counted`` is the last of the gateway's batches that was taken up to ``upto``.
    The chain of a life begins with its Hello: ``after`` is None.
    """

    router: str
    shard: int
    life: int
    counted: int
    after: LogPosition | None
    upto: LogPosition
    items: tuple[tuple[int, int, Item], ...]


class Bodies(_Envelope, frozen=True, array_like=True, tag="17"):
    """Messages for many gateways, sent to all at once, each with its (offset, index): the feeds that follow name them."""

    shard: int
    life: str  # of the log
    messages: tuple[tuple[int, int, Deliver], ...]


Envelope = (
    Publish | Join | Leave | Claim | Resume | HistoryQuery | Inquiry
    | Heartbeat | Bye | RouterHeartbeat | RouterBye | Announce
    | Deliver | Joined | Left | Ack | Refused | Resync | HistoryPage | Ask
    | Marker | Checkpoint
    | Batch | Hello | Notified | Gone | Rules | Mark | Checkpoint2
    | Number | Read | Speaker | LifeEnded | Reset | Entered | Named | Page | Feed | Bodies
)  # fmt: skip

_encoder = msgspec.msgpack.Encoder()
_batch_decoder = msgspec.msgpack.Decoder(tuple[int, list[Envelope]])
_loose_decoder = msgspec.msgpack.Decoder(tuple[int, list[msgspec.Raw]])
_one_decoder: msgspec.msgpack.Decoder[Envelope] = msgspec.msgpack.Decoder(Envelope)

# An id that a gateway gave to a message whose sender gave none begins so: it is counted once like any other, but not acknowledged.
INTERNAL_ID: Final = "~"

# What an envelope costs on the bus besides its payload; an estimate, for the bounds of a batch.
OVERHEAD_BYTES: Final = 160


def size_of(envelope: Envelope) -> int:
    """Return about how many bytes this envelope takes in a batch."""
    match envelope:
        case Publish() | Deliver():
            return OVERHEAD_BYTES + len(envelope.payload)
        case Announce():
            return OVERHEAD_BYTES + sum(48 + 64 * len(room.members) for room in envelope.rooms)
        case Leave():
            return OVERHEAD_BYTES + 32 * len(envelope.rooms)
        case Inquiry():
            return OVERHEAD_BYTES + 96 * len(envelope.asked)
        case HistoryPage():
            return OVERHEAD_BYTES + sum(OVERHEAD_BYTES + len(message.payload) for message in envelope.messages)
        case Checkpoint():
            return OVERHEAD_BYTES + 64 * len(envelope.rooms)
        case _:
            return OVERHEAD_BYTES


def encode(envelopes: Sequence[Envelope]) -> bytes:
    """Return the bytes of a batch."""
    return _encoder.encode((VERSION, envelopes))


def decode(body: bytes) -> list[Envelope]:
    """Return a batch's envelopes in their order.

    Raises UnsupportedEnvelope for a newer wire version and MalformedEnvelope where any part is no envelope;
    ``decode_each`` then saves the rest of the batch.
    """
    try:
        version, envelopes = _batch_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        _refuse_version(body)
        raise MalformedEnvelope(f"no batch of envelopes: {error}") from None
    if version != VERSION:
        raise UnsupportedEnvelope(f"wire version {version}; this service speaks {VERSION}")
    return envelopes


def decode_each(body: bytes) -> list[Envelope | MalformedEnvelope]:
    """Return a batch's envelopes one by one, with an error in the place of each that is none.

    Raises UnsupportedEnvelope or MalformedEnvelope where the batch itself can't be opened.
    """
    _refuse_version(body)
    try:
        version, parts = _loose_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEnvelope(f"no batch of envelopes: {error}") from None
    if version != VERSION:
        raise UnsupportedEnvelope(f"wire version {version}; this service speaks {VERSION}")
    return [_decode_one(part) for part in parts]


def _decode_one(part: msgspec.Raw) -> Envelope | MalformedEnvelope:
    try:
        return _one_decoder.decode(part)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return MalformedEnvelope(f"no envelope: {error}")


def _refuse_version(body: bytes) -> None:
    """Raise UnsupportedEnvelope where the body is a batch of another version; a newer one may look quite different inside."""
    if len(body) > 1 and body[0] & 0xF0 == 0x90 and body[1] < 0x80 and body[1] != VERSION:
        raise UnsupportedEnvelope(f"wire version {body[1]}; this service speaks {VERSION}")
