"""RoomMembers: who is where, and what backends are told of comings and goings.

Rooms to gateways to members, and back. No seq, no time, no policy. Empty entries are removed, so its size is
the number of memberships. Its order is that in which members came, whatever it was made from; nothing depends
on the order of a set. How many connections a user has in a room is counted for rooms of more than a few, and
looked up in small ones. While somebody holds a snapshot of it, a room is copied before its first change: so a
snapshot costs two lists, however many members there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from router.core.effects import BackendEvent, EventKind

Rooms = dict[str, dict[str, dict[str, str]]]  # room ▶ gateway ▶ connection ▶ user

# In a room of so many members at most, a user's are looked for one by one.
FEW: Final = 16

_NOBODY: Mapping[str, str] = {}


class RoomMembers:
    """The members of a shard's rooms, by gateway."""

    def __init__(self, rooms: Rooms | None = None) -> None:
        """Begin with these members, or with nobody anywhere."""
        self._rooms: Rooms = {}
        self._gateways: dict[str, dict[str, None]] = {}  # gateway ▶ its rooms
        self._targets: dict[str, tuple[str, ...]] = {}  # room ▶ its gateways, ready to use
        self._users: dict[str, Counter[str]] = {}  # of larger rooms: user ▶ connections
        self._members = 0
        self._user_rooms = self._user_members = 0  # those of users' own rooms
        self._snapshots = 0  # that somebody holds
        self._own: set[str] = set()  # rooms that no snapshot shares with us, while there is one
        for room, gateways in (rooms or {}).items():
            for gateway, members in gateways.items():
                self.add(room, gateway, members)

    def __len__(self) -> int:
        """Return how many rooms have members."""
        return len(self._rooms)

    def __contains__(self, room: str) -> bool:
        """Say whether the room has a member."""
        return room in self._rooms

    @property
    def memberships(self) -> int:
        """How many (room, connection) pairs there are."""
        return self._members

    @property
    def users(self) -> int:
        """How many users' own rooms have members: so many users are connected."""
        return self._user_rooms

    @property
    def user_memberships(self) -> int:
        """How many of the memberships are in users' own rooms."""
        return self._user_members

    def add(self, room: str, gateway: str, members: dict[str, str]) -> None:
        """Put a gateway's members of a room into a table of which nobody holds a snapshot; the dict is ours
        from now on.
        """
        gateways = self._rooms.get(room)
        if gateways is None:
            gateways = self._begin(room)
        known, before = gateways.get(gateway), self._members
        if known is None:
            gateways[gateway] = members
            self._gateways.setdefault(gateway, {})[room] = None
            self._targets[room] = tuple(gateways)
            self._members += len(members)
        else:
            self._members -= len(known)
            known.update(members)
            self._members += len(known)
        if room[:1] == "@":
            self._user_members += self._members - before

    def join(self, room: str, gateway: str, conn: str, user: str) -> bool:
        """Make ``conn`` of ``gateway`` a member; False where it was one already."""
        if self._snapshots and room not in self._own:
            self._copy(room)
        gateways = self._rooms.get(room)
        if gateways is None:
            gateways = self._begin(room)
        members = gateways.get(gateway)
        if members is None:
            members = gateways[gateway] = {}
            self._gateways.setdefault(gateway, {})[room] = None
            self._targets[room] = tuple(gateways)
        if conn in members:
            return False
        members[conn] = user
        self._members += 1
        if room[:1] == "@":
            self._user_members += 1
        if room in self._users:
            self._users[room][user] += 1
        return True

    def leave(self, room: str, gateway: str, conn: str) -> str | None:
        """Make ``conn`` no member any more; return its user, None where it was no member."""
        members = self._rooms.get(room, {}).get(gateway)
        if members is None or conn not in members:
            return None
        if self._snapshots and room not in self._own:
            members = self._copy(room)[gateway]
        user = members.pop(conn)
        self._members -= 1
        if room[:1] == "@":
            self._user_members -= 1
        self._uncount(room, user)
        if not members:
            self._empty(room, gateway)
        return user

    def drop_gateway(self, gateway: str) -> list[tuple[str, list[tuple[str, str]]]]:
        """Remove all of a gateway's members; return its rooms, each with its (connection, user) there, both
        by name.
        """
        dropped = []
        for room in sorted(self._gateways.get(gateway, ())):
            members = self._rooms[room][gateway]
            self._members -= len(members)
            if room[:1] == "@":
                self._user_members -= len(members)
            if self._snapshots and room not in self._own:
                self._copy(room)
            for user in members.values():
                self._uncount(room, user)
            dropped.append((room, sorted(members.items())))
            self._empty(room, gateway)
        return dropped

    def targets(self, room: str) -> tuple[str, ...]:
        """Return the gateways that have a member of the room."""
        return self._targets.get(room, ())

    def size(self, room: str) -> int:
        """Return how many connections are in the room. It looks at each gateway that has any."""
        return sum(map(len, self._rooms.get(room, {}).values()))

    def counts(self, room: str) -> tuple[int, int]:
        """Return how many users and how many connections are in the room. It looks at each of them, in large
        rooms only once.
        """
        gateways = self._rooms.get(room, {}).values()
        connections, counted = sum(map(len, gateways)), self._counted(room)
        if counted is None:
            return len({user for members in gateways for user in members.values()}), connections
        return len(counted), connections

    def rooms(self, gateway: str) -> Collection[str]:
        """Return the rooms in which a gateway has members. A view."""
        return self._gateways.get(gateway, ())

    def names(self) -> list[str]:
        """Return the rooms that have members, in the order in which they came to have any."""
        return list(self._rooms)

    def members(self, room: str, gateway: str) -> Mapping[str, str]:
        """Return the room's members on one gateway: connection to user. A view: copy it before a change."""
        return self._rooms.get(room, {}).get(gateway, _NOBODY)

    def connections(self, room: str, user: str) -> int:
        """Return how many connections of the user are members of the room."""
        counted = self._counted(room)
        if counted is None:
            gateways = self._rooms.get(room, {}).values()
            return sum(list(members.values()).count(user) for members in gateways)
        return counted.get(user, 0)

    def walk(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Walk (room, gateway, connection ▶ user), in the order in which they came."""
        return _walk(list(self._rooms), list(self._rooms.values()))

    def snapshot(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Walk likewise, what there is now, whatever is changed meanwhile; ``release`` when it is no longer
        needed.
        """
        self._snapshots += 1
        self._own.clear()
        return self.walk()

    def release(self) -> None:
        """One who took a snapshot needs it no longer."""
        self._snapshots -= 1
        if not self._snapshots:
            self._own.clear()

    def _begin(self, room: str) -> dict[str, dict[str, str]]:
        """Let a room have members."""
        self._user_rooms += room[:1] == "@"
        gateways = self._rooms[room] = {}
        return gateways

    def _copy(self, room: str) -> dict[str, dict[str, str]]:
        """Let a snapshot keep the room as it is, and return what we go on with."""
        self._own.add(room)
        gateways = self._rooms.get(room)
        if gateways is None:
            return {}
        gateways = self._rooms[room] = {gateway: dict(members) for gateway, members in gateways.items()}
        return gateways

    def _counted(self, room: str) -> Counter[str] | None:
        """Return user ▶ connections of a room; None where it is small and nobody has counted yet."""
        counted = self._users.get(room)
        if counted is None:
            gateways = self._rooms.get(room, {}).values()
            if sum(map(len, gateways)) <= FEW:
                return None
            counted = self._users[room] = Counter(each for members in gateways for each in members.values())
        return counted

    def _uncount(self, room: str, user: str) -> None:
        counted = self._users.get(room)
        if counted is not None:
            counted[user] -= 1
            if not counted[user]:
                del counted[user]

    def _empty(self, room: str, gateway: str) -> None:
        """Remove a gateway's entry in a room, and what became empty by it."""
        gateways = self._rooms[room]
        del gateways[gateway]
        if gateways:
            self._targets[room] = tuple(gateways)
        else:
            del self._rooms[room], self._targets[room]
            self._user_rooms -= room[:1] == "@"
            self._users.pop(room, None)
        rooms = self._gateways[gateway]
        del rooms[room]
        if not rooms:
            del self._gateways[gateway]


def _walk(
    rooms: list[str], gateways: list[dict[str, dict[str, str]]]
) -> Iterator[tuple[str, str, dict[str, str]]]:
    for room, there in zip(rooms, gateways, strict=True):
        for gateway, members in there.items():
            yield room, gateway, members


def came(
    index: int, room: str, conn: str, user: str, connections: int, members: int, at_us: int
) -> BackendEvent:
    """Return the event of a member that has come, by which its user has so many ``connections`` in the room,
    and the room so many ``members``. Being in its user's own room is being there at all.
    """
    kind: EventKind = "client.connected" if room[:1] == "@" else "room.joined"
    return BackendEvent(index, kind, room, at_us, conn, user, connections=connections, members=members)


def left(
    index: int, room: str, conn: str, user: str, connections: int, members: int, at_us: int, reason: str
) -> BackendEvent:
    """Return the event of a member that has left, by which its user has so many ``connections`` in the room
    still, and the room so many ``members``.
    """
    kind: EventKind = "client.disconnected" if room[:1] == "@" else "room.left"
    return BackendEvent(
        index, kind, room, at_us, conn, user, reason, connections=connections, members=members
    )
