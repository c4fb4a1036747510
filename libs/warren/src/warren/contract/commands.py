"""Commands: what backends and operators may have Warren do or tell, over AMQP or HTTP, and what it answers.

Over AMQP a command's routing key is ``<verb>.<address>`` (or ``<verb>`` alone, where it has no address), its
body one of these structs as JSON, and the answer goes to ``reply_to``: a result, or a Problem. Over HTTP the
same structs are the bodies of requests and answers. Nothing here decides.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from warren.contract.fields import (
    BackendId,
    Connection,
    Count,
    EncodingField,
    ExpirationField,
    KeyAddress,
    KeyField,
    Room,
    Time,
    TraceparentField,
    Type,
    User,
    ruled,
    says,
)
from warren.contract.problem import Problem
from warren.contract.queries import (
    CountResult,
    ExplainCommand,
    ExplainResult,
    HistoryCommand,
    HistoryResult,
    PresenceCommand,
    PresenceResult,
    RoomsCommand,
    RoomsResult,
    StatusCommand,
    StatusResult,
)
from warren.contract.receipts import ReceiptLevel, ReceiptPayload

BATCH_MAX: Final = 1_000
RECEIPT_WAIT_MAX_MS: Final = 60_000

CommandId = Annotated[
    BackendId | None, says("Makes the command idempotent: it counts once for each address.")
]
ReasonField = Annotated[Annotated[str, ruled(maxLength=100)] | None, says("For the client.")]


# ── publish, batch, broadcast ───────────────────────────────────────────────────────────────────────────────


class PublishCommand(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Send a message to a room, a user or a connection."""

    payload: Annotated[Any, says("Any JSON.")] = None
    type: Annotated[Type | None, says("The message's type; NOTIFICATION if it is left out.")] = None
    id: Annotated[
        BackendId | None,
        says("The same id in the same room counts once; over HTTP the header `Idempotency-Key` is the same."),
    ] = None
    encoding: EncodingField = None
    key: KeyField = None
    expiration_ms: ExpirationField = None
    traceparent: TraceparentField = None
    receipt: Annotated[
        ReceiptLevel | None,
        says("Answer once the message has got so far; `accepted` if missing."),
    ] = None
    wait_ms: Annotated[
        Annotated[int, ruled(minimum=0, maximum=RECEIPT_WAIT_MAX_MS)] | None,
        says("Answer after this time at the latest, with what is known by then; 5,000 if missing."),
    ] = None


class AddressedPublish(PublishCommand, kw_only=True):
    """A message and where it goes."""

    address: Annotated[
        KeyAddress,
        says("The recipient: `room.<room>`, `user.<user>`, `conn.<connection id>` or `all`."),
    ]


class BatchCommand(msgspec.Struct):
    """Send many messages, each to an address of its own."""

    messages: Annotated[
        Annotated[list[AddressedPublish], ruled(maxItems=BATCH_MAX)],
        says(f"At most {BATCH_MAX:,} messages and 1 MiB in all."),
    ]


class BroadcastCommand(PublishCommand, kw_only=True):
    """Send one message to many addresses."""

    addresses: Annotated[
        Annotated[list[KeyAddress], ruled(maxItems=BATCH_MAX)],
        says(f"The recipients, at most {BATCH_MAX:,}."),
    ]


class BatchEntryResult(msgspec.Struct, omit_defaults=True):
    """What came of one message of a batch: a receipt or a problem."""

    receipt: Annotated[
        ReceiptPayload | None, says("What is known of the message; missing: it was refused.")
    ] = None
    problem: Annotated[Problem | None, says("Why it was refused.")] = None


class BatchResult(msgspec.Struct):
    """What came of each message of a batch or a broadcast."""

    results: Annotated[
        list[BatchEntryResult],
        says("One for each message, in the order in which they were given."),
    ]


# ── who is connected ────────────────────────────────────────────────────────────────────────────────────────


class DisconnectCommand(msgspec.Struct, omit_defaults=True):
    """Close all connections of a user, or one connection: all that came before the command, none after it."""

    except_: Annotated[list[Connection] | None, says("Connections that are left alone.")] = msgspec.field(
        name="except", default=None
    )
    code: Annotated[
        Annotated[int, ruled(minimum=4_000, maximum=4_999)] | None,
        says("The WebSocket close code; 4006 if it is left out."),
    ] = None
    reason: ReasonField = None
    id: CommandId = None


class RemoveCommand(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Take a user or a connection out of a room; its clients get LEFT."""

    user: Annotated[User | None, says("The user, with all connections.")] = None
    connection: Annotated[Connection | None, says("Or one connection.")] = None
    reason: ReasonField = None
    id: CommandId = None


class AddCommand(msgspec.Struct, omit_defaults=True):
    """Have the connections of a user, or one connection, join rooms; their clients get JOINED."""

    rooms: Annotated[list[Room], says("The rooms.")]
    id: CommandId = None


class BlockCommand(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Keep a user out: of everything (address `user.<user>`), or of one room (address `room.<room>`)."""

    user: Annotated[User | None, says("Who is kept out of the room; not for a user's address.")] = None
    until_ms: Annotated[
        Time | None,
        says("Until then, in ms since the Unix epoch; missing: until it is unblocked."),
    ] = None
    reason: ReasonField = None
    id: CommandId = None


class UnblockCommand(msgspec.Struct, omit_defaults=True):
    """Let a user in again."""

    user: Annotated[User | None, says("Who may join the room again; not for a user's address.")] = None
    id: CommandId = None


class RevokeCommand(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Refuse tokens of a user from now on, and close the connections that came in by them, with 4001."""

    token_id: Annotated[str | None, says("The claim `jti` of one token.")] = None
    before_s: Annotated[
        Annotated[int, ruled(minimum=0)] | None,
        says("Or all tokens that were issued before this time (`iat`), in s since the Unix epoch."),
    ] = None
    until_ms: Annotated[
        Time | None,
        says("When the revocation may be forgotten, in ms since the Unix epoch: the tokens' end."),
    ] = None
    id: CommandId = None


class CommandResult(msgspec.Struct, omit_defaults=True):
    """A command is done: it has its place in the log, and holds over any failure."""

    id: Annotated[str, says("The command's id.")]
    connections: Annotated[Count, says("How many connections it has met.")] = 0
    duplicate: Annotated[
        bool, says("True: a command with this id was done before; this one has changed nothing.")
    ] = False


class Verb(msgspec.Struct, frozen=True):
    """One command: its body, its result, and what may be addressed by it."""

    name: str
    body: type | None
    result: type
    addresses: tuple[str, ...]  # forms of the routing key behind the verb; "": none


VERBS: Final = (
    Verb("publish", PublishCommand, ReceiptPayload, ("room.<room>", "user.<user>", "conn.<id>", "all")),
    Verb("batch", BatchCommand, BatchResult, ("",)),
    Verb("broadcast", BroadcastCommand, BatchResult, ("",)),
    Verb("disconnect", DisconnectCommand, CommandResult, ("user.<user>", "conn.<id>")),
    Verb("remove", RemoveCommand, CommandResult, ("room.<room>",)),
    Verb("add", AddCommand, CommandResult, ("user.<user>", "conn.<id>")),
    Verb("block", BlockCommand, CommandResult, ("user.<user>", "room.<room>")),
    Verb("unblock", UnblockCommand, CommandResult, ("user.<user>", "room.<room>")),
    Verb("revoke", RevokeCommand, CommandResult, ("user.<user>",)),
    Verb("presence", PresenceCommand, PresenceResult, ("room.<room>", "user.<user>")),
    Verb("count", None, CountResult, ("room.<room>", "user.<user>")),
    Verb("history", HistoryCommand, HistoryResult, ("room.<room>", "user.<user>")),
    Verb("rooms", RoomsCommand, RoomsResult, ("",)),
    Verb("status", StatusCommand, StatusResult, ("",)),
    Verb("explain", ExplainCommand, ExplainResult, ("room.<room>", "user.<user>")),
)
