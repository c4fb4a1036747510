"""Presence: who is in which room, as its members are told: users or connections by name, or only how many.

It is kept of those members whose Join says so, and of nobody else. What a room has is proved by two figures:
``version``, the offset of the entry that last changed it, and ``digest``, the sum of one keyed hash for each
name and its revision, so whoever has the same digest has the same names with the same info. Pure: no clock,
no policy, and nothing of who watches. While somebody holds a snapshot of it, a room is copied before its
first change.

    offset 40   ann joins by g1~1         users 1, connections 1, version 40, digest h(ann, 40)
    offset 41   bob joins by g2~1         users 2, connections 2, version 41, digest h(ann, 40) + h(bob, 41)
    offset 44   ann joins by g2~7 too     users 2, connections 3, version 44, the digest stays
    offset 47   g1~1 leaves               users 2, connections 2, version 47, the digest stays
    offset 52   g2~7 leaves               users 1, connections 1, version 52, digest h(bob, 41)
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

import msgspec

from warren.envelope import PresenceMember
from warren.log_entries import PRESENCE_CONNECTIONS, PRESENCE_COUNT, PRESENCE_USERS

# What is shown with a member at most; a longer info is taken for none.
INFO_BYTES: Final = 1_024
PROOF_BYTES: Final = 8
MODULUS: Final = 2 ** (8 * PROOF_BYTES)

ABSENT: Final = -1  # the revision of who is not shown

# A name that has changed, and the revision that it had before.
Touched = tuple[str, int]
# The numbers have changed and no name has.
ONLY_COUNTS: Final[tuple[Touched, ...]] = (("", ABSENT),)


class Connection(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One connection that is shown by name, since ``revision``."""

    user: str
    revision: int
    info: bytes = b""


class User(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One user: how many connections are told of, and how many of them have the user shown by name."""

    connections: int
    shown: int = 0
    revision: int = ABSENT
    info: bytes = b""


class Counts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How many are in a room, since the entry at ``version``; ABSENT where nobody is there."""

    version: int
    users: int
    connections: int
    digest: int


class PresencePart(msgspec.Struct, frozen=True, array_like=True):
    """Some of what is known of a room; all its parts together are all of it."""

    room: str
    version: int
    digest: int
    connections: dict[str, Connection | int]  # the mode of those that are not shown by themselves
    users: dict[str, User]


_NOBODY: Final = Counts(ABSENT, 0, 0, 0)
# Users who are only counted take no memory of their own.
_COUNTED: Final = tuple(User(count) for count in range(64))


class _Alone(msgspec.Struct, frozen=True, gc=False):
    """A room in which nobody is but one user, shown for one connection: as most users' own rooms."""

    conn: str
    user: str
    revision: int
    info: bytes


class _Room:
    """What is known of any other room."""

    __slots__ = ("connections", "digest", "names", "order", "users", "version")

    def __init__(self) -> None:
        self.version = ABSENT
        self.digest = 0
        self.names = 0  # that are shown
        self.connections: dict[str, Connection | int] = {}
        self.users: dict[str, User] = {}
        self.order: list[str] | None = None  # the names in order, once somebody has asked for that

    def copied(self) -> _Room:
        """Return what may be changed without changing this; the order goes along."""
        room = _Room()
        room.version, room.digest, room.names = self.version, self.digest, self.names
        room.connections, room.users = dict(self.connections), dict(self.users)
        room.order, self.order = self.order, None
        return room

    def named(self, key: str) -> Connection | User | None:
        """Return who is shown by this name; None where nobody is."""
        found = self.connections.get(key) if "~" in key else self.users.get(key)
        return None if found is None or isinstance(found, int) or found.revision == ABSENT else found

    def ordered(self) -> list[str]:
        """Return all names in order."""
        if self.order is None:
            shown = [conn for conn, its in self.connections.items() if not isinstance(its, int)]
            shown += [user for user, its in self.users.items() if its.shown]
            self.order = sorted(shown)
        return self.order


class Presence:
    """The presence in one shard's rooms, in one life of its log."""

    def __init__(self, life: str = "") -> None:
        """Begin with nobody anywhere; ``life`` (of the log) is the key of all proofs."""
        self._key = life.encode()
        self._rooms: dict[str, _Room | _Alone] = {}
        self._connections = 0
        self._snapshots = 0  # that somebody holds
        self._own: set[str] = set()  # rooms that no snapshot shares with us, while there is one

    def __len__(self) -> int:
        """Return how many rooms have somebody of whom they tell."""
        return len(self._rooms)

    @property
    def connections(self) -> int:
        """How many (room, connection) pairs are told of."""
        return self._connections

    # ── coming and going ────────────────────────────────────────────────────────────────────────────────────

    def came(
        self, room: str, conn: str, user: str, mode: int, info: bytes, offset: int
    ) -> tuple[Touched, ...]:
        """Note by the entry at ``offset`` that ``conn`` is a member and is told of by ``mode`` (one of the
        PRESENCE_ values) with ``info`` (empty: none, or what its user has already). Whoever is there already
        may come again. Return what has changed by it.
        """
        there = self._find(room)
        known = there.connections.get(conn) if there is not None else None
        if known is not None and _mode_of(known) == mode:
            return self.inform(room, conn, user, info, offset) if info else ()
        gone = self.went(room, conn, user, offset) if known is not None else ()
        if mode not in (PRESENCE_COUNT, PRESENCE_CONNECTIONS, PRESENCE_USERS):
            return gone
        info = _bounded(info)
        if mode == PRESENCE_USERS and room not in self._rooms:
            self._rooms[room] = _Alone(conn, user, offset, info)
            self._connections += 1
            return (*gone, (user, ABSENT))
        there = self._ours(room)
        there.version = offset
        self._connections += 1
        old = there.users.get(user, _COUNTED[0])
        touched = ONLY_COUNTS
        if mode == PRESENCE_CONNECTIONS:
            there.connections[conn] = Connection(user, offset, info)
            there.users[user] = _user(old.connections + 1, old)
            touched = (self._show(there, room, conn, ABSENT, offset),)
        elif mode == PRESENCE_USERS:
            there.connections[conn] = mode
            if old.shown and info in (b"", old.info):
                there.users[user] = User(old.connections + 1, old.shown + 1, old.revision, old.info)
            else:
                there.users[user] = User(old.connections + 1, old.shown + 1, offset, info)
                touched = (self._show(there, room, user, old.revision, offset),)
        else:
            there.connections[conn] = mode
            there.users[user] = _user(old.connections + 1, old)
        return gone + touched

    def went(self, room: str, conn: str, user: str, offset: int) -> tuple[Touched, ...]:
        """Note that ``conn`` of ``user`` is no member any more, wherever it was told of; return what has
        changed by it.
        """
        alone = self._rooms.get(room)
        if isinstance(alone, _Alone) and alone.conn == conn:
            del self._rooms[room]
            self._connections -= 1
            return ((alone.user, alone.revision),)
        there = self._find(room)
        if there is None or conn not in there.connections:
            return ()
        there = self._ours(room)
        known = there.connections.pop(conn)
        there.version = offset
        self._connections -= 1
        old = there.users[user]
        touched = ONLY_COUNTS
        if not isinstance(known, int):
            touched = (self._hide(there, room, conn, known.revision),)
        elif known == PRESENCE_USERS:
            if old.shown > 1:
                old = User(old.connections, old.shown - 1, old.revision, old.info)
            else:
                touched = (self._hide(there, room, user, old.revision),)
                old = User(old.connections)
        if old.connections > 1:
            there.users[user] = _user(old.connections - 1, old)
        else:
            del there.users[user]
        if not there.connections:
            del self._rooms[room]
        return touched

    def inform(self, room: str, conn: str, user: str, info: bytes, offset: int) -> tuple[Touched, ...]:
        """Have ``info`` shown with ``conn``, or with its user, from the entry at ``offset`` on; return what
        has changed by it. Nothing does for who is not shown by name.
        """
        alone, info = self._rooms.get(room), _bounded(info)
        if isinstance(alone, _Alone):
            if alone.conn != conn or alone.info == info:
                return ()
            self._rooms[room] = _Alone(conn, alone.user, offset, info)
            return ((alone.user, alone.revision),)
        there = alone
        known = there.connections.get(conn) if there is not None else None
        if there is None or known is None or known == PRESENCE_COUNT:
            return ()
        key = user if isinstance(known, int) else conn
        old = there.users[user] if isinstance(known, int) else known
        if old.info == info:
            return ()
        there = self._ours(room)
        there.version = offset
        if isinstance(old, User):
            there.users[user] = User(old.connections, old.shown, offset, info)
        else:
            there.connections[conn] = Connection(user, offset, info)
        return (self._show(there, room, key, old.revision, offset),)

    # ── what is there ───────────────────────────────────────────────────────────────────────────────────────

    def counts(self, room: str) -> Counts:
        """Return how many there are."""
        there = self._find(room)
        if there is None:
            return _NOBODY
        return Counts(there.version, len(there.users), len(there.connections), there.digest)

    def names(self, room: str) -> int:
        """Return how many names are shown."""
        there = self._find(room)
        return 0 if there is None else there.names

    def revision(self, room: str, key: str) -> int:
        """Return the revision of who is shown by this name; ABSENT where nobody is."""
        there = self._find(room)
        found = None if there is None else there.named(key)
        return ABSENT if found is None else found.revision

    def member(self, room: str, key: str) -> PresenceMember | None:
        """Return who is shown by this name; None where nobody is."""
        there = self._find(room)
        found = None if there is None else there.named(key)
        if found is None:
            return None
        user = key if isinstance(found, User) else found.user
        return PresenceMember(key, user, found.info, self.proof(room, key, found.revision))

    def keys(self, room: str, after: str, limit: int) -> list[str]:
        """Return the first ``limit`` names behind ``after``, in order. Nothing is sorted but at the first
        call for a room.
        """
        there = self._find(room)
        if there is None:
            return []
        order = there.ordered()
        begin = bisect_right(order, after) if after else 0
        return order[begin : begin + limit]

    def proof(self, room: str, key: str, revision: int) -> int:
        """Return the 64 bits that stand for a name and its revision: BLAKE2b (RFC 7693) with the log's life
        as its key.
        """
        content = f"{room}\0{key}\0{revision}".encode()
        return int.from_bytes(blake2b(content, digest_size=PROOF_BYTES, key=self._key).digest(), "big")

    # ── as parts, and from parts ────────────────────────────────────────────────────────────────────────────

    def add(self, part: PresencePart) -> None:
        """Take a part of a room into a table of which nobody holds a snapshot; its dicts are ours from now
        on.
        """
        if part.room not in self._rooms:
            self._connections += len(part.connections)
            alone = _alone_in(part)
            if alone is not None:
                self._rooms[part.room] = alone
                return
            there = self._ours(part.room)
            there.connections, there.users = part.connections, part.users
        else:
            there = self._ours(part.room)
            before = len(there.connections)
            there.connections.update(part.connections)
            there.users.update(part.users)
            self._connections += len(there.connections) - before
        there.version, there.digest = part.version, part.digest
        there.names += sum(not isinstance(its, int) for its in part.connections.values())
        there.names += sum(its.shown > 0 for its in part.users.values())

    def snapshot(self) -> Iterator[PresencePart]:
        """Walk what there is now, one part for each room in the order in which they began, whatever is
        changed meanwhile. Call ``release`` when it is no longer needed; the dicts are not to be changed.
        """
        self._snapshots += 1
        self._own.clear()
        return self._walk(list(self._rooms), list(self._rooms.values()))

    def release(self) -> None:
        """One who took a snapshot needs it no longer."""
        self._snapshots -= 1
        if not self._snapshots:
            self._own.clear()

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────

    def _find(self, room: str) -> _Room | None:
        """Return what is known of a room, to be looked at."""
        there = self._rooms.get(room)
        return self._opened(room, there) if isinstance(there, _Alone) else there

    def _opened(self, room: str, alone: _Alone) -> _Room:
        """Return the same as any room."""
        there = _Room()
        there.version, there.names = alone.revision, 1
        there.digest = self.proof(room, alone.user, alone.revision)
        there.connections[alone.conn] = PRESENCE_USERS
        there.users[alone.user] = User(1, 1, alone.revision, alone.info)
        return there

    def _ours(self, room: str) -> _Room:
        """Return a room that may be changed, which begins here if need be: a snapshot keeps it as it was."""
        there = self._rooms.get(room)
        if isinstance(there, _Room) and (not self._snapshots or room in self._own):
            return there
        if isinstance(there, _Room):
            there = there.copied()
        elif there is not None:
            there = self._opened(room, there)
        else:
            there = _Room()
        self._rooms[room] = there
        if self._snapshots:
            self._own.add(room)
        return there

    def _walk(self, rooms: list[str], there: list[_Room | _Alone]) -> Iterator[PresencePart]:
        for room, its in zip(rooms, there, strict=True):
            if isinstance(its, _Alone):
                its = self._opened(room, its)
            yield PresencePart(room, its.version, its.digest, its.connections, its.users)

    def _show(self, there: _Room, room: str, key: str, before: int, offset: int) -> Touched:
        """A name is shown from now on, or anew."""
        if before == ABSENT:
            there.names += 1
            if there.order is not None:
                insort(there.order, key)
        else:
            there.digest -= self.proof(room, key, before)
        there.digest = (there.digest + self.proof(room, key, offset)) % MODULUS
        return key, before

    def _hide(self, there: _Room, room: str, key: str, before: int) -> Touched:
        """A name is shown no longer."""
        there.names -= 1
        there.digest = (there.digest - self.proof(room, key, before)) % MODULUS
        if there.order is not None:
            del there.order[bisect_left(there.order, key)]
        return key, before


def _alone_in(part: PresencePart) -> _Alone | None:
    """Return what a part holds, where it may be a whole room of one who is alone there."""
    if len(part.connections) != 1 or len(part.users) != 1:
        return None
    ((conn, known),), ((user, its),) = part.connections.items(), part.users.items()
    same = known == PRESENCE_USERS and its.revision == part.version and its.shown == its.connections == 1
    return _Alone(conn, user, its.revision, its.info) if same else None


def _mode_of(known: Connection | int) -> int:
    return known if isinstance(known, int) else PRESENCE_CONNECTIONS


def _user(connections: int, like: User) -> User:
    """Return a user with so many connections, and else as before."""
    if not like.shown and connections < len(_COUNTED):
        return _COUNTED[connections]
    return User(connections, like.shown, like.revision, like.info)


def _bounded(info: bytes) -> bytes:
    return info if len(info) <= INFO_BYTES else b""
