"""RoomTable: who is where. Rooms to gateways to members, and back; nothing else.

No seq, no time, no policy. Empty entries are removed, so its size is the number of memberships. ``core/shard.py`` owns one and is
the only one to change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

_NOBODY: Mapping[str, str] = {}


class RoomTable:
    """The members of a shard's rooms, by gateway."""

    def __init__(self) -> None:
        """Begin with nobody anywhere."""
        self._rooms: dict[str, dict[str, dict[str, str]]] = {}  # room ▶ gateway ▶ connection ▶ user
        self._gateways: dict[str, set[str]] = {}  # gateway ▶ its rooms
        self._targets: dict[str, tuple[str, ...]] = {}  # room ▶ its gateways, ready to use
        self._members = 0

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

    def join(self, room: str, gateway: str, conn: str, user: str) -> bool:
        """Make ``conn`` of ``gateway`` a member; False where it was one already."""
        gateways = self._rooms.setdefault(room, {})
        members = gateways.get(gateway)
        if members is None:
            members = gateways[gateway] = {}
            self._gateways.setdefault(gateway, set()).add(room)
            self._targets[room] = tuple(gateways)
        if conn in members:
            return False
        members[conn] = user
        self._members += 1
        return True

    def leave(self, room: str, gateway: str, conn: str) -> bool:
        """Make ``conn`` no member any more; False where it was none."""
        members = self._rooms.get(room, {}).get(gateway)
        if members is None or conn not in members:
            return False
        del members[conn]
        self._members -= 1
        if not members:
            self._empty(room, gateway)
        return True

    def drop_gateway(self, gateway: str) -> list[str]:
        """Remove all of a gateway's members; return the rooms that it had some in."""
        rooms = sorted(self._gateways.get(gateway, ()))
        for room in rooms:
            self._members -= len(self._rooms[room][gateway])
            self._empty(room, gateway)
        return rooms

    def targets(self, room: str) -> tuple[str, ...]:
        """Return the gateways that have a member of the room."""
        return self._targets.get(room, ())

    def members(self, room: str, gateway: str) -> Mapping[str, str]:
        """Return the room's members on one gateway: connection to user. A view: copy it before a change."""
        return self._rooms.get(room, {}).get(gateway, _NOBODY)

    def rooms_of(self, gateway: str) -> Iterable[str]:
        """Return the rooms that a gateway has members in. A view: copy it before a change."""
        return self._gateways.get(gateway, ())

    def gateways(self) -> Iterator[str]:
        """Walk the gateways that have any member."""
        return iter(self._gateways)

    def _empty(self, room: str, gateway: str) -> None:
        """Remove a gateway's entry in a room, and what became empty by it."""
        gateways = self._rooms[room]
        del gateways[gateway]
        if gateways:
            self._targets[room] = tuple(gateways)
        else:
            del self._rooms[room], self._targets[room]
        rooms = self._gateways[gateway]
        rooms.discard(room)
        if not rooms:
            del self._gateways[gateway]
