"""The frames of ``warren.v1`` as types, for those who speak the protocol themselves.

A frame is told from the others by its ``type``; a field that is not required may be missing. Made from the
code by scripts/docs/generate; edit libs/warren/src/warren/contract instead.
"""

from typing import Any, Literal, NotRequired, TypedDict

# ── What a client sends over the WebSocket.


class AuthPayload(TypedDict):
    """The payload of AUTH."""

    # The JSON Web Token.
    token: str
    # Of the first AUTH: the grant that an earlier WELCOME has brought, so that no hook is asked.
    grant: NotRequired[str | None]


class AuthFrame(TypedDict):
    """Show a token: the first one lets the client in (WELCOME), later ones replace it (AUTHENTICATED). A
    token that does not hold closes the connection with 4001.
    """

    type: Literal["AUTH"]
    # The client's name for this frame; the answer has it as `ref`. Random ids are best.
    id: NotRequired[str | None]
    # Ms since the Unix epoch; for the client's own use, Warren sets its own.
    timestamp: NotRequired[int | None]
    # The version of the protocol.
    version: NotRequired[Literal["1.0"] | None]
    # The token, and the grant that goes with it.
    payload: AuthPayload


class JoinPresence(TypedDict):
    """What a JOIN asks of the presence of the room."""

    # True: send PRESENCE frames of this room to this connection.
    watch: NotRequired[bool | None]
    # What others see of this member: any JSON of at most 1 KiB.
    info: NotRequired[Any]
    # That of the list which the client has: where it is right, nothing is sent.
    digest: NotRequired[str | None]


class Since(TypedDict):
    """A position in a room: the last message that the client has seen there."""

    # The epoch of the room in which `seq` counts.
    epoch: str
    # The number of the last message seen; 0: none.
    seq: int


class JoinPayload(TypedDict):
    """The payload of JOIN; it may be left out."""

    # Send what came after this position first; without it nothing old comes.
    since: NotRequired[Since | None]
    # Who is there: watch it, and say something of oneself.
    presence: NotRequired[JoinPresence | None]
    # The grant that an earlier JOINED of this room has brought, so that no hook is asked.
    grant: NotRequired[str | None]


class JoinFrame(TypedDict):
    """Become a member of a room, or read on in it from a position. The answer is JOINED, or ERROR
    `forbidden`, `invalid_room`, `too_many_rooms`.
    """

    type: Literal["JOIN"]
    # The client's name for this frame; the answer has it as `ref`. Random ids are best.
    id: NotRequired[str | None]
    # Ms since the Unix epoch; for the client's own use, Warren sets its own.
    timestamp: NotRequired[int | None]
    # The version of the protocol.
    version: NotRequired[Literal["1.0"] | None]
    # The room; if missing, the first one joined at connect.
    room: NotRequired[str | None]
    # What to send first, and what to watch.
    payload: NotRequired[JoinPayload | None]


class LeaveFrame(TypedDict):
    """Be no member of a room any more. The answer is LEFT."""

    type: Literal["LEAVE"]
    # The client's name for this frame; the answer has it as `ref`. Random ids are best.
    id: NotRequired[str | None]
    # Ms since the Unix epoch; for the client's own use, Warren sets its own.
    timestamp: NotRequired[int | None]
    # The version of the protocol.
    version: NotRequired[Literal["1.0"] | None]
    # The room; if missing, the first one joined at connect.
    room: NotRequired[str | None]


class HistoryRequestPayload(TypedDict):
    """The payload of HISTORY; it may be left out."""

    # Messages before this seq; without it the latest ones.
    before: NotRequired[int | None]
    # How many messages at most; 50 if it is left out.
    limit: NotRequired[int | None]


class HistoryRequestFrame(TypedDict):
    """Read older messages of a room that was joined. The answer is HISTORY, or ERROR `not_joined`."""

    type: Literal["HISTORY"]
    # The client's name for this frame; the answer has it as `ref`. Random ids are best.
    id: NotRequired[str | None]
    # Ms since the Unix epoch; for the client's own use, Warren sets its own.
    timestamp: NotRequired[int | None]
    # The version of the protocol.
    version: NotRequired[Literal["1.0"] | None]
    # The room; if missing, the first one joined at connect.
    room: NotRequired[str | None]
    # Which messages.
    payload: NotRequired[HistoryRequestPayload | None]


class PresenceRequestPayload(TypedDict):
    """The payload of PRESENCE from a client: it asks for one thing. Empty, it asks for the first page."""

    # A page of at most so many members; 100 if it is left out.
    limit: NotRequired[int | None]
    # The page begins behind this user (or connection, where the room tells connections).
    after: NotRequired[str | None]
    # True: only how many are there.
    count: NotRequired[bool | None]
    # What others see of this member from now on: any JSON of at most 1 KiB; null: nothing.
    update: NotRequired[Any]
    # Tell whether these users are connected; at most 100 of them. No room is given.
    watch: NotRequired[list[str] | None]
    # Tell no more of these users; true: of none of them, or of the room that is given.
    unwatch: NotRequired[list[str] | bool | None]


class PresenceRequestFrame(TypedDict):
    """Ask who is in a room, change the own `info`, or watch a room or users. The answer is PRESENCE."""

    type: Literal["PRESENCE"]
    # The client's name for this frame; the answer has it as `ref`. Random ids are best.
    id: NotRequired[str | None]
    # Ms since the Unix epoch; for the client's own use, Warren sets its own.
    timestamp: NotRequired[int | None]
    # The version of the protocol.
    version: NotRequired[Literal["1.0"] | None]
    # The room; if missing, the first one joined at connect. Users are watched without one.
    room: NotRequired[str | None]
    # What is asked for.
    payload: NotRequired[PresenceRequestPayload | None]


class SeenRequestPayload(TypedDict):
    """The payload of SEEN."""

    # The epoch of the room in which `seq` counts.
    epoch: str
    # All messages up to this one have been seen.
    seq: int


class SeenFrame(TypedDict):
    """The user has seen a room's messages up to this one. There is no answer but ERROR. Once a second is
    enough: each says all that those before have said. The room's namespace has to say `receipts: seen`, and
    the client to be a member.
    """

    type: Literal["SEEN"]
    # The client's name for this frame; the answer has it as `ref`. Random ids are best.
    id: NotRequired[str | None]
    # Ms since the Unix epoch; for the client's own use, Warren sets its own.
    timestamp: NotRequired[int | None]
    # The version of the protocol.
    version: NotRequired[Literal["1.0"] | None]
    # The room; if missing, the first one joined at connect.
    room: NotRequired[str | None]
    # Up to where.
    payload: SeenRequestPayload


class RequestFrame(TypedDict):
    """Ask a backend service something. The answer is one RESPONSE or several, or ERROR. ERROR has
    `no_service` (nobody consumes for this service), `overloaded`, `timeout` or `forbidden`.
    """

    type: Literal["REQUEST"]
    # The client's name for this request; each RESPONSE has it as `ref`.
    id: str
    # Ms since the Unix epoch; for the client's own use, Warren sets its own.
    timestamp: NotRequired[int | None]
    # The version of the protocol.
    version: NotRequired[Literal["1.0"] | None]
    # The name of the service, such as `orders.get`.
    service: str
    # What the service is asked; any JSON.
    payload: NotRequired[Any]
    # `base64`: the payload is a base64 string and stands for bytes.
    encoding: NotRequired[Literal["base64"] | None]
    # How long to wait for the answer; if missing, as the service is configured.
    timeout_ms: NotRequired[int | None]
    # True: the answer is a numbered message in the user's own room, which outlives the connection; the
    # gateway answers ACCEPTED at once.
    durable: NotRequired[bool | None]
    # W3C trace context.
    traceparent: NotRequired[str | None]


class CancelFrame(TypedDict):
    """Give a REQUEST up: no further RESPONSE comes, and the service is told."""

    type: Literal["CANCEL"]
    # The client's name for this frame; the answer has it as `ref`. Random ids are best.
    id: NotRequired[str | None]
    # Ms since the Unix epoch; for the client's own use, Warren sets its own.
    timestamp: NotRequired[int | None]
    # The version of the protocol.
    version: NotRequired[Literal["1.0"] | None]
    # The `id` of the REQUEST.
    ref: str


class PingFrame(TypedDict):
    """Ask for a PONG, to measure the round trip or to notice a dead connection."""

    type: Literal["PING"]
    # The client's name for this frame; the answer has it as `ref`. Random ids are best.
    id: NotRequired[str | None]
    # Ms since the Unix epoch; for the client's own use, Warren sets its own.
    timestamp: NotRequired[int | None]
    # The version of the protocol.
    version: NotRequired[Literal["1.0"] | None]
    # Anything; PONG brings it back.
    payload: NotRequired[Any]


class ClientMessage(TypedDict):
    """A message for the members of a room: CHAT, TYPING, NOTIFICATION, DATA_UPDATE, or a type of your own.
    With an `id` the answer is ACK when it is accepted, or ERROR.
    """

    # CHAT, TYPING, NOTIFICATION, DATA_UPDATE, or any type that is not entirely UPPER CASE.
    type: str
    # Anything; the members get it byte for byte.
    payload: NotRequired[Any]
    # The destination; if missing, the first room joined at connect.
    room: NotRequired[str | None]
    # The sender's name for the message: it asks for an ACK and makes repeats harmless. Unique for the user in
    # that room.
    id: NotRequired[str | None]
    # Ms since the Unix epoch; for the client's own use, Warren sets its own.
    timestamp: NotRequired[int | None]
    # The version of the protocol.
    version: NotRequired[Literal["1.0"] | None]
    # `base64`: the payload is a base64 string and stands for bytes.
    encoding: NotRequired[Literal["base64"] | None]
    # True: the sender gets its own copy too.
    include_sender: NotRequired[bool | None]
    # For rooms in which slow readers get only the latest message of each key.
    key: NotRequired[str | None]
    # Say by RECEIPT when the message is written to all sockets that it is for, and (`seen`) when as many
    # users have seen it as were there. It needs an `id`, and a room whose namespace says so.
    receipt: NotRequired[Literal["seen", "written"] | None]
    # W3C trace context.
    traceparent: NotRequired[str | None]


# ── What a client hears over the WebSocket.


class ClientLimits(TypedDict):
    """What one connection may send."""

    # How large a message may be.
    message_bytes: int
    # How many messages in `rate_per_ms`; 0: no limit.
    rate: int
    # The time in which `rate` messages may be sent.
    rate_per_ms: int
    # In how many rooms a connection may be.
    rooms: int


class WelcomePayload(TypedDict):
    """The payload of WELCOME."""

    # The id of this connection, which a backend can address.
    connection: str
    # The user's name.
    user: str
    # How often the server sends a WebSocket ping, or a comment.
    heartbeat_ms: int
    # The rooms that the server joins for this connection.
    rooms: list[str]
    # What this connection may send.
    limits: ClientLimits
    # When the token ends, in ms since the Unix epoch; null: never.
    expires_at: int | None
    # Show it when you connect again, where you show the token: then no hook is asked.
    grant: NotRequired[str]
    # Of an event stream: the secret that each POST of this connection shows.
    post: NotRequired[str]


class WelcomeFrame(TypedDict):
    """The client is known. It comes first, as soon as the client is authenticated."""

    type: Literal["WELCOME"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # Who and where the client is, and its limits.
    payload: WelcomePayload


class AuthenticatedPayload(TypedDict):
    """The payload of AUTHENTICATED."""

    # When the token ends, in ms since the Unix epoch; null: never.
    expires_at: int | None


class AuthenticatedFrame(TypedDict):
    """A fresh token was accepted, and its permissions apply from here on."""

    type: Literal["AUTHENTICATED"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # The `id` of the frame that this answers; missing where nothing was asked.
    ref: NotRequired[str]
    # How long the token holds.
    payload: AuthenticatedPayload


class JoinedPresence(TypedDict):
    """What came of a JOIN's wish to watch."""

    # Whether PRESENCE frames of the room follow; false: it may not be.
    watching: bool


class JoinedPayload(TypedDict):
    """The payload of JOINED."""

    # The epoch of the room in which seqs count.
    epoch: str
    # The number of the last message that is not sent again.
    seq: int
    # True: this is the position that `since` gave, and the missed messages follow; false: there is a gap, or
    # no `since` was given.
    recovered: bool
    # How many messages follow, from `seq` + 1 on.
    missed: int
    # Show it in the next JOIN of this room: then no hook is asked.
    grant: NotRequired[str]
    # Whether the room is watched; missing where that was not asked.
    presence: NotRequired[JoinedPresence]


class JoinedFrame(TypedDict):
    """The connection is a member of the room and stands at this position. It comes once after each JOIN. It
    also comes unasked (no `ref`, `recovered: false`) where something was lost for good, or the room's log
    began a new life: continue from the new position.
    """

    type: Literal["JOINED"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # The room.
    room: str
    # The `id` of the frame that this answers; missing where nothing was asked.
    ref: NotRequired[str]
    # The position, and whether nothing is missing.
    payload: JoinedPayload


class LeftPayload(TypedDict):
    """The payload of LEFT; it is left out where the client has asked to leave."""

    # `removed` or `blocked` by a backend; `forbidden` by a fresh token, or by a hook that was asked anew;
    # `unavailable`: that hook could not be asked.
    reason: str


class LeftFrame(TypedDict):
    """The connection is no member of the room any more. Without `ref`: a backend has taken it out, or a fresh
    token does not allow the room.
    """

    type: Literal["LEFT"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # The room.
    room: str
    # The `id` of the frame that this answers; missing where nothing was asked.
    ref: NotRequired[str]
    # Why, where the client has not asked.
    payload: NotRequired[LeftPayload]


class Message(TypedDict):
    """A message of a client or a backend."""

    # CHAT, TYPING, NOTIFICATION, DATA_UPDATE, or any type that is not entirely UPPER CASE.
    type: str
    # When Warren accepted it, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # The address that it was sent to.
    room: str
    # Byte for byte what the sender sent.
    payload: Any
    # The message's number in its room; missing: not numbered (TYPING, for example).
    seq: NotRequired[int]
    # The epoch of the room in which `seq` counts; missing: not numbered.
    epoch: NotRequired[str]
    # The sender's name for the message.
    id: NotRequired[str]
    # The sender's user name; missing if a backend sent the message.
    sender: NotRequired[str]
    # For rooms in which slow readers get only the latest message of each key.
    key: NotRequired[str]
    # `base64`: the payload is a base64 string and stands for bytes; `json` (MessagePack only): it is JSON
    # text, since MessagePack can't hold the value.
    encoding: NotRequired[Literal["base64", "json"]]
    # W3C trace context of the delivery, on sampled messages.
    traceparent: NotRequired[str]


class AckPayload(TypedDict):
    """The payload of ACK; it is empty where the message is not numbered."""

    # The message's number in its room; missing: not numbered.
    seq: NotRequired[int]
    # The epoch of the room in which `seq` counts; missing: not numbered.
    epoch: NotRequired[str]


class AckFrame(TypedDict):
    """A message is accepted: it is in the log, and counts once however often it is sent."""

    type: Literal["ACK"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # The message's room.
    room: str
    # The message's `id`.
    ref: str
    # The message's position.
    payload: AckPayload


class ClientReceiptPayload(TypedDict):
    """The payload of RECEIPT."""

    # What this is about.
    level: Literal["seen", "written"]
    # False: not in time, or not known; send the message again (same `id`) to ask anew.
    complete: bool
    # Of `seen`: how many users were there to see it when it was accepted, without its sender.
    readers: NotRequired[int]
    # Of `seen`: how many have.
    seen: NotRequired[int]


class ReceiptFrame(TypedDict):
    """What has become of a message that asked for it: first `written`, then `seen` where that was asked.
    `written`: each gateway that held members has put it on their sockets, or has died: then its clients come
    back elsewhere, and get it there.
    """

    type: Literal["RECEIPT"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # The message's room.
    room: str
    # The message's `id`.
    ref: str
    # What has become of it.
    payload: ClientReceiptPayload


class HistoryPayload(TypedDict):
    """The payload of HISTORY."""

    # Messages as they were delivered, the oldest first.
    messages: list[Message]
    # There are older ones.
    more: bool


class HistoryFrame(TypedDict):
    """A page of a room's older messages."""

    type: Literal["HISTORY"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # The room.
    room: str
    # The `id` of the frame that this answers; missing where nothing was asked.
    ref: NotRequired[str]
    # The messages.
    payload: HistoryPayload


class DroppedPayload(TypedDict):
    """The payload of DROPPED."""

    # How many messages were withheld.
    count: int
    # None of them has a seq above this one; 0: none of them is numbered.
    seq: int


class DroppedFrame(TypedDict):
    """The client reads too slowly, and some messages were withheld, as the room's namespace allows. The next
    messages follow; missing seqs up to `seq` are not a gap.
    """

    type: Literal["DROPPED"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # The room.
    room: str
    # How many were withheld.
    payload: DroppedPayload


class PresenceCount(TypedDict):
    """How many are in a room."""

    # How many users.
    users: int
    # How many connections.
    connections: int


class PresenceMember(TypedDict):
    """One who is in a room."""

    # The user's name.
    user: str
    # Hexadecimal; the `digest` is the sum of all members' proofs modulo 2^64.
    proof: str
    # The connection, where the room tells connections; missing where it tells users.
    connection: NotRequired[str]
    # What the member says of itself.
    info: NotRequired[Any]


class SeenPayload(TypedDict):
    """Who has seen a room's messages up to where: `users` of whom that is news, or all on the first page. A
    seq only grows, so what is told may be taken in any mixture: the greatest one counts. Whoever has the same
    `sum` of all seqs knows of all; else read the first page. Another epoch voids all that was known.
    """

    # The epoch of the room in which the seqs count.
    epoch: str
    # The sum of the seqs of all users who have seen anything.
    sum: int
    # User: the seq up to which it has seen all.
    users: NotRequired[dict[str, int]]


class PresencePayload(TypedDict):
    """The payload of PRESENCE: what there is, with a page of it, or with what has changed. The answer to an
    update is empty, the answer to who wants to watch has `watching` alone.
    """

    # Grows with each change; what has a lower version than one seen is old.
    version: NotRequired[int]
    # How many are there.
    count: NotRequired[PresenceCount]
    # The sum of the proofs of all who are there: the client's own list is right where it agrees.
    digest: NotRequired[str]
    # True: the room has too many members to name them; only `count` is told.
    counts_only: NotRequired[bool]
    # True: `joined` is one page of all who are there, in their order.
    page: NotRequired[bool]
    # Of a page: behind whom it begins.
    after: NotRequired[str]
    # Of a page: whether there are further ones; ask with `after` set to the last.
    more: NotRequired[bool]
    # Those who have come, or who are on the page.
    joined: NotRequired[list[PresenceMember]]
    # Those who have gone: users, or connections where the room tells those.
    left: NotRequired[list[str]]
    # Those whose `info` has changed.
    updated: NotRequired[list[PresenceMember]]
    # Who has seen what, where the room tells that (`receipts: seen` in its namespace).
    seen: NotRequired[SeenPayload]
    # Whether this connection is told from now on; false: it may not be.
    watching: NotRequired[bool]


class PresenceFrame(TypedDict):
    """Who is in a room: the answer to PRESENCE, and to those who watch what has changed. Changes are
    operations on sets, so pages and changes may come in any mixture.
    """

    type: Literal["PRESENCE"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # The room; `@<user>` for a user who is watched; missing in answers about such users.
    room: NotRequired[str]
    # The `id` of the frame that this answers; missing where nothing was asked.
    ref: NotRequired[str]
    # Who is there, or who has come and gone.
    payload: PresencePayload


class AcceptedFrame(TypedDict):
    """A durable REQUEST has reached its service: the answer will be a message in the user's own room."""

    type: Literal["ACCEPTED"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # The `id` of the REQUEST.
    ref: str


class ResponseFrame(TypedDict):
    """What a service has answered to a REQUEST. The answer to a durable REQUEST is a numbered message: it has
    `room` (the user's own), `seq` and `epoch`.
    """

    type: Literal["RESPONSE"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # The `id` of the REQUEST.
    ref: str
    # The answer.
    payload: Any
    # As in a message.
    encoding: NotRequired[Literal["base64", "json"]]
    # The part's number: 1, 2, 3 …; missing where there is one part only.
    n: NotRequired[int]
    # True: further parts follow.
    more: NotRequired[bool]
    # The user's own room; only of a durable REQUEST.
    room: NotRequired[str]
    # The number in that room; only of a durable REQUEST.
    seq: NotRequired[int]
    # The epoch in which `seq` counts; only of a durable REQUEST.
    epoch: NotRequired[str]
    # W3C trace context of the answer, on sampled ones.
    traceparent: NotRequired[str]


class PongFrame(TypedDict):
    """The answer to PING."""

    type: Literal["PONG"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # The `id` of the frame that this answers; missing where nothing was asked.
    ref: NotRequired[str]
    # As in a message.
    encoding: NotRequired[Literal["base64", "json"]]
    # The payload of the PING.
    payload: Any


class DegradedFrame(TypedDict):
    """The broker is unavailable. The socket stays open; messages wait within a limit or get ERROR."""

    type: Literal["DEGRADED"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]


class RestoredFrame(TypedDict):
    """The broker is back."""

    type: Literal["RESTORED"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]


class ReconnectPayload(TypedDict):
    """The payload of RECONNECT."""

    # Connect again after this time.
    after_ms: int


class ReconnectFrame(TypedDict):
    """Connect again, with the positions: the pod shuts down, or the connection has its maximum age."""

    type: Literal["RECONNECT"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # When to connect again.
    payload: ReconnectPayload


class ErrorPayload(TypedDict):
    """The payload of ERROR."""

    # What kind of error it is.
    code: str
    # What is wrong, for the client's developer.
    message: str
    # Whether the same message may be sent again, under the same `id`.
    retry: bool
    # How long to wait before sending it again.
    retry_after_ms: NotRequired[int]
    # The connection is closed next, with this WebSocket close code.
    close: NotRequired[int]
    # With `close`: whether to connect again.
    reconnect: NotRequired[Literal["fresh token", "no", "yes"]]


class ErrorFrame(TypedDict):
    """Something was refused. With `close`, the connection is closed next with that code."""

    type: Literal["ERROR"]
    # When the frame was made, in ms since the Unix epoch.
    timestamp: int
    # The version of the protocol.
    version: Literal["1.0"]
    # The `id` of the refused frame; missing where it had none that can be repeated.
    ref: NotRequired[str]
    # What was refused and why.
    payload: ErrorPayload


ClientFrame = (
    AuthFrame
    | JoinFrame
    | LeaveFrame
    | HistoryRequestFrame
    | PresenceRequestFrame
    | SeenFrame
    | RequestFrame
    | CancelFrame
    | PingFrame
    | ClientMessage
)
ServerFrame = (
    WelcomeFrame
    | AuthenticatedFrame
    | JoinedFrame
    | LeftFrame
    | AckFrame
    | ReceiptFrame
    | HistoryFrame
    | DroppedFrame
    | PresenceFrame
    | AcceptedFrame
    | ResponseFrame
    | PongFrame
    | DegradedFrame
    | RestoredFrame
    | ReconnectFrame
    | ErrorFrame
    | Message
)
