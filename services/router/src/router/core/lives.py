"""Lives: each room's position (epoch, seq), for as long as it is remembered; only here does a seq grow.

An epoch promises: in it, a room's messages are numbered 1, 2, 3 …, each number once. Logged rooms share the epoch
``<life>-<generation>``: the life is that of the log, and the generation grows whenever the position of any logged room is forgotten, since a
room that is not in the table stands at 0 of the present epoch. A checkpoint tells the log all positions and the generation, and is to be
appended before anything is numbered in it; it is also due after so many entries that the log may soon drop its oldest. Rooms without history
are not logged: their epochs ``<term>.<generation>`` end with their owner. Of rooms without members only the latest used are remembered.

Pure. ``core/shard.py`` numbers with it, ``core/replay.py`` builds it up from the log.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from warren.address import EVERYONE
from warren.envelope import Checkpoint
from warren.position import Position

ROOMS_IN_PART = 1_000  # of a checkpoint
ENTRIES_PER_ROOM = 4  # that a checkpoint waits for, so that it is never more than a part of what is logged

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def base36(number: int) -> str:
    """Return a number of 0 or more in lower-case base 36."""
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
        if not number:
            return text


class Life:
    """One room's. ``awake``: it has members, and is never forgotten."""

    __slots__ = ("awake", "epoch", "logged", "seq")

    def __init__(self, epoch: str, seq: int, *, logged: bool, awake: bool) -> None:
        """Begin at (epoch, seq)."""
        self.epoch = epoch
        self.seq = seq
        self.logged = logged
        self.awake = awake

    @property
    def position(self) -> Position:
        """How far the room has got."""
        return Position(self.epoch, self.seq)


class Lives:
    """Positions of a shard's rooms."""

    def __init__(
        self, remembered: int, logged: Callable[[str], bool], *, checkpoint_count: int, checkpoint_bytes: int
    ) -> None:
        """Keep the positions of at most ``remembered`` rooms without members. ``logged`` says whether a room's messages are logged."""
        self.life = 0
        self.generation = 0
        self._term = 0
        self._fleeting = 1  # the generation of rooms that are not logged
        self._remembered = remembered
        self._logged = logged
        self._checkpoint_count = checkpoint_count
        self._checkpoint_bytes = checkpoint_bytes
        self._lives: dict[str, Life] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()  # rooms without members, the latest used last
        self._unsaid = False  # the log does not know the generation yet
        self._count = 0  # entries and their bytes since the last checkpoint
        self._bytes = 0

    def begin(self, term: int) -> None:
        """An owner begins under ``term``, which no other ever has. Where the log has told no life, that is its life."""
        self._term = term
        if not self.life:
            self.life, self.generation, self._unsaid = term, 1, True

    def __len__(self) -> int:
        """Return how many rooms have a position of their own."""
        return len(self._lives)

    def __contains__(self, room: str) -> bool:
        """Say whether this room has a position of its own."""
        return room in self._lives

    def get(self, room: str) -> Life | None:
        """Return the room's life; None where it has none (then it stands at 0 of its kind's present epoch)."""
        return self._lives.get(room)

    def position(self, room: str) -> Position:
        """Return the room's position. It changes nothing."""
        life = self._lives.get(room)
        return Position(self._epoch(self._logged(room)), 0) if life is None else life.position

    def advance(self, room: str) -> Life:
        """Give the room's next message its number; return the life that has come to it."""
        life = self._lives.get(room)
        if life is None:
            life = self._begin(room)
        elif not life.awake:
            self._idle.move_to_end(room)
        life.seq += 1
        return life

    def wake(self, room: str) -> None:
        """The room has members: it is not forgotten."""
        life = self._lives.get(room) or self._begin(room)
        if not life.awake:
            life.awake = True
            del self._idle[room]

    def rest(self, room: str) -> None:
        """The room has no members: it may be forgotten when too many others have been used since."""
        life = self._lives.get(room)
        if life is None or not life.awake or room == EVERYONE:
            return
        if not life.seq and life.epoch == self._epoch(life.logged):
            del self._lives[room]  # that is where a room without an entry stands
            return
        life.awake = False
        self._idle[room] = None

    def restore(self, room: str, position: Position) -> None:
        """The log tells where a logged room stands."""
        life = self._lives.get(room)
        if life is None:
            life = self._begin(room)
        elif not life.awake:
            self._idle.move_to_end(room)
        life.epoch, life.seq = position.epoch, position.seq

    def restart(self, life: int, generation: int, rooms: dict[str, Position]) -> None:
        """The log tells where all logged rooms stand: those not named have no position of their own."""
        self.life, self.generation = life, generation
        self._lives.clear()
        self._idle.clear()
        for room, position in rooms.items():
            self.restore(room, position)
        self._unsaid = False
        self._count = self._bytes = 0

    def entered(self, size: int) -> None:
        """An entry of ``size`` bytes is (to be) appended to the log."""
        self._count += 1
        self._bytes += size

    # ── forgetting ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def due(self) -> bool:
        """Whether ``forget`` and ``checkpoint`` must be called before anything else is numbered."""
        return (
            self._unsaid
            or len(self._idle) > self._remembered
            or self._bytes >= self._checkpoint_bytes
            or (self._count >= self._checkpoint_count and self._count >= ENTRIES_PER_ROOM * len(self._lives))
        )

    def forget(self) -> list[str]:
        """Where too many rooms without members are remembered, forget those used longest ago; return them. An eighth more than need be,
        since it costs a checkpoint each time.
        """
        excess = len(self._idle) - self._remembered
        if excess <= 0:
            return []
        forgotten: list[str] = []
        kinds: set[bool] = set()
        for _ in range(min(len(self._idle), excess + self._remembered // 8)):
            room, _none = self._idle.popitem(last=False)
            forgotten.append(room)
            kinds.add(self._lives.pop(room).logged)
        for logged in kinds:
            self.expire(logged=logged)
        return forgotten

    def renounce(self, room: str) -> None:
        """Forget one room's position: others hold a later one in the same epoch, so it must begin again in a new epoch."""
        life = self._lives.pop(room, None)
        self._idle.pop(room, None)
        self.expire(logged=self._logged(room) if life is None else life.logged)
        if life is not None and life.awake:
            self.wake(room)

    def expire(self, *, logged: bool = True) -> None:
        """The position of a room of this kind was forgotten: rooms without an entry begin a new epoch."""
        if logged:
            self.generation, self._unsaid = self.generation + 1, True
        else:
            self._fleeting += 1

    def checkpoint(self) -> list[Checkpoint]:
        """Return what the log is to be told now, in parts; empty where nothing has to be."""
        if not self.due:
            return []
        rooms = list(self._told())
        parts = [rooms[at : at + ROOMS_IN_PART] for at in range(0, len(rooms), ROOMS_IN_PART)] or [[]]
        self._unsaid = False
        self._count = self._bytes = 0
        last = len(parts) - 1
        return [
            Checkpoint(self._term, self.life, self.generation, tuple(part), number == last)
            for number, part in enumerate(parts)
        ]

    def logged(self) -> dict[str, Position]:
        """Return the positions of logged rooms that the log must tell."""
        return {room: Position(epoch, seq) for room, epoch, seq in self._told()}

    def _told(self) -> Iterator[tuple[str, str, int]]:
        present = self._epoch(logged=True)
        for room, life in self._lives.items():
            if life.logged and (life.seq or life.epoch != present):
                yield room, life.epoch, life.seq

    def _begin(self, room: str) -> Life:
        logged = self._logged(room)
        everyone = room == EVERYONE  # is always there
        life = self._lives[room] = Life(self._epoch(logged), 0, logged=logged, awake=everyone)
        if not everyone:
            self._idle[room] = None
        return life

    def _epoch(self, logged: bool) -> str:
        if logged:
            return f"{base36(self.life)}-{base36(self.generation)}"
        return f"{base36(self._term)}.{base36(self._fleeting)}"
