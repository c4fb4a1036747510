"""Server frames: what the gateway sends over the WebSocket, one struct for each type.

The payloads of Warren's own types are the structs that a codec encodes. The frames around them say what a
whole frame looks like: a codec writes the head and splices the payload's bytes behind it, and a test decodes
what it has written. Nothing here encodes or decides.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from warren.contract.fields import (
    Address,
    Code,
    Connection,
    Count,
    Epoch,
    FirstSeq,
    Key,
    MessageId,
    Milliseconds,
    Seq,
    Time,
    Traceparent,
    TypeField,
    User,
    Version,
    says,
)
from warren.contract.presence import PresencePayload
from warren.errors import Reconnect as Advice

_REF = says("The `id` of the frame that this answers; missing where nothing was asked.")


# ── payloads ────────────────────────────────────────────────────────────────────────────────────────────────


class ClientLimits(msgspec.Struct, frozen=True):
    """What one connection may send."""

    message_bytes: Annotated[Count, says("How large a message may be.")]
    rate: Annotated[Count, says("How many messages in `rate_per_ms`; 0: no limit.")]
    rate_per_ms: Annotated[Milliseconds, says("The time in which `rate` messages may be sent.")]
    rooms: Annotated[Count, says("In how many rooms a connection may be.")]


class WelcomePayload(msgspec.Struct, omit_defaults=True, frozen=True):
    """The payload of WELCOME."""

    connection: Annotated[Connection, says("The id of this connection, which a backend can address.")]
    user: Annotated[User, says("The user's name.")]
    heartbeat_ms: Annotated[Milliseconds, says("How often the server sends a WebSocket ping, or a comment.")]
    rooms: Annotated[tuple[Address, ...], says("The rooms that the server joins for this connection.")]
    limits: Annotated[ClientLimits, says("What this connection may send.")]
    expires_at: Annotated[Time | None, says("When the token ends, in ms since the Unix epoch; null: never.")]
    grant: Annotated[
        str, says("Show it when you connect again, where you show the token: then no hook is asked.")
    ] = ""
    post: Annotated[str, says("Of an event stream: the secret that each POST of this connection shows.")] = ""


class JoinedPresence(msgspec.Struct, frozen=True):
    """What came of a JOIN's wish to watch."""

    watching: Annotated[bool, says("Whether PRESENCE frames of the room follow; false: it may not be.")]


class JoinedPayload(msgspec.Struct, omit_defaults=True, frozen=True):
    """The payload of JOINED."""

    epoch: Annotated[Epoch, says("The epoch of the room in which seqs count.")]
    seq: Annotated[Seq, says("The number of the last message that is not sent again.")]
    recovered: Annotated[
        bool,
        says(
            "True: this is the position that `since` gave, and the missed messages follow; "
            "false: there is a gap, or no `since` was given."
        ),
    ]
    missed: Annotated[Count, says("How many messages follow, from `seq` + 1 on.")]
    grant: Annotated[str, says("Show it in the next JOIN of this room: then no hook is asked.")] = ""
    presence: Annotated[
        JoinedPresence | None, says("Whether the room is watched; missing where that was not asked.")
    ] = None


class AckPayload(msgspec.Struct, omit_defaults=True, frozen=True):
    """The payload of ACK; it is empty where the message is not numbered."""

    seq: Annotated[Seq, says("The message's number in its room; missing: not numbered.")] = 0
    epoch: Annotated[Epoch, says("The epoch of the room in which `seq` counts; missing: not numbered.")] = ""


class AuthenticatedPayload(msgspec.Struct, frozen=True):
    """The payload of AUTHENTICATED."""

    expires_at: Annotated[Time | None, says("When the token ends, in ms since the Unix epoch; null: never.")]


class DroppedPayload(msgspec.Struct, frozen=True):
    """The payload of DROPPED."""

    count: Annotated[Count, says("How many messages were withheld.")]
    seq: Annotated[Seq, says("None of them has a seq above this one; 0: none of them is numbered.")]


class ReconnectPayload(msgspec.Struct, frozen=True):
    """The payload of RECONNECT."""

    after_ms: Annotated[Milliseconds, says("Connect again after this time.")]


class ErrorPayload(msgspec.Struct, omit_defaults=True, frozen=True):
    """The payload of ERROR."""

    code: Annotated[Code, says("What kind of error it is.")]
    message: Annotated[str, says("What is wrong, for the client's developer.")]
    retry: Annotated[bool, says("Whether the same message may be sent again, under the same `id`.")]
    retry_after_ms: Annotated[Milliseconds | None, says("How long to wait before sending it again.")] = None
    close: Annotated[int | None, says("The connection is closed next, with this WebSocket close code.")] = (
        None
    )
    reconnect: Annotated[Advice | None, says("With `close`: whether to connect again.")] = None


# ── frames ──────────────────────────────────────────────────────────────────────────────────────────────────


class ServerFrame(msgspec.Struct, tag_field="type", kw_only=True, omit_defaults=True, frozen=True):
    """What all frames of the server have in common."""

    timestamp: Annotated[Time, says("When the frame was made, in ms since the Unix epoch.")]
    version: Annotated[Version, says("The version of the protocol.")]


class WelcomeFrame(ServerFrame, tag="WELCOME", kw_only=True, frozen=True):
    """The client is known. It comes first, as soon as the client is authenticated."""

    payload: Annotated[WelcomePayload, says("Who and where the client is, and its limits.")]


class JoinedFrame(ServerFrame, tag="JOINED", kw_only=True, frozen=True):
    """The connection is a member of the room and stands at this position. It comes once after each JOIN.

    It also comes unasked (no `ref`, `recovered: false`) where something was lost for good, or the room's log
    began a new life: continue from the new position.
    """

    room: Annotated[Address, says("The room.")]
    ref: Annotated[MessageId, _REF] = ""
    payload: Annotated[JoinedPayload, says("The position, and whether nothing is missing.")]


class LeftPayload(msgspec.Struct, frozen=True):
    """The payload of LEFT; it is left out where the client has asked to leave."""

    reason: Annotated[
        str,
        says(
            "`removed` or `blocked` by a backend; `forbidden` by a fresh token, or by a hook that was asked "
            "anew; `unavailable`: that hook could not be asked."
        ),
    ]


class LeftFrame(ServerFrame, tag="LEFT", kw_only=True, frozen=True):
    """The connection is no member of the room any more.

    Without `ref`: a backend has taken it out, or a fresh token does not allow the room.
    """

    room: Annotated[Address, says("The room.")]
    ref: Annotated[MessageId, _REF] = ""
    payload: Annotated[LeftPayload | None, says("Why, where the client has not asked.")] = None


class AckFrame(ServerFrame, tag="ACK", kw_only=True, frozen=True):
    """A message is accepted: it is in the log, and counts once however often it is sent."""

    room: Annotated[Address, says("The message's room.")]
    ref: Annotated[MessageId, says("The message's `id`.")]
    payload: Annotated[AckPayload, says("The message's position.")]


class PongFrame(ServerFrame, tag="PONG", kw_only=True, frozen=True):
    """The answer to PING."""

    ref: Annotated[MessageId, _REF] = ""
    encoding: Annotated[Literal["base64", "json"] | None, says("As in a message.")] = None
    payload: Annotated[Any, says("The payload of the PING.")]


class AuthenticatedFrame(ServerFrame, tag="AUTHENTICATED", kw_only=True, frozen=True):
    """A fresh token was accepted, and its permissions apply from here on."""

    ref: Annotated[MessageId, _REF] = ""
    payload: Annotated[AuthenticatedPayload, says("How long the token holds.")]


class Message(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True):
    """A message of a client or a backend."""

    type: TypeField
    timestamp: Annotated[Time, says("When Warren accepted it, in ms since the Unix epoch.")]
    version: Annotated[Version, says("The version of the protocol.")]
    room: Annotated[Address, says("The address that it was sent to.")]
    payload: Annotated[Any, says("Byte for byte what the sender sent.")]
    seq: Annotated[
        FirstSeq | None,
        says("The message's number in its room; missing: not numbered (TYPING, for example)."),
    ] = None
    epoch: Annotated[Epoch, says("The epoch of the room in which `seq` counts; missing: not numbered.")] = ""
    id: Annotated[str, says("The sender's name for the message.")] = ""
    sender: Annotated[User, says("The sender's user name; missing if a backend sent the message.")] = ""
    key: Annotated[Key, says("For rooms in which slow readers get only the latest message of each key.")] = ""
    encoding: Annotated[
        Literal["base64", "json"] | None,
        says(
            "`base64`: the payload is a base64 string and stands for bytes; `json` (MessagePack "
            "only): it is JSON text, since MessagePack can't hold the value."
        ),
    ] = None
    traceparent: Annotated[Traceparent, says("W3C trace context of the delivery, on sampled messages.")] = ""


class HistoryPayload(msgspec.Struct, frozen=True):
    """The payload of HISTORY."""

    messages: Annotated[tuple[Message, ...], says("Messages as they were delivered, the oldest first.")]
    more: Annotated[bool, says("There are older ones.")]


class HistoryFrame(ServerFrame, tag="HISTORY", kw_only=True, frozen=True):
    """A page of a room's older messages."""

    room: Annotated[Address, says("The room.")]
    ref: Annotated[MessageId, _REF] = ""
    payload: Annotated[HistoryPayload, says("The messages.")]


class DroppedFrame(ServerFrame, tag="DROPPED", kw_only=True, frozen=True):
    """The client reads too slowly, and some messages were withheld, as the room's namespace allows.

    The next messages follow; missing seqs up to `seq` are not a gap.
    """

    room: Annotated[Address, says("The room.")]
    payload: Annotated[DroppedPayload, says("How many were withheld.")]


class DegradedFrame(ServerFrame, tag="DEGRADED", kw_only=True, frozen=True):
    """The broker is unavailable. The socket stays open; messages wait within a limit or get ERROR."""


class RestoredFrame(ServerFrame, tag="RESTORED", kw_only=True, frozen=True):
    """The broker is back."""


class ReconnectFrame(ServerFrame, tag="RECONNECT", kw_only=True, frozen=True):
    """Connect again, with the positions: the pod shuts down, or the connection has its maximum age."""

    payload: Annotated[ReconnectPayload, says("When to connect again.")]


class ErrorFrame(ServerFrame, tag="ERROR", kw_only=True, frozen=True):
    """Something was refused. With `close`, the connection is closed next with that code."""

    ref: Annotated[
        str,
        says("The `id` of the refused frame; missing where it had none that can be repeated."),
    ] = ""
    payload: Annotated[ErrorPayload, says("What was refused and why.")]


class PresenceFrame(ServerFrame, tag="PRESENCE", kw_only=True, frozen=True):
    """Who is in a room: the answer to PRESENCE, and to those who watch what has changed.

    Changes are operations on sets, so pages and changes may come in any mixture.
    """

    room: Annotated[
        Address, says("The room; `@<user>` for a user who is watched; missing in answers about such users.")
    ] = ""
    ref: Annotated[MessageId, _REF] = ""
    payload: Annotated[PresencePayload, says("Who is there, or who has come and gone.")]


class ClientReceiptPayload(msgspec.Struct, omit_defaults=True, frozen=True):
    """The payload of RECEIPT."""

    level: Annotated[Literal["written", "seen"], says("What this is about.")]
    complete: Annotated[
        bool,
        says("False: not in time, or not known; send the message again (same `id`) to ask anew."),
    ]
    readers: Annotated[
        Count | None,
        says("Of `seen`: how many users were there to see it when it was accepted, without its sender."),
    ] = None
    seen: Annotated[Count | None, says("Of `seen`: how many have.")] = None


class ReceiptFrame(ServerFrame, tag="RECEIPT", kw_only=True, frozen=True):
    """What has become of a message that asked for it: first `written`, then `seen` where that was asked.

    `written`: each gateway that held members has put it on their sockets, or has died: then its clients come
    back elsewhere, and get it there.
    """

    room: Annotated[Address, says("The message's room.")]
    ref: Annotated[MessageId, says("The message's `id`.")]
    payload: Annotated[ClientReceiptPayload, says("What has become of it.")]


class AcceptedFrame(ServerFrame, tag="ACCEPTED", kw_only=True, frozen=True):
    """A durable REQUEST has reached its service: the answer will be a message in the user's own room."""

    ref: Annotated[MessageId, says("The `id` of the REQUEST.")]


class ResponseFrame(ServerFrame, tag="RESPONSE", kw_only=True, frozen=True):
    """What a service has answered to a REQUEST.

    The answer to a durable REQUEST is a numbered message: it has `room` (the user's own), `seq` and `epoch`.
    """

    ref: Annotated[MessageId, says("The `id` of the REQUEST.")]
    payload: Annotated[Any, says("The answer.")]
    encoding: Annotated[Literal["base64", "json"] | None, says("As in a message.")] = None
    n: Annotated[
        Count | None, says("The part's number: 1, 2, 3 …; missing where there is one part only.")
    ] = None
    more: Annotated[bool | None, says("True: further parts follow.")] = None
    room: Annotated[Address, says("The user's own room; only of a durable REQUEST.")] = ""
    seq: Annotated[FirstSeq | None, says("The number in that room; only of a durable REQUEST.")] = None
    epoch: Annotated[Epoch, says("The epoch in which `seq` counts; only of a durable REQUEST.")] = ""
    traceparent: Annotated[Traceparent, says("W3C trace context of the answer, on sampled ones.")] = ""


SERVER_FRAMES: Final = (
    WelcomeFrame, AuthenticatedFrame, JoinedFrame, LeftFrame, Message, AckFrame, ReceiptFrame, HistoryFrame,
    DroppedFrame, PresenceFrame, AcceptedFrame, ResponseFrame, PongFrame, DegradedFrame, RestoredFrame,
    ReconnectFrame, ErrorFrame,
)  # fmt: skip
