"""The verdict: was Warren's promise kept in this history? A pure function of what was recorded.

Each acknowledged message at each member that stayed, or came back with ``recovered: true``, once and in the
order of seq; the same message at the same position for everybody; and who was told ``recovered: false`` saw
nothing of the partial rest. What a room's log holds is put together from what its members saw and its senders
were told.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tests.faults.history import Acked, Event, Got, History, Joined, Left, Refused, Sent
from tests.faults.segments import Segment, segments


class Kind(enum.StrEnum):
    """What can be wrong."""

    LOST = "lost"  # an acknowledged message never came to a member that was told of no gap
    SKIPPED = "skipped"  # a seq never came, and nobody was told what it was
    DOUBLED = "doubled"  # one message at two positions
    REORDERED = (
        # a message after a later one, or numbered before one that was acknowledged before it was sent
        "reordered"
    )
    # two messages at one position, two answers for one message, or two lives of one room at the end
    FORKED = "forked"
    # a message that was not to be shown: of another life, before its JOINED, or one that nobody sent
    STRAY = "stray"
    UNRECOVERED = "unrecovered"  # recovered: false, though the log has all that was missed
    UNANSWERED = "unanswered"  # neither ACK nor a final ERROR to the end
    REFUSED = "refused"  # a final ERROR for a message that is in order
    EXPELLED = "expelled"  # LEFT without having asked for it


class Fault(NamedTuple):
    """One thing that is wrong."""

    kind: Kind
    member: str
    room: str
    text: str
    step: int = 0  # when it showed; 0: at the end
    epoch: str = ""
    seq: int = 0
    id: str = ""


class Entry(NamedTuple):
    """A message as it stands in a room's log."""

    sender: str
    id: str
    number: int


@dataclass
class Figures:
    """What the history amounts to."""

    members: int = 0
    rooms: int = 0
    messages: int = 0  # sent, each once
    acks: int = 0  # messages acknowledged
    deliveries: int = 0  # shown to members, repeats not counted
    repeats: int = 0  # dropped by (epoch, seq), as the protocol says
    recovered: int = 0  # JOIN with a position, answered recovered: true
    unrecovered: int = 0  # and false
    renewed: int = 0  # JOINED unasked: a new life of a room
    needless: int = 0  # JOINED unasked with recovered: false, where nothing was missing
    excused: int = 0  # deliveries owed that recovered: false stands for


@dataclass
class Verdict:
    """The answer: no fault, or all of them, and the figures."""

    faults: list[Fault] = field(default_factory=list)
    figures: Figures = field(default_factory=Figures)

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return not self.faults

    def kinds(self) -> Counter[str]:
        """Return how many faults there are of each kind."""
        return Counter(str(fault.kind) for fault in self.faults)


class _Book:
    """Who sent what, who was told what, and what each room's log must look like."""

    def __init__(self, history: History, *, lives_are_apart: bool) -> None:
        self._lives_are_apart = lives_are_apart
        self.sent: dict[tuple[str, str], tuple[str, Sent]] = {}  # (room, id) ▶ sender, what
        self.acked: dict[tuple[str, str], Acked] = {}
        self.log: dict[tuple[str, str], dict[int, Entry]] = {}  # (room, epoch) ▶ seq ▶ message
        self.acked_at: set[tuple[str, str, int]] = set()
        # (room, id) ▶ positions ▶ first step
        self.places: dict[tuple[str, str], dict[tuple[str, int], int]] = {}
        self.refused: set[tuple[str, str]] = set()
        self.faults: list[Fault] = []
        for member, event in _all(history):
            if isinstance(event, Sent):
                self.sent[event.room, event.id] = member, event
        for member, event in _all(history):
            match event:
                case Acked():
                    self._take_ack(member, event)
                case Got():
                    self._take_message(member, event)
                case Refused():
                    self.refused.add((event.room, event.id))
                    text = f"ERROR {event.code} for {event.id or 'no message in particular'}"
                    self.faults.append(Fault(Kind.REFUSED, member, event.room, text, event.step, id=event.id))
                case Left():
                    self.faults.append(Fault(Kind.EXPELLED, member, event.room, "LEFT unasked", event.step))
                case _:
                    pass

    def head(self, room: str, epoch: str) -> int:
        """Return the last seq of a room's life that anybody knows of."""
        return max(self.log.get((room, epoch), {0: None}))

    def _take_ack(self, member: str, ack: Acked) -> None:
        first = self.acked.setdefault((ack.room, ack.id), ack)
        if (first.epoch, first.seq) != (ack.epoch, ack.seq) and not self._apart(first.epoch, ack.epoch):
            text = f"{ack.id} was acknowledged at {first.epoch}/{first.seq} and then at {ack.epoch}/{ack.seq}"
            self.faults.append(
                Fault(Kind.FORKED, member, ack.room, text, ack.step, ack.epoch, ack.seq, ack.id)
            )
        sender, sent = self.sent.get((ack.room, ack.id), ("", None))
        if sent is None or sender != member:
            text = f"ACK for {ack.id}, which {member} did not send"
            self.faults.append(
                Fault(Kind.STRAY, member, ack.room, text, ack.step, ack.epoch, ack.seq, ack.id)
            )
            return
        self.acked_at.add((ack.room, ack.epoch, ack.seq))
        self._place(member, ack, Entry(sender, sent.id, sent.number))

    def _take_message(self, member: str, got: Got) -> None:
        sender, sent = self.sent.get((got.room, got.id), ("", None))
        if sent is None or (sender, sent.number) != (got.sender, got.number):
            text = f"{got.id} (number {got.number}, of {got.sender!r}) was never sent so"
            self.faults.append(
                Fault(Kind.STRAY, member, got.room, text, got.step, got.epoch, got.seq, got.id)
            )
        self._place(member, got, Entry(got.sender, got.id, got.number))

    def _place(self, member: str, event: Acked | Got, entry: Entry) -> None:
        room, epoch, seq = event.room, event.epoch, event.seq
        there = self.log.setdefault((room, epoch), {}).setdefault(seq, entry)
        if there != entry:
            text = (
                f"{epoch}/{seq} is {entry.id} of {entry.sender} here and {there.id} of {there.sender} "
                f"elsewhere"
            )
            self.faults.append(Fault(Kind.FORKED, member, room, text, event.step, epoch, seq, entry.id))
        places = self.places.setdefault((room, entry.id), {})
        if (epoch, seq) not in places:
            others = [f"{life}/{at}" for life, at in places if not self._apart(life, epoch)]
            if others:
                text = f"{entry.id} of {entry.sender} stands at {others[0]} and at {epoch}/{seq}"
                self.faults.append(Fault(Kind.DOUBLED, member, room, text, event.step, epoch, seq, entry.id))
            places[epoch, seq] = event.step

    def _apart(self, one: str, other: str) -> bool:
        """Say whether a message may stand in both lives: the ids seen went with the first one's log."""
        return self._lives_are_apart and one != other


def judge(history: History, *, breaks_allowed: bool = False) -> Verdict:
    """Return the verdict. ``breaks_allowed``: an honest ``recovered: false`` is no fault (the log was lost,
    or too short), and a new life of a room knows nothing of the messages of the last one.
    """
    book = _Book(history, lives_are_apart=breaks_allowed)
    verdict = Verdict(list(book.faults))
    figures = verdict.figures
    ends: dict[str, dict[str, Segment]] = {}  # room ▶ member ▶ its last segment
    lives: dict[str, set[str]] = {}
    for member, events in history.members.items():
        for room, (found, problems) in segments(events).items():
            verdict.faults += (
                Fault(
                    Kind(problem.kind), member, room, problem.text, problem.step, problem.epoch, problem.seq
                )
                for problem in problems
            )
            seen: dict[str, set[int]] = {}  # by epoch
            for segment in found:
                figures.deliveries += len(segment.seen)
                figures.repeats += segment.repeats
                lives.setdefault(room, set()).add(segment.epoch)
                before_it = seen.setdefault(segment.epoch, set())
                before_it |= segment.seen
                verdict.faults += _holes(book, member, room, segment, before_it)
            if found:
                ends.setdefault(room, {})[member] = found[-1]
            for before, after in pairwise(found):
                if _needless(book, member, room, before, after):
                    figures.needless += 1
                    continue
                until = after.start if after.epoch == before.epoch else book.head(room, before.epoch)
                figures.excused += max(0, until - before.last)
                if not breaks_allowed:
                    text = (
                        f"from {before.epoch}/{before.last} to {after.epoch}/{after.start} by "
                        f"recovered: false"
                    )
                    verdict.faults.append(
                        Fault(Kind.UNRECOVERED, member, room, text, after.step, after.epoch)
                    )
    for room, by_member in ends.items():
        verdict.faults += _two_lives(room, by_member)
    verdict.faults += _answers(book, lives)
    verdict.faults += _before_and_after(book)
    _count(history, book, figures)
    verdict.faults.sort(key=lambda fault: fault.step or history.step + 1)
    return verdict


def _needless(book: _Book, member: str, room: str, before: Segment, after: Segment) -> bool:
    """Say whether a gap was told of, unasked, where nothing was missing but what the member had
    sent itself.
    """
    if after.epoch != before.epoch or after.since is not None:
        return False
    log = book.log.get((room, before.epoch), {})
    between = [log.get(seq) for seq in range(before.last + 1, after.start + 1)]
    return all(entry is not None and entry.sender == member for entry in between)


def _holes(book: _Book, member: str, room: str, segment: Segment, seen: set[int]) -> Iterator[Fault]:
    """Yield what should have come in a segment and did not; ``seen``: in this one and earlier ones of the
    same life.
    """
    log = book.log.get((room, segment.epoch), {})
    until = segment.last if segment.ended else max(segment.last, book.head(room, segment.epoch))
    for seq in range(segment.start + 1, until + 1):
        if seq in seen:
            continue
        entry = log.get(seq)
        if entry is None:
            text = f"{segment.epoch}/{seq} never came, and nobody knows what it was"
            yield Fault(Kind.SKIPPED, member, room, text, 0, segment.epoch, seq)
            continue
        _, sent = book.sent.get((room, entry.id), ("", None))
        if entry.sender == member and not (sent is not None and sent.include_sender):
            continue  # its own, of which it gets no copy
        acked = (room, segment.epoch, seq) in book.acked_at
        text = f"{entry.id} of {entry.sender} at {segment.epoch}/{seq} never came" + (
            ", though acknowledged" * acked
        )
        yield Fault(Kind.LOST if acked else Kind.SKIPPED, member, room, text, 0, segment.epoch, seq, entry.id)


def _two_lives(room: str, by_member: dict[str, Segment]) -> Iterator[Fault]:
    epochs = Counter(segment.epoch for segment in by_member.values())
    usual, _ = epochs.most_common(1)[0]
    for member, segment in by_member.items():
        if segment.epoch != usual:
            text = f"ends in life {segment.epoch} of the room while others are in {usual}"
            yield Fault(Kind.FORKED, member, room, text, 0, segment.epoch)


def _answers(book: _Book, lives: dict[str, set[str]]) -> Iterator[Fault]:
    """Yield what was sent and never answered, and what was acknowledged in a life that no member was ever
    told of.
    """
    for (room, message), (sender, sent) in book.sent.items():
        ack = book.acked.get((room, message))
        if ack is None:
            if (room, message) not in book.refused:
                yield Fault(
                    Kind.UNANSWERED, sender, room, f"{message} was never acknowledged", sent.step, id=message
                )
        elif ack.epoch not in lives.get(room, ()):
            text = f"{message} was acknowledged at {ack.epoch}/{ack.seq}, a life that no member was told of"
            yield Fault(Kind.LOST, sender, room, text, ack.step, ack.epoch, ack.seq, message)


def _before_and_after(book: _Book) -> Iterator[Fault]:
    """Yield messages that were acknowledged before one with a lower seq was sent at all."""
    for (room, epoch), log in book.log.items():
        latest, which = 0, ""  # of those with a lower seq: the one that was sent last
        for seq in sorted(log):
            entry = log[seq]
            ack = book.acked.get((room, entry.id))
            if ack is not None and (ack.epoch, ack.seq) == (epoch, seq) and latest > ack.step:
                text = (
                    f"{entry.id} at {epoch}/{seq} was acknowledged before {which} was sent, which has a "
                    f"lower seq"
                )
                yield Fault(Kind.REORDERED, entry.sender, room, text, latest, epoch, seq, entry.id)
            _, sent = book.sent.get((room, entry.id), ("", None))
            if sent is not None and sent.step > latest:
                latest, which = sent.step, entry.id


def _count(history: History, book: _Book, figures: Figures) -> None:
    figures.members = len(history.members)
    figures.messages, figures.acks = len(book.sent), len(book.acked)
    figures.rooms = len({room for room, _ in book.log})
    for events in history.members.values():
        known: dict[str, str] = {}
        for event in events:
            if not isinstance(event, Joined):
                continue
            if event.since is not None:
                figures.recovered += event.recovered
                figures.unrecovered += not event.recovered
            elif known.get(event.room, event.epoch) != event.epoch:
                figures.renewed += 1
            known[event.room] = event.epoch


def excerpt(history: History, fault: Fault, around: int = 6) -> list[str]:
    """Return the shortest part of the history that shows the fault: the message's own life, and what its
    member saw around it.
    """
    chosen: set[tuple[int, str, Event]] = set()
    for member, event in _all(history):
        if event.room != fault.room:
            continue
        same_message = fault.id and getattr(event, "id", None) == fault.id
        same_place = (
            fault.seq and getattr(event, "epoch", "") == fault.epoch and getattr(event, "seq", 0) == fault.seq
        )
        if (same_message or same_place) and not isinstance(event, Joined):
            chosen.add((event.step, member, event))
    own = [event for event in history.members.get(fault.member, []) if event.room == fault.room]
    at = next((index for index, event in enumerate(own) if _at_or_after(event, fault)), len(own))
    chosen |= {(event.step, fault.member, event) for event in own[max(0, at - around) : at + around]}
    return [
        f"{step:>8} {member:<10} {_shown(event)}"
        for step, member, event in sorted(chosen, key=lambda one: one[0])
    ]


def _at_or_after(event: Event, fault: Fault) -> bool:
    if fault.step:
        return event.step >= fault.step
    return isinstance(event, Got) and event.epoch == fault.epoch and event.seq >= fault.seq


def _shown(event: Event) -> str:
    values = " ".join(
        f"{name}={value}" for name, value in event._asdict().items() if name not in ("step", "room")
    )
    return f"{type(event).__name__:<8} {values}"


def _all(history: History) -> Iterable[tuple[str, Event]]:
    for member, events in history.members.items():
        for event in events:
            yield member, event
