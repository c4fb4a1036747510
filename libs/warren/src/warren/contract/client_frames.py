"""Client frames: what a client sends over the WebSocket, one struct for each type.

The payloads of Warren's own types are structs that decode them (JSON text ▶ struct). The frames around them
say what a whole frame looks like; a codec reads a frame's fields in one pass and leaves the payload as bytes.
``null`` counts as left out, and unknown fields are passed over. Nothing here parses or decides.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from warren.contract.fields import (
    DIGEST_PATTERN,
    EncodingField,
    Epoch,
    FirstSeq,
    KeyField,
    MessageId,
    Room,
    RoomOrUser,
    Seq,
    Service,
    Time,
    TraceparentField,
    TypeField,
    Version,
    ruled,
    says,
)
from warren.contract.presence import CONTACTS_MAX, PRESENCE_PAGE_DEFAULT, PRESENCE_PAGE_MAX

TOKEN_MAX: Final = 16_384
GRANT_MAX: Final = 4_096
# A shorter one is made for a connection: it has to fit in one header, beside a token of the largest size.
CONNECT_GRANT_MAX: Final = 3_072
HISTORY_PAGE_MAX: Final = 100
HISTORY_PAGE_DEFAULT: Final = 50
REQUEST_TIMEOUT_MAX_MS: Final = 60_000

# The longest key of a member: a user's name, or a connection's id.
MEMBER_KEY_MAX: Final = 128
Contact = Annotated[str, Meta(min_length=1, max_length=MEMBER_KEY_MAX), ruled(title="user")]

# ── payloads ────────────────────────────────────────────────────────────────────────────────────────────────


class Since(msgspec.Struct, omit_defaults=True):
    """A position in a room: the last message that the client has seen there."""

    epoch: Annotated[Epoch, says("The epoch of the room in which `seq` counts.")]
    seq: Annotated[Seq, says("The number of the last message seen; 0: none.")]


class JoinPresence(msgspec.Struct, omit_defaults=True):
    """What a JOIN asks of the presence of the room."""

    watch: Annotated[bool | None, says("True: send PRESENCE frames of this room to this connection.")] = None
    info: Annotated[
        msgspec.Raw | msgspec.UnsetType,
        says("What others see of this member: any JSON of at most 1 KiB."),
    ] = msgspec.UNSET
    digest: Annotated[
        Annotated[str, Meta(pattern=DIGEST_PATTERN, title="digest")] | None,
        says("That of the list which the client has: where it is right, nothing is sent."),
    ] = None


class JoinPayload(msgspec.Struct, omit_defaults=True):
    """The payload of JOIN; it may be left out."""

    since: Annotated[
        Since | None,
        says("Send what came after this position first; without it nothing old comes."),
    ] = None
    presence: Annotated[
        JoinPresence | None, says("Who is there: watch it, and say something of oneself.")
    ] = None
    grant: Annotated[
        Annotated[str, Meta(max_length=GRANT_MAX)] | None,
        says("The grant that an earlier JOINED of this room has brought, so that no hook is asked."),
    ] = None


class HistoryRequestPayload(msgspec.Struct, omit_defaults=True):
    """The payload of HISTORY; it may be left out."""

    before: Annotated[FirstSeq | None, says("Messages before this seq; without it the latest ones.")] = None
    limit: Annotated[
        Annotated[int, Meta(ge=1, le=HISTORY_PAGE_MAX)] | None,
        says(f"How many messages at most; {HISTORY_PAGE_DEFAULT} if it is left out."),
    ] = None


class AuthPayload(msgspec.Struct, omit_defaults=True):
    """The payload of AUTH."""

    token: Annotated[Annotated[str, Meta(min_length=1, max_length=TOKEN_MAX)], says("The JSON Web Token.")]
    grant: Annotated[
        Annotated[str, Meta(max_length=GRANT_MAX)] | None,
        says("Of the first AUTH: the grant that an earlier WELCOME has brought, so that no hook is asked."),
    ] = None


class SeenRequestPayload(msgspec.Struct):
    """The payload of SEEN."""

    epoch: Annotated[Epoch, says("The epoch of the room in which `seq` counts.")]
    seq: Annotated[FirstSeq, says("All messages up to this one have been seen.")]


class PresenceRequestPayload(msgspec.Struct, omit_defaults=True):
    """The payload of PRESENCE from a client: it asks for one thing. Empty, it asks for the first page."""

    limit: Annotated[
        Annotated[int, Meta(ge=1, le=PRESENCE_PAGE_MAX)] | None,
        says(f"A page of at most so many members; {PRESENCE_PAGE_DEFAULT} if it is left out."),
    ] = None
    after: Annotated[
        Annotated[str, Meta(max_length=MEMBER_KEY_MAX)] | None,
        says("The page begins behind this user (or connection, where the room tells connections)."),
    ] = None
    count: Annotated[bool | None, says("True: only how many are there.")] = None
    update: Annotated[
        msgspec.Raw | msgspec.UnsetType,
        says("What others see of this member from now on: any JSON of at most 1 KiB; null: nothing."),
    ] = msgspec.UNSET
    watch: Annotated[
        Annotated[tuple[Contact, ...], Meta(max_length=CONTACTS_MAX)] | None,
        says(f"Tell whether these users are connected; at most {CONTACTS_MAX} of them. No room is given."),
    ] = None
    unwatch: Annotated[
        Annotated[tuple[Contact, ...], Meta(max_length=CONTACTS_MAX)] | bool | None,
        says("Tell no more of these users; true: of none of them, or of the room that is given."),
    ] = None


# ── frames ──────────────────────────────────────────────────────────────────────────────────────────────────


class ClientFrame(msgspec.Struct, tag_field="type", kw_only=True, omit_defaults=True, frozen=True):
    """What all frames of a client have in common."""

    id: Annotated[
        MessageId | None,
        says("The client's name for this frame; the answer has it as `ref`. Random ids are best."),
    ] = None
    timestamp: Annotated[
        Time | None,
        says("Ms since the Unix epoch; for the client's own use, Warren sets its own."),
    ] = None
    version: Annotated[Version | None, says("The version of the protocol.")] = None


class PingFrame(ClientFrame, tag="PING", kw_only=True, frozen=True):
    """Ask for a PONG, to measure the round trip or to notice a dead connection."""

    payload: Annotated[Any, says("Anything; PONG brings it back.")] = None


class JoinFrame(ClientFrame, tag="JOIN", kw_only=True, frozen=True):
    """Become a member of a room, or read on in it from a position.

    The answer is JOINED, or ERROR `forbidden`, `invalid_room`, `too_many_rooms`.
    """

    room: Annotated[RoomOrUser | None, says("The room; if missing, the first one joined at connect.")] = None
    payload: Annotated[JoinPayload | None, says("What to send first, and what to watch.")] = None


class LeaveFrame(ClientFrame, tag="LEAVE", kw_only=True, frozen=True):
    """Be no member of a room any more. The answer is LEFT."""

    room: Annotated[Room | None, says("The room; if missing, the first one joined at connect.")] = None


class HistoryRequestFrame(ClientFrame, tag="HISTORY", kw_only=True, frozen=True):
    """Read older messages of a room that was joined. The answer is HISTORY, or ERROR `not_joined`."""

    room: Annotated[RoomOrUser | None, says("The room; if missing, the first one joined at connect.")] = None
    payload: Annotated[HistoryRequestPayload | None, says("Which messages.")] = None


class AuthFrame(ClientFrame, tag="AUTH", kw_only=True, frozen=True):
    """Show a token: the first one lets the client in (WELCOME), later ones replace it (AUTHENTICATED).

    A token that does not hold closes the connection with 4001.
    """

    payload: Annotated[AuthPayload, says("The token, and the grant that goes with it.")]


class PresenceRequestFrame(ClientFrame, tag="PRESENCE", kw_only=True, frozen=True):
    """Ask who is in a room, change the own `info`, or watch a room or users. The answer is PRESENCE."""

    room: Annotated[
        RoomOrUser | None,
        says("The room; if missing, the first one joined at connect. Users are watched without one."),
    ] = None
    payload: Annotated[PresenceRequestPayload | None, says("What is asked for.")] = None


class SeenFrame(ClientFrame, tag="SEEN", kw_only=True, frozen=True):
    """The user has seen a room's messages up to this one. There is no answer but ERROR.

    Once a second is enough: each says all that those before have said. The room's namespace has to say
    `receipts: seen`, and the client to be a member.
    """

    room: Annotated[RoomOrUser | None, says("The room; if missing, the first one joined at connect.")] = None
    payload: Annotated[SeenRequestPayload, says("Up to where.")]


class RequestFrame(ClientFrame, tag="REQUEST", kw_only=True, frozen=True):
    """Ask a backend service something. The answer is one RESPONSE or several, or ERROR.

    ERROR has `no_service` (nobody consumes for this service), `overloaded`, `timeout` or `forbidden`.
    """

    id: Annotated[MessageId, says("The client's name for this request; each RESPONSE has it as `ref`.")]
    service: Annotated[Service, says("The name of the service, such as `orders.get`.")]
    payload: Annotated[Any, says("What the service is asked; any JSON.")] = None
    encoding: EncodingField = None
    timeout_ms: Annotated[
        Annotated[int, ruled(minimum=1, maximum=REQUEST_TIMEOUT_MAX_MS)] | None,
        says("How long to wait for the answer; if missing, as the service is configured."),
    ] = None
    durable: Annotated[
        bool | None,
        says(
            "True: the answer is a numbered message in the user's own room, which outlives the "
            "connection; the gateway answers ACCEPTED at once."
        ),
    ] = None
    traceparent: TraceparentField = None


class CancelFrame(ClientFrame, tag="CANCEL", kw_only=True, frozen=True):
    """Give a REQUEST up: no further RESPONSE comes, and the service is told."""

    ref: Annotated[MessageId, says("The `id` of the REQUEST.")]


class ClientMessage(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True):
    """A message for the members of a room: CHAT, TYPING, NOTIFICATION, DATA_UPDATE, or a type of your own.

    With an `id` the answer is ACK when it is accepted, or ERROR.
    """

    type: TypeField
    payload: Annotated[Any, says("Anything; the members get it byte for byte.")] = None
    room: Annotated[Room | None, says("The destination; if missing, the first room joined at connect.")] = (
        None
    )
    id: Annotated[
        MessageId | None,
        says(
            "The sender's name for the message: it asks for an ACK and makes repeats harmless. "
            "Unique for the user in that room."
        ),
    ] = None
    timestamp: Annotated[
        Time | None,
        says("Ms since the Unix epoch; for the client's own use, Warren sets its own."),
    ] = None
    version: Annotated[Version | None, says("The version of the protocol.")] = None
    encoding: EncodingField = None
    include_sender: Annotated[bool | None, says("True: the sender gets its own copy too.")] = None
    key: KeyField = None
    receipt: Annotated[
        Literal["written", "seen"] | None,
        says(
            "Say by RECEIPT when the message is written to all sockets that it is for, and (`seen`) when "
            "as many users have seen it as were there. It needs an `id`, and a room whose namespace says so."
        ),
    ] = None
    traceparent: TraceparentField = None


CLIENT_FRAMES: Final = (
    AuthFrame, JoinFrame, LeaveFrame, HistoryRequestFrame, PresenceRequestFrame, SeenFrame, RequestFrame,
    CancelFrame, PingFrame, ClientMessage,
)  # fmt: skip
