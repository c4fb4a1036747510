"""Presence: who is in a room, in pages and in changes.

The digest is the sum of all members' proofs modulo 2^64: whoever adds and subtracts the proofs that it was
given knows whether its list is right. Nothing here decides.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from warren.contract.fields import Connection, Count, Digest, User, says

PRESENCE_PAGE_MAX: Final = 1_000
PRESENCE_PAGE_DEFAULT: Final = 100
# How many users a connection may watch.
CONTACTS_MAX: Final = 100


class PresenceMember(msgspec.Struct, omit_defaults=True, frozen=True):
    """One who is in a room."""

    user: Annotated[User, says("The user's name.")]
    proof: Annotated[Digest, says("Hexadecimal; the `digest` is the sum of all members' proofs modulo 2^64.")]
    connection: Annotated[
        Connection,
        says("The connection, where the room tells connections; missing where it tells users."),
    ] = ""
    info: Annotated[Any, says("What the member says of itself.")] = None


class PresenceCount(msgspec.Struct, frozen=True):
    """How many are in a room."""

    users: Annotated[Count, says("How many users.")]
    connections: Annotated[Count, says("How many connections.")]


class PresencePayload(msgspec.Struct, omit_defaults=True, frozen=True):
    """The payload of PRESENCE: a page (it has `members`) or what has changed."""

    version: Annotated[Count, says("Grows with each change; what has a lower version than one seen is old.")]
    count: Annotated[PresenceCount, says("How many are there.")]
    digest: Annotated[
        Digest,
        says("Hexadecimal; equal to the sum of the known members' proofs: the own list is right."),
    ] = ""
    joined: Annotated[tuple[PresenceMember, ...], says("Those who have come since the last frame.")] = ()
    left: Annotated[
        tuple[User | Connection, ...],
        says("Those who have gone: users, or connections where the room tells those."),
    ] = ()
    updated: Annotated[tuple[PresenceMember, ...], says("Those whose `info` has changed.")] = ()
    members: Annotated[
        tuple[PresenceMember, ...] | None, says("One page of all who are there, in their order.")
    ] = None
    more: Annotated[bool, says("There are further members: ask with `after` set to the last one.")] = False
    counts_only: Annotated[
        bool, says("True: the room has too many members to name them; only `count` is told.")
    ] = False
