"""The Pusher protocol (version 7): messages that go to members ▶ its events. ``data`` is text in the JSON.

What Warren says of itself (WELCOME, JOINED, ERROR …) has no form there: the session of such a connection
(``core/pusher_session.py``) speaks in frames of its own. A message that is no event, or would look like one
of the protocol's own, is spelled as nothing. This module keeps nothing and never raises.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.core.client_messages import ClientMessage, ServerMessage
from warren.envelope import Deliver
from warren.errors import ErrorCode, ProtocolError
from warren.pusher import messages
from warren.pusher.channels import USER_CHANNEL, id_of, is_channel, is_presence, place_of, room_of

OPCODE: Final = 0x1
_encode: Final = msgspec.json.Encoder().encode


class Spelled(msgspec.Struct, omit_defaults=True):
    """A frame of the protocol. ``data`` is text: nearly always JSON itself."""

    event: str
    data: str | msgspec.UnsetType = msgspec.UNSET
    channel: str = ""
    user_id: str = ""


def decode(data: str | bytes) -> ClientMessage:
    """Refuse: what such a client sends is read by ``core/pusher_frames.py``."""
    raise ProtocolError(ErrorCode.INVALID_FORMAT, "no message of warren.v1")


def encode(message: ServerMessage, at_ms: int) -> bytes:
    """Return nothing: it has no form here."""
    return b""


def spell(event: str, data: str, channel: str = "", user_id: str = "") -> bytes:
    """Return the bytes of a frame."""
    return _encode(Spelled(event, data, channel, user_id))


def encode_delivery(deliver: Deliver) -> bytes:
    """Return the bytes of a message as an event; nothing where it is none. Outside of channels (to everyone,
    to one connection) an event has no channel.
    """
    found = messages.event_of(deliver.type, deliver.payload, binary=deliver.binary)
    if found is None:
        return b""
    channel, told = channel_of(deliver.room), ""
    if not channel and (place := place_of(deliver.room)) is not None:
        channel = found.channel
        if not is_channel(channel) or room_of(place.app, channel) != deliver.room:
            return b""
    if deliver.user and is_presence(channel) and found.name.startswith(messages.CLIENT):
        told = id_of(deliver.user)
    return spell(found.name, found.data, channel, told)


def channel_of(room: str) -> str:
    """Return the channel that a room is to clients; empty where it is none, or its name is too long to be
    told.
    """
    if room[:1] == "@":
        return USER_CHANNEL + id_of(room[1:])
    place = place_of(room)
    return "" if place is None else place.channel
