"""FrameBatch: consecutive messages of one room, spelled once for each variant and put on many outboxes. The
hot loop is here.

A run's bytes are joined once for the room, not once for each member: a burst of a hundred messages to two
thousand members is two thousand puts of the same object. Only in rooms that may lose messages a member that
is behind gets them one by one, so that single ones can be withheld. It decides nothing about who is a member
or what is new: Hub does. Of each message that is counted it says to how many it was given, and from how many
it was withheld.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.core.inputs import Input
from gateway.core.outbox import KEPT, TOO_SLOW, ChunkCounts, Outbox
from gateway.core.websocket import frames
from gateway.core.websocket.frames import VARIANTS, FrameSet, Variant
from warren.envelope import Entered
from warren.namespaces import Slow
from warren.position import Position


class Member:
    """A connection as the hub, and whoever has something for it, sees it. ``rooms`` is the hub's to write."""

    __slots__ = ("id", "outbox", "rooms", "user", "variant")

    def __init__(self, id: str, user: str, variant: Variant, outbox: Outbox) -> None:  # noqa: A002
        """``variant`` is how its frames are spelled, ``outbox`` where they go."""
        self.id = id
        self.user = user
        self.variant = variant
        self.outbox = outbox
        self.rooms: dict[str, None] = {}

    def put(self, item: Input, *, write: bool = True) -> None:
        """Handle an input behind those that are being handled; ``write`` False: ``flush`` is called later."""
        raise NotImplementedError

    def flush(self) -> None:
        """Write what waits on the outbox, as far as the socket takes it."""
        raise NotImplementedError

    def charge(self, size: int) -> None:
        """Charge so many bytes of a room's history to the client that they go to."""
        raise NotImplementedError

    def entered(self, item: Entered) -> bool | None:
        """Take note of where it has entered. Return whether it is to be given what is said there: None where
        not (no JOIN of that is open, or it wants to be there alone), else whether the gateway asked by
        itself.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of ``room`` after ``had`` (``got`` not among those that are given) have not come here; its
    members stand at ``had`` or lower.

    Where the epochs differ nobody knows how many.
    """

    room: str
    had: Position
    got: Position


class Delivered:
    """What became of a sequence of messages. ``recipients`` says for each of them, in their order, how many
    connections it was for.
    """

    __slots__ = (
        "dropped", "expired", "gaps", "missed", "recipients", "repeats", "spelled", "too_slow", "woken",
    )  # fmt: skip

    def __init__(self, recipients: list[int]) -> None:
        """Begin with nothing given."""
        self.recipients = recipients
        self.woken: list[Member] = []  # were idle and have something now: flush them
        self.too_slow: list[Member] = []  # close them with 4005
        self.gaps: list[Gap] = []
        self.repeats = 0  # seen already
        self.expired = 0
        self.spelled = 0  # bytes of frames that were made for it
        self.missed: list[Member] | None = None  # who did not get what is not numbered; None: nobody asks
        self.dropped = 0  # ephemeral messages that members did not get for want of space, one for each member


_NO_COUNTS: ChunkCounts = ()


class FrameBatch:
    """At least one message."""

    __slots__ = ("_chunks", "_counts", "_framesets", "_numbered", "_slow", "count")

    def __init__(
        self, framesets: Sequence[FrameSet], slow: Slow = "disconnect", counts: ChunkCounts = _NO_COUNTS
    ) -> None:
        """Spell nothing yet. ``slow`` is the room's policy, ``counts`` are those of the messages that are
        counted.
        """
        self._framesets = framesets
        self._slow = slow
        self._chunks: list[bytes | None] = [None] * len(VARIANTS)
        self._numbered: FrameBatch | None = None
        self._counts = counts
        self.count = len(framesets)

    def put(self, members: Collection[Member], result: Delivered) -> None:
        """Put the run on each member's outbox. A member who is behind gets only those messages of it that are
        numbered.
        """
        if self._slow != "disconnect":
            self._put_lossy(members, result)
            return
        count, counts, given = self.count, self._counts, len(members)
        if count == 1:
            ephemeral = int(not self._framesets[0].deliver.seq)
        else:
            ephemeral = len([None for frameset in self._framesets if not frameset.deliver.seq])
        all_ephemeral = ephemeral == count
        mixed = 0 < ephemeral < count
        chunks, slow = self._chunks, 0
        woken = result.woken.append
        for member in members:
            outbox = member.outbox
            idle = not outbox.bytes
            if mixed and not idle and outbox.pressed:
                outbox.dropped += ephemeral
                result.dropped += ephemeral
                self._only_numbered().put((member,), result)
                given -= 1
                continue
            chunk = chunks[member.variant]
            if chunk is None:
                chunk = self._spell(member.variant, result)
            put = outbox.put(chunk, count, all_ephemeral, counts)
            if put is KEPT:
                if idle:
                    woken(member)
                continue
            slow += 1
            if put is TOO_SLOW:
                result.too_slow.append(member)
            elif not outbox.lost:
                result.dropped += count
                if result.missed is not None:
                    result.missed.append(member)
        _add(counts, given - slow, slow)

    def _put_lossy(self, members: Collection[Member], result: Delivered) -> None:
        """Put the run where members may miss some of it: whole on an idle outbox, message by message on one
        where some wait.
        """
        framesets, latest = self._framesets, self._slow == "latest_only"
        room = framesets[0].deliver.room
        seq = max(frameset.deliver.seq for frameset in framesets)
        single: set[Variant] = set()
        counts, given, slow = self._counts, 0, 0
        for member in members:
            outbox, variant = member.outbox, member.variant
            if not outbox.bytes:
                chunk = self._chunks[variant]
                if chunk is None:
                    chunk = self._spell(variant, result)
                key = framesets[0].deliver.key if latest and self.count == 1 and seq else None
                if outbox.put_lossy(chunk, self.count, room, seq, key, False, counts) is KEPT:
                    result.woken.append(member)
                    given += 1
                else:
                    slow += 1
                continue
            if variant not in single:
                single.add(variant)
                result.spelled += sum(len(frameset.bytes(variant)) for frameset in framesets)
            before = outbox.dropped
            for frameset in framesets:
                message = frameset.deliver
                key = message.key if latest and message.seq else None
                chunk, own = frameset.bytes(variant), frameset.counts
                if own is None:
                    outbox.put_lossy(chunk, 1, room, message.seq, key, not message.seq)
                elif outbox.put_lossy(chunk, 1, room, message.seq, key, False, (own,)) is KEPT:
                    own.written += 1
                else:
                    own.withheld += 1
            result.dropped += outbox.dropped - before
        _add(counts, given, slow)

    def _spell(self, variant: Variant, result: Delivered) -> bytes:
        chunk = self._chunks[variant] = frames.join(self._framesets, variant)
        result.spelled += len(chunk)
        return chunk

    def _only_numbered(self) -> FrameBatch:
        run = self._numbered
        if run is None:
            run = self._numbered = FrameBatch(
                [frameset for frameset in self._framesets if frameset.deliver.seq], counts=self._counts
            )
        return run


def _add(counts: ChunkCounts, written: int, withheld: int) -> None:
    for one in counts:
        one.written += written
        if withheld:
            one.withheld += withheld
