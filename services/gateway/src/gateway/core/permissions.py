"""Permissions: who a client is, and what its token and a room's namespace let it do.

A token may carry patterns of rooms to join and to publish to: where it does, they bound everything; where it
does not, the namespace alone decides. It raises ProtocolError and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from warren.address import ROOM_RULE, is_room, user_room
from warren.errors import ErrorCode, ProtocolError
from warren.namespaces import Namespaces, RoomPolicy, matches


@dataclass(frozen=True, slots=True)
class Identity:
    """A client that is known. ``expires_at`` is wall clock, seconds since the Unix epoch, as in a token's
    ``exp``; None: never.
    """

    user: str
    join: tuple[str, ...] | None = None  # patterns of rooms; None: the token says nothing
    publish: tuple[str, ...] | None = None
    expires_at: float | None = None
    anonymous: bool = False
    token_id: str = ""  # the token's ``jti``, by which it can be revoked
    issued_s: int = 0  # its ``iat``, s since the Unix epoch; 0: it does not say


def check_room(room: str) -> None:
    """Raise where ``room`` is no name that a client may say."""
    if not is_room(room):
        raise ProtocolError(ErrorCode.INVALID_ROOM, f"room: {ROOM_RULE}" if room else "room: is missing")


def may_join(identity: Identity, policy: RoomPolicy, room: str) -> bool:
    """Say whether token and namespace let this client join."""
    return _allows(identity.join, room, must=policy.join == "token")


def default_room(identity: Identity, namespaces: Namespaces, rooms: Sequence[str], present: str = "") -> str:
    """Return the room of messages that name none: the ``present`` one while this client may join it, else the
    first of ``rooms`` that it may.
    """
    allowed = [
        room for room in (present, *rooms) if room and may_join(identity, namespaces.policy(room), room)
    ]
    return allowed[0] if allowed else ""


def lost(identity: Identity, namespaces: Namespaces, rooms: Iterable[str]) -> list[str]:
    """Return those of ``rooms`` that this client may not be in; its own room it always may."""
    own = user_room(identity.user)
    return [room for room in rooms if room != own and not may_join(identity, namespaces.policy(room), room)]


def check_join(identity: Identity, namespaces: Namespaces, room: str) -> None:
    """Raise where the client may not join ``room``."""
    check_room(room)
    if not may_join(identity, namespaces.policy(room), room):
        raise ProtocolError(ErrorCode.FORBIDDEN, "You may not join this room")


def check_publish(identity: Identity, namespaces: Namespaces, room: str, joined: bool) -> RoomPolicy:
    """Return the policy of ``room``; raise where the client may not publish to it."""
    check_room(room)
    policy = namespaces.policy(room)
    if not _allows(identity.publish, room, must=policy.publish == "token"):
        raise ProtocolError(ErrorCode.FORBIDDEN, "You may not publish to this room")
    if policy.publish == "members" and not joined:
        raise ProtocolError(ErrorCode.NOT_JOINED, "Join this room before you publish to it")
    return policy


def _allows(patterns: tuple[str, ...] | None, room: str, must: bool) -> bool:
    """Say whether the token's patterns allow ``room``. ``must``: a token that says nothing does not."""
    if patterns is None:
        return not must
    return any(matches(pattern, room) for pattern in patterns)
