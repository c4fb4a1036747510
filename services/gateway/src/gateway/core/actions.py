"""What a session may ask its shell to do. Frozen; the shell does them in the order in which they come.

What goes to a shard names it: a room's shard is worked out by the session, once. Nothing is decided here.
"""

from __future__ import annotations

import msgspec

from gateway.core.client_messages import ServerMessage
from gateway.core.hook_messages import HookQuery
from warren import envelope
from warren.errors import CloseCode
from warren.pusher.gateway_events import GatewayEvent


class Send(msgspec.Struct, frozen=True):
    """Send this message to the client, behind what waits for it."""

    message: ServerMessage


class SendText(msgspec.Struct, frozen=True):
    """Send this to the client, behind what waits for it; it is spelled already. ``kind`` is what it counts
    as.
    """

    kind: str
    text: bytes


class Publish(msgspec.Struct, frozen=True):
    """Send this envelope to its room's shard. ``traceparent`` is what the client gave: the shell takes the
    sampling decision with it and, for a sampled message alone, puts its own span's into ``envelope.trace``.
    """

    envelope: envelope.Publish
    shard: int
    traceparent: str = ""


class Withdraw(msgspec.Struct, frozen=True):
    """Send no more of what this connection published to ``room`` and waits: it may not any more."""

    room: str


class Join(msgspec.Struct, frozen=True):
    """Send this envelope to its room's shard; never dropped, it waits. ``first``: the connection was not in
    the room before.
    """

    envelope: envelope.Join
    shard: int
    first: bool = False


class Leave(msgspec.Struct, frozen=True):
    """Send this envelope to the shard of all its rooms; never dropped, it waits. ``grace``: the client may be
    back in a moment, so it need not be sent at once.
    """

    envelope: envelope.Leave
    shard: int
    grace: bool = False


class Query(msgspec.Struct, frozen=True):
    """Have this HISTORY answered, from this gateway's memory or by the routers."""

    envelope: envelope.HistoryQuery
    shard: int


class Request(msgspec.Struct, frozen=True):
    """Ask a service, and tell the session what comes of it under ``ref``. ``name`` is the same whenever this
    user asks under this ref. ``judged``: that no answer comes in this time is the service's fault.
    ``durable``: it is answered by a message of the user's own room. ``traceparent`` is what the client gave.
    """

    ref: str
    service: str
    payload: bytes
    binary: bool
    user: str
    name: str
    timeout_s: float
    judged: bool
    durable: bool
    traceparent: str = ""


class CancelRequest(msgspec.Struct, frozen=True):
    """Tell a service, where it can be at work on it, that nobody wants what was asked under ``ref``."""

    ref: str


class Watch(msgspec.Struct, frozen=True):
    """Tell this connection of the presence in a room from now on, or (``on`` False) not any more.
    ``contact``: the room is a user's own, and only who is connected at all is of interest.
    """

    room: str
    shard: int
    on: bool
    contact: bool = False


class Inform(msgspec.Struct, frozen=True):
    """Send this envelope to its room's shard; never dropped, it waits."""

    envelope: envelope.Inform
    shard: int


class Follow(msgspec.Struct, frozen=True):
    """Tell this connection who is in a room where it is the member ``user``, and each one who comes and goes
    there, in the way of the Pusher protocol; or (``on`` False) not any more. Where there are ``limit``
    members it has no place there.
    """

    room: str
    shard: int
    on: bool
    user: str = ""
    info: bytes = b""
    limit: int = 0


class TellWebhooks(msgspec.Struct, frozen=True):
    """Have the webhooks of a Pusher app told of this."""

    event: GatewayEvent


class Seen(msgspec.Struct, frozen=True):
    """Have it said that the user has seen a room's messages up to here: soon, and with what else is seen
    there meanwhile.
    """

    envelope: envelope.Seen
    shard: int


class ReadPresence(msgspec.Struct, frozen=True):
    """Have this answered, from what this gateway has read already or by the routers; a client that has what
    ``digest`` stands for needs no names.
    """

    query: envelope.PresenceQuery
    shard: int
    digest: str = ""


class Exit(msgspec.Struct, frozen=True):
    """Take this connection out of the room on this gateway, at once."""

    room: str


class Authenticate(msgspec.Struct, frozen=True):
    """Check this token; what comes of it is the next input but for time. The shell reads no further frame
    before.
    """

    token: str


class Consult(msgspec.Struct, frozen=True):
    """Have it decided by a backend; what comes of it is an input with this ticket."""

    ticket: int
    query: HookQuery


class Hold(msgspec.Struct, frozen=True):
    """Read nothing more from the client for so many seconds: it sends only what is refused."""

    seconds: float


class Ping(msgspec.Struct, frozen=True):
    """Send a WebSocket ping."""


class Close(msgspec.Struct, frozen=True):
    """Close the WebSocket with this code and its reason, or another one; the ERROR that explains it was sent
    before.
    """

    code: CloseCode
    reason: str = ""


Action = (
    Send | SendText | Publish | Withdraw | Join | Leave | Query | Watch | Inform | Follow
    | TellWebhooks | Seen | ReadPresence | Request
    | CancelRequest | Exit | Authenticate | Consult | Hold | Ping | Close
)  # fmt: skip
Actions = list[Action]
