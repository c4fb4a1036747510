"""Pusher subscriptions: which room a client wants to be in by subscribing to a channel, and as whom it may.

A public channel is joined by nobody in particular; a private one too, where its app has signed that; a
presence channel by the member that its app has signed; a user's own channel by whoever has signed in as that
user. It keeps nothing and raises nothing but ProtocolError.
"""

from __future__ import annotations

import msgspec

from gateway.core.pusher_frames import Subscribe, member_of
from warren.address import user_room
from warren.errors import ErrorCode, ProtocolError
from warren.position import Position
from warren.pusher import channels, signatures
from warren.pusher.apps import App


class Subscription(msgspec.Struct):
    """One channel of a connection."""

    channel: str
    user: str  # whom the room knows
    info: bytes = b""  # what the room shows of it, as JSON; empty: nothing
    followed: bool = False  # the client is told who comes and goes
    stood: Position | None = None  # where the room stood when this one came in


def subscription_of(app: App, socket: str, user: str, wanted: Subscribe) -> tuple[str, Subscription]:
    """Return the room of a channel and as whom the connection ``socket`` is to be there; ``user`` is the one
    as whom it has signed in (empty: it has not). Raises FORBIDDEN, and INVALID_MESSAGE where what was signed
    can't be used.
    """
    channel = wanted.channel
    if channel.startswith(channels.USER_CHANNEL):
        if not user or app.user(channel[len(channels.USER_CHANNEL) :]) != user:
            raise ProtocolError(ErrorCode.FORBIDDEN, "Sign in as this user before you subscribe")
        return user_room(user), Subscription(channel, user)
    room, presence = app.room(channel), channels.is_presence(channel)
    if channels.is_private(channel):
        data = wanted.channel_data if presence else None
        if presence and data is None:
            raise ProtocolError(ErrorCode.FORBIDDEN, "channel_data: is missing")
        _check(app, signatures.of_channel(socket, channel, data), wanted.auth)
        if data is not None:
            return room, _of_member(app, channel, data)
    # What a room's name does not tell is told with its members.
    info = b"" if is_told(room) else msgspec.json.encode({"channel": channel})
    return room, Subscription(channel, channels.nobody(app.id), info)


def is_told(room: str) -> bool:
    """Say whether a room's name tells its channel."""
    place = channels.place_of(room)
    return place is not None and bool(place.channel)


def _of_member(app: App, channel: str, data: str) -> Subscription:
    ident, info = member_of(data)
    user = app.user(ident)
    if user is None:
        says = "channel_data: user_id is too long: with what is escaped it has at most about 90 characters"
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, says)
    return Subscription(channel, user, info, followed=True)


def _check(app: App, text: str, auth: str | None) -> None:
    if not auth:
        raise ProtocolError(ErrorCode.FORBIDDEN, "auth: is missing")
    if not app.has_granted(text, auth):
        says = "auth: the signature does not hold: it is <key>:<HMAC-SHA256 in hex of socket_id:channel>"
        raise ProtocolError(ErrorCode.FORBIDDEN, says)
