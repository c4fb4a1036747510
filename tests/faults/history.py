"""What a run of the checker's world recorded: for each member, in the order in which it lived through them,
what it did and was told.

Pure data; the participants write it, the verdict reads it. ``step`` counts everything that happens to
anybody, so that "this was acknowledged before that was sent" can be said across members.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Sent(NamedTuple):
    """The member sent a message for the first time. Repeats under the same id are not recorded here."""

    step: int
    room: str
    id: str
    number: int
    include_sender: bool = False


class Acked(NamedTuple):
    """The member was told that its message is accepted at this position."""

    step: int
    room: str
    id: str
    epoch: str
    seq: int


class Refused(NamedTuple):
    """The member got an ERROR that says: don't send this again. ``room`` and ``id`` are empty where it names
    no message.
    """

    step: int
    room: str
    id: str
    code: str


class Joined(NamedTuple):
    """JOINED. ``since`` is the seq that the member had asked to go on from; None: it asked for none, or for
    nothing.
    """

    step: int
    room: str
    epoch: str
    seq: int
    recovered: bool
    since: int | None = None


class Left(NamedTuple):
    """LEFT, though the member never asked for it."""

    step: int
    room: str


class Got(NamedTuple):
    """A message came, repeats among them; ``number`` is what its payload says."""

    step: int
    room: str
    epoch: str
    seq: int
    sender: str
    id: str
    number: int


Event = Sent | Acked | Refused | Joined | Left | Got


@dataclass
class History:
    """Everybody's events."""

    members: dict[str, list[Event]] = field(default_factory=dict)
    step: int = 0

    def next(self) -> int:
        """Return the number of what happens now."""
        self.step += 1
        return self.step

    def add(self, member: str, *events: Event) -> None:
        """Record what happened to a member."""
        self.members.setdefault(member, []).extend(events)
