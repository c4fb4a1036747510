"""Replay: a shard's log ▶ what its owner knows: positions, histories, ids seen.

An entry counts unless one of a later term stands before it: an owner writes a marker with its term before anything else, and what an
earlier owner writes after that was taken by nobody. A checkpoint tells all positions of its place in the log, so a log whose beginning has been
dropped tells as much as a whole one; where none has remained, the log begins a new life. What makes no sense is skipped and counted.
Pure. ``shell/log.py`` feeds it in the order of the stream; ``core/shard.py`` takes what it makes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from router.core.dedup import Dedup
from router.core.history import History
from router.core.limits import ShardLimits
from router.core.lives import Lives
from warren.address import is_address, shard_of
from warren.envelope import INTERNAL_ID, OVERHEAD_BYTES, Checkpoint, Deliver, Envelope, Marker
from warren.namespaces import Namespaces
from warren.position import Position


@dataclass(frozen=True, slots=True)
class Replayed:
    """What an owner begins with; it changes it from then on. ``own_ids`` are those that gateways gave, ``ids`` the senders' own."""

    lives: Lives
    history: History
    ids: Dedup
    own_ids: Dedup


class Replay:
    """One reading of one shard's log."""

    def __init__(self, limits: ShardLimits, namespaces: Namespaces, shards: int, number: int) -> None:
        """Begin with an empty log of shard ``number`` of ``shards``."""
        self.highest_term = 0  # of all that stands in the log
        self.skipped = 0  # entries that make no sense
        self.uncounted = 0  # entries of fenced owners
        self._shards = shards
        self._number = number
        self._policy = namespaces.policy
        self._lives = Lives(
            limits.rooms_remembered,
            lambda room: namespaces.policy(room).history.kept,
            checkpoint_count=limits.checkpoint_count,
            checkpoint_bytes=limits.checkpoint_bytes,
        )
        self._history = History(limits.room_history_bytes, limits.history_bytes, limits.history_floor_us)
        self._ids = Dedup(limits.dedup_count, limits.dedup_age_us)
        self._own_ids = Dedup(limits.dedup_count, limits.dedup_age_us)
        self._newest_us = 0
        self._began = False  # whether anything has come that a checkpoint can't be torn from
        self._rooms: dict[str, Position] = {}  # of a checkpoint whose last part has not come
        self._unlogged = False  # whether a room was passed over that is not logged any more
        self._unlogged_there = False  # likewise, in that checkpoint

    def take(self, envelopes: Iterable[Envelope]) -> None:
        """Take what comes next in the log."""
        for envelope in envelopes:
            match envelope:
                case Deliver():
                    self._began = True
                    if self._counts(envelope.term):
                        self._entry(envelope)
                case Checkpoint():
                    if not self._began:
                        # The beginning of the log has been dropped, and perhaps parts of this checkpoint with it.
                        self._began = envelope.last
                    elif self._counts(envelope.term):
                        self._checkpoint(envelope)
                case Marker():
                    self._began = True
                    if not self._counts(envelope.term):
                        self.uncounted -= 1  # of an owner that never came to write
                case _:
                    self.skipped += 1

    def finish(self, term: int, now_us: int) -> Replayed:
        """Return what was read, for an owner under ``term``. Not to be used after that."""
        if self._unlogged:
            self._lives.expire()
        self._lives.begin(term)
        # Ids age as if no time had passed since the last entry: while nobody works on the shard its deliveries wait, and come again.
        idle_us = now_us - self._newest_us
        if self._newest_us and idle_us > 0:
            self._ids.shift(idle_us)
            self._own_ids.shift(idle_us)
        return Replayed(self._lives, self._history, self._ids, self._own_ids)

    def _counts(self, term: int) -> bool:
        if term < self.highest_term:
            self.uncounted += 1
            return False
        if term > self.highest_term:  # by its marker, or where that has been dropped with the beginning of the log
            self.highest_term = term
            self._rooms, self._unlogged_there = {}, False  # whoever began a checkpoint does not end it
        return True

    def _entry(self, entry: Deliver) -> None:
        room = entry.room
        life = self._lives.get(room)
        position = Position(entry.epoch, entry.seq)
        if entry.seq < 1 or not position.is_valid() or (life is None and not self._ours(room)):
            self.skipped += 1
            return
        self._newest_us = max(self._newest_us, entry.at_us)
        self._lives.entered(OVERHEAD_BYTES + len(entry.payload))
        policy = self._policy(room).history
        if not policy.kept:
            self._unlogged = True
        else:
            if life is not None and life.epoch == entry.epoch and entry.seq <= life.seq and not self._supersedes(entry):
                self.skipped += 1
                return
            self._lives.restore(room, position)
            self._history.put(entry, policy, 0)
        if entry.id:
            ids = self._own_ids if entry.id.startswith(INTERNAL_ID) else self._ids
            ids.put((room, entry.user, entry.id), position, entry.at_us)

    def _supersedes(self, entry: Deliver) -> bool:
        """Say whether this entry counts in the place of what came before under its seq: that was a fenced owner's, and the fence has been
        dropped with the beginning of the log. What it wrote from there on is taken back.
        """
        former = self._history.find(entry.room, Position(entry.epoch, entry.seq))
        if former is None or former.term >= entry.term:
            return False
        for taken in self._history.cut(entry.room, entry.seq):
            self.uncounted += 1
            self._ids.discard((taken.room, taken.user, taken.id))
            self._own_ids.discard((taken.room, taken.user, taken.id))
        return True

    def _checkpoint(self, part: Checkpoint) -> None:
        if part.life < 1 or part.generation < 1:
            self.skipped += 1
            return
        for room, epoch, seq in part.rooms:
            position = Position(epoch, seq)
            if not self._ours(room) or seq < 0 or not position.is_valid():
                self.skipped += 1
            elif self._policy(room).history.kept:
                self._rooms[room] = position
            else:
                self._unlogged_there = True
        if not part.last:
            return
        rooms, self._rooms = self._rooms, {}
        self._unlogged, self._unlogged_there = self._unlogged_there, False
        self._lives.restart(part.life, part.generation, rooms)
        for room in self._history.rooms():
            if room not in rooms or not self._history.reaches(room, rooms[room]):
                self._history.drop(room)

    def _ours(self, room: str) -> bool:
        return is_address(room) and "~" not in room and shard_of(room, self._shards) == self._number
