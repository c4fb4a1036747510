"""Spreading: messages of a room ▶ the outboxes of its members. The rules of who gets what are here, the hot loop over members in
``runs.py``.

Each member is given message N where it stands at N-1. Nearly all stand where their room stands and share one run of bytes; a
sender gets no copy of its own message unless that says so, and who is apart gets what is next for it. What is fenced, seen, early or
expired is counted. It finds no room and keeps nothing beyond one call of ``hub.deliver``, which makes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.frames import FrameSet
from gateway.core.room import Room, Verdict
from gateway.core.runs import Delivered, Gap, Run
from warren.address import EVERYONE
from warren.envelope import Deliver
from warren.position import Position


class _Share:
    """What one member, or all who stand in the same place, get of a run."""

    __slots__ = ("framesets", "places", "seq")

    def __init__(self, seq: int = 0) -> None:
        self.seq = seq
        self.framesets: list[FrameSet] = []
        self.places: list[int] = []

    def takes(self, message: Deliver, epoch: str) -> bool:
        """Say whether a message comes next here, and go on to it. What is not numbered has no place in time."""
        if not message.seq:
            return True
        if message.seq != self.seq + 1 or message.epoch != epoch:
            return False
        self.seq = message.seq
        return True

    def add(self, frameset: FrameSet, place: int) -> None:
        self.framesets.append(frameset)
        self.places.append(place)


class Spreading:
    """One sequence of messages on its way."""

    __slots__ = ("_late", "_now_ms", "_result", "_terms")

    def __init__(self, terms: dict[int, int], late: dict[str, None], now_ms: int, result: Delivered) -> None:
        """``terms`` (shard ▶ fence) and ``late`` (rooms with a gap) are the hub's and are written to, as is ``result``."""
        self._terms = terms
        self._late = late
        self._now_ms = now_ms
        self._result = result

    def run(self, room: Room, envelopes: Sequence[Deliver], begin: int, end: int) -> None:
        """Deliver consecutive messages of one room."""
        result, now_ms = self._result, self._now_ms
        members = room.members
        run = _Share()  # for those who stand where the room stands
        own: dict[str, _Share] = {}  # for members who don't get just that
        apart = {conn: _Share(seq) for conn, seq in room.apart.items()}
        takers: Sequence[_Share] = ()
        fence = self._terms.get(room.shard, 0)
        for index in range(begin, end):
            message = envelopes[index]
            if message.term != fence:
                if self._is_fenced(room, message.term):
                    continue
                fence = message.term
            verdict = self._judge(room, message) if message.seq else Verdict.NEXT
            if apart:
                takers = [share for share in apart.values() if share.takes(message, room.epoch)]
            if verdict is not Verdict.NEXT and not takers:
                result.repeats += verdict is Verdict.REPEAT
                result.early += verdict is not Verdict.REPEAT
                continue
            if message.expires_ms and message.expires_ms < now_ms:
                result.expired += 1
                continue
            frameset = FrameSet(message)
            for share in takers:
                share.add(frameset, index)
            if verdict is Verdict.NEXT:
                run.framesets.append(frameset)
                run.places.append(index)
                sender = message.conn
                if sender and sender in members and not message.include_sender and sender not in apart:
                    own[sender] = run
        if run.framesets:
            others = [member for conn, member in members.items() if conn not in own and conn not in apart]
            Run(run.framesets, room.slow).put(others if own or apart else members.values(), result)
            for index in run.places:
                result.recipients[index] = len(others)
        for conn, share in (own | apart).items():
            self._put_own(room, conn, share)
        if apart:
            room.gather((conn, share.seq) for conn, share in apart.items())

    def _put_own(self, room: Room, conn: str, share: _Share) -> None:
        """Deliver to one member what it is to get of its share."""
        kept = [
            (frameset, index)
            for frameset, index in zip(share.framesets, share.places, strict=True)
            if frameset.deliver.include_sender or frameset.deliver.conn != conn
        ]
        if kept:
            Run([frameset for frameset, _ in kept], room.slow).put((room.members[conn],), self._result)
            for _, index in kept:
                self._result.recipients[index] += 1

    def catch_up(self, room: Room, conn: str, envelopes: Sequence[Deliver], begin: int, end: int) -> None:
        """Deliver consecutive messages that are for one member alone, its own among them: it was told how many there are."""
        result, now_ms = self._result, self._now_ms
        member = room.members.get(conn)
        if member is None:
            return
        share = _Share(room.standing(conn))
        for index in range(begin, end):
            message = envelopes[index]
            if self._is_fenced(room, message.term):
                continue
            if not share.takes(message, room.epoch):
                result.repeats += 1
            elif message.expires_ms and message.expires_ms < now_ms:
                result.expired += 1
            else:
                share.add(FrameSet(message), index)
        if share.framesets:
            Run(share.framesets, room.slow).put((member,), result)
            for index in share.places:
                result.recipients[index] = 1
        room.stand(conn, share.seq)

    def _is_fenced(self, room: Room, term: int) -> bool:
        """Say whether a message is of a time that is over; a newer term than the fence's becomes the fence."""
        fence = self._terms.get(room.shard, 0)
        if term == fence:
            return False
        if term < fence:
            self._result.fenced += 1
            return True
        self._terms[room.shard] = term
        return False

    def _judge(self, room: Room, message: Deliver) -> Verdict:
        """Judge a numbered message and report a gap. Everyone's room takes its first position, and any while nobody is here, as it comes."""
        seq = message.seq
        if room.name == EVERYONE and (not room.epoch or not room.members):
            room.restart(Position(message.epoch, seq))
            return Verdict.NEXT
        verdict = room.judge(message.epoch, seq)
        if verdict is Verdict.EARLY or verdict is Verdict.FOREIGN:
            self._result.gaps.append(Gap(room.name, room.position, Position(message.epoch, seq)))
            self._late[room.name] = None
        return verdict
