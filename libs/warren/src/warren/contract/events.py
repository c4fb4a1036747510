"""Events: what backends are told of clients, rooms and messages, each as one AMQP message of JSON.

What is empty is left out. Nothing here encodes or decides.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from warren.contract.fields import (
    Address,
    Base64,
    Connection,
    Count,
    Epoch,
    Seq,
    Time,
    Type,
    User,
    ruled,
    says,
)

EventId = Annotated[
    str, says("Names the event; a repeat has the same one. It is also the AMQP property `message_id`.")
]
At = Annotated[Time, says("When it happened, in ms since the Unix epoch.")]


class MembershipEvent(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True, gc=False):
    """A connection has come into a room, or gone. In its own room `@<user>` it has connected or disconnected.

    `generation` and `gateway` together distinguish a late "disconnected" from a newer "connected".
    """

    event_id: EventId
    event: Annotated[
        str,
        ruled(enum=["client.connected", "client.disconnected", "room.joined", "room.left"]),
        says("What happened; the routing key, too."),
    ]
    connection: Annotated[Connection, says("The connection.")] = ""
    user: Annotated[User, ruled, says("Whose connection it is.")] = ""
    room: Annotated[Address, says("The room.")] = ""
    gateway: Annotated[
        str,
        says("The gateway that holds the connection; it has a new name in each of its lives."),
    ] = ""
    generation: Annotated[
        Count | None,
        says("The connection's number in its gateway; a later connection has a higher one."),
    ] = None
    connections: Annotated[
        Count | None,
        says("How many connections of the user are in the room after it: 0 is the last one's end."),
    ] = None
    members: Annotated[
        Count | None,
        says("How many connections are in the room after it: 1 is the first one, 0 the last one's end."),
    ] = None
    at: At
    reason: Annotated[
        str,
        says(
            "Why one has gone: `left`, `gone` (its gateway has died), `removed`, `blocked`, "
            "`disconnected`, `replaced` or `revoked`."
        ),
    ] = ""


class MessageEvent(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True, gc=False):
    """A message was accepted (`message`), or nobody was there for it, or has seen it in the time that its
    sender gave (`message.undelivered`).

    A push service that binds `message.undelivered.#` hears who was away.
    """

    event_id: EventId
    event: Annotated[str, ruled(enum=["message", "message.undelivered"]), says("What happened.")]
    room: Annotated[Address, says("The room.")] = ""
    type: Annotated[Type, says("The message's type.")] = ""
    epoch: Annotated[Epoch, says("The epoch of the room in which `seq` counts.")] = ""
    seq: Annotated[Seq | None, says("The message's number in its room.")] = None
    connection: Annotated[Connection, says("The sender's connection; missing if a backend sent it.")] = ""
    user: Annotated[User, ruled, says("The sender; missing if a backend sent it.")] = ""
    id: Annotated[str, says("The sender's name for the message.")] = ""
    at: At
    encoding: Annotated[Base64, says("`base64`: the payload is a base64 string and stands for bytes.")] = ""
    payload: Annotated[msgspec.Raw, says("What the sender sent.")]
    reason: Annotated[
        str,
        says(
            "Of `message.undelivered`: `nobody` (was there), `unseen` (in its time), or `overloaded` (too "
            "many messages of its shard wait to be seen, so it is told at once)."
        ),
    ] = ""


class EventHeaders(msgspec.Struct, omit_defaults=True, frozen=True):
    """The AMQP headers of an event, as the AMQP binding of CloudEvents 1.0 has them."""

    id: Annotated[str, says("The event's id.")] = msgspec.field(name="cloudEvents_id")
    source: Annotated[str, says("The installation and the shard that the event comes from.")] = msgspec.field(
        name="cloudEvents_source"
    )
    type: Annotated[str, says("What happened: the field `event`.")] = msgspec.field(name="cloudEvents_type")
    specversion: Annotated[Literal["1.0"], says("The version of CloudEvents.")] = msgspec.field(
        name="cloudEvents_specversion"
    )
    time: Annotated[str, says("When it happened, as RFC 3339 writes it.")] = msgspec.field(
        name="cloudEvents_time", default=""
    )
    subject: Annotated[str, says("The room.")] = msgspec.field(name="cloudEvents_subject", default="")


EVENTS: Final = (MembershipEvent, MessageEvent)
