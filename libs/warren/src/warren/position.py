"""Position: how far a reader of a room has got. (epoch, seq), where the epoch is one life of the room's log.

Pure arithmetic; it never decides what to do about a gap.
"""

from __future__ import annotations

import re

import msgspec

EPOCH = re.compile(r"[0-9a-z.\-]{1,40}")


class Position(msgspec.Struct, frozen=True, array_like=True):
    """``seq`` messages of the life ``epoch`` have been seen; seqs run 1, 2, 3 …, so 0 is "none yet".

    An **epoch** is one life of a room's numbers: within it each number is given once and never to another
    message. Bob has seen ("k3f9-1", 11). He comes back and is told that the room stands at ("k3f9-1", 12):
    message 12 is all that he lacks. Told ("m207-1", 4) he can't know what he lacks, since the numbers have
    begun anew (the log was lost, or the room was forgotten meanwhile).
    """

    epoch: str
    seq: int

    def gap(self, other: Position) -> int | None:
        """Return how many messages lie after ``other`` up to this one; None where the epochs differ (no one
        can say).
        """
        return self.seq - other.seq if self.epoch == other.epoch else None

    def is_valid(self) -> bool:
        """Say whether a position that came from outside could be one of ours."""
        return self.seq >= 0 and EPOCH.fullmatch(self.epoch) is not None


class LogPosition(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A place among all that a shard's log brings about: its ``index``-th effect (1, 2, 3 …; 0: before the
    first) of the entry at ``offset``.

    ``life`` is that of the log in which the offset counts. Positions of one life are ordered; of two lives
    they must not be compared.
    """

    life: str
    offset: int
    index: int
