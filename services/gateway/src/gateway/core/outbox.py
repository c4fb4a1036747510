"""Outbox: what waits for one connection while its transport can't take more. Bounded in count and bytes.

Policy when full, in this order: above the soft limit ephemeral messages are dropped; beyond the hard limit
the oldest messages of rooms that may lose some (``put_lossy``) make place, which the client is told; where
that does not suffice the connection is too slow and what waits is thrown away with it (the shell closes it
with 4005), for a numbered message is never dropped in silence. What is withheld or thrown away is noted in
the counts of its messages. It never looks into a chunk, which is one or several whole WebSocket frames.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable, Sequence

from gateway.core.client_limits import OutboxLimits
from warren.delivery_counts import DeliveryCounts, withhold


class Put(enum.Enum):
    """What became of a chunk."""

    KEPT = "kept"
    DROPPED = "dropped"
    TOO_SLOW = "too_slow"


# What a chunk takes besides its bytes: its slot in the queue and what Python puts in front of its bytes; and
# what it takes more where it may be dropped. Measured with CPython 3.11.
SLOT_BYTES = 104
LOOSE_BYTES = 224

KEPT, DROPPED, TOO_SLOW = Put.KEPT, Put.DROPPED, Put.TOO_SLOW
_DEFAULT_LIMITS = OutboxLimits()

ChunkCounts = Sequence[DeliveryCounts]
# chunk, count, counts: a list where it is loose
Slot = tuple[bytes, int, ChunkCounts] | list[bytes | int | ChunkCounts]
_NO_COUNTS: ChunkCounts = ()

# A notice for the client: (room, how many messages were withheld, the highest seq among them) ▶ whole frames.
Notice = Callable[[str, int, int], bytes]


class _Loose:
    """A chunk that may be dropped. Its slot in the queue is a list, emptied when it is taken and blanked when
    it is dropped.
    """

    __slots__ = ("room", "seq", "slot")

    def __init__(self, slot: list[bytes | int | ChunkCounts], room: str, seq: int) -> None:
        self.slot = slot
        self.room = room
        self.seq = seq


class Outbox:
    """A bounded queue of chunks. ``count`` (messages) and ``bytes`` are what waits now; read them, don't
    write them.

    ``shed`` and ``replaced`` count what was withheld so far: for want of place, and by a later message of the
    same key.
    """

    __slots__ = (
        "_blanks",
        "_chunks",
        "_limits",
        "_loose",
        "_withheld",
        "bytes",
        "count",
        "dropped",
        "lost",
        "notice",
        "replaced",
        "shed",
    )

    def __init__(self, limits: OutboxLimits = _DEFAULT_LIMITS) -> None:
        """Begin empty. ``limits`` may be shared by all connections."""
        self._limits = limits
        self._chunks: list[Slot] = []
        self._loose: OrderedDict[tuple[str, str] | int, _Loose] | None = None  # the oldest first
        # room ▶ how many, and the highest seq; to be told
        self._withheld: dict[str, tuple[int, int]] | None = None
        self._blanks = 0
        self.bytes = 0
        self.count = 0
        self.dropped = 0  # ephemeral messages dropped so far
        self.shed = self.replaced = 0
        self.lost = False  # it was too slow: nothing is kept any more
        self.notice: Notice | None = None  # None: nobody is told

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self.bytes

    @property
    def overhead(self) -> int:
        """How many bytes the queue itself takes, whoever else holds what is in it."""
        return len(self._chunks) * SLOT_BYTES + len(self._loose or ()) * LOOSE_BYTES

    def chunks(self) -> list[bytes]:
        """Return what waits, the oldest first."""
        return [chunk for chunk, _, _ in self._chunks]  # type: ignore[misc]

    @property
    def pressed(self) -> bool:
        """Whether ephemeral messages are dropped now."""
        return self.bytes > self._limits.soft_bytes

    def put(
        self, chunk: bytes, count: int = 1, ephemeral: bool = False, counts: ChunkCounts = _NO_COUNTS
    ) -> Put:
        """Let ``chunk``, which holds ``count`` messages, wait. ``ephemeral``: all of them may be dropped.
        ``counts`` are those of its messages, as far as they are counted.

        A chunk of any size fits an empty outbox. TOO_SLOW comes once; after it everything is DROPPED.
        """
        size = waiting = self.bytes
        size += len(chunk)
        if waiting:
            limits = self._limits
            if ephemeral and size > limits.soft_bytes:
                self.dropped += count
                return DROPPED
            if size > limits.bytes or self.count + count > limits.count:
                if not self._make_place(len(chunk), count):
                    self.discard()
                    return TOO_SLOW
                size = self.bytes + len(chunk)
        elif self.lost:
            return DROPPED
        self._chunks.append((chunk, count, counts))
        self.bytes = size
        self.count += count
        return KEPT

    def put_lossy(
        self,
        chunk: bytes,
        count: int,
        room: str,
        seq: int,
        key: str | None = None,
        ephemeral: bool = False,
        counts: ChunkCounts = _NO_COUNTS,
    ) -> Put:
        """Let a chunk wait that may be withheld later. ``seq``: the highest in it (0: none is numbered). With
        a ``key`` what waits of the same room and key is withheld at once. Never TOO_SLOW: where there is no
        place for it, it is withheld itself.
        """
        if self.lost:
            return DROPPED
        if self._loose is None:
            self._loose = OrderedDict()
        if self.bytes and ephemeral and self.bytes + len(chunk) > self._limits.soft_bytes:
            self.dropped += count
            return DROPPED
        if key is not None:
            older = self._loose.pop((room, key), None)
            if older is not None:
                self.replaced += self._withhold(older)
        if self.bytes and not self._make_place(len(chunk), count):
            self.shed += count
            self._note(room, count, seq)
            return DROPPED
        slot: list[bytes | int | ChunkCounts] = [chunk, count, counts]
        # The address of a slot is unique for as long as it is in here.
        self._loose[id(slot) if key is None else (room, key)] = _Loose(slot, room, seq)
        self._chunks.append(slot)
        self.bytes += len(chunk)
        self.count += count
        return KEPT

    def take(self, max_bytes: int) -> list[bytes]:
        """Take out the oldest chunks, in order: at least one (where any waits), else as many as ``max_bytes``
        lets. What was withheld is told before them.
        """
        chunks = self._chunks
        taken, told = len(chunks), self._tell() if self._withheld else []
        if self.bytes <= max_bytes:
            self._chunks = []
            self.bytes = self.count = self._blanks = 0
        else:
            taken = size = count = 0
            for chunk, messages, _ in chunks:
                if size and size + len(chunk) > max_bytes:  # type: ignore[arg-type]
                    break
                taken += 1
                size += len(chunk)  # type: ignore[arg-type]
                count += messages  # type: ignore[operator]
            self._chunks = chunks[taken:]
            self.bytes -= size
            self.count -= count
        found: list[bytes] = [chunk for chunk, _, _ in chunks[:taken] if chunk]  # type: ignore[misc]
        if self._loose:
            self._settle(chunks[:taken])
        return told + found if told else found

    def discard(self) -> None:
        """Throw away what waits and keep nothing from now on."""
        for _, _, counts in self._chunks:
            withhold(counts)  # type: ignore[arg-type]
        self._chunks = []
        self._loose = None
        self._withheld = None
        self.bytes = self.count = self._blanks = 0
        self.lost = True

    def _make_place(self, size: int, count: int) -> bool:
        """Withhold the oldest loose chunks until ``size`` bytes and ``count`` messages fit; say whether they
        do.
        """
        limits, loose = self._limits, self._loose
        while self.bytes and (self.bytes + size > limits.bytes or self.count + count > limits.count):
            if not loose:
                return False
            self.shed += self._withhold(loose.popitem(last=False)[1])
        return True

    def _withhold(self, older: _Loose) -> int:
        """Blank a loose chunk; return how many messages it held."""
        chunk, count, counts = older.slot
        assert isinstance(chunk, bytes)  # noqa: S101 - for the type checker
        assert isinstance(count, int)  # noqa: S101
        withhold(counts)  # type: ignore[arg-type]
        older.slot[:] = (b"", 0, _NO_COUNTS)
        self.bytes -= len(chunk)
        self.count -= count
        self._note(older.room, count, older.seq)
        self._blanks += 1
        if self._blanks > self._limits.count:
            self._chunks = [slot for slot in self._chunks if slot[0]]
            self._blanks = 0
        return count

    def _note(self, room: str, count: int, seq: int) -> None:
        if self._withheld is None:
            self._withheld = {}
        before, highest = self._withheld.get(room, (0, 0))
        self._withheld[room] = (before + count, max(highest, seq))

    def _tell(self) -> list[bytes]:
        withheld, self._withheld = self._withheld, None
        if self.notice is None or withheld is None:
            return []
        return [self.notice(room, count, seq) for room, (count, seq) in withheld.items()]

    def _settle(self, taken: Sequence[Slot]) -> None:
        """Forget the loose chunks among what was taken; they are the oldest."""
        loose = self._loose
        for slot in taken:
            if isinstance(slot, list):
                slot.clear()
        while loose and not next(iter(loose.values())).slot:
            loose.popitem(last=False)
