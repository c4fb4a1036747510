"""Presence pages: what a speaker answers where a gateway asks who is in a room.

A page costs what it holds, whatever the room has: the names are in order already. It changes nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from router.core.fold import Fold
from router.core.presence import Counts
from warren.envelope import OVERHEAD_BYTES, PresenceMember, PresencePage, PresenceQuery, SeenState
from warren.namespaces import RoomPolicy

PAGE_COUNT: Final = 1_000
PAGE_BYTES: Final = 256 * 1024


def numbers(fold: Fold, room: str) -> Counts:
    """Return how many there are in a room. Its version is the offset of the last change; where nobody is
    there, which is not remembered, it is the present one.
    """
    counts = fold.presence.counts(room)
    return counts if counts.connections else Counts(fold.offset, 0, 0, 0)


def seen_state(fold: Fold, room: str, users: Iterable[str] | None = None) -> SeenState:
    """Return up to where these users (None: all) have seen a room's messages."""
    generation, epoch = fold.generation(room), fold.position(room).epoch
    seen = fold.seen.users(room, generation)
    named = seen.items() if users is None else [(user, seen[user]) for user in users if user in seen]
    return SeenState(epoch, fold.seen.sum(room, generation), tuple(named))


def tells_seen(room: str, policy: RoomPolicy) -> bool:
    """Say whether those who watch a room are told who has seen what. Who watches a user's own room is told of
    the user, and not what that reads.
    """
    by_name = policy.presence.mode in ("users", "connections")
    return by_name and policy.receipts == "seen" and room[:1] != "@"


def presence_page(query: PresenceQuery, fold: Fold, policy: RoomPolicy) -> PresencePage:
    """Answer a PresenceQuery; a room that shows more names than its policy allows tells numbers only."""
    room, presence = query.room, fold.presence
    counts, counts_only = numbers(fold, room), presence.names(room) > policy.presence.max
    told = tells_seen(room, policy) and not counts_only and not query.after
    members: list[PresenceMember] = []
    more = False
    if not query.count and not counts_only:
        limit, size = max(1, min(query.limit, PAGE_COUNT)), 0
        keys = presence.keys(room, query.after, limit + 1)
        for key in keys[:limit]:
            member = presence.member(room, key)
            if member is None:
                continue
            size += OVERHEAD_BYTES + len(member.info)
            if members and size > PAGE_BYTES:
                break
            members.append(member)
        more = len(keys) > len(members)
    return PresencePage(
        query.conn,
        room,
        query.ref,
        counts.version,
        counts.users,
        counts.connections,
        counts.digest,
        tuple(members),
        more,
        counts_only,
        seen_state(fold, room, () if query.count else None) if told else None,
    )
