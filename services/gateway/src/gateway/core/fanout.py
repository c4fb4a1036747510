"""Fanout: messages of a room ▶ the outboxes of its members. The rules of who gets what are here, the hot loop
over members in ``frame_batch.py``.

Each member is given message N where it stands at N-1. Nearly all stand where their room stands and share one
run of bytes; a sender gets no copy of its own message unless that says so, and who is apart gets only what is
not numbered. What is seen or expired is counted, and of each message for how many it was what. It finds no
room and keeps nothing beyond one delivery.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from gateway.core.frame_batch import Delivered, FrameBatch, Gap, Member
from gateway.core.recent_messages import RecentMessages
from gateway.core.room import Room
from gateway.core.websocket.frames import FrameSet
from warren.address import EVERYONE
from warren.delivery_counts import DeliveryCounts
from warren.envelope import Deliver, spared_of
from warren.position import Position


class _Share:
    """What some members get of a run."""

    __slots__ = ("counts", "framesets", "places")

    def __init__(self) -> None:
        self.framesets: list[FrameSet] = []
        self.places: list[int] = []
        self.counts: list[DeliveryCounts] = []  # of those that are counted

    def add(self, frameset: FrameSet, place: int) -> None:
        self.framesets.append(frameset)
        self.places.append(place)
        if frameset.counts is not None:
            self.counts.append(frameset.counts)


class Fanout:
    """One sequence of messages on its way."""

    __slots__ = ("_now_ms", "_recent", "_result")

    def __init__(self, now_ms: int, result: Delivered, recent: RecentMessages | None = None) -> None:
        """``result`` is written to; numbered messages that the chain brings are kept in ``recent``, and
        those that are there are counted.
        """
        self._now_ms = now_ms
        self._result = result
        self._recent = recent

    def run(self, room: Room, envelopes: Sequence[Deliver], begin: int, end: int) -> None:
        """Deliver consecutive messages of one room, as the chain brings them."""
        result, now_ms, recent = self._result, self._now_ms, self._recent
        members, apart = room.members, room.apart
        # for those who stand where the room stands, and for those who are apart
        run, passing = _Share(), _Share()
        senders: set[str] = set()  # who don't get just that
        for index in range(begin, end):
            message, counts = envelopes[index], None
            seq = message.seq
            if seq:
                if message.epoch != room.epoch or seq != room.seq + 1:
                    if message.epoch == room.epoch and seq <= room.seq:
                        result.repeats += 1
                        continue
                    # for those who stood where the room stood, and for those who were apart, as of now
                    self._put(room, run, senders)
                    self._put_passing(room, passing)
                    run, passing, senders = _Share(), _Share(), set()
                    self._go_on(room, Position(message.epoch, seq))
                room.seq = seq
                if recent is not None:
                    counts = recent.put(message)
            sender = message.conn or spared_of(message.id)
            own = sender in members and not message.include_sender
            if message.expires_ms and message.expires_ms < now_ms:
                result.expired += 1
                if counts is not None:
                    counts.expired += len(members) - len(apart) - (own and sender not in apart)
                continue
            frameset = FrameSet(message, counts)
            run.add(frameset, index)
            if own:
                senders.add(sender)
            if apart and not seq:
                passing.add(frameset, index)
        self._put(room, run, senders)
        self._put_passing(room, passing)

    def give(self, room: Room, conns: Iterable[str], messages: Sequence[Deliver], own_upto: int) -> None:
        """Deliver consecutive messages to some members alone, each of whom stands just before them."""
        result, now_ms, recent = self._result, self._now_ms, self._recent
        before, last = (
            Position(messages[0].epoch, messages[0].seq - 1),
            Position(messages[0].epoch, messages[-1].seq),
        )
        share = _Share()
        senders: set[str] = set()
        expired: list[tuple[Deliver, DeliveryCounts]] = []
        for index, message in enumerate(messages):
            counts = recent.counts(room.name, message.epoch, message.seq) if recent is not None else None
            if message.expires_ms and message.expires_ms < now_ms:
                result.expired += 1
                if counts is not None:
                    expired.append((message, counts))
                continue
            share.add(FrameSet(message, counts), index)
            sender = message.conn or spared_of(message.id)
            if sender and not message.include_sender and message.seq > own_upto:
                senders.add(sender)
        takers: list[Member] = []
        given: list[str] = []
        for conn in conns:
            member = room.members.get(conn)
            if member is None or room.standing(conn) != before:
                result.repeats += len(messages)
                continue
            room.stand(conn, last)
            given.append(conn)
            if conn in senders:
                self._put_own(room, conn, share, own_upto)
            else:
                takers.append(member)
        self._put_shared(room, share, takers)
        for message, counts in expired:
            own = not message.include_sender and message.seq > own_upto
            counts.expired += len(given) - (own and (message.conn or spared_of(message.id)) in given)

    def _go_on(self, room: Room, got: Position) -> None:
        """Go on from a message that is not the next one. Everyone's room takes its first position, and any
        while nobody is here, as it comes.
        """
        if room.name == EVERYONE and (not room.epoch or not room.members):
            room.epoch = got.epoch
            return
        self._result.gaps.append(Gap(room.name, room.position, got))
        room.go_on(got)

    def _put(self, room: Room, share: _Share, senders: set[str]) -> None:
        """Deliver a run to all who stand where the room stands."""
        if not share.framesets:
            return
        apart = room.apart
        if not senders and not apart:
            self._put_shared(room, share, room.members.values())
            return
        self._put_shared(
            room,
            share,
            [one for conn, one in room.members.items() if conn not in senders and conn not in apart],
        )
        for conn in senders:
            if conn not in apart:
                self._put_own(room, conn, share)

    def _put_passing(self, room: Room, share: _Share) -> None:
        """Deliver what is not numbered to all who are apart; who has been told nothing yet gets nothing."""
        if share.framesets:
            for conn in [conn for conn, standing in room.apart.items() if standing is not None]:
                self._put_own(room, conn, share)

    def _put_shared(self, room: Room, share: _Share, members: Collection[Member]) -> None:
        """Put a share on the outboxes of members who get all of it."""
        if not share.framesets or not members:
            return
        FrameBatch(share.framesets, room.slow, share.counts).put(members, self._result)
        recipients, count = self._result.recipients, len(members)
        for index in share.places:
            recipients[index] += count

    def _put_own(self, room: Room, conn: str, share: _Share, own_upto: int = 0) -> None:
        """Deliver to one member what it is to get of its share."""
        kept = [
            (frameset, index)
            for frameset, index in zip(share.framesets, share.places, strict=True)
            if (frameset.deliver.conn or spared_of(frameset.deliver.id)) != conn
            or frameset.deliver.include_sender
            or 0 < frameset.deliver.seq <= own_upto
        ]
        if kept:
            counts = [frameset.counts for frameset, _ in kept if frameset.counts is not None]
            batch = FrameBatch([frameset for frameset, _ in kept], room.slow, counts)
            batch.put((room.members[conn],), self._result)
            for _, index in kept:
                self._result.recipients[index] += 1
