"""The client's position in one room: repeats, gaps, and what JOINED means for them. It decides, and sends
nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

from warren_client.messages import Message, Position

REMEMBERED = 256  # own acknowledged seqs above the position
HELD = 256  # numbered messages that wait for missing ones before them …
HELD_BYTES = 4 * 1024 * 1024  # … and how large their frames are together

Verdict = Literal["new", "repeat", "held", "early", "own"]


@dataclass(frozen=True, slots=True)
class Joined:
    """What a JOINED says of positions."""

    epoch: str
    seq: int
    recovered: bool
    missed: int = 0

    @property
    def position(self) -> Position:
        """The room's, or that of the reader if it was recovered."""
        return Position(self.epoch, self.seq)


@dataclass(frozen=True, slots=True)
class Lost:
    """Messages that nobody can have any more."""

    since: Position
    to: Position


class RoomPosition:
    """``position`` is the last one seen in JOINED or a message; None before the first one."""

    def __init__(self, since: Position | None = None) -> None:
        """``since`` is a position of an earlier life."""
        self.position = since
        self.asked: str | None = None  # the id of the unanswered JOIN
        self.grant: str | None = None  # the last one that a JOINED brought; the next JOIN shows it
        self._acked: dict[int, None] = {}  # seqs of own messages, which the server sends only to others
        self._held: deque[Message] = deque()  # numbered messages that can't be delivered yet
        self._held_bytes = 0
        self._replayed: Position | None = None  # messages up to here are the replay that a JOIN asked for
        self._repeated: Position | None = None  # a JOIN that was sent twice repeats messages up to here
        # missing seqs up to here are not a gap: DROPPED announced them, or they have expired
        self._excused: Position | None = None
        self._echoes = False  # the server sends own messages back in this room

    @property
    def since(self) -> Position | None:
        """The position to resume from: the last one seen, plus own messages that follow it without a gap."""
        if self.position is None or self._echoes:
            return self.position
        return Position(self.position.epoch, self._skip(self.position.seq))

    @property
    def request(self) -> dict[str, Any]:
        """What a JOIN tells the server of this room, so that it lets us in again and sends what we missed."""
        since = self.since
        asked: dict[str, Any] = {"since": {"epoch": since.epoch, "seq": since.seq}} if since else {}
        return asked | ({"grant": self.grant} if self.grant else {})

    @property
    def lacks(self) -> bool:
        """Whether messages wait for missing ones before them."""
        return len(self._held) > 0 and self.asked is None

    @property
    def is_replayed(self) -> bool:
        """Whether a replay is in progress, so that missing messages may be on their way."""
        if self._replayed is None or self.position is None:
            return False
        return self.position.seq < self._replayed.seq

    @property
    def is_full(self) -> bool:
        """Whether no further message can wait."""
        return len(self._held) >= HELD or self._held_bytes >= HELD_BYTES

    def disconnect(self) -> None:
        """The connection is closed, or the room is asked for anew: what is held will be sent again."""
        self.asked = None
        self.let_go()
        self._repeated = None

    def let_go(self) -> None:
        """What is held will be asked for anew; an unanswered JOIN is still awaited."""
        self._held.clear()
        self._held_bytes = 0
        self._replayed = None

    def repeated(self, joined: Joined) -> None:
        """A JOINED that nobody waits for any more, because the JOIN was sent again: what follows it was asked
        for, although it may not be new. No earlier replay goes on.
        """
        self._replayed = None
        if joined.recovered:
            self._repeated = Position(joined.epoch, joined.seq + joined.missed)

    def ack(self, epoch: str | None, seq: int | None) -> None:
        """An own message got its seq."""
        if not seq or self.position is None or self.position.epoch != epoch or seq <= self.position.seq:
            return
        self._acked[seq] = None
        if len(self._acked) > REMEMBERED:
            del self._acked[next(iter(self._acked))]

    def withheld(self, seq: int) -> None:
        """The server has withheld messages up to this seq, because the client reads too slowly."""
        if self.position is not None:
            self._excuse(Position(self.position.epoch, seq))

    def take(self, message: Message, is_own: bool, is_resent: bool = False) -> Verdict:
        """Take a numbered message: ``new`` is to be delivered, ``repeat`` was seen already, ``held`` waits
        for JOINED, ``early`` waits because one before it is missing, ``own`` is from this client. ``is_own``:
        this client sent it without asking for a copy; ``is_resent``: on more than one connection.
        """
        at = _position(message)
        if self._has(at):
            return "repeat"
        replay = self._replayed
        is_replay = replay is not None and replay.epoch == at.epoch and at.seq <= replay.seq
        if replay is not None and self.asked is None:
            # messages come in order: those that a replay omits have expired, and one from after it ends it
            self._excuse(Position(at.epoch, at.seq - 1 if is_replay else replay.seq))
            if not is_replay:
                self._replayed = None
        if self.position is not None and (self.asked is not None or not self._follows(at)):
            self._hold(message)
            return "held" if self.asked is not None else "early"
        self._see(at)
        if is_own and not is_replay and not is_resent and not self._is_repeated(at):
            self._echoes = True
        return "own" if is_own and not self._echoes else "new"

    def following(self) -> list[Message]:
        """Remove and return the held messages that are now in sequence."""
        found = []
        while self.asked is None and self._held:
            message = self._held[0]
            at = _position(message)
            if not self._has(at):
                if not self._follows(at):
                    break
                self._see(at)
                found.append(message)
            self._held.popleft()
            self._held_bytes -= message.size
        return found

    def joined(self, joined: Joined) -> list[Message | Lost]:
        """Apply JOINED. Return the held messages to deliver now and what is lost between them, in order."""
        held = list(self._held)
        self.disconnect()
        at = joined.position
        if joined.recovered:
            # the missed messages come next, including most held ones; later held ones wait
            self._see(at)
            end = at.seq + joined.missed
            self._replayed = Position(at.epoch, end)
            for each in held:
                if each.epoch == at.epoch and (each.seq or 0) > end:
                    self._hold(each)
            return [] if joined.missed else [*self.following()]
        found = self._deliver(held, at.epoch)
        found += self._lost(at)
        if not self._has(at):
            self._see(at)
        return found

    def release(self) -> list[Message | Lost]:
        """Remove and return what is held, and what is lost between, because the room can't be joined."""
        held = list(self._held)
        self.disconnect()
        return self._deliver(held, None)

    def _deliver(self, held: list[Message], epoch: str | None) -> list[Message | Lost]:
        """Return messages of the present epoch and of ``epoch``, and what is lost between them."""
        found: list[Message | Lost] = []
        epochs = {epoch, self.position.epoch if self.position else None}
        for message in held:
            here = _position(message)
            if message.epoch not in epochs or self._has(here):
                continue
            if not self._follows(here):
                found += self._lost(Position(here.epoch, here.seq - 1))
            self._see(here)
            found.append(message)
        return found

    def _hold(self, message: Message) -> None:
        self._held.append(message)
        self._held_bytes += message.size
        while len(self._held) > 1 and (len(self._held) > HELD or self._held_bytes > HELD_BYTES):
            # the rest then closes no gap, and the gap is reported
            self._held_bytes -= self._held.popleft().size

    def _is_repeated(self, at: Position) -> bool:
        repeated = self._repeated
        return repeated is not None and repeated.epoch == at.epoch and at.seq <= repeated.seq

    def _has(self, at: Position) -> bool:
        return self.position is not None and self.position.epoch == at.epoch and at.seq <= self.position.seq

    def _see(self, at: Position) -> None:
        if self.position is None or self.position.epoch != at.epoch:
            self._acked.clear()
            self._excused = None
        elif self._acked:
            for seq in [seq for seq in self._acked if seq <= at.seq]:
                del self._acked[seq]
        self.position = at

    def _skip(self, seq: int) -> int:
        """Return the last seq of the own messages that follow ``seq`` without a gap."""
        while seq + 1 in self._acked:
            seq += 1
        return seq

    def _follows(self, at: Position) -> bool:
        """Whether no message is missing between the position and this one."""
        if self.position is None or at.epoch != self.position.epoch:
            return False
        excused = self._excused.seq if self._excused else 0
        return at.seq <= self._skip(max(self._skip(self.position.seq), excused)) + 1

    def _excuse(self, at: Position) -> None:
        if self._excused is None or self._excused.epoch != at.epoch or self._excused.seq < at.seq:
            self._excused = at

    def _lost(self, to: Position) -> list[Lost]:
        """Return what is lost if the next message follows ``to``."""
        since = self.since
        if since is None or (since.epoch == to.epoch and since.seq >= to.seq):
            return []
        return [Lost(since, to)]


def _position(message: Message) -> Position:
    return Position(message.epoch or "", message.seq or 0)
