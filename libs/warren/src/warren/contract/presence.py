"""Presence: who is in a room, in pages and in changes.

The digest is the sum of all members' proofs modulo 2^64: whoever adds and subtracts the proofs that it was
given knows whether its list is right. Nothing here decides.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from warren.contract.fields import Connection, Count, Digest, Epoch, User, says

# What is shown with a member, in bytes of JSON.
INFO_MAX: Final = 1_024
PRESENCE_PAGE_MAX: Final = 500
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
    info: Annotated[Any | msgspec.UnsetType, says("What the member says of itself.")] = msgspec.UNSET


class PresenceCount(msgspec.Struct, frozen=True):
    """How many are in a room."""

    users: Annotated[Count, says("How many users.")]
    connections: Annotated[Count, says("How many connections.")]


class SeenPayload(msgspec.Struct, omit_defaults=True, frozen=True):
    """Who has seen a room's messages up to where: `users` of whom that is news, or all on the first page.

    A seq only grows, so what is told may be taken in any mixture: the greatest one counts. Whoever has the
    same `sum` of all seqs knows of all; else read the first page. Another epoch voids all that was known.
    """

    epoch: Annotated[Epoch, says("The epoch of the room in which the seqs count.")]
    sum: Annotated[Count, says("The sum of the seqs of all users who have seen anything.")]
    users: Annotated[dict[str, int], says("User: the seq up to which it has seen all.")] = {}


class PresencePayload(msgspec.Struct, omit_defaults=True, frozen=True):
    """The payload of PRESENCE: what there is, with a page of it, or with what has changed.

    The answer to an update is empty, the answer to who wants to watch has `watching` alone.
    """

    version: Annotated[
        Count | None, says("Grows with each change; what has a lower version than one seen is old.")
    ] = None
    count: Annotated[PresenceCount | None, says("How many are there.")] = None
    digest: Annotated[
        Digest,
        says("The sum of the proofs of all who are there: the client's own list is right where it agrees."),
    ] = ""
    counts_only: Annotated[
        bool, says("True: the room has too many members to name them; only `count` is told.")
    ] = False
    page: Annotated[bool, says("True: `joined` is one page of all who are there, in their order.")] = False
    after: Annotated[str | None, says("Of a page: behind whom it begins.")] = None
    more: Annotated[
        bool | None, says("Of a page: whether there are further ones; ask with `after` set to the last.")
    ] = None
    joined: Annotated[tuple[PresenceMember, ...], says("Those who have come, or who are on the page.")] = ()
    left: Annotated[
        tuple[User | Connection, ...],
        says("Those who have gone: users, or connections where the room tells those."),
    ] = ()
    updated: Annotated[tuple[PresenceMember, ...], says("Those whose `info` has changed.")] = ()
    seen: Annotated[
        SeenPayload | None,
        says("Who has seen what, where the room tells that (`receipts: seen` in its namespace)."),
    ] = None
    watching: Annotated[
        bool | None, says("Whether this connection is told from now on; false: it may not be.")
    ] = None
