"""SeenPositions: up to which seq users have seen the messages of one shard's rooms, as their clients say.

A seq only grows, in one epoch of its room; what was said of another epoch is void. It is kept of users who
have left the room, too, as their messages stay seen. Bounded: of a room with more than ``USERS`` that have
seen something those are forgotten whose seq has not grown for longest, and beyond ``MOST`` in all rooms the
rooms in which none has. Pure, and told in the order of the log, so all its readers forget the same. It knows
no member and no message.

    epoch 1 of chat:a    ann says 12      ann 12          sum 12
                         bob says 9       ann 12, bob 9   sum 21
                         ann says 11      nothing new
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

# Users of one room, and in all rooms.
USERS: Final = 1_000
MOST: Final = 262_144

_NOBODY: Final[Mapping[str, int]] = MappingProxyType({})


class SeenPart(msgspec.Struct, frozen=True, array_like=True):
    """Some of what is known of a room; all its parts in their order are all of it."""

    room: str
    generation: int
    users: dict[str, int]


class _Room:
    """What is known of one room, in one of its epochs."""

    __slots__ = ("generation", "snapshot", "sum", "users")

    def __init__(self, generation: int, snapshot: int, users: dict[str, int]) -> None:
        self.generation = generation
        self.snapshot = snapshot  # the last one that was taken when this was made: later ones share it
        self.users = users  # user ▶ seq, the one that has grown last at the end
        self.sum = sum(users.values())


class SeenPositions:
    """One shard's."""

    def __init__(self) -> None:
        """Begin with nobody who has seen anything."""
        self._rooms: dict[str, _Room] = {}  # the one in which a seq has grown last at the end
        self._count = 0
        self._snapshots = 0  # that were taken

    def __len__(self) -> int:
        """Return how many (room, user) pairs are known."""
        return self._count

    def saw(self, room: str, generation: int, user: str, seq: int) -> int | None:
        """Note that a user has seen a room's messages up to ``seq`` (above 0); return up to where before
        (0: none), None where that is no news.
        """
        there = self._rooms.pop(room, None)
        if there is not None and there.generation != generation:
            self._count -= len(there.users)
            there = None
        if there is None:
            there = _Room(generation, self._snapshots, {})
        elif seq <= there.users.get(user, 0):
            self._rooms[room] = there
            return None
        elif there.snapshot != self._snapshots:  # a snapshot keeps it as it is
            there = _Room(generation, self._snapshots, dict(there.users))
        self._rooms[room] = there
        before = there.users.pop(user, 0)
        there.users[user] = seq
        there.sum += seq - before
        self._count += not before
        if len(there.users) > USERS:
            self._count -= 1
            there.sum -= there.users.pop(next(iter(there.users)))
        while self._count > MOST:
            self._count -= len(self._rooms.pop(next(iter(self._rooms))).users)
        return before

    def users(self, room: str, generation: int) -> Mapping[str, int]:
        """Return user ▶ seq of a room's epoch. A view."""
        there = self._rooms.get(room)
        return there.users if there is not None and there.generation == generation else _NOBODY

    def sum(self, room: str, generation: int) -> int:
        """Return the sum of all users' seqs in a room's epoch."""
        there = self._rooms.get(room)
        return there.sum if there is not None and there.generation == generation else 0

    def count(self, room: str, generation: int, seq: int, but: str) -> int:
        """Return how many users have seen this message, without that user. It looks at each that has seen
        anything there.
        """
        seen = self.users(room, generation)
        return sum(each >= seq for each in seen.values()) - (seen.get(but, 0) >= seq)

    # ── as parts, and from parts ────────────────────────────────────────────────────────────────────────────

    def add(self, part: SeenPart) -> None:
        """Take a part of a room, behind those that came before."""
        there = self._rooms.get(part.room)
        before = 0 if there is None else len(there.users)
        users = part.users if there is None else there.users | part.users
        self._rooms[part.room] = _Room(part.generation, self._snapshots, users)
        self._count += len(users) - before

    def snapshot(self) -> tuple[int, Iterator[SeenPart]]:
        """Return how many (room, user) pairs there are now, and walk them by room, whatever is changed
        meanwhile. The dicts are not to be changed.
        """
        self._snapshots += 1
        return self._count, _walk(list(self._rooms), list(self._rooms.values()))


def _walk(rooms: list[str], there: list[_Room]) -> Iterator[SeenPart]:
    for room, its in zip(rooms, there, strict=True):
        yield SeenPart(room, its.generation, its.users)
