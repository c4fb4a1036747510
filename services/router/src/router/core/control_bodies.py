"""Control bodies: what a backend's commands and their results look like, over AMQP and HTTP alike. The parser
and the OpenAPI document are both made from these definitions.

Fields and their bounds alone; what a command means is said in ``control.py``.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw

from router.core.commands import ID_LENGTH, MOST_ROOMS, MOST_SPARED, REASON_BYTES, TOKEN_LENGTH
from router.core.control_problems import Fault
from router.core.notification_parser import MAX_EXPIRATION_MS, MAX_ID
from warren.message_rules import KEY_MAX

BATCH_MAX: Final = 1_000
USERS_MAX: Final = 500
PAGE_MAX: Final = 1_000
HISTORY_MAX: Final = 100
ADDRESSES_MAX: Final = 1_000
WAIT_MAX_MS: Final = 10_000
PREFIX_MAX: Final = 128

_NAME = r"[A-Za-z0-9._\-:/|+=%!$&'?^`{}][A-Za-z0-9._\-:/@|+=%!$&'?^`{}]{0,126}"
_CONN = r"[A-Za-z0-9\-]{1,64}~[0-9a-z]{1,16}"
_ROOM = r"[A-Za-z0-9._\-:/][A-Za-z0-9._\-:/@]{0,127}"

RoomName = Annotated[str, Meta(pattern=f"^{_ROOM}$", description="A room's name.", examples=["chat:a"])]
User = Annotated[str, Meta(pattern=f"^{_NAME}$", description="A user's name.", examples=["ann"])]
Connection = Annotated[
    str, Meta(pattern=f"^{_CONN}$", description="A connection's id, as in WELCOME.", examples=["g1~5f"])
]
AnyAddress = Annotated[
    str,
    Meta(
        pattern=rf"^(all|room\.{_ROOM}|user\.{_NAME}|conn\.{_CONN})$",
        description="The recipient: `room.<room>`, `user.<user>`, `conn.<connection id>` or `all`.",
        examples=["room.chat:a", "user.ann"],
    ),
]
RoomAddress = Annotated[
    str, Meta(pattern=rf"^room\.{_ROOM}$", description="`room.<room>`.", examples=["room.chat:a"])
]
RoomOrUser = Annotated[
    str,
    Meta(
        pattern=rf"^(room\.{_ROOM}|user\.{_NAME})$",
        description="`room.<room>`, or `user.<user>`: all connections of a user.",
        examples=["room.chat:a"],
    ),
]
UserOrConnection = Annotated[
    str,
    Meta(
        pattern=rf"^(user\.{_NAME}|conn\.{_CONN})$",
        description="`user.<user>`, or `conn.<connection id>`.",
        examples=["user.ann"],
    ),
]
UserAddress = Annotated[
    str, Meta(pattern=rf"^user\.{_NAME}$", description="`user.<user>`.", examples=["user.ann"])
]
Ident = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_ID,
        description="What makes it count once: the same id for the same address is a repeat. Printable "
        "characters, the first one not `~`. Over HTTP the header `Idempotency-Key` is the same.",
        examples=["7f1c-0"],
    ),
]
Payload = Annotated[Raw, Meta(description="Any JSON.", examples=[{"text": "hello"}])]
Type = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_\-.:]{1,64}$",
        description="The message's type: NOTIFICATION where it is missing. An ordinary one or one of your "
        "own, never a reserved one.",
        examples=["deal.done"],
    ),
]
Encoding = Annotated[
    Literal["base64"],
    Meta(description="`payload` is a string with base64 of bytes, which are the message's payload."),
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
Traceparent = Annotated[
    str, Meta(max_length=256, description="W3C trace context of the message, as the header of that name.")
]
Wait = Annotated[
    int,
    Meta(
        ge=0,
        le=WAIT_MAX_MS,
        description="Wait for so many milliseconds for the message's place in its room.",
    ),
]
CommandId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=ID_LENGTH,
        description="What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the "
        "same; where neither is given it gets one, which the answer tells.",
    ),
]
Reason = Annotated[
    str, Meta(max_length=REASON_BYTES, description="Why, for the client: at most 120 bytes in UTF-8.")
]
CloseCode = Annotated[
    Literal[1012, 4001, 4006, 4007],
    Meta(description="The WebSocket close code: 4006 where it is missing."),
]
Spared = Annotated[
    list[Connection], Meta(max_length=MOST_SPARED, description="Connections that are left alone.")
]
Limit = Annotated[int, Meta(ge=1, le=PAGE_MAX, description="How many at most.")]
Cursor = Annotated[
    str, Meta(max_length=512, description="`next` of the page before; empty: from the beginning.")
]
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
    type: Type | None = None
    id: Ident | None = None
    encoding: Encoding | None = None
    key: LatestKey | None = None
    expiration: Expiration | None = None
    traceparent: Traceparent | None = None
    wait_ms: Wait = 0


class Batch(Body, frozen=True, kw_only=True):
    """Many messages, each for itself: each is checked, allowed and answered as one that comes alone."""

    messages: Annotated[
        Raw,
        Meta(
            description="Messages as in `publish`, but for `wait_ms`.",
            extra_json_schema={
                "type": "array",
                "maxItems": BATCH_MAX,
                "items": {"$ref": "#/components/schemas/Publish"},
            },
        ),
    ]
    wait_ms: Wait = 0


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
    type: Type | None = None
    id: Ident | None = None
    encoding: Encoding | None = None
    key: LatestKey | None = None
    expiration: Expiration | None = None
    traceparent: Traceparent | None = None
    wait_ms: Wait = 0


class Published(Result, frozen=True, kw_only=True):
    """The message is in the log, committed by a majority of the broker's nodes. With ``wait_ms`` also where
    it stands in its room.
    """

    id: str
    address: str
    epoch: Annotated[str, Meta(description="The run of numbers that `seq` belongs to.")] | None = None
    seq: (
        Annotated[int, Meta(description="Its number in the room; of a repeat, that of the first.")] | None
    ) = None
    duplicate: (
        Annotated[bool, Meta(description="Its id had been counted before, so nothing was sent.")] | None
    ) = None
    complete: Annotated[bool, Meta(description="False: `wait_ms` was over before all was known.")] = True


class Outcome(Result, frozen=True, kw_only=True):
    """What became of one message of several: ``status`` as if it had come alone."""

    status: int
    address: str | None = None
    id: str | None = None
    epoch: str | None = None
    seq: int | None = None
    duplicate: bool | None = None
    complete: bool = True
    code: str | None = None
    detail: str | None = None
    retry: bool | None = None
    retry_after_ms: int | None = None
    errors: list[Fault] | None = None


class Outcomes(Result, frozen=True, kw_only=True):
    """One result for each message, in their order. ``failed``: how many have another status than 200."""

    results: list[Outcome]
    failed: int


# ── who is where, changed ───────────────────────────────────────────────────────────────────────────────────


class Disconnect(Body, frozen=True, kw_only=True):
    """Close all connections of a user, or one connection: those that came before the command, and none that
    comes after it.
    """

    address: UserOrConnection
    except_: Spared = msgspec.field(name="except", default_factory=list)
    code: CloseCode | None = None
    reason: Reason = ""
    id: CommandId | None = None


class Remove(Body, frozen=True, kw_only=True):
    """Take a user out of a room, with all connections; they get LEFT and may join again."""

    address: RoomAddress
    user: User
    except_: Spared = msgspec.field(name="except", default_factory=list)
    reason: Reason = ""
    id: CommandId | None = None


class Add(Body, frozen=True, kw_only=True):
    """Have all connections that a user has now join rooms, whatever their rights; they get JOINED."""

    address: UserAddress
    rooms: Annotated[list[RoomName], Meta(min_length=1, max_length=MOST_ROOMS, description="Which.")]
    except_: Spared = msgspec.field(name="except", default_factory=list)
    id: CommandId | None = None


class Block(Body, frozen=True, kw_only=True):
    """Keep a user out: of everything (`user.<user>`), or of a room (`room.<room>` with `user`). Whoever is in
    is put out, and no JOIN is let in until then.
    """

    address: RoomOrUser
    user: Annotated[User, Meta(description="Who is kept out of the room.")] | None = None
    until_ms: Annotated[
        Milliseconds, Meta(description="Until then, ms since the Unix epoch; missing: until `unblock`.")
    ] = 0
    reason: Reason = ""
    id: CommandId | None = None


class Unblock(Body, frozen=True, kw_only=True):
    """Let a user in again that was blocked there."""

    address: RoomOrUser
    user: Annotated[User, Meta(description="Who may come into the room again.")] | None = None
    id: CommandId | None = None


class Revoke(Body, frozen=True, kw_only=True):
    """Let nobody in by a token of a user: one by its id, or all that were issued before; connections that
    came by such a token are closed (4001).
    """

    address: UserAddress
    token_id: (
        Annotated[str, Meta(min_length=1, max_length=TOKEN_LENGTH, description="The claim `jti`.")] | None
    ) = None
    before_s: (
        Annotated[
            Seconds, Meta(description="All whose claim `iat` is below this, s since the Unix epoch; not 0.")
        ]
        | None
    ) = None
    until_ms: Annotated[
        Milliseconds,
        Meta(description="When it may be forgotten, since the tokens have expired: ms since the Unix epoch."),
    ] = 0
    id: CommandId | None = None


class Done(Result, frozen=True, kw_only=True):
    """It has its place in the log, and holds over any failure."""

    id: str
    connections: Annotated[int, Meta(description="How many connections it has met.")] | None = None
    lifted: Annotated[int, Meta(description="Of `unblock`: how many blocks it has lifted.")] | None = None
    duplicate: Annotated[bool, Meta(description="It was done before, under this id.")] = False


# ── who is where, read ──────────────────────────────────────────────────────────────────────────────────────


class Presence(Body, frozen=True, kw_only=True):
    """Who is in a room, by user."""

    address: RoomOrUser
    limit: Limit = 100
    cursor: Cursor = ""


class Present(Result, frozen=True, kw_only=True):
    """One user who is there."""

    user: str
    connections: list[str]


class PresencePage(Result, frozen=True, kw_only=True):
    """Users in the order of their names, each with its connections."""

    users: (
        Annotated[int, Meta(description="How many users there are; missing: too many to count.")] | None
    ) = None
    connections: int
    members: list[Present]
    next: Annotated[str, Meta(description="The cursor of the next page; missing: this is the last.")] = ""
    counts_only: Annotated[bool, Meta(description="There are too many to be named.")] = False


class Count(Body, frozen=True, kw_only=True):
    """How many are in a room."""

    address: RoomOrUser


class Counted(Result, frozen=True, kw_only=True):
    """How many there are."""

    users: Annotated[int, Meta(description="Missing: too many to count.")] | None = None
    connections: int


class History(Body, frozen=True, kw_only=True):
    """The last messages of a room, as far as its history reaches."""

    address: RoomOrUser
    limit: Annotated[int, Meta(ge=1, le=HISTORY_MAX, description="How many at most.")] = 50
    before: Annotated[
        int, Meta(ge=0, le=(1 << 53) - 1, description="Those before this `seq`; 0: the latest.")
    ] = 0


class HistoryMessage(Result, frozen=True, kw_only=True):
    """One message, as clients get it."""

    seq: int
    type: str
    payload: Raw
    timestamp: Annotated[int, Meta(description="When it was accepted, ms since the Unix epoch.")]
    id: str = ""
    sender: str = ""
    connection: str = ""
    encoding: str = ""


class HistoryPage(Result, frozen=True, kw_only=True):
    """Messages in their order, and where the room stands."""

    epoch: str
    seq: Annotated[int, Meta(description="The number of the room's last message.")]
    messages: list[HistoryMessage]
    more: Annotated[bool, Meta(description="There are older ones: ask `before` the first `seq`.")] = False


class Rooms(Body, frozen=True, kw_only=True):
    """Rooms that have members, by the beginning of their names; with the prefix `@`: users who are
    connected.
    """

    prefix: Annotated[str, Meta(max_length=PREFIX_MAX, description="How their names begin.")] = ""
    limit: Limit = 100
    cursor: Cursor = ""


class RoomCount(Result, frozen=True, kw_only=True):
    """One room."""

    room: str
    connections: int


class RoomsPage(Result, frozen=True, kw_only=True):
    """Rooms in the order of their names."""

    rooms: list[RoomCount]
    next: Annotated[str, Meta(description="The cursor of the next page; missing: this is the last.")] = ""


class Status(Body, frozen=True, kw_only=True):
    """Which of these users are online."""

    users: Annotated[list[User], Meta(min_length=1, max_length=USERS_MAX, description="Whom to look for.")]


class UserStatus(Result, frozen=True, kw_only=True):
    """One user."""

    user: str
    online: bool
    connections: int = 0
    since: (
        Annotated[int, Meta(description="Online since, ms since the Unix epoch; missing: not known.")] | None
    ) = None
    last_seen: (
        Annotated[
            int,
            Meta(description="When the last connection ended, ms since the Unix epoch; missing: not known."),
        ]
        | None
    ) = None


class Statuses(Result, frozen=True, kw_only=True):
    """One for each user that was asked for, in that order."""

    users: list[UserStatus]


class Explain(Body, frozen=True, kw_only=True):
    """What became of a message, for as long as its room's history reaches."""

    address: RoomOrUser
    id: Annotated[str, Meta(min_length=1, max_length=MAX_ID, description="The message's id.")]
    user: Annotated[User, Meta(description="Its sender; missing: a backend.")] | None = None


class GatewayReached(Result, frozen=True, kw_only=True):
    """How far one gateway was told."""

    gateway: str
    fed: Annotated[bool, Meta(description="It was sent, in its place. False: it waits for the gateway.")]


class Explained(Result, frozen=True, kw_only=True):
    """What is known of a message; what is not is named in `unknown`."""

    id: str
    address: str
    epoch: str
    seq: int
    accepted_at: Annotated[int, Meta(description="ms since the Unix epoch.")] | None = None
    type: str | None = None
    bytes: Annotated[int, Meta(description="Of its payload.")] | None = None
    expires_at: Annotated[int, Meta(description="ms since the Unix epoch.")] | None = None
    gateways: (
        Annotated[list[GatewayReached], Meta(description="Those that had members when it was accepted.")]
        | None
    ) = None
    unknown: list[str] = []
