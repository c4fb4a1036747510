"""Addresses: whom a notification or a command is for, written as Warren's routing keys are.

It knows the rules of names and nothing of who is there.
"""

from __future__ import annotations

import re
from typing import Final

EVERYONE: Final = "all"

_ROOM = re.compile(r"[A-Za-z0-9._\-:/][A-Za-z0-9._\-:/@]{0,127}")
_USER = re.compile(r"[A-Za-z0-9._\-:/|+=%!$&'?^`{}][A-Za-z0-9._\-:/@|+=%!$&'?^`{}]{0,126}")
_CONNECTION = re.compile(r"[A-Za-z0-9\-]{1,64}~[0-9a-z]{1,16}")
_RULES: Final = {
    "room": (_ROOM, "a room's name has 1 to 128 letters, digits and . _ - : / @, @ not first"),
    "user": (
        _USER,
        "a user's name has 1 to 127 letters, digits and . _ - : / @ | + = % ! $ & ' ? ^ ` { }, @ not first",
    ),
    "conn": (_CONNECTION, "a connection's id is that of its WELCOME, such as g1~5f"),
}


def room(name: str) -> str:
    """Return the address of a room. Raises ValueError where no room can be called so."""
    return checked(f"room.{name}")


def user(name: str) -> str:
    """Return the address of a user: all of the user's connections. Raises ValueError."""
    return checked(f"user.{name}")


def connection(ident: str) -> str:
    """Return the address of one connection, by its id. Raises ValueError."""
    return checked(f"conn.{ident}")


def checked(address: str) -> str:
    """Return an address that may be one. Raises ValueError that says what is wrong."""
    if address == EVERYONE:
        return address
    kind, dot, name = address.partition(".")
    rule = _RULES.get(kind)
    if rule is None or not dot:
        raise ValueError(
            f"{address!r} is no address: use room.<room>, user.<user>, conn.<connection id> or all"
        )
    if rule[0].fullmatch(name) is None:
        raise ValueError(f"{address!r} is no address: {rule[1]}")
    return address
