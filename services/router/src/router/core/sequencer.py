"""Sequencer: each room's position (epoch, seq), for as long as it is remembered; only here does a seq grow.

An epoch promises: in it, a room's messages are numbered 1, 2, 3 …, each number once. Epochs are
``<life>-<generation>``: the life is that of the log, and the generation grows whenever a room's position is
forgotten, since a room that is not in the table stands at 0 of the present epoch. Rooms with members are
never forgotten; of those without, only the latest used are remembered. All of it depends on the log's order
alone.

An epoch, by example: in the log's life ``k3f9`` room chat:a was given 12 messages in ``k3f9-1``. Then so many
other rooms were used that it was forgotten, and the generation became 2: its next message is 1 of ``k3f9-2``,
and who comes back with (``k3f9-1``, 12) is told that what it missed is not known.
"""

from __future__ import annotations

from itertools import islice

import msgspec

from warren.address import EVERYONE
from warren.position import Position

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_EPOCHS_AT_HAND = 1_024


def base36(number: int) -> str:
    """Return a number of 0 or more in lower-case base 36."""
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
        if not number:
            return text


class Standing(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How far one room has got: ``seq`` messages in the epoch of ``generation``. Frozen, so that a snapshot
    of a table need not copy its rows.
    """

    generation: int
    seq: int


class Sequencer:
    """Positions of a shard's rooms."""

    def __init__(
        self,
        life: str = "",
        generation: int = 1,
        awake: dict[str, Standing] | None = None,
        idle: dict[str, Standing] | None = None,
    ) -> None:
        """``awake``: rooms that have members (or are always there); ``idle``: those without, the latest used
        last.
        """
        self.life = life
        self.generation = generation
        self.awake: dict[str, Standing] = {} if awake is None else awake
        self.idle: dict[str, Standing] = {} if idle is None else idle
        self._epochs: dict[int, str] = {0: ""}

    def __len__(self) -> int:
        """Return how many rooms have a position of their own."""
        return len(self.awake) + len(self.idle)

    def __contains__(self, room: str) -> bool:
        """Say whether this room has a position of its own."""
        return room in self.awake or room in self.idle

    def epoch(self, generation: int) -> str:
        """Return the name of a generation's epoch; empty for generation 0, which is that of nothing."""
        name = self._epochs.get(generation)
        if name is None:
            if len(self._epochs) >= _EPOCHS_AT_HAND:
                self._epochs = {0: ""}
            name = self._epochs[generation] = f"{self.life}-{base36(generation)}"
        return name

    def standing(self, room: str) -> Standing:
        """Return how far the room has got. It changes nothing."""
        return self.awake.get(room) or self.idle.get(room) or Standing(self.generation, 0)

    def position(self, room: str) -> Position:
        """Return the room's position. It changes nothing."""
        standing = self.standing(room)
        return Position(self.epoch(standing.generation), standing.seq)

    def advance(self, room: str) -> Standing:
        """Give the room's next message its number; return where the room stands with it."""
        standing = self.awake.get(room)
        if standing is not None:
            standing = self.awake[room] = Standing(standing.generation, standing.seq + 1)
            return standing
        before = self.idle.pop(room, None) or Standing(self.generation, 0)
        standing = self.idle[room] = Standing(before.generation, before.seq + 1)
        return standing

    def wake(self, room: str) -> None:
        """The room has members: it is not forgotten, and keeps its epoch."""
        if room not in self.awake:
            self.awake[room] = self.idle.pop(room) if room in self.idle else Standing(self.generation, 0)

    def rest(self, room: str) -> None:
        """The room has no members: it may be forgotten when too many others have been used since."""
        if room == EVERYONE:
            return
        standing = self.awake.pop(room, None)
        # One at 0 of the present epoch stands where a room without an entry does.
        if standing is not None and (standing.seq or standing.generation != self.generation):
            self.idle[room] = standing

    def forget(self, remembered: int) -> None:
        """Where more rooms without members than that are remembered, forget those used longest ago. An eighth
        more than need be, since it begins a new epoch each time.
        """
        excess = len(self.idle) - remembered
        if excess <= 0:
            return
        for room in list(islice(self.idle, excess + remembered // 8)):
            del self.idle[room]
        self.generation += 1
