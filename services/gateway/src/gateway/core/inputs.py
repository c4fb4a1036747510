"""Inputs: what one connection is told by its client, the routers, the clock, the broker and its own gateway.

All of it goes through one queue, in the order in which it comes, also what went wrong with what the
connection itself has just asked for: that is one more input, behind the others, and never a call back into
the middle of what is being done. Frozen; nothing is decided here.
"""

from __future__ import annotations

import msgspec

from gateway.core.hook_desk import Verdict
from gateway.core.permissions import Identity
from warren import envelope
from warren.errors import CloseCode, ErrorCode
from warren.position import Position

# What a router says to one connection.
Reply = (
    envelope.Joined
    | envelope.Left
    | envelope.Ack
    | envelope.Refused
    | envelope.HistoryPage
    | envelope.Dismissed
    | envelope.Enrolled
    | envelope.TokensRevoked
    | envelope.Receipt
)


class TokenAccepted(msgspec.Struct, frozen=True):
    """The token that was to be checked holds, or the client may be anonymous."""

    identity: Identity


class TokenRefused(msgspec.Struct, frozen=True):
    """The token that was to be checked does not hold. ``reason`` is the metric's word; ``says`` is for the
    client and never repeats the token.
    """

    reason: str
    says: str


class PresenceRead(msgspec.Struct, frozen=True):
    """What was read of the presence in a room, as the payload (JSON text) of the answer to ``ref``."""

    room: str
    ref: str
    payload: bytes


class ContactRefused(msgspec.Struct, frozen=True):
    """There is no place for one more user that is watched, whose own room this is."""

    room: str


class MembersListed(msgspec.Struct, frozen=True):
    """Who is in a room that this connection follows, as JSON; empty: there is no place for it there."""

    room: str
    data: str


class Tick(msgspec.Struct, frozen=True):
    """It is ``now`` (monotonic seconds)."""

    now: float


class Undelivered(msgspec.Struct, frozen=True):
    """What was sent under ``ref`` was not taken (OVERLOADED) or was taken back (FORBIDDEN), or nobody knows
    whether it got through (UNAVAILABLE).
    """

    ref: str
    code: ErrorCode


class Responded(msgspec.Struct, frozen=True):
    """A service has answered the REQUEST ``ref``: with the ``n``-th part (1, 2, 3 …); ``more``: parts
    follow.
    """

    ref: str
    payload: bytes
    binary: bool
    n: int
    more: bool


class RequestAccepted(msgspec.Struct, frozen=True):
    """The broker has the REQUEST ``ref``, whose answer is to be durable."""

    ref: str


class RequestFailed(msgspec.Struct, frozen=True):
    """The REQUEST ``ref`` is not answered. ``code`` is one of ours, or a service's own; ``retry_after_ms``
    None: nobody knows when it would be.
    """

    ref: str
    code: str
    says: str
    retry_after_ms: int | None = None


class JoinsRefused(msgspec.Struct, frozen=True):
    """JOINs found no place on their way to the routers. ``rooms`` are those that only these JOINs asked for:
    no router holds the connection in them, and none has to be told that it left.
    """

    rooms: tuple[str, ...]


class Rejoin(msgspec.Struct, frozen=True):
    """What routers were told of this gateway's members in ``shard`` is void, or what they said is lost."""

    shard: int


class Resynced(msgspec.Struct, frozen=True):
    """The member of ``room`` goes on from ``position``; what lies before that may be lost to it."""

    room: str
    position: Position


class BrokerChanged(msgspec.Struct, frozen=True):
    """The broker takes what is published (``up``), or does not."""

    up: bool


class DrainRequested(msgspec.Struct, frozen=True):
    """The client is to connect elsewhere after ``after_ms``."""

    after_ms: int


class MessageTooLarge(msgspec.Struct, frozen=True):
    """A message was refused for its size before it was read whole; ``limit`` is the one that it broke, in
    bytes (0: the one for everyone).
    """

    limit: int


class EndRequested(msgspec.Struct, frozen=True):
    """The connection is to be closed from our side; ``message`` is put into the ERROR that says why."""

    code: CloseCode
    message: str = ""


class GrantsRevoked(msgspec.Struct, frozen=True):
    """What this user was granted by backends before ``void_s`` (s since the Unix epoch) is void."""

    void_s: int


class HookDecided(msgspec.Struct, frozen=True):
    """What was asked about this connection under ``ticket`` was decided, or could not be."""

    ticket: int
    verdict: Verdict


class SocketLost(msgspec.Struct, frozen=True):
    """The WebSocket is closed, or its socket is gone."""


# A client's message is its data frame: text as str, binary as bytes.
Input = (
    str
    | bytes
    | Reply
    | TokenAccepted
    | TokenRefused
    | PresenceRead
    | ContactRefused
    | MembersListed
    | Tick
    | Undelivered
    | Responded
    | RequestAccepted
    | RequestFailed
    | JoinsRefused
    | Rejoin
    | Resynced
    | BrokerChanged
    | DrainRequested
    | MessageTooLarge
    | EndRequested
    | GrantsRevoked
    | HookDecided
    | SocketLost
)
