"""Permissions: who a client is, and what its token and a room's namespace let it do.

A token may carry patterns of rooms to join, to publish to and whose presence to watch, and of services to
call: where it does, they bound everything; where it does not, the namespace or the service's policy alone
decides. It raises ProtocolError and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.core.hook_messages import HookAnswer
from warren.address import ROOM_RULE, is_room, user_room
from warren.errors import ErrorCode, ProtocolError
from warren.log_entries import PRESENCE_CONNECTIONS, PRESENCE_COUNT, PRESENCE_OFF, PRESENCE_USERS
from warren.namespaces import Namespaces, PresenceMode, RoomPolicy
from warren.patterns import matches
from warren.services import SERVICE_RULE, ServicePolicy, Services, is_service

_MODES: Final[dict[PresenceMode, int]] = {
    "off": PRESENCE_OFF,
    "count": PRESENCE_COUNT,
    "connections": PRESENCE_CONNECTIONS,
    "users": PRESENCE_USERS,
}


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
    watch: tuple[str, ...] | None = None  # as join: whose presence it may be told
    call: tuple[str, ...] | None = None  # patterns of services
    nameless: bool = False  # the client has named nobody; the name was made up
    claims: bytes = b""  # those that backends are shown when they decide, as JSON; empty: none
    # What a backend has said about the connection, where one decides: whether it has, whom the token named,
    # which rooms it may join whatever token and namespace say, and what others see of it, as JSON.
    decided: bool = False
    subject: str = ""
    rooms: tuple[str, ...] = ()
    info: bytes = b""
    token_id: str = ""  # the token's ``jti``, by which it can be revoked
    issued_s: int = 0  # its ``iat``, s since the Unix epoch; 0: it does not say
    hidden: tuple[str, ...] = ()  # patterns of rooms whose presence does not show it
    infos: tuple[tuple[str, bytes], ...] = ()  # claim ▶ JSON that is shown of it; "": where no claim is named


def check_room(room: str) -> None:
    """Raise where ``room`` is no name that a client may say."""
    if not is_room(room):
        raise ProtocolError(ErrorCode.INVALID_ROOM, f"room: {ROOM_RULE}" if room else "room: is missing")


def may_join(identity: Identity, policy: RoomPolicy, room: str) -> bool:
    """Say whether token and namespace let this client join."""
    return room in identity.rooms or _allows(identity.join, room, must=policy.join == "token")


def asks_to_join(identity: Identity, policy: RoomPolicy, room: str) -> bool:
    """Say whether a backend decides about this client's JOIN of a room."""
    return "join" in policy.hooks and room not in identity.rooms


def may_join_unasked(identity: Identity, policy: RoomPolicy, room: str) -> bool:
    """Say whether this client may join a room that no backend has to decide about."""
    return not asks_to_join(identity, policy, room) and may_join(identity, policy, room)


def rooms_at_connect(identity: Identity, namespaces: Namespaces, rooms: Sequence[str]) -> list[str]:
    """Return the rooms that this client joins when it connects: those of ``rooms`` that it may. What the
    operator lets everyone join at connect still has to be within what its token allows.
    """
    return [
        room
        for room in dict.fromkeys((*rooms, *identity.rooms))
        if may_join_unasked(identity, namespaces.policy(room), room)
    ]


def decided(identity: Identity, answer: HookAnswer) -> Identity:
    """Return a client as a backend has let it in."""
    return replace(
        identity,
        user=answer.user or identity.user,
        decided=True,
        subject=identity.user,
        rooms=answer.rooms,
        info=answer.info,
    )


def as_it_came(identity: Identity) -> Identity:
    """Return a client as it was before a backend let it in."""
    if not identity.decided:
        return identity
    return replace(identity, user=identity.subject, decided=False, subject="", rooms=(), info=b"")


def renewed(known: Identity, fresh: Identity) -> Identity:
    """Return what a fresh token makes of a client that is known: what a backend has said of it stays."""
    if not known.decided or fresh.user != known.subject:
        return fresh
    return replace(
        fresh, user=known.user, decided=True, subject=known.subject, rooms=known.rooms, info=known.info
    )


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


def may_publish(identity: Identity, namespaces: Namespaces, room: str, joined: bool) -> bool:
    """Say what ``check_publish`` finds."""
    try:
        check_publish(identity, namespaces, room, joined)
    except ProtocolError:
        return False
    return True


def shown(identity: Identity, policy: RoomPolicy, room: str, said: bytes | None = None) -> tuple[int, bytes]:
    """Return what the presence of ``room`` tells of this client: one of the PRESENCE_ values, and its info
    (JSON, or nothing): what a backend has said of it, where one has. ``said`` is what the client wants to be
    shown (None: it said nothing): that counts where the namespace names no claim.
    """
    presence = policy.presence
    mode = _MODES[presence.mode]
    if not mode or is_hidden(identity, room):
        return PRESENCE_OFF, b""
    if mode == PRESENCE_COUNT:
        return mode, b""
    if identity.info:
        return mode, identity.info
    if said is not None and not presence.info_claim:
        return mode, said
    return mode, next((info for claim, info in identity.infos if claim == presence.info_claim), b"")


def is_hidden(identity: Identity, room: str) -> bool:
    """Say whether nobody is told of this client in ``room``."""
    return any(matches(pattern, room) for pattern in identity.hidden)


def may_inform(identity: Identity, policy: RoomPolicy, room: str) -> bool:
    """Say whether this client may say itself what ``room`` shows of it."""
    by_name = shown(identity, policy, room)[0] > PRESENCE_COUNT
    return by_name and not policy.presence.info_claim and not identity.info


def may_watch(identity: Identity, policy: RoomPolicy, room: str, *, joined: bool) -> bool:
    """Say whether token and namespace let this client be told of the presence in ``room``; ``joined``: it is
    a member.
    """
    presence = policy.presence
    return (
        presence.mode != "off"
        and (joined or presence.watch != "members")
        and _allows(identity.watch, room, must=presence.watch == "token")
    )


def check_watch(
    identity: Identity, namespaces: Namespaces, room: str, *, joined: bool, contact: bool = False
) -> None:
    """Raise where the client may not be told of the presence in ``room``, which may be a user's own."""
    if not contact and not joined:
        check_room(room)
    policy = namespaces.policy(room)
    if may_watch(identity, policy, room, joined=joined):
        return
    if not joined and not contact and may_watch(identity, policy, room, joined=True):
        raise ProtocolError(ErrorCode.NOT_JOINED, "Join this room before you ask who is there")
    whose = f"of {room[1:]}" if contact else "in this room"
    raise ProtocolError(ErrorCode.FORBIDDEN, f"You may not be told of the presence {whose}")


def check_call(identity: Identity, services: Services, service: str) -> ServicePolicy:
    """Return the policy of a service; raise where the client may not ask for it, also where nobody may."""
    if not is_service(service):
        raise ProtocolError(
            ErrorCode.INVALID_MESSAGE, f"service: {SERVICE_RULE}" if service else "service: is missing"
        )
    policy = services.policy(service)
    if policy is None or not _allows(identity.call, service, must=policy.call == "token"):
        raise ProtocolError(ErrorCode.FORBIDDEN, "You may not call this service")
    return policy


def _allows(patterns: tuple[str, ...] | None, name: str, must: bool) -> bool:
    """Say whether the token's patterns allow ``name``. ``must``: a token that says nothing does not."""
    if patterns is None:
        return not must
    return any(matches(pattern, name) for pattern in patterns)
