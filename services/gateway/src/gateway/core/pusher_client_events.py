"""Pusher client events: what a client says to the others in a channel ▶ the message that it is, where it may.

They go to private and presence channels that the client is subscribed to, where the app allows it. In cache
channels they are not kept, since what those keep is the last event of a server. It keeps nothing and raises
nothing but ProtocolError.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.core.pusher_subscriptions import Subscription, is_told
from warren import envelope
from warren.errors import ErrorCode, ProtocolError
from warren.pusher import channels, messages
from warren.pusher.apps import App

EVENT_BYTES: Final = 10 * 1_024


class ClientEvent(NamedTuple):
    """What a client says."""

    name: str
    channel: str
    data: str


def published_of(
    app: App, event: ClientEvent, room: str, subscription: Subscription | None, origin: tuple[str, str, int]
) -> envelope.Publish:
    """Return the message for ``room``, where this connection is by ``subscription`` (None: it is not);
    ``origin`` is the connection, the message's id and the time (µs since the Unix epoch). Raises where the
    client may not say it, or it is none.
    """
    name, channel, data = event
    if not app.client_events:
        raise ProtocolError(ErrorCode.FORBIDDEN, "Client events are not enabled for this app")
    if not channels.is_private(channel) or channels.is_encrypted(channel):
        says = "Client events go to private and presence channels alone, not encrypted"
        raise ProtocolError(ErrorCode.FORBIDDEN, says)
    if subscription is None:
        raise ProtocolError(ErrorCode.NOT_JOINED, f"You are not subscribed to {channel}")
    if not messages.is_name(name):
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, f"event: {messages.NAME_RULE}")
    if len(data) > EVENT_BYTES or len(data.encode("utf-8", "replace")) > EVENT_BYTES:
        raise ProtocolError(ErrorCode.MESSAGE_TOO_LARGE, f"data: at most {EVENT_BYTES} bytes")
    try:
        kind, payload = messages.message_of(name, data, "" if is_told(room) else channel)
    except UnicodeEncodeError:
        raise ProtocolError(ErrorCode.INVALID_PAYLOAD, "data: is no text in UTF-8") from None
    conn, ident, now_us = origin
    ephemeral = channels.is_cache(channel)
    return envelope.Publish(room, kind, payload, now_us, conn, subscription.user, ident, ephemeral=ephemeral)
