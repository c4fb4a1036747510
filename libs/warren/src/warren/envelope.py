"""All that crosses the bus between gateways and routers: kinds as frozen structs, and the bytes of a batch of
them.

A batch is one AMQP body: MessagePack ``[version, [envelope, …]]``, each envelope an array that begins with
its kind. Payloads travel as opaque bytes and are never decoded on the way. A newer service may append fields
to a kind: an older one ignores them, and fills in what an older sender left out, so that both live side by
side during an upgrade. This module does no I/O and knows no AMQP name. What stands in a shard's log is in
``warren/log_entries.py``, and can be imported from here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from warren.errors import MalformedEnvelope, UnsupportedEnvelope
from warren.log_entries import Batch as Batch
from warren.log_entries import Checkpoint as Checkpoint
from warren.log_entries import Command as Command
from warren.log_entries import Commanded as Commanded
from warren.log_entries import Gone as Gone
from warren.log_entries import Hello as Hello
from warren.log_entries import Inform as Inform
from warren.log_entries import Join as Join
from warren.log_entries import Kind
from warren.log_entries import Leave as Leave
from warren.log_entries import Mark as Mark
from warren.log_entries import Notified as Notified
from warren.log_entries import Publish as Publish
from warren.log_entries import Rules as Rules
from warren.log_entries import Seen as Seen
from warren.log_entries import Watch as Watch
from warren.position import LogPosition, Position

VERSION: Final = 1
CONTENT_TYPE: Final = "application/vnd.warren.batch+msgpack"


class HistoryQuery(Kind, frozen=True, array_like=True, tag="Q"):
    """``conn`` wants the last ``limit`` messages of ``room`` before the seq ``before`` (0: before now)."""

    room: str
    conn: str
    ref: str
    before: int = 0
    limit: int = 100


# ── to the routers' inboxes ─────────────────────────────────────────────────────────────────────────────────


class Heartbeat(Kind, frozen=True, array_like=True, tag="H"):
    """A gateway lives. ``started_us`` tells two lives of one name apart. The rest feeds the statistics of the
    whole installation; counters run from the gateway's start.
    """

    gateway: str
    started_us: int
    connections: int = 0
    messages_in: int = 0
    messages_out: int = 0
    errors: int = 0
    rss_bytes: int = 0
    queue: str = ""  # its own at present: whose guard exchange the routers delete when its lease ends
    uplink_bytes: int = 0  # what it may have in one shard's log at most that no router has counted
    fold_version: int = 0  # the highest version of the fold of which it understands every item
    lag_ms: int = -1  # how old the oldest message was that has come here lately; -1: none has


class Leaving(Kind, frozen=True, array_like=True, tag="B"):
    """A gateway goes in order; its members have left."""

    gateway: str


class SpeakerProgress(msgspec.Struct, frozen=True, array_like=True):
    """How far the router that speaks for ``shard`` has got, in the ``life`` of the shard's log."""

    shard: int
    life: str
    events: int  # all events of the entries up to this offset are confirmed
    mark: int  # the offset of the newest whole checkpoint's Mark; -1: none is known


class ShardReading(msgspec.Struct, frozen=True, array_like=True):
    """What a router has read of a shard, whether it speaks for it or stands by."""

    shard: int
    offset: int  # of the entry that was read last
    rooms: int = 0  # that have members
    members: int = 0  # of those rooms, each connection in each room
    users: int = 0  # who are connected; their own rooms count among neither
    speaks: bool = False


class GatewayWaits(msgspec.Struct, frozen=True, array_like=True):
    """How many entries of logs wait to be sent to a gateway."""

    gateway: str
    entries: int


class RouterHeartbeat(Kind, frozen=True, array_like=True, tag="h"):
    """A router lives and shares in the shards."""

    router: str
    started_us: int
    queue: str = ""  # as in a gateway's heartbeat
    fold_version: int = 0  # the highest version of the fold that it can apply
    shards: tuple[SpeakerProgress, ...] = ()  # those that it speaks for
    # what follows is for those who look at the installation, and decides nothing
    rss_bytes: int = 0
    lag_ms: int = -1  # how old the oldest message was that was read from a log lately; -1: none was
    waiting: int = 0  # events and records that wait for the broker
    blocked: bool = False  # the broker holds back what is published
    readings: tuple[ShardReading, ...] = ()  # of the shards that it reads
    gateways: tuple[GatewayWaits, ...] = ()  # those for which most waits, of those for which anything does


class RouterLeaving(Kind, frozen=True, array_like=True, tag="b"):
    """A router goes in order: it hands its shards over."""

    router: str


# ── down: router ▶ a gateway ────────────────────────────────────────────────────────────────────────────────


class Deliver(Kind, frozen=True, array_like=True, tag="D"):
    """A message for a gateway's members of ``room``. ``seq`` 0: not numbered (ephemeral, or to a single
    connection).
    """

    room: str
    epoch: str
    seq: int
    type: str
    payload: bytes
    at_us: int
    conn: str = ""  # the sender's connection, which gets no copy unless include_sender
    user: str = ""
    id: str = ""
    binary: bool = False
    include_sender: bool = False
    key: str = ""
    expires_ms: int = 0
    trace: str = ""


class Joined(Kind, frozen=True, array_like=True, tag="j"):
    """``conn`` is a member and stands at ``position``; ``missed`` messages after that follow, to it alone."""

    conn: str
    room: str
    position: Position
    recovered: bool
    missed: int = 0
    ref: str = ""


class Left(Kind, frozen=True, array_like=True, tag="l"):
    """``conn`` is no member of ``room`` any more; ``reason``: why, where it did not ask for that. ``ref``: of
    its Leave, or (with a reason) of its Join, which found that it had been put out meanwhile.
    """

    conn: str
    room: str
    ref: str = ""
    reason: str = ""


class Dismissed(Kind, frozen=True, array_like=True, tag="19"):
    """``conn`` is to be closed with this close code; ``reason`` is for the client."""

    conn: str
    code: int
    reason: str = ""


class Enrolled(Kind, frozen=True, array_like=True, tag="20"):
    """``conn`` is to join these rooms, as a backend wants it."""

    conn: str
    rooms: tuple[str, ...]


class TokensRevoked(Kind, frozen=True, array_like=True, tag="21"):
    """Connections of ``user`` are to be closed that came in by the token ``token_id``, or by one that was
    issued before ``before_s`` (s since the Unix epoch; 0: none by that).
    """

    user: str
    token_id: str = ""
    before_s: int = 0


class Ack(Kind, frozen=True, array_like=True, tag="a"):
    """The message ``id`` of ``conn`` is accepted at ``seq`` (0: not numbered)."""

    conn: str
    room: str
    id: str
    epoch: str
    seq: int


class Refused(Kind, frozen=True, array_like=True, tag="r"):
    """What ``conn`` asked for under ``ref`` was refused: the ``code`` of an ERROR frame and a message for its
    developer.
    """

    conn: str
    ref: str
    code: str
    message: str


class HistoryPage(Kind, frozen=True, array_like=True, tag="q"):
    """The answer to HistoryQuery: ``messages`` in their order; ``more``: there are older ones."""

    conn: str
    room: str
    ref: str
    messages: tuple[Deliver, ...]
    more: bool


# ── between gateways and the routers that speak for a shard ─────────────────────────────────────────────────


class Number(Kind, frozen=True, array_like=True, tag="8"):
    """A gateway stands at ``mine`` on a shard in its ``life`` there (None: it has been told nothing in that
    life): feed it from there.
    """

    gateway: str
    shard: int
    life: int
    mine: LogPosition | None


class Read(Kind, frozen=True, array_like=True, tag="9"):
    """A gateway wants what follows the seq ``after`` of a room's ``epoch``, up to ``upto`` or as much of it
    as fits a page.
    """

    gateway: str
    shard: int
    room: str
    epoch: str
    after: int
    upto: int
    ref: int


class Speaker(Kind, frozen=True, array_like=True, tag="10"):
    """``router`` speaks for ``shard`` from now on: each gateway answers with its Number."""

    router: str
    shard: int


class LifeEnded(Kind, frozen=True, array_like=True, tag="11"):
    """The gateway's ``life`` on ``shard`` is over, or never began: its batches up to ``counted`` were taken
    (0: none is known), later ones not.
    """

    shard: int
    life: int
    counted: int


class Reset(Kind, frozen=True, array_like=True, tag="12"):
    """What the gateway lacks on ``shard`` is not to be had any more: it stands at ``upto`` now, and its
    members join again from where they stand.
    """

    router: str
    shard: int
    life: int
    upto: LogPosition
    counted: int


class Entered(Kind, frozen=True, array_like=True, tag="13"):
    """``conn`` is a member of ``room``, which stands at ``position`` at this place of the log; ``ref`` and
    ``since`` as its Join said. ``came_us``: since when it is one, to be said where it joins again.
    ``void_s``, of its user's own room: what backends granted that user before then counts no more (s since
    the Unix epoch; 0: nothing was revoked).
    """

    conn: str
    room: str
    position: Position
    ref: str = ""
    since: Position | None = None
    came_us: int = 0  # by the log's time, µs since the Unix epoch, and no other member's; 0: it says nothing
    void_s: int = 0


class Named(Kind, frozen=True, array_like=True, tag="14"):
    """Stands for a message that went out to all gateways at once (Bodies), whose place in the log is that of
    this item.
    """


class Page(Kind, frozen=True, array_like=True, tag="15"):
    """The answer to Read: ``messages`` follow ``after`` without a hole, ``whole``: they reach up to what was
    asked. ``kept`` False: what follows ``after`` is not to be had (any more), and there are no messages.
    """

    room: str
    epoch: str
    after: int
    messages: tuple[Deliver, ...]
    whole: bool
    kept: bool
    ref: int


Item = Deliver | Entered | Left | Ack | Refused | Named | Dismissed | Enrolled | TokensRevoked


class Feed(Kind, frozen=True, array_like=True, tag="16"):
    """All that the log has for a gateway's ``life`` on ``shard`` behind ``after``, up to ``upto``: a link of
    a chain.

    Each item is (offset, index, item), in the order of the log; ``counted`` is the last of the gateway's
    batches that was taken up to ``upto``. The chain of a life begins with its Hello: ``after`` is None.
    """

    router: str
    shard: int
    life: int
    counted: int
    after: LogPosition | None
    upto: LogPosition
    items: tuple[tuple[int, int, Item], ...]


# ── presence, outside the chain ─────────────────────────────────────────────────────────────────────────────


class PresenceMember(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One who is there. ``key`` is the user, or the connection where each connection is told of."""

    key: str
    user: str
    info: bytes  # JSON; empty: none
    proof: int  # 64 bits that stand for this member as it is now


class SeenState(msgspec.Struct, frozen=True, array_like=True):
    """Up to which seq of ``epoch`` users have seen a room's messages. ``sum`` is that of all users' seqs: who
    knows of as much has the same for each, since a seq only grows.
    """

    epoch: str
    sum: int
    users: tuple[tuple[str, int], ...] = ()  # (user, seq), all of them or those that have changed


class PresenceDiff(Kind, frozen=True, array_like=True, tag="22"):
    """For those of a gateway who watch ``room``: what has changed there up to ``version``, and what there is
    now. ``digest`` is the sum of all proofs modulo 2^64.

    ``version`` is the offset of the last change; where nobody is there, that of the router that says so. In
    one life of the log a lower one is older, and came late.
    """

    room: str
    version: int
    users: int
    connections: int
    digest: int
    joined: tuple[PresenceMember, ...] = ()
    left: tuple[str, ...] = ()  # keys
    updated: tuple[PresenceMember, ...] = ()
    counts_only: bool = False  # there are more than are told of by name
    seen: SeenState | None = None  # None: the room does not tell that


class PresenceQuery(Kind, frozen=True, array_like=True, tag="23"):
    """``conn`` wants to know who is in ``room``: ``limit`` members behind the key ``after``, or (``count``)
    only how many.
    """

    room: str
    conn: str
    ref: str
    limit: int = 100
    after: str = ""
    count: bool = False


class PresencePage(Kind, frozen=True, array_like=True, tag="24"):
    """The answer to PresenceQuery, in the order of the keys; ``more``: there are more behind the last one."""

    conn: str
    room: str
    ref: str
    version: int
    users: int
    connections: int
    digest: int
    members: tuple[PresenceMember, ...] = ()
    more: bool = False
    counts_only: bool = False
    seen: SeenState | None = None  # of all users; None: the room does not tell that, or it is a later page


# ── between routers ─────────────────────────────────────────────────────────────────────────────────────────


class CommandResult(Kind, frozen=True, array_like=True, tag="25"):
    """What came of a Command, from the speaker of its shard to the router that wrote it; ``body`` is JSON."""

    id: str
    room: str
    body: bytes


class ReadQuery(Kind, frozen=True, array_like=True, tag="26"):
    """``router`` asks the speaker of ``shard`` for something that only readers of its log know."""

    router: str
    ref: int
    shard: int
    body: bytes


class ReadAnswer(Kind, frozen=True, array_like=True, tag="27"):
    """The answer to ReadQuery."""

    ref: int
    body: bytes


class ProgressQuery(Kind, frozen=True, array_like=True, tag="28"):
    """``router`` wants to know how far a gateway has been told of ``shard``; its chain goes on as it is."""

    router: str
    shard: int


class Progress(Kind, frozen=True, array_like=True, tag="29"):
    """A gateway in its ``life`` on ``shard`` has been told of all up to ``mine`` (None: of nothing), and has
    written it to its clients or put it behind what waits for them.
    """

    gateway: str
    shard: int
    life: int
    mine: LogPosition | None


class Receipt(Kind, frozen=True, array_like=True, tag="30"):
    """What is known of the message ``id`` in ``room``, from the speaker of its shard to the router that
    asked, or to the gateway of the sender ``conn``.

    ``users`` and ``connections`` are those that were there (-1: not known), ``gateways`` those that were to
    be told, ``written`` how many have been, and ``lost`` how many have died before that; ``readers`` are the
    users who were there to see it, ``seen`` how many users have, both without its sender. ``complete``: all
    that ``level`` asks for is known.
    """

    id: str
    room: str
    epoch: str
    seq: int  # 0: not numbered
    duplicate: bool
    users: int
    connections: int
    gateways: int
    written: int = 0
    lost: int = 0
    complete: bool = True
    conn: str = ""
    level: int = 0  # one of the RECEIPT_ values
    readers: int = -1  # -1: not known
    seen: int = 0


class CountsQuery(Kind, frozen=True, array_like=True, tag="31"):
    """``router`` wants to know for how many connections of a gateway the message ``seq`` of a room's
    ``epoch`` was what.
    """

    router: str
    shard: int
    room: str
    epoch: str
    seq: int


class Counts(Kind, frozen=True, array_like=True, tag="32"):
    """The answer to CountsQuery. ``upto`` is the last of the epoch that has come to the gateway (-1: none,
    or it has no members of the room).

    ``kept`` False: the numbers are not known (any more). ``whole`` False: what was before the gateway has
    read the message from a router is not among them.
    """

    gateway: str
    shard: int
    room: str
    epoch: str
    seq: int
    upto: int
    kept: bool = False
    written: int = 0
    withheld: int = 0
    expired: int = 0
    whole: bool = True


class Bodies(Kind, frozen=True, array_like=True, tag="17"):
    """Messages for many gateways, sent to all at once, each with its (offset, index): the feeds that follow
    name them.
    """

    shard: int
    life: str  # of the log
    messages: tuple[tuple[int, int, Deliver], ...]


# ── between gateways ────────────────────────────────────────────────────────────────────────────────────────


class Post(Kind, frozen=True, array_like=True, tag="40"):
    """``gateway`` was sent what the event stream ``conn`` of another gateway has posted: a JSON array of
    frames, or nothing (empty): it asks whether the secret, whose SHA-256 is ``digest``, is that of ``conn``.
    """

    gateway: str
    number: int  # by which it is answered
    conn: str
    digest: bytes
    body: bytes = b""


class PostAnswer(Kind, frozen=True, array_like=True, tag="41"):
    """What came of the Post ``number``, as an HTTP status and a sentence."""

    number: int
    status: int
    says: str = ""


# ── who says one message without a connection ───────────────────────────────────────────────────────────────


class AccessQuery(Kind, frozen=True, array_like=True, tag="42"):
    """May this user say something by ``conn``, which comes into no room? Asked of the routers; what follows
    ``user`` is as in a Join of its own room.
    """

    conn: str
    user: str
    token_id: str = ""
    issued_s: int = 0


class AccessAnswer(Kind, frozen=True, array_like=True, tag="43"):
    """The answer to AccessQuery: the close code of a connection that would have come in (0: it may), and the
    reason for the client.
    """

    conn: str
    code: int
    reason: str = ""


Envelope = (
    Publish | Join | Leave | HistoryQuery
    | Heartbeat | Leaving | RouterHeartbeat | RouterLeaving
    | Deliver | Joined | Left | Ack | Refused | HistoryPage
    | Batch | Hello | Notified | Gone | Rules | Mark | Checkpoint
    | Number | Read | Speaker | LifeEnded | Reset | Entered | Named | Page | Feed | Bodies
    | Watch | Inform | Commanded | Command | Dismissed | Enrolled | TokensRevoked
    | PresenceDiff | PresenceQuery | PresencePage | CommandResult | ReadQuery | ReadAnswer
    | ProgressQuery | Progress | Receipt | Seen | CountsQuery | Counts | Post
    | PostAnswer | AccessQuery | AccessAnswer
)  # fmt: skip

_encoder = msgspec.msgpack.Encoder()
_batch_decoder = msgspec.msgpack.Decoder(tuple[int, list[Envelope]])
_loose_decoder = msgspec.msgpack.Decoder(tuple[int, list[msgspec.Raw]])
_one_decoder: msgspec.msgpack.Decoder[Envelope] = msgspec.msgpack.Decoder(Envelope)

# An id that a gateway gave to a message whose sender gave none begins so: it is counted once like any other,
# but not acknowledged.
INTERNAL_ID: Final = "~"

# And one that a router gave to a backend's message which a connection is not to get: it names that.
_SPARED: Final = "~!"


def sparing(ident: str, connection: str) -> str:
    """Return an internal id of a message that everyone in its room gets but this connection."""
    return f"{_SPARED}{connection}!{ident}"


def spared_of(ident: str) -> str:
    """Return the connection that does not get the message of this id; empty: there is none."""
    return ident[2:].partition("!")[0] if ident[:2] == _SPARED else ""


# What an envelope costs on the bus besides its payload; an estimate, for the bounds of a batch.
OVERHEAD_BYTES: Final = 160


def size_of(envelope: Envelope) -> int:
    """Return about how many bytes this envelope takes in a batch."""
    match envelope:
        case Ack():  # with the next, nearly all there are
            return OVERHEAD_BYTES
        case Publish() | Deliver():
            return OVERHEAD_BYTES + len(envelope.payload)
        case Leave():
            return OVERHEAD_BYTES + 32 * len(envelope.rooms)
        case HistoryPage() | Page():
            return OVERHEAD_BYTES + sum(
                OVERHEAD_BYTES + len(message.payload) for message in envelope.messages
            )
        case Checkpoint() | CommandResult() | ReadQuery() | ReadAnswer() | Post():
            return OVERHEAD_BYTES + len(envelope.body)
        case Join() | Inform():
            return OVERHEAD_BYTES + len(envelope.info)
        case PresencePage():
            return OVERHEAD_BYTES + _size_of_members(envelope.members) + _size_of_seen(envelope.seen)
        case PresenceDiff():
            members = _size_of_members(envelope.joined) + _size_of_members(envelope.updated)
            return OVERHEAD_BYTES + members + 64 * len(envelope.left) + _size_of_seen(envelope.seen)
        case _:
            return OVERHEAD_BYTES


def _size_of_members(members: Sequence[PresenceMember]) -> int:
    return sum(OVERHEAD_BYTES + len(member.info) for member in members)


def _size_of_seen(seen: SeenState | None) -> int:
    return 0 if seen is None else 64 * (1 + len(seen.users))


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


def decode_leniently(body: bytes) -> tuple[list[Envelope], str]:
    """Return those envelopes of a batch that can be decoded, in their order, and what was wrong with the rest
    (empty: nothing). Raises nothing.

    The reason begins with a word that can be counted: ``unsupported`` or ``malformed``.
    """
    try:
        return decode(body), ""
    except UnsupportedEnvelope as error:
        return [], f"unsupported: {error}"
    except MalformedEnvelope:
        pass
    try:
        parts = decode_each(body)
    except MalformedEnvelope as error:
        return [], f"malformed: {error}"
    envelopes = [part for part in parts if not isinstance(part, MalformedEnvelope)]
    return envelopes, f"malformed: {len(parts) - len(envelopes)} of {len(parts)} parts are no envelopes"


def _decode_one(part: msgspec.Raw) -> Envelope | MalformedEnvelope:
    try:
        return _one_decoder.decode(part)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return MalformedEnvelope(f"no envelope: {error}")


def _refuse_version(body: bytes) -> None:
    """Raise UnsupportedEnvelope where the body is a batch of another version; a newer one may look quite
    different inside.
    """
    if len(body) > 1 and body[0] & 0xF0 == 0x90 and body[1] < 0x80 and body[1] != VERSION:
        raise UnsupportedEnvelope(f"wire version {body[1]}; this service speaks {VERSION}")
