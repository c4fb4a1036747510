"""Addresses: what a room may be called, the reserved ones, and which shard a room is on.

Rooms are the only address. ``@<user>`` is all connections of a user, ``*`` is everyone, and a connection's
own address is its connection id ``<gateway>~<number>``, which names its gateway. ``~`` is not allowed in room
names, so no room can be taken for a connection. This module never does I/O and knows no room that exists.
"""

from __future__ import annotations

import re
from zlib import crc32

EVERYONE = "*"

ROOM = re.compile(r"[A-Za-z0-9._\-:/][A-Za-z0-9._\-:/@]{0,127}")
# A user's name may have what identity providers put in ``sub`` (e-mail addresses, "auth0|…") besides what a
# room may have: all that stands before the @ of an e-mail address (RFC 5322's atext) but ``~``, which is a
# connection's, and ``*`` and ``#``, which are wildcards of topics.
USER = re.compile(r"[A-Za-z0-9._\-:/|+=%!$&'?^`{}][A-Za-z0-9._\-:/@|+=%!$&'?^`{}]{0,126}")
CONNECTION = re.compile(r"[A-Za-z0-9\-]{1,64}~[0-9a-z]{1,16}")

ROOM_RULE = "1 to 128 characters of letters, digits and . _ - : / @; @ and * first are reserved"
USER_RULE = (
    "1 to 127 characters of letters, digits and . _ - : / @ | + = % ! $ & ' ? ^ ` { }; @ first is reserved"
)


def is_room(name: str) -> bool:
    """Say whether ``name`` is an ordinary room's (see ROOM_RULE)."""
    return ROOM.fullmatch(name) is not None


def is_user(name: str) -> bool:
    """Say whether ``name`` may be a user's (see USER_RULE)."""
    return USER.fullmatch(name) is not None


def is_connection(address: str) -> bool:
    """Say whether ``address`` is a connection's id."""
    return "~" in address and CONNECTION.fullmatch(address) is not None


def is_address(address: str) -> bool:
    """Say whether ``address`` is any that a message can be sent to: a room, a user, a connection
    or everyone.
    """
    if address.startswith("@"):
        return is_user(address[1:])
    return address == EVERYONE or is_room(address) or is_connection(address)


def is_reserved(address: str) -> bool:
    """Say whether ``address`` is one that clients neither join nor publish to by name (``@user``, ``*``, a
    connection).
    """
    return address[:1] in ("@", "*") or "~" in address


def user_room(user: str) -> str:
    """Return the room that each of the user's connections joins at connect."""
    return "@" + user


def is_user_room(address: str) -> bool:
    """Say whether ``address`` is all connections of a user."""
    return address.startswith("@") and is_user(address[1:])


def connection_id(gateway: str, number: int) -> str:
    """Return the id of a gateway's ``number``-th connection; it is also the connection's address."""
    return f"{gateway}~{number:x}"


def gateway_of(connection: str) -> str:
    """Return the gateway that holds this connection."""
    return connection.partition("~")[0]


def shard_of(address: str, shards: int) -> int:
    """Return the shard (0 … shards-1) that numbers the messages of this address: crc32 of its
    UTF-8, modulo.
    """
    return crc32(address.encode()) % shards
