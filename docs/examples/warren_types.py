"""The messages of Warren as types, to be copied beside a backend's code. It needs nothing but Python 3.11.

A frame or an event is told from the others by its ``type`` or ``event``; a field that is not required may be
missing. Made from the code by scripts/docs/generate; edit libs/warren/src/warren/contract instead.
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


# ── What backends publish, and what they hear of that.


class NotificationHeaders(TypedDict):
    """The AMQP headers of a notification."""

    # W3C trace context.
    traceparent: NotRequired[str | None]
    # For rooms in which slow readers get only the latest message of each key.
    key: NotRequired[str | None]
    # With the property `reply_to`: send a receipt once the message has got so far.
    receipt: NotRequired[Literal["accepted", "seen", "written"] | None]
    # Tell backends by `message.undelivered` where nobody has seen it after so many milliseconds. The room's
    # namespace has to say `receipts: seen`.
    seen_within_ms: NotRequired[int | None]


class NotificationEntry(TypedDict):
    """One entry of a list of notifications. Unknown fields are passed over."""

    # The recipient: `room.<room>`, `user.<user>`, `conn.<connection id>` or `all`.
    address: str
    # Any JSON.
    payload: Any
    # The message's type; NOTIFICATION if it is left out.
    type: NotRequired[str | None]
    # Makes the entry idempotent: the same id in the same room counts once.
    id: NotRequired[str | None]
    # `base64`: the payload is a base64 string and stands for bytes.
    encoding: NotRequired[Literal["base64"] | None]
    # For rooms in which slow readers get only the latest message of each key.
    key: NotRequired[str | None]
    # Not delivered after so many ms.
    expiration: NotRequired[int | None]
    # W3C trace context.
    traceparent: NotRequired[str | None]
    # Tell backends by `message.undelivered` where nobody has seen it after so many milliseconds. The room's
    # namespace has to say `receipts: seen`.
    seen_within_ms: NotRequired[int | None]


# The AMQP headers of a notification that can't be delivered; its body is what came.
DeadLetterHeaders = TypedDict(
    "DeadLetterHeaders",
    {
        # What is wrong.
        "x-warren-reason": str,
        # The routing key that the notification came with.
        "x-warren-routing-key": str,
        # Of an entry of a list: its place there, from 0.
        "x-warren-index": NotRequired[int],
        # How large the body was, where only its beginning was kept.
        "x-warren-body-bytes": NotRequired[int],
        # How large the notification's own headers were, where they were not kept.
        "x-warren-headers-left-out": NotRequired[int],
    },
)


class ReceiptPayload(TypedDict):
    """What is known of a message, for the backend that asked."""

    # False: the time was over before all was known; the numbers are what is known.
    complete: bool
    # The message's id; empty: it had none.
    id: NotRequired[str]
    # The address that the message went to.
    room: NotRequired[str]
    # The epoch of the room; missing: not numbered.
    epoch: NotRequired[str]
    # The message's number in its room; missing: not numbered.
    seq: NotRequired[int]
    # True: a message with this id was accepted before, and this one is its repeat.
    duplicate: NotRequired[bool]
    # How many users were in the room when it was accepted; missing: not counted there.
    users: NotRequired[int]
    # How many connections those had.
    connections: NotRequired[int]
    # How many gateways held those connections.
    gateways: NotRequired[int]
    # How many gateways have written it to their sockets.
    written: NotRequired[int]
    # How many gateways have ended before they could; their members catch up.
    lost: NotRequired[int]
    # How many users were there to see it; only of a receipt of `seen`.
    readers: NotRequired[int]
    # How many users have seen it, whether they were there or came later; only of `seen`.
    seen: NotRequired[int]
    # Why the message was refused; it was set aside.
    refused: NotRequired[str]
    # Why nothing is known: `overloaded`, too many receipts are open.
    reason: NotRequired[str]


# ── What backends hear.


class MembershipEvent(TypedDict):
    """A connection has come into a room, or gone. In its own room `@<user>` it has connected or disconnected.
    `generation` and `gateway` together distinguish a late "disconnected" from a newer "connected".
    """

    # Names the event; a repeat has the same one. It is also the AMQP property `message_id`.
    event_id: str
    # What happened; the routing key, too.
    event: Literal["client.connected", "client.disconnected", "room.joined", "room.left"]
    # The connection.
    connection: NotRequired[str]
    # Whose connection it is.
    user: NotRequired[str]
    # The room.
    room: NotRequired[str]
    # The gateway that holds the connection; it has a new name in each of its lives.
    gateway: NotRequired[str]
    # The connection's number in its gateway; a later connection has a higher one.
    generation: NotRequired[int]
    # How many connections of the user are in the room after it: 0 is the last one's end.
    connections: NotRequired[int]
    # How many connections are in the room after it: 1 is the first one, 0 the last one's end.
    members: NotRequired[int]
    # When it happened, in ms since the Unix epoch.
    at: int
    # Why one has gone: `left`, `gone` (its gateway has died), `removed`, `blocked`, `disconnected`,
    # `replaced` or `revoked`.
    reason: NotRequired[str]


class MessageEvent(TypedDict):
    """A message was accepted (`message`), or nobody was there for it, or has seen it in the time that its
    sender gave (`message.undelivered`). A push service that binds `message.undelivered.#` hears who was away.
    """

    # Names the event; a repeat has the same one. It is also the AMQP property `message_id`.
    event_id: str
    # What happened.
    event: Literal["message", "message.undelivered"]
    # The room.
    room: NotRequired[str]
    # The message's type.
    type: NotRequired[str]
    # The epoch of the room in which `seq` counts.
    epoch: NotRequired[str]
    # The message's number in its room.
    seq: NotRequired[int]
    # The sender's connection; missing if a backend sent it.
    connection: NotRequired[str]
    # The sender; missing if a backend sent it.
    user: NotRequired[str]
    # The sender's name for the message.
    id: NotRequired[str]
    # When it happened, in ms since the Unix epoch.
    at: int
    # `base64`: the payload is a base64 string and stands for bytes.
    encoding: NotRequired[Literal["base64"]]
    # What the sender sent.
    payload: Any
    # Of `message.undelivered`: `nobody` (was there), `unseen` (in its time), or `overloaded` (too many
    # messages of its shard wait to be seen, so it is told at once).
    reason: NotRequired[str]


class EventHeaders(TypedDict):
    """The AMQP headers of an event, as the AMQP binding of CloudEvents 1.0 has them."""

    # The event's id.
    cloudEvents_id: str
    # The installation and the shard that the event comes from.
    cloudEvents_source: str
    # What happened: the field `event`.
    cloudEvents_type: str
    # The version of CloudEvents.
    cloudEvents_specversion: Literal["1.0"]
    # When it happened, as RFC 3339 writes it.
    cloudEvents_time: NotRequired[str]
    # The room.
    cloudEvents_subject: NotRequired[str]


# ── What backends may have Warren do or tell, over AMQP or HTTP.


class PublishCommand(TypedDict):
    """A message for one address."""

    # The recipient: `room.<room>`, `user.<user>`, `conn.<connection id>` or `all`.
    address: str
    # Any JSON.
    payload: Any
    # The message's type: NOTIFICATION where it is missing. An ordinary one or one of your own, never a
    # reserved one.
    type: NotRequired[str | None]
    # What makes it count once: the same id for the same address is a repeat. Printable characters, the first
    # one not `~`. Over HTTP the header `Idempotency-Key` is the same.
    id: NotRequired[str | None]
    # `payload` is a string with base64 of bytes, which are the message's payload.
    encoding: NotRequired[Literal["base64"] | None]
    # For rooms in which slow readers get only the latest message of each key.
    key: NotRequired[str | None]
    # It is not delivered after so many milliseconds.
    expiration: NotRequired[int | None]
    # W3C trace context of the message, as the header of that name.
    traceparent: NotRequired[str | None]
    # Tell backends by the event `message.undelivered` where nobody has seen it after so many milliseconds.
    # The room's namespace has to say `receipts: seen`.
    seen_within_ms: NotRequired[int | None]
    # Wait for so many milliseconds for the message's receipt: its place in its room, and who is there.
    wait_ms: NotRequired[int]
    # What `wait_ms` waits for: the place; that all gateways with members have written it, too; or that as
    # many users have seen it as were there, too.
    receipt: NotRequired[Literal["accepted", "seen", "written"]]


class Published(TypedDict):
    """The message is in the log, committed by a majority of the broker's nodes. With `wait_ms` also where it
    stands in its room.
    """

    # The message's id, which it was given where it had none.
    id: str
    # Where it goes.
    address: str
    # The run of numbers that `seq` belongs to.
    epoch: NotRequired[str]
    # Its number in the room; of a repeat, that of the first.
    seq: NotRequired[int]
    # Its id had been counted before, so nothing was sent.
    duplicate: NotRequired[bool]
    # How many users were there; 0: nobody.
    users: NotRequired[int]
    # How many connections those had.
    connections: NotRequired[int]
    # How many gateways held those connections.
    gateways: NotRequired[int]
    # How many of these have written it.
    written: NotRequired[int]
    # How many of these died before; their clients get it elsewhere.
    lost: NotRequired[int]
    # False: `wait_ms` was over before all was known.
    complete: NotRequired[bool]
    # How many users were there to see it; with `receipt: seen`.
    readers: NotRequired[int]
    # How many users have seen it; with `receipt: seen`.
    seen: NotRequired[int]


class BatchCommand(TypedDict):
    """Many messages, each for itself: each is checked, allowed and answered as one that comes alone."""

    # Messages as in `publish`, but for `wait_ms` and `receipt`.
    messages: list[PublishCommand]
    # Wait for so many milliseconds for the message's receipt: its place in its room, and who is there.
    wait_ms: NotRequired[int]
    # What `wait_ms` waits for: the place; that all gateways with members have written it, too; or that as
    # many users have seen it as were there, too.
    receipt: NotRequired[Literal["accepted", "seen", "written"]]


class Fault(TypedDict):
    """One thing that is wrong with a command."""

    # Where: a JSON pointer (RFC 6901); empty: all of it.
    pointer: str
    # What is wrong there.
    detail: str


class Outcome(TypedDict):
    """What became of one message of several."""

    # The HTTP status that it would have had alone.
    status: int
    # Where it goes.
    address: NotRequired[str]
    # The message's id.
    id: NotRequired[str]
    # The run of numbers that `seq` belongs to.
    epoch: NotRequired[str]
    # Its number in the room; of a repeat, that of the first.
    seq: NotRequired[int]
    # Its id had been counted before, so nothing was sent.
    duplicate: NotRequired[bool]
    # How many users were there; 0: nobody.
    users: NotRequired[int]
    # How many connections those had.
    connections: NotRequired[int]
    # How many gateways held those connections.
    gateways: NotRequired[int]
    # How many of these have written it.
    written: NotRequired[int]
    # How many of these died before; their clients get it elsewhere.
    lost: NotRequired[int]
    # False: `wait_ms` was over before all was known.
    complete: NotRequired[bool]
    # How many users were there to see it; with `receipt: seen`.
    readers: NotRequired[int]
    # How many users have seen it; with `receipt: seen`.
    seen: NotRequired[int]
    # Why it was refused: the code of a problem.
    code: NotRequired[str]
    # What is wrong with it.
    detail: NotRequired[str]
    # Whether it may be sent again.
    retry: NotRequired[bool]
    # How long to wait before that.
    retry_after_ms: NotRequired[int]
    # Each thing that is wrong with it.
    errors: NotRequired[list[Fault]]


class Outcomes(TypedDict):
    """What became of several messages."""

    # One for each message, in their order.
    results: list[Outcome]
    # How many have another status than 200.
    failed: int


class BroadcastCommand(TypedDict):
    """One message for many addresses, or for everyone."""

    # Any JSON.
    payload: Any
    # Where it goes; missing: to everyone.
    addresses: NotRequired[list[str] | None]
    # The message's type: NOTIFICATION where it is missing. An ordinary one or one of your own, never a
    # reserved one.
    type: NotRequired[str | None]
    # What makes it count once: the same id for the same address is a repeat. Printable characters, the first
    # one not `~`. Over HTTP the header `Idempotency-Key` is the same.
    id: NotRequired[str | None]
    # `payload` is a string with base64 of bytes, which are the message's payload.
    encoding: NotRequired[Literal["base64"] | None]
    # For rooms in which slow readers get only the latest message of each key.
    key: NotRequired[str | None]
    # It is not delivered after so many milliseconds.
    expiration: NotRequired[int | None]
    # W3C trace context of the message, as the header of that name.
    traceparent: NotRequired[str | None]
    # Tell backends by the event `message.undelivered` where nobody has seen it after so many milliseconds.
    # The room's namespace has to say `receipts: seen`.
    seen_within_ms: NotRequired[int | None]
    # Wait for so many milliseconds for the message's receipt: its place in its room, and who is there.
    wait_ms: NotRequired[int]
    # What `wait_ms` waits for: the place; that all gateways with members have written it, too; or that as
    # many users have seen it as were there, too.
    receipt: NotRequired[Literal["accepted", "seen", "written"]]


# Close all connections of a user, or one connection. It meets those that came before the command, and none
# that comes after it.
DisconnectCommand = TypedDict(
    "DisconnectCommand",
    {
        # `user.<user>`, or `conn.<connection id>`.
        "address": str,
        # Connections that are left alone.
        "except": NotRequired[list[str]],
        # The WebSocket close code: 4006 where it is missing.
        "code": NotRequired[Literal[1012, 4001, 4006, 4007] | None],
        # Why, for the client: at most 120 bytes in UTF-8.
        "reason": NotRequired[str],
        # What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the same; where
        # neither is given it gets one, which the answer tells.
        "id": NotRequired[str | None],
    },
)


class Done(TypedDict):
    """It has its place in the log, and holds over any failure."""

    # The command's id, which it was given where it had none.
    id: str
    # How many connections it has met.
    connections: NotRequired[int]
    # Of `unblock`: how many blocks it has lifted.
    lifted: NotRequired[int]
    # It was done before, under this id.
    duplicate: NotRequired[bool]


# Take a user out of a room, with all connections, or one connection; they get LEFT and may join again. It
# meets those that came before the command, also one that is moving at that moment, and none that joins after
# it.
RemoveCommand = TypedDict(
    "RemoveCommand",
    {
        # `room.<room>`.
        "address": str,
        # Who is taken out; this or `connection`.
        "user": NotRequired[str | None],
        # The one connection that is taken out.
        "connection": NotRequired[str | None],
        # Connections that are left alone.
        "except": NotRequired[list[str]],
        # Why, for the client: at most 120 bytes in UTF-8.
        "reason": NotRequired[str],
        # What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the same; where
        # neither is given it gets one, which the answer tells.
        "id": NotRequired[str | None],
    },
)


# Have all connections that a user has now, or one connection, join rooms, whatever their rights; they get
# JOINED.
AddCommand = TypedDict(
    "AddCommand",
    {
        # `user.<user>`, or `conn.<connection id>`.
        "address": str,
        # The rooms.
        "rooms": list[str],
        # Connections that are left alone.
        "except": NotRequired[list[str]],
        # What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the same; where
        # neither is given it gets one, which the answer tells.
        "id": NotRequired[str | None],
    },
)


class BlockCommand(TypedDict):
    """Keep a user out: of everything (`user.<user>`), or of a room (`room.<room>` with `user`). Whoever is in
    is put out, and no JOIN is let in until then.
    """

    # `room.<room>`, or `user.<user>`: all connections of a user.
    address: str
    # Who is kept out of the room.
    user: NotRequired[str | None]
    # Until then, ms since the Unix epoch; missing: until `unblock`.
    until_ms: NotRequired[int]
    # Why, for the client: at most 120 bytes in UTF-8.
    reason: NotRequired[str]
    # What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the same; where
    # neither is given it gets one, which the answer tells.
    id: NotRequired[str | None]


class UnblockCommand(TypedDict):
    """Let a user in again that was blocked there."""

    # `room.<room>`, or `user.<user>`: all connections of a user.
    address: str
    # Who may come into the room again.
    user: NotRequired[str | None]
    # What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the same; where
    # neither is given it gets one, which the answer tells.
    id: NotRequired[str | None]


class RevokeCommand(TypedDict):
    """Let nobody in by a token of a user: one by its id, or all that were issued before. Connections that
    came by such a token are closed (4001). What hooks granted the user before is void.
    """

    # `user.<user>`.
    address: str
    # The claim `jti`.
    token_id: NotRequired[str | None]
    # All whose claim `iat` is below this, s since the Unix epoch; not 0.
    before_s: NotRequired[int | None]
    # When it may be forgotten, since the tokens have expired: ms since the Unix epoch.
    until_ms: NotRequired[int]
    # What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the same; where
    # neither is given it gets one, which the answer tells.
    id: NotRequired[str | None]


class PresenceCommand(TypedDict):
    """Who is in a room, by user."""

    # `room.<room>`, or `user.<user>`: all connections of a user.
    address: str
    # How many at most.
    limit: NotRequired[int]
    # `next` of the page before; empty: from the beginning.
    cursor: NotRequired[str]


class Present(TypedDict):
    """One user who is there."""

    # The user's name.
    user: str
    # The user's connections in the room.
    connections: list[str]
    # What the room shows with the user, where it tells of users.
    info: NotRequired[Any]


class PresencePage(TypedDict):
    """Users in the order of their names, each with its connections."""

    # How many users there are; missing: too many to count.
    users: NotRequired[int]
    # How many connections there are.
    connections: int
    # The users of this page.
    members: list[Present]
    # The cursor of the next page; missing: this is the last.
    next: NotRequired[str]
    # There are too many to be named.
    counts_only: NotRequired[bool]


class CountCommand(TypedDict):
    """How many are in a room."""

    # `room.<room>`, or `user.<user>`: all connections of a user.
    address: str


class Counted(TypedDict):
    """How many there are."""

    # How many users; missing: too many to count.
    users: NotRequired[int]
    # How many connections.
    connections: int


class HistoryCommand(TypedDict):
    """The last messages of a room, as far as its history reaches."""

    # `room.<room>`, or `user.<user>`: all connections of a user.
    address: str
    # How many at most.
    limit: NotRequired[int]
    # Those before this `seq`; 0: the latest.
    before: NotRequired[int]


class HistoryMessage(TypedDict):
    """One message, as clients get it."""

    # The message's number in its room.
    seq: int
    # The message's type.
    type: str
    # What the sender sent.
    payload: Any
    # When it was accepted, ms since the Unix epoch.
    timestamp: int
    # The sender's name for the message.
    id: NotRequired[str]
    # The sender's user name; missing: a backend.
    sender: NotRequired[str]
    # The sender's connection; missing: a backend.
    connection: NotRequired[str]
    # `base64`: the payload is a base64 string and stands for bytes.
    encoding: NotRequired[str]


class HistoryPage(TypedDict):
    """Messages in their order, and where the room stands."""

    # The run of numbers that the seqs belong to.
    epoch: str
    # The number of the room's last message.
    seq: int
    # The messages, the oldest first.
    messages: list[HistoryMessage]
    # There are older ones: ask `before` the first `seq`.
    more: NotRequired[bool]


class RoomsCommand(TypedDict):
    """Rooms that have members, by the beginning of their names; with the prefix `@`: connected users."""

    # How their names begin.
    prefix: NotRequired[str]
    # How many at most.
    limit: NotRequired[int]
    # `next` of the page before; empty: from the beginning.
    cursor: NotRequired[str]


class RoomCount(TypedDict):
    """One room."""

    # The room's name.
    room: str
    # How many connections are in it.
    connections: int


class RoomsPage(TypedDict):
    """Rooms in the order of their names."""

    # The rooms of this page.
    rooms: list[RoomCount]
    # The cursor of the next page; missing: this is the last.
    next: NotRequired[str]


class BlocksCommand(TypedDict):
    """Who is kept out, of what, and until when."""

    # Of this room alone.
    room: NotRequired[str | None]
    # Of rooms whose names begin so; `@`: of everything; empty: of either.
    prefix: NotRequired[str]
    # Blocks of this user alone.
    user: NotRequired[str | None]
    # How many at most.
    limit: NotRequired[int]
    # `next` of the page before; empty: from the beginning.
    cursor: NotRequired[str]


class Blocked(TypedDict):
    """One block. Without `until_ms` it is the body of the `unblock` that lifts it."""

    # The room; or the user, who is kept out of everything.
    address: str
    # Who is kept out of the room.
    user: NotRequired[str]
    # Until then, ms since the Unix epoch; missing: until `unblock`.
    until_ms: NotRequired[int]


class BlocksPage(TypedDict):
    """Blocks that hold, in the order of rooms and users; `@` and the user's name: of everything."""

    # The blocks of this page.
    blocks: list[Blocked]
    # The cursor of the next page; missing: this is the last.
    next: NotRequired[str]


class StatusCommand(TypedDict):
    """Which of these users are online."""

    # Whom to look for.
    users: list[str]


class UserStatus(TypedDict):
    """One user."""

    # The user's name.
    user: str
    # Whether the user has a connection.
    online: bool
    # How many the user has.
    connections: NotRequired[int]
    # Online since, ms since the Unix epoch; missing: not known.
    since: NotRequired[int]
    # When the last connection ended, ms since the Unix epoch; missing: not known.
    last_seen: NotRequired[int]


class Statuses(TypedDict):
    """Who is online."""

    # One for each user that was asked for, in that order.
    users: list[UserStatus]


class ExplainCommand(TypedDict):
    """What became of a message, for as long as its room's history reaches."""

    # `room.<room>`, or `user.<user>`: all connections of a user.
    address: str
    # The message's id.
    id: str
    # Its sender; missing: a backend.
    user: NotRequired[str | None]


class GatewayReached(TypedDict):
    """What became of it on one gateway."""

    # The gateway.
    gateway: str
    # It was sent, in its place. False: it waits for the gateway. Missing: the gateway had no members then, or
    # that is not known any more.
    fed: NotRequired[bool]
    # `counted`: the numbers are all; `partly`: there may be more, as the gateway has read the message from a
    # router and does not know what it did before; `behind`: it has not come there yet; `forgotten`: the
    # gateway does not keep it (any more); `gone`: the gateway has ended; `silent`: it has not answered.
    state: Literal["behind", "counted", "forgotten", "gone", "partly", "silent"]
    # The room's last message that has come there.
    seq: NotRequired[int]
    # To how many connections it was written, or waits in the gateway to be written.
    written: NotRequired[int]
    # From how many it was withheld: they read too slowly, or had gone before it was written.
    withheld: NotRequired[int]
    # To how many it was not written, as it had expired.
    expired: NotRequired[int]


class Explained(TypedDict):
    """What is known of a message."""

    # The message's id.
    id: str
    # Its room.
    address: str
    # The run of numbers that `seq` belongs to.
    epoch: str
    # Its number in the room.
    seq: int
    # When it was accepted, ms since the Unix epoch.
    accepted_at: NotRequired[int]
    # Its type.
    type: NotRequired[str]
    # How many bytes its payload has.
    bytes: NotRequired[int]
    # When it expires, ms since the Unix epoch.
    expires_at: NotRequired[int]
    # Those that had members when it was accepted (an empty list: it was for nobody), or have given it to
    # others since.
    gateways: NotRequired[list[GatewayReached]]
    # To how many connections it was written, or waits in the gateway to be written.
    written: NotRequired[int]
    # From how many it was withheld: they read too slowly, or had gone before it was written.
    withheld: NotRequired[int]
    # To how many it was not written, as it had expired.
    expired: NotRequired[int]
    # The fields that are not known (any more); a number that is there may be higher.
    unknown: NotRequired[list[str]]


class OverviewCommand(TypedDict):
    """How the whole installation is."""


class RouterFigures(TypedDict):
    """One router, by what it says of itself."""

    # The router's id, new for each of its lives.
    router: str
    # It is the one that gives this answer.
    answers: NotRequired[bool]
    # For how many seconds it has run.
    uptime: int
    # For how many ms nothing was heard of it.
    heard_ms: int
    # For how many shards it speaks.
    speaks: int
    # How many shards it reads: those, and those for which it stands by.
    reads: int
    # How many entries of logs those who speak for its other shards have read and it has not.
    behind: int
    # How old, in ms, the oldest message was that came there lately, from when it was sent; missing: none
    # came. Clocks of machines may differ.
    lag_ms: NotRequired[int]
    # Events and records of it that wait for the broker.
    waiting: int
    # `blocked`: the broker holds back what is published (a memory or disk alarm); `away`: it can't be
    # reached, which a router knows of itself alone.
    broker: Literal["away", "blocked", "up"]
    # Bytes of memory that its process holds.
    memory: int


class Installation(TypedDict):
    """The figures of the whole installation, whichever router tells them. They are as of the last heartbeats
    of its gateways and routers.
    """

    # The version of the router that answers.
    version: str
    # When, ms since the Unix epoch.
    at: int
    # Connections of clients.
    connections: int
    # Users who are connected.
    users: int
    # Rooms that have members; users' own rooms are not counted.
    rooms: int
    # Members of those rooms: each connection counts in each of its rooms.
    members: int
    # Messages from clients in a second.
    in_rate: float
    # Messages written to clients in a second.
    out_rate: float
    # ERROR frames in a second.
    error_rate: float
    # Gateways that live.
    gateways: int
    # How old, in ms, the oldest message was that came there lately, from when it was sent; missing: none
    # came. Clocks of machines may differ.
    gateway_lag_ms: NotRequired[int]
    # How old, in ms, the oldest message was that came there lately, from when it was sent; missing: none
    # came. Clocks of machines may differ.
    router_lag_ms: NotRequired[int]
    # Entries of logs that wait to be sent to gateways.
    waiting: int
    # How many shards there are.
    shards: int
    # Shards for which nobody speaks: what is sent to their rooms waits; at most 100 are told.
    silent_shards: list[int]
    # The broker, as the routers see it: the worst of them.
    broker: Literal["away", "blocked", "up"]
    # The routers that live, by name.
    routers: list[RouterFigures]


class SamplesCommand(TypedDict):
    """The whole installation's figures of the last ten minutes, one sample every two seconds."""

    # Only those taken after this time, ms since the Unix epoch; 0: all.
    after: NotRequired[int]


class Sample(TypedDict):
    """The figures of one moment."""

    # When, ms since the Unix epoch; every router takes its samples at even seconds.
    at: int
    # Connections of clients.
    connections: int
    # Users who are connected.
    users: int
    # Rooms that have members; users' own rooms are not counted.
    rooms: int
    # Members of those rooms: each connection counts in each of its rooms.
    members: int
    # Messages from clients in a second.
    in_rate: float
    # Messages written to clients in a second.
    out_rate: float
    # ERROR frames in a second.
    error_rate: float
    # Gateways that live.
    gateways: int
    # Routers that live.
    routers: int
    # How old, in ms, the oldest message was that came there lately, from when it was sent; missing: none
    # came. Clocks of machines may differ.
    gateway_lag_ms: NotRequired[int]
    # How old, in ms, the oldest message was that came there lately, from when it was sent; missing: none
    # came. Clocks of machines may differ.
    router_lag_ms: NotRequired[int]
    # Entries of logs that wait to be sent to gateways.
    waiting: int


class SampleList(TypedDict):
    """Samples, the oldest first."""

    # How many ms there are between two samples.
    every_ms: int
    # Those that the router has, which are none of before its start.
    samples: list[Sample]


class GatewaysCommand(TypedDict):
    """The gateways that live, each with its figures."""

    # How many at most.
    limit: NotRequired[int]
    # `next` of the page before; empty: from the beginning.
    cursor: NotRequired[str]


class GatewayFigures(TypedDict):
    """One gateway, by what it says of itself and what routers know of it."""

    # The gateway's id.
    gateway: str
    # For how many seconds it has run.
    uptime: int
    # For how many ms nothing was heard of it.
    heard_ms: int
    # Connections of clients.
    connections: int
    # Messages from clients in a second.
    in_rate: float
    # Messages written to clients in a second.
    out_rate: float
    # ERROR frames in a second.
    error_rate: float
    # How old, in ms, the oldest message was that came there lately, from when it was sent; missing: none
    # came. Clocks of machines may differ.
    lag_ms: NotRequired[int]
    # Entries of logs that wait to be sent to it.
    waiting: int
    # Bytes of memory that its process holds.
    memory: int


class GatewaysPage(TypedDict):
    """Gateways in the order of their names."""

    # The gateways of this page.
    gateways: list[GatewayFigures]
    # The cursor of the next page; missing: this is the last.
    next: NotRequired[str]


class ShardListCommand(TypedDict):
    """The shards, and who speaks for each."""

    # How many at most.
    limit: NotRequired[int]
    # `next` of the page before; empty: from the beginning.
    cursor: NotRequired[str]


class ShardFigures(TypedDict):
    """One shard."""

    # Its number.
    shard: int
    # The routers that speak for it. None: what is sent to its rooms waits. Two: it changes hands.
    speakers: list[str]
    # The routers that read it to take over at once.
    standbys: list[str]
    # The entry of its log that was read last; missing: none is known.
    offset: NotRequired[int]
    # How many entries fewer the one of those that has read least has read.
    behind: int
    # Rooms that have members; users' own rooms are not counted.
    rooms: int
    # Members of those rooms: each connection counts in each of its rooms.
    members: int
    # Users who are connected and whose own rooms belong to this shard.
    users: int


class ShardsPage(TypedDict):
    """Shards by number."""

    # The shards of this page.
    shards: list[ShardFigures]
    # The cursor of the next page; missing: this is the last.
    next: NotRequired[str]


class Problem(TypedDict):
    """Why a command was not done."""

    # An address that names the kind of problem.
    type: str
    # The kind of problem in words.
    title: str
    # The HTTP status.
    status: int
    # What is wrong with this command.
    detail: str
    # Warren's code, as in ERROR frames, or one that only a backend can meet.
    code: str
    # Whether the same command may be sent again.
    retry: bool
    # How long to wait before that.
    retry_after_ms: NotRequired[int]
    # The trace of the command: the services' log lines have it.
    trace_id: NotRequired[str]
    # Each thing that is wrong with the command.
    errors: NotRequired[list[Fault]]


class KeyScope(TypedDict):
    """What one verb may be used on."""

    # The verb; `*`: every one.
    verb: str
    # The pattern of the rooms; `*`: all.
    pattern: str


class KeyRights(TypedDict):
    """Whose key of the HTTP API this is, and what it may do."""

    # The key's name in the keys file; the key itself is never told.
    name: str
    # What it may do.
    scopes: list[KeyScope]
    # When it ends, ms since the Unix epoch; missing: never.
    expires: NotRequired[int]


# ── Headers of what clients ask of services, and of the answers.


class RequestHeaders(TypedDict):
    """The AMQP headers of a request. Its properties: `reply_to`, `correlation_id`, `message_id` (the same
    over repeats), `expiration` (what is left of the time), `content_type`. Its routing key is the service's
    name.
    """

    # Who asks; Warren has checked the token.
    user: str
    # The connection that asks.
    connection: str
    # 1 at first; higher where the request is sent again.
    attempt: int
    # W3C trace context.
    traceparent: NotRequired[str]


class ResponseHeaders(TypedDict):
    """The AMQP headers of an answer; a single answer needs none. Its property `correlation_id` is that of the
    request, its routing key the request's `reply_to`, its exchange `warren.replies` (or the default one).
    """

    # The part's number: 1, 2, 3 …
    n: NotRequired[int | None]
    # True: further parts follow.
    more: NotRequired[bool | None]
    # The request is refused: the client gets ERROR with this code, and the body's text. Not of a durable
    # request.
    error: NotRequired[str | None]
    # W3C trace context.
    traceparent: NotRequired[str | None]


class CancelHeaders(TypedDict):
    """The AMQP headers of a cancel: the answer to the request is wanted no more. Its routing key is
    `<service>.cancel`, its `correlation_id` that of the request, its body empty.
    """

    # Who asked.
    user: str
    # The connection that asked.
    connection: str


# ── What backends are asked before a client may do something.


class HookQuestion(TypedDict):
    """May this client connect, join this room, or publish this message?"""

    # What the client wants to do.
    hook: Literal["connect", "join", "publish"]
    # The client's connection.
    connection: str
    # The user's name; missing where the client has named none.
    user: NotRequired[str]
    # Those claims of the token that the settings select.
    claims: NotRequired[dict[str, Any]]
    # Those headers of the upgrade request that the settings select.
    headers: NotRequired[dict[str, str]]
    # The room, of `join` and `publish`.
    room: NotRequired[str]
    # The room's namespace, of `join` and `publish`.
    namespace: NotRequired[str]
    # The message's type, of `publish`.
    type: NotRequired[str]
    # The message's id, of `publish`.
    id: NotRequired[str]
    # The message's key, of `publish`.
    key: NotRequired[str]
    # The message's payload, of `publish`.
    payload: NotRequired[Any]
    # `base64`: the payload is a base64 string and stands for bytes.
    encoding: NotRequired[Literal["base64"]]


class HookAnswer(TypedDict):
    """A backend's decision."""

    # Whether the client may.
    allow: bool
    # Why not; the client is shown it.
    reason: NotRequired[str | None]
    # For how many seconds this decision holds; with it, an allowed connect or join becomes a grant that the
    # client shows next time.
    ttl: NotRequired[float | None]
    # Of `join`: `publish` lets the client publish there without further questions.
    rights: NotRequired[list[str] | None]
    # Of `connect`: the user's name from now on.
    user: NotRequired[str | None]
    # What others see of the member; at most 1 KiB of JSON.
    info: NotRequired[Any]
    # Of `connect`: rooms that the connection joins.
    rooms: NotRequired[list[str] | None]
    # Of `publish`: the payload that is published in place of the client's.
    payload: NotRequired[Any]
    # `base64`: the payload is a base64 string and stands for bytes.
    encoding: NotRequired[Literal["base64"] | None]


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
