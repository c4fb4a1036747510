"""Commands: what backends and operators may have Warren do, over AMQP or HTTP, and what it answers.

Over AMQP a command's routing key is ``<verb>.<address>``, or the verb alone where it has no address, its body
one of these structs as JSON, and the answer goes to ``reply_to``: a result, or a Problem. Over HTTP the same
structs are the bodies of requests and answers. A body has no fields that are not known. The commands that
only ask are in ``queries.py``. Nothing here decides.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw

from warren.address import CONNECTION, ROOM, USER
from warren.contract.fields import MAX_EXPIRATION_MS, MESSAGE_ID_MAX, TYPE_PATTERN, says
from warren.contract.notifications import SEEN_WITHIN_MAX_MS, SEEN_WITHIN_MIN_MS
from warren.contract.problem import Fault
from warren.message_rules import KEY_MAX

BATCH_MAX: Final = 1_000
ADDRESSES_MAX: Final = 1_000
WAIT_MAX_MS: Final = 10_000
COMMAND_ID_MAX: Final = 128
SPARED_MAX: Final = 100
ROOMS_MAX: Final = 100
TOKEN_ID_MAX: Final = 256
# In bytes of UTF-8: with the code it must fit a close frame (RFC 6455 section 5.5.1).
REASON_BYTES: Final = 120

_NAME: Final = USER.pattern
_CONN: Final = CONNECTION.pattern
_ROOM: Final = ROOM.pattern


def _address(form: str, title: str, text: str, example: str) -> Meta:
    return Meta(pattern=f"^{form}$", title=title, description=text, examples=[example])


RoomName = Annotated[str, _address(_ROOM, "room", "A room's name.", "chat:a")]
UserName = Annotated[str, _address(_NAME, "user", "A user's name.", "ann")]
ConnectionId = Annotated[str, _address(_CONN, "connection", "A connection's id, as in WELCOME.", "g1~5f")]
AnyAddress = Annotated[
    str,
    _address(
        rf"(all|room\.{_ROOM}|user\.{_NAME}|conn\.{_CONN})",
        "recipient",
        "The recipient: `room.<room>`, `user.<user>`, `conn.<connection id>` or `all`.",
        "room.chat:a",
    ),
]
RoomAddress = Annotated[str, _address(rf"room\.{_ROOM}", "recipient", "`room.<room>`.", "room.chat:a")]
UserAddress = Annotated[str, _address(rf"user\.{_NAME}", "recipient", "`user.<user>`.", "user.ann")]
RoomOrUser = Annotated[
    str,
    _address(
        rf"(room\.{_ROOM}|user\.{_NAME})",
        "recipient",
        "`room.<room>`, or `user.<user>`: all connections of a user.",
        "room.chat:a",
    ),
]
UserOrConnection = Annotated[
    str,
    _address(
        rf"(user\.{_NAME}|conn\.{_CONN})",
        "recipient",
        "`user.<user>`, or `conn.<connection id>`.",
        "user.ann",
    ),
]
Ident = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MESSAGE_ID_MAX,
        description="What makes it count once: the same id for the same address is a repeat. Printable "
        "characters, the first one not `~`. Over HTTP the header `Idempotency-Key` is the same.",
        examples=["7f1c-0"],
    ),
]
CommandId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=COMMAND_ID_MAX,
        description="What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the "
        "same; where neither is given it gets one, which the answer tells.",
    ),
]
Payload = Annotated[Raw, Meta(description="Any JSON.", examples=[{"text": "hello"}])]
TypeName = Annotated[
    str,
    Meta(
        pattern=TYPE_PATTERN,
        title="message type",
        description="The message's type: NOTIFICATION where it is missing. An ordinary one or one of your "
        "own, never a reserved one.",
        examples=["deal.done"],
    ),
]
Encoding = Annotated[
    Literal["base64"], says("`payload` is a string with base64 of bytes, which are the message's payload.")
]
LatestKey = Annotated[
    str,
    Meta(
        max_length=KEY_MAX,
        description="For rooms in which slow readers get only the latest message of each key.",
    ),
]
Expiration = Annotated[
    int, Meta(ge=0, le=MAX_EXPIRATION_MS, description="It is not delivered after so many milliseconds.")
]
Trace = Annotated[
    str, Meta(max_length=256, description="W3C trace context of the message, as the header of that name.")
]
SeenWithin = Annotated[
    int,
    Meta(
        ge=SEEN_WITHIN_MIN_MS,
        le=SEEN_WITHIN_MAX_MS,
        description="Tell backends by the event `message.undelivered` where nobody has seen it after so many "
        "milliseconds. The room's namespace has to say `receipts: seen`.",
    ),
]
Wait = Annotated[
    int,
    Meta(
        ge=0,
        le=WAIT_MAX_MS,
        description="Wait for so many milliseconds for the message's receipt: its place in its room, and who "
        "is there.",
    ),
]
ReceiptWanted = Annotated[
    Literal["accepted", "written", "seen"],
    says(
        "What `wait_ms` waits for: the place; that all gateways with members have written it, too; or that "
        "as many users have seen it as were there, too."
    ),
]
Reason = Annotated[
    str, Meta(max_length=REASON_BYTES, description="Why, for the client: at most 120 bytes in UTF-8.")
]
CloseCode = Annotated[
    Literal[1012, 4001, 4006, 4007], says("The WebSocket close code: 4006 where it is missing.")
]
Spared = Annotated[
    list[ConnectionId], Meta(max_length=SPARED_MAX, description="Connections that are left alone.")
]
RoomEpoch = Annotated[str | None, says("The run of numbers that `seq` belongs to.")]
RoomSeq = Annotated[int | None, says("Its number in the room; of a repeat, that of the first.")]
Repeated = Annotated[bool | None, says("Its id had been counted before, so nothing was sent.")]
UserCount = Annotated[int | None, says("How many users were there; 0: nobody.")]
ConnectionCount = Annotated[int | None, says("How many connections those had.")]
GatewayCount = Annotated[int | None, says("How many gateways held those connections.")]
WrittenCount = Annotated[int | None, says("How many of these have written it.")]
LostCount = Annotated[int | None, says("How many of these died before; their clients get it elsewhere.")]
ReaderCount = Annotated[int | None, says("How many users were there to see it; with `receipt: seen`.")]
SeenCount = Annotated[int | None, says("How many users have seen it; with `receipt: seen`.")]
Complete = Annotated[bool, says("False: `wait_ms` was over before all was known.")]
Milliseconds = Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]
Seconds = Annotated[int, Meta(ge=0, le=1 << 40)]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command's body."""


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a command comes to."""


# ── messages ────────────────────────────────────────────────────────────────────────────────────────────────


class Publish(Body, frozen=True, kw_only=True):
    """A message for one address."""

    address: AnyAddress
    payload: Payload
    type: TypeName | None = None
    id: Ident | None = None
    encoding: Encoding | None = None
    key: LatestKey | None = None
    expiration: Expiration | None = None
    traceparent: Trace | None = None
    seen_within_ms: SeenWithin | None = None
    wait_ms: Wait = 0
    receipt: ReceiptWanted = "accepted"


class Batch(Body, frozen=True, kw_only=True):
    """Many messages, each for itself: each is checked, allowed and answered as one that comes alone."""

    messages: Annotated[
        Raw,
        Meta(
            description="Messages as in `publish`, but for `wait_ms` and `receipt`.",
            extra_json_schema={
                "type": "array",
                "maxItems": BATCH_MAX,
                "items": {"$ref": "#/components/schemas/Publish"},
            },
        ),
    ]
    wait_ms: Wait = 0
    receipt: ReceiptWanted = "accepted"


class Broadcast(Body, frozen=True, kw_only=True):
    """One message for many addresses, or for everyone."""

    payload: Payload
    addresses: (
        Annotated[
            list[AnyAddress],
            Meta(min_length=1, max_length=ADDRESSES_MAX, description="Where it goes; missing: to everyone."),
        ]
        | None
    ) = None
    type: TypeName | None = None
    id: Ident | None = None
    encoding: Encoding | None = None
    key: LatestKey | None = None
    expiration: Expiration | None = None
    traceparent: Trace | None = None
    seen_within_ms: SeenWithin | None = None
    wait_ms: Wait = 0
    receipt: ReceiptWanted = "accepted"


class Published(Result, frozen=True, kw_only=True):
    """The message is in the log, committed by a majority of the broker's nodes.

    With `wait_ms` also where it stands in its room.
    """

    id: Annotated[str, says("The message's id, which it was given where it had none.")]
    address: Annotated[str, says("Where it goes.")]
    epoch: RoomEpoch = None
    seq: RoomSeq = None
    duplicate: Repeated = None
    users: UserCount = None
    connections: ConnectionCount = None
    gateways: GatewayCount = None
    written: WrittenCount = None
    lost: LostCount = None
    complete: Complete = True
    readers: ReaderCount = None
    seen: SeenCount = None


class Outcome(Result, frozen=True, kw_only=True):
    """What became of one message of several."""

    status: Annotated[int, says("The HTTP status that it would have had alone.")]
    address: Annotated[str | None, says("Where it goes.")] = None
    id: Annotated[str | None, says("The message's id.")] = None
    epoch: RoomEpoch = None
    seq: RoomSeq = None
    duplicate: Repeated = None
    users: UserCount = None
    connections: ConnectionCount = None
    gateways: GatewayCount = None
    written: WrittenCount = None
    lost: LostCount = None
    complete: Complete = True
    readers: ReaderCount = None
    seen: SeenCount = None
    code: Annotated[str | None, says("Why it was refused: the code of a problem.")] = None
    detail: Annotated[str | None, says("What is wrong with it.")] = None
    retry: Annotated[bool | None, says("Whether it may be sent again.")] = None
    retry_after_ms: Annotated[int | None, says("How long to wait before that.")] = None
    errors: Annotated[list[Fault] | None, says("Each thing that is wrong with it.")] = None


class Outcomes(Result, frozen=True, kw_only=True):
    """What became of several messages."""

    results: Annotated[list[Outcome], says("One for each message, in their order.")]
    failed: Annotated[int, says("How many have another status than 200.")]


# ── who is where ────────────────────────────────────────────────────────────────────────────────────────────


class Disconnect(Body, frozen=True, kw_only=True):
    """Close all connections of a user, or one connection.

    It meets those that came before the command, and none that comes after it.
    """

    address: UserOrConnection
    except_: Spared = msgspec.field(name="except", default_factory=list)
    code: CloseCode | None = None
    reason: Reason = ""
    id: CommandId | None = None


class Remove(Body, frozen=True, kw_only=True):
    """Take a user out of a room, with all connections, or one connection; they get LEFT and may join again.

    It meets those that came before the command, also one that is moving at that moment, and none that joins
    after it.
    """

    address: RoomAddress
    user: Annotated[UserName | None, says("Who is taken out; this or `connection`.")] = None
    connection: Annotated[ConnectionId | None, says("The one connection that is taken out.")] = None
    except_: Spared = msgspec.field(name="except", default_factory=list)
    reason: Reason = ""
    id: CommandId | None = None


class Add(Body, frozen=True, kw_only=True):
    """Have all connections that a user has now, or one connection, join rooms, whatever their rights; they
    get JOINED.
    """

    address: UserOrConnection
    rooms: Annotated[list[RoomName], Meta(min_length=1, max_length=ROOMS_MAX, description="The rooms.")]
    except_: Spared = msgspec.field(name="except", default_factory=list)
    id: CommandId | None = None


class Block(Body, frozen=True, kw_only=True):
    """Keep a user out: of everything (`user.<user>`), or of a room (`room.<room>` with `user`).

    Whoever is in is put out, and no JOIN is let in until then.
    """

    address: RoomOrUser
    user: Annotated[UserName | None, says("Who is kept out of the room.")] = None
    until_ms: Annotated[
        Milliseconds, says("Until then, ms since the Unix epoch; missing: until `unblock`.")
    ] = 0
    reason: Reason = ""
    id: CommandId | None = None


class Unblock(Body, frozen=True, kw_only=True):
    """Let a user in again that was blocked there."""

    address: RoomOrUser
    user: Annotated[UserName | None, says("Who may come into the room again.")] = None
    id: CommandId | None = None


class Revoke(Body, frozen=True, kw_only=True):
    """Let nobody in by a token of a user: one by its id, or all that were issued before.

    Connections that came by such a token are closed (4001). What hooks granted the user before is void.
    """

    address: UserAddress
    token_id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=TOKEN_ID_MAX)] | None, says("The claim `jti`.")
    ] = None
    before_s: Annotated[
        Seconds | None, says("All whose claim `iat` is below this, s since the Unix epoch; not 0.")
    ] = None
    until_ms: Annotated[
        Milliseconds,
        says("When it may be forgotten, since the tokens have expired: ms since the Unix epoch."),
    ] = 0
    id: CommandId | None = None


class Done(Result, frozen=True, kw_only=True):
    """It has its place in the log, and holds over any failure."""

    id: Annotated[str, says("The command's id, which it was given where it had none.")]
    connections: Annotated[int | None, says("How many connections it has met.")] = None
    lifted: Annotated[int | None, says("Of `unblock`: how many blocks it has lifted.")] = None
    duplicate: Annotated[bool, says("It was done before, under this id.")] = False


class Verb(msgspec.Struct, frozen=True):
    """One command: its body and its result. ``addressed``: its routing key has an address behind the verb."""

    name: str
    body: type[Body]
    result: type[Result]
    addressed: bool = True


CHANGES: Final = (
    Verb("publish", Publish, Published),
    Verb("batch", Batch, Outcomes, addressed=False),
    Verb("broadcast", Broadcast, Outcomes, addressed=False),
    Verb("disconnect", Disconnect, Done),
    Verb("remove", Remove, Done),
    Verb("add", Add, Done),
    Verb("block", Block, Done),
    Verb("unblock", Unblock, Done),
    Verb("revoke", Revoke, Done),
)
