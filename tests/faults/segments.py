"""Segments: one member's way through one room, cut where it was told that continuity is lost.

Within a segment each message must follow the last one; what does not is a problem, and so is what must not be
shown at all. Whether anything is missing in it only the whole history can say. Pure; ``assertions.py`` calls
it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.faults.history import Event, Got, Joined, Sent


@dataclass
class Segment:
    """From one JOINED without continuity to the next."""

    epoch: str
    start: int  # the position that JOINED gave: what comes must be after it
    step: int
    since: int | None = None  # what the member had asked to go on from
    last: int = 0  # the highest seq shown
    seen: set[int] = field(default_factory=set)
    repeats: int = 0
    ended: bool = False  # another one follows

    def __post_init__(self) -> None:
        """Nothing is shown yet."""
        self.last = self.start


class Problem(NamedTuple):
    """What is wrong whatever the others saw; ``kind`` is one of the verdict's."""

    kind: str
    text: str
    step: int
    epoch: str
    seq: int


def segments(events: Iterable[Event]) -> dict[str, tuple[list[Segment], list[Problem]]]:
    """Return each room's segments and problems of one member."""
    rooms: dict[str, _Walk] = {}
    for event in events:
        if isinstance(event, Sent) and not event.include_sender:
            rooms.setdefault(event.room, _Walk()).own.add(event.id)
        elif isinstance(event, Joined):
            rooms.setdefault(event.room, _Walk()).join(event)
        elif isinstance(event, Got):
            rooms.setdefault(event.room, _Walk()).take(event)
    return {room: (walk.segments, walk.problems) for room, walk in rooms.items()}


class _Walk:
    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.problems: list[Problem] = []
        self.own: set[str] = set()  # ids of what the member sent without asking for a copy
        # what the last JOINED sends once more, for the member had got further than it asked for
        self.again = range(0)

    def join(self, joined: Joined) -> None:
        now = self.segments[-1] if self.segments else None
        if now is not None and joined.recovered:
            if joined.epoch != now.epoch:
                self._problem("forked", f"recovered: true from {now.epoch} into another life", joined)
            elif joined.since is not None and joined.seq < joined.since:
                self._problem("forked", f"recovered: true at a position before ours, {joined.since}", joined)
            else:
                self.again = range(joined.seq + 1, now.last)
                return
        if now is not None:
            now.ended = True
        self.segments.append(Segment(joined.epoch, joined.seq, joined.step, joined.since))
        self.again = range(0)

    def take(self, got: Got) -> None:
        now = self.segments[-1] if self.segments else None
        if now is None:
            self._problem("stray", f"{got.id} came before JOINED", got)
        elif got.epoch != now.epoch:
            self._problem("stray", f"{got.id} of life {got.epoch} was shown in life {now.epoch}", got)
        elif any(got.seq in segment.seen for segment in self.segments if segment.epoch == got.epoch):
            now.repeats += 1
        elif got.seq <= now.start:
            self._problem("stray", f"{got.id} at {got.seq} was shown though JOINED said {now.start}", got)
        elif got.seq in self.again and got.id in self.own:
            now.repeats += 1  # it got no copy when it went by; one below its position now is a repeat
        elif got.seq < now.last:
            now.seen.add(got.seq)
            self._problem("reordered", f"{got.id} at {got.seq} was shown after {now.last}", got)
        else:
            now.seen.add(got.seq)
            now.last = got.seq

    def _problem(self, kind: str, text: str, event: Joined | Got) -> None:
        self.problems.append(Problem(kind, text, event.step, event.epoch, event.seq))
