"""Control reads: what backends ask of those who read a shard's log, and the answers from what that tells.

The questions cross from the router that was asked to the one that speaks; an answer is as of one offset of
the log. What is not known is not said. What became of a message is for ``explanations.py`` to say. It changes
nothing. Pure: the time is an argument.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

import msgspec

from router.core.fold import Fold
from router.core.history import History
from router.core.room_members import RoomMembers
from router.core.user_activity import UserActivity
from warren.address import shard_of, user_room
from warren.contract import commands as bodies
from warren.contract import queries
from warren.envelope import INTERNAL_ID, Deliver

# Rooms with more connections are told of by numbers alone; and so many are looked at to count the users.
NAMED_MAX: Final = 5_000
COUNTED_MAX: Final = 100_000
HISTORY_BYTES: Final = 256 * 1024


class Read(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """One question."""


class MembersRead(Read, frozen=True, array_like=True, tag="members"):
    """Who is in a room: so many users behind one; 0: only how many there are."""

    room: str
    limit: int
    after: str


class HistoryRead(Read, frozen=True, array_like=True, tag="history"):
    """A room's messages before a seq (0: before now)."""

    room: str
    before: int
    limit: int


class RoomsRead(Read, frozen=True, array_like=True, tag="rooms"):
    """Rooms of this shard whose names begin so, behind one."""

    prefix: str
    limit: int
    after: str


class BlocksRead(Read, frozen=True, array_like=True, tag="blocks"):
    """Blocks of this shard: of one room (empty: of any whose name begins with the prefix) and of one user
    (empty: of any), behind one.
    """

    room: str
    prefix: str
    user: str
    limit: int
    after: str  # a room and a user with a blank between them, which neither has


class StatusRead(Read, frozen=True, array_like=True, tag="status"):
    """Users of this shard."""

    users: tuple[str, ...]


class ExplainRead(Read, frozen=True, array_like=True, tag="explain"):
    """What became of a message."""

    room: str
    user: str
    id: str


AnyRead = MembersRead | HistoryRead | RoomsRead | BlocksRead | StatusRead | ExplainRead
NOTHING: Final = b""  # the answer where what was asked for is not known

_decoder: msgspec.msgpack.Decoder[AnyRead] = msgspec.msgpack.Decoder(AnyRead)


def encoded(read: AnyRead) -> bytes:
    """Return a question as it crosses to another router."""
    return msgspec.msgpack.encode(read)


def decoded(body: bytes) -> AnyRead | None:
    """Return the question; None where it is none that this version knows."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def by_shard(read: AnyRead, shards: int) -> dict[int, AnyRead]:
    """Return what each shard is to be asked."""
    match read:
        case RoomsRead() | BlocksRead(room=""):
            return dict.fromkeys(range(shards), read)
        case StatusRead():
            users: dict[int, list[str]] = {}
            for user in read.users:
                users.setdefault(shard_of(user_room(user), shards), []).append(user)
            return {shard: StatusRead(tuple(there)) for shard, there in users.items()}
        case _:
            return {shard_of(read.room, shards): read}


def joined(read: AnyRead, answers: Sequence[bytes]) -> bodies.Result | None:
    """Return the one answer that those of all shards make; None: what was asked for is not known."""
    match read:
        case RoomsRead():
            pages = [msgspec.json.decode(each, type=queries.RoomsPage) for each in answers]
            rooms = sorted((room for page in pages for room in page.rooms), key=lambda room: room.room)
            more = len(rooms) > read.limit or any(page.next for page in pages)
            shown = rooms[: read.limit]
            return queries.RoomsPage(rooms=shown, next=shown[-1].room if more and shown else "")
        case BlocksRead():
            listed = [msgspec.json.decode(each, type=queries.BlocksPage) for each in answers]
            return _blocks_page(
                sorted((block for page in listed for block in page.blocks), key=_key_of),
                read.limit,
                more=any(page.next for page in listed),
            )
        case StatusRead():
            found = {
                user.user: user
                for each in answers
                for user in msgspec.json.decode(each, type=queries.Statuses).users
            }
            return queries.Statuses(users=[found[user] for user in read.users])
        case MembersRead():
            page = msgspec.json.decode(answers[0], type=queries.PresencePage)
            if read.limit:
                return page
            return queries.Counted(users=page.users, connections=page.connections)
        case HistoryRead():
            return msgspec.json.decode(answers[0], type=queries.HistoryPage)
        case ExplainRead():
            return msgspec.json.decode(answers[0], type=queries.Explained) if answers[0] else None


# ── members ─────────────────────────────────────────────────────────────────────────────────────────────────


def counted(rooms: RoomMembers, room: str) -> tuple[int | None, int]:
    """Return how many users (None: too many to count) and connections are in a room."""
    there = [rooms.members(room, gateway) for gateway in rooms.targets(room)]
    connections = sum(map(len, there))
    if connections > COUNTED_MAX:
        return None, connections
    return len({user for members in there for user in members.values()}), connections


def members(read: MembersRead, fold: Fold) -> queries.PresencePage:
    """Answer who is in a room."""
    rooms, room = fold.rooms, read.room
    users, connections = counted(rooms, room)
    if not read.limit or connections > NAMED_MAX:
        return queries.PresencePage(
            users=users, connections=connections, members=[], counts_only=connections > NAMED_MAX
        )
    by_user: dict[str, list[str]] = {}
    for gateway in rooms.targets(room):
        for conn, user in rooms.members(room, gateway).items():
            if user > read.after or not read.after:
                by_user.setdefault(user, []).append(conn)
    names = sorted(by_user)
    page = names[: read.limit]
    return queries.PresencePage(
        users=users,
        connections=connections,
        members=[_present(user, by_user[user], fold, room) for user in page],
        next=page[-1] if len(names) > len(page) else "",
    )


def _present(user: str, connections: list[str], fold: Fold, room: str) -> queries.Present:
    shown = fold.presence.member(room, user)
    info = msgspec.Raw(shown.info) if shown is not None and shown.info else msgspec.UNSET
    return queries.Present(user=user, connections=connections, info=info)


def status(read: StatusRead, fold: Fold, activity: UserActivity) -> queries.Statuses:
    """Answer which users are online."""
    return queries.Statuses(users=[_status(user, fold.rooms, activity) for user in read.users])


def _status(user: str, rooms: RoomMembers, activity: UserActivity) -> queries.UserStatus:
    room = user_room(user)
    connections = sum(len(rooms.members(room, gateway)) for gateway in rooms.targets(room))
    since = activity.since_us(user) if connections else None
    seen = None if connections else activity.last_seen_us(user)
    return queries.UserStatus(
        user=user,
        online=connections > 0,
        connections=connections,
        since=None if since is None else since // 1_000,
        last_seen=None if seen is None else seen // 1_000,
    )


def rooms_page(names: Iterable[str], limit: int, rooms: RoomMembers) -> queries.RoomsPage:
    """Return the first ``limit`` of these rooms that still have members."""
    found: list[queries.RoomCount] = []
    for name in names:
        connections = sum(len(rooms.members(name, gateway)) for gateway in rooms.targets(name))
        if not connections:
            continue
        if len(found) == limit:
            return queries.RoomsPage(rooms=found, next=found[-1].room)
        found.append(queries.RoomCount(room=name, connections=connections))
    return queries.RoomsPage(rooms=found)


# ── blocks ──────────────────────────────────────────────────────────────────────────────────────────────────


def blocks_page(read: BlocksRead, fold: Fold, now_ms: int) -> queries.BlocksPage:
    """Answer who is kept out."""
    room, _, user = read.after.partition(" ")
    found = (
        _blocked(key, until_ms)
        for key, until_ms in fold.blocks.walk(read.room, read.prefix, (room, user))
        if read.user in ("", key[1]) and (not until_ms or now_ms < until_ms)
    )
    return _blocks_page(list(islice(found, read.limit + 1)), read.limit)


def _blocked(key: tuple[str, str], until_ms: int) -> queries.Blocked:
    room, user = key
    everywhere = room == user_room(user)
    return queries.Blocked(
        address=f"user.{user}" if everywhere else f"room.{room}",
        user=None if everywhere else user,
        until_ms=until_ms or None,
    )


def _key_of(block: queries.Blocked) -> tuple[str, str]:
    kind, _, name = block.address.partition(".")
    return (user_room(name), name) if kind == "user" else (name, block.user or "")


def _blocks_page(found: list[queries.Blocked], limit: int, *, more: bool = False) -> queries.BlocksPage:
    """Return the first ``limit`` of these; ``more``: there are others behind them in any case."""
    shown = found[:limit]
    goes_on = shown and (more or len(found) > limit)
    return queries.BlocksPage(blocks=shown, next=" ".join(_key_of(shown[-1])) if goes_on else "")


# ── messages ────────────────────────────────────────────────────────────────────────────────────────────────


def history_page(read: HistoryRead, fold: Fold, history: History, now_us: int) -> queries.HistoryPage:
    """Answer what was said in a room."""
    messages, more = history.page(read.room, read.before, read.limit, HISTORY_BYTES, now_us)
    position = fold.position(read.room)
    return queries.HistoryPage(
        epoch=position.epoch, seq=position.seq, messages=[_shown(message) for message in messages], more=more
    )


def _shown(message: Deliver) -> queries.HistoryMessage:
    payload = message.payload
    if message.binary:
        payload = b'"%s"' % base64.b64encode(payload)
    return queries.HistoryMessage(
        seq=message.seq,
        type=message.type,
        payload=msgspec.Raw(payload),
        timestamp=message.at_us // 1_000,
        id="" if message.id.startswith(INTERNAL_ID) else message.id,
        sender=message.user,
        connection=message.conn,
        encoding="base64" if message.binary else "",
    )
