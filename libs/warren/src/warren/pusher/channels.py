"""Channels: what a Pusher channel may be called, what its name says of it, and which room it is.

The room of the channel ``orders`` of the app ``shop`` is ``pusher:shop:orders``. What a room's name can't
hold is escaped by a ``/``, which no channel's name has: ``=`` is ``/e``, ``,`` is ``/c``, ``;`` is ``/s``.
Where that is longer than a room's name may be, it is cut and ends with ``//`` and the SHA-256 of the
channel's name: so no two channels share a room, of one app or of two. Of a room with ``//`` the channel's
name can't be told; who has to tell it must know it. Users are mapped alike, with ``%`` in front of two hex
digits of each byte.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from warren.address import is_connection, is_user

PREFIX: Final = "pusher:"
APP_ID: Final = re.compile(r"[A-Za-z0-9_\-]{1,24}")
CHANNEL: Final = re.compile(r"[A-Za-z0-9_\-=@,.;]{1,200}")
CHANNEL_RULE: Final = "1 to 200 letters, digits and _ - = @ , . ;"
SOCKET: Final = re.compile(r"[0-9]{1,200}\.[0-9]{1,20}")
USER_CHANNEL: Final = "#server-to-user-"
ROOM_MAX: Final = 128
USER_MAX: Final = 127

_ESCAPES: Final = str.maketrans({"=": "/e", ",": "/c", ";": "/s"})
_ESCAPED: Final = re.compile(r"/([ecs])")
_PLAIN: Final = {"e": "=", "c": ",", "s": ";"}
_CUT: Final = "//"
_DIGEST: Final = 43  # characters of a SHA-256 in base64 without padding
_IN_USERS: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:/@|+=!$&'?^`{}"
)
_HEX: Final = re.compile(r"%([0-9A-F]{2})")


class Place(NamedTuple):
    """Whose channel a room is; ``channel`` is empty where its name is too long to be told."""

    app: str
    channel: str


def is_channel(name: str) -> bool:
    """Say whether ``name`` may be a channel's (see CHANNEL_RULE); a user's own channel is none of these."""
    return CHANNEL.fullmatch(name) is not None


def is_private(name: str) -> bool:
    """Say whether to subscribe takes a signature."""
    return name.startswith(("private-", "presence-"))


def is_presence(name: str) -> bool:
    """Say whether its subscribers see each other."""
    return name.startswith("presence-")


def is_encrypted(name: str) -> bool:
    """Say whether what goes there is encrypted by publishers, so that clients may not publish."""
    return name.startswith("private-encrypted-")


def is_cache(name: str) -> bool:
    """Say whether who subscribes is given the last event."""
    for kind in ("private-encrypted-", "private-", "presence-"):
        if name.startswith(kind):
            return name.startswith("cache-", len(kind))
    return name.startswith("cache-")


def rooms_of(app: str) -> str:
    """Return how the names of all rooms of an app begin."""
    return f"{PREFIX}{app}:"


@lru_cache(maxsize=8_192)
def room_of(app: str, channel: str) -> str:
    """Return the room of a channel."""
    begin = rooms_of(app)
    room = begin + channel.translate(_ESCAPES)
    if len(room) <= ROOM_MAX:
        return room
    digest = urlsafe_b64encode(sha256(channel.encode()).digest()).decode().rstrip("=")
    return room[: ROOM_MAX - len(_CUT) - _DIGEST] + _CUT + digest


def prefix_of(app: str, begin: str) -> str:
    """Return how the rooms of an app's channels begin whose names begin so; too short where the names would
    have to be cut.
    """
    most = ROOM_MAX - len(_CUT) - _DIGEST - 2
    return (rooms_of(app) + begin.translate(_ESCAPES))[:most]


@lru_cache(maxsize=8_192)
def place_of(room: str) -> Place | None:
    """Return whose channel a room is; None where it is none's."""
    if not room.startswith(PREFIX):
        return None
    app, colon, rest = room[len(PREFIX) :].partition(":")
    if not colon or not rest or APP_ID.fullmatch(app) is None:
        return None
    if _CUT in rest:
        return Place(app, "")
    channel = _ESCAPED.sub(lambda found: _PLAIN[found[1]], rest)
    return Place(app, channel) if is_channel(channel) and room_of(app, channel) == room else None


# ── users ───────────────────────────────────────────────────────────────────────────────────────────────────


def nobody(app: str) -> str:
    """Return what the user of a connection is called that has not signed in."""
    return rooms_of(app)


def user_of(app: str, ident: str, *, shared: bool = False) -> str | None:
    """Return the user of Warren that a user's id of an app stands for (``shared``: of all that have this id);
    None where it is empty, too long, or no text.
    """
    text = _escaped(ident, shared=shared)
    user = text if shared else rooms_of(app) + text
    return user if text and is_user(user) else None


def id_of(user: str) -> str:
    """Return the id that a user of Warren has in channels; one that no app has named is called what it is."""
    shared = not user.startswith(PREFIX)
    text = user if shared else user[len(PREFIX) :].partition(":")[2]
    if "%" not in text:
        return text
    raw = _HEX.sub(lambda found: chr(int(found[1], 16)), text)
    try:
        ident = raw.encode("latin-1").decode()
    except UnicodeError:
        return text
    return ident if _escaped(ident, shared=shared) == text else text


def _escaped(ident: str, *, shared: bool) -> str:
    try:
        text = "".join(chr(byte) if byte in _IN_USERS else f"%{byte:02X}" for byte in ident.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return ""
    return f"%{ord(text[0]):02X}{text[1:]}" if shared and text.startswith(("@", PREFIX)) else text


# ── connections ─────────────────────────────────────────────────────────────────────────────────────────────


def socket_of(connection: str) -> str:
    """Return the ``socket_id`` of a connection: it holds its id, so that any gateway and router can tell
    whose it is.
    """
    gateway, _, number = connection.partition("~")
    return f"{int.from_bytes(gateway.encode())}.{int(number, 16)}"


def connection_of(socket: str) -> str | None:
    """Return the connection whose ``socket_id`` this is; None where it is none's."""
    if SOCKET.fullmatch(socket) is None:
        return None
    gateway, _, number = socket.partition(".")
    name = int(gateway)
    try:
        connection = f"{name.to_bytes((name.bit_length() + 7) // 8).decode('ascii')}~{int(number):x}"
    except UnicodeError:
        return None
    return connection if is_socket_of(connection, socket) else None


def is_socket_of(connection: str, socket: str) -> bool:
    """Say whether a connection has this ``socket_id``."""
    return is_connection(connection) and socket_of(connection) == socket
