"""The result of a run: what was confirmed against what is in the log, and what each reader saw against what
the others saw.

Pure: observations in, counts out. It never asks a broker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from bench.streams.entries import Key

# What one reader read of a stream: offset ▶ entry.
Sight = Mapping[int, Key]


class Resumption(StrEnum):
    """What the first delivery tells a reader that asked for the entry that it read last."""

    SAME = "the same entry"
    OTHER = "another entry: another log, or one that lost its end"
    DROPPED = "the last entry is gone: dropped, or another log"


def resumed(held: tuple[int, Key], given: tuple[int, Key]) -> Resumption:
    """Compare the offset and entry that a reader holds with the first ones that it is given."""
    if given == held:
        return Resumption.SAME
    return Resumption.OTHER if given[0] <= held[0] else Resumption.DROPPED


@dataclass(frozen=True, slots=True)
class Jump:
    """Offsets that nobody was given: the next after ``after`` is ``upto``."""

    after: int
    upto: int

    @property
    def missing(self) -> int:
        """How many offsets are in between."""
        return self.upto - self.after - 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """The counts of one run. ``disagreeing``: offsets at which two readers, or a reader and the log, hold
    different entries; ``gone``: entries that a reader was given and that the log does not have at that
    offset; ``skipped``: entries that the log has between two offsets that a reader was given, and the reader
    was not given.
    """

    confirmed: int
    entries: int
    missing: int
    disagreeing: int
    gone: int
    skipped: int
    second: int
    behind: int

    @property
    def good(self) -> bool:
        """Whether the log kept its promises. Second copies come from the writers, even if one follows a later
        entry of its writer.
        """
        return not (self.missing or self.disagreeing or self.gone or self.skipped)

    def __str__(self) -> str:
        return (
            f"confirmed {self.confirmed}, in the log {self.entries}, confirmed but not there {self.missing}, offsets at which readers disagree {self.disagreeing}, "
            f"read and gone {self.gone}, skipped {self.skipped}, second copies {self.second}, of them behind a later one {self.behind}"
        )


def judge(confirmed: Mapping[int, int], log: Sight, readers: Sequence[Sight]) -> Verdict:
    """``confirmed``: for each writer the last confirmed number, of numbers from 1 without gaps. ``log``: a
    complete reading at the end.
    """
    there = set(log.values())
    promised = {Key(writer, number) for writer, last in confirmed.items() for number in range(1, last + 1)}
    second, behind = copies(log)
    disagreeing: set[int] = set()
    gone: set[int] = set()
    skipped = 0
    first_seen: dict[int, Key] = {}
    for sight in readers:
        for offset, key in sight.items():
            if first_seen.setdefault(offset, key) != key or log.get(offset, key) != key:
                disagreeing.add(offset)
            elif offset not in log:
                gone.add(offset)
        if sight:
            least, most = min(sight), max(sight)
            skipped += sum(1 for offset in log if least <= offset <= most and offset not in sight)
    return Verdict(
        confirmed=len(promised),
        entries=len(log),
        missing=len(promised - there),
        disagreeing=len(disagreeing),
        gone=len(gone),
        skipped=skipped,
        second=second,
        behind=behind,
    )


def copies(log: Sight) -> tuple[int, int]:
    """Count the entries that are in the log more than once, and those of them that follow a later number of
    their writer.
    """
    seen: set[Key] = set()
    latest: dict[int, int] = {}
    second = behind = 0
    for offset in sorted(log):
        key = log[offset]
        if key in seen:
            second += 1
            behind += key.number < latest[key.writer]
        seen.add(key)
        latest[key.writer] = max(key.number, latest.get(key.writer, 0))
    return second, behind


def jumps(offsets: Iterable[int]) -> list[Jump]:
    """Return where the offsets of a reading are not consecutive."""
    return [Jump(before, after) for before, after in pairwise(sorted(offsets)) if after != before + 1]
