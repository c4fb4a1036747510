"""RecentMessages: the last numbered messages of each room that has members here, for those who come back and
for HISTORY.

A room's are without a hole, in one epoch, and end where the hub's room stands: the hub puts them as the chain
of feeds brings them, and what was read from the router may go before them. What can't be told from here (a
hole, another epoch, what is older than what is kept, or what the room's policy does not keep) is None: the
router has to be asked. Bytes are bounded for each room and over all, where the largest lose their oldest
first. Pure: the time is an argument.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec

from warren.envelope import OVERHEAD_BYTES, Deliver
from warren.largest_first import LargestFirst, kept_bytes
from warren.namespaces import HistoryPolicy, Namespaces
from warren.position import Position

# An answer to HISTORY has at most so many messages and so much of payload and overhead, as the router's.
PAGE_COUNT: Final = 100
PAGE_BYTES: Final = 256 * 1024
# So many are kept though a room's policy keeps fewer, and for so long: for who is a member already and
# catches up.
LEAST_COUNT: Final = 256
LEAST_US: Final = 60_000_000
# What CPython 3.11 takes for a room with its places in the tables, within some tenths: the test measures it.
ROOM_BYTES: Final = 368
# So many messages fit a list, which costs a quiet room a tenth of what an empty deque does.
FEW: Final = 32


class Recent:
    """One room's, at least one. ``entries`` are numbered without a hole, in one epoch; a list while they are
    few.
    """

    __slots__ = ("bytes", "count", "entries", "epoch", "policy", "rank", "room")

    def __init__(self, room: str, epoch: str, policy: HistoryPolicy) -> None:
        """Begin empty."""
        self.room = room
        self.epoch = epoch
        self.policy = policy
        self.count = max(policy.count, LEAST_COUNT)
        self.entries: list[Deliver] | deque[Deliver] = []
        self.bytes = ROOM_BYTES
        self.rank = -1  # see Weights

    @property
    def first(self) -> int:
        """The seq of the oldest."""
        return self.entries[0].seq

    @property
    def last(self) -> int:
        """The seq of the newest."""
        return self.entries[-1].seq


class RecentMessages:
    """The last messages of this gateway's rooms."""

    def __init__(self, namespaces: Namespaces, room_bytes: int, all_bytes: int) -> None:
        """Keep at most ``room_bytes`` of each room and ``all_bytes`` of all; nothing of rooms whose policy
        keeps no history.
        """
        self._namespaces = namespaces
        self._room_bytes = ROOM_BYTES + room_bytes
        self._all_bytes = all_bytes
        self._rooms: OrderedDict[str, Recent] = OrderedDict()  # the first is looked at next for what has aged
        self._weights: LargestFirst[Recent] = LargestFirst()
        self.bytes = 0
        self.evicted = 0  # messages that went for their bytes, since the beginning

    def __len__(self) -> int:
        """Return how many rooms there is something of."""
        return len(self._rooms)

    def begin(self, room: str, position: Position) -> None:
        """From here on what comes is contiguous: the room stands at ``position``. What is kept stays where it
        ends just there.
        """
        recent = self._rooms.get(room)
        if recent is not None and (recent.epoch != position.epoch or recent.last != position.seq):
            self.forget(room)

    def put(self, message: Deliver) -> None:
        """Keep a room's next message. One that does not follow the last begins the room's memory anew."""
        room = message.room
        recent = self._rooms.get(room)
        if recent is not None and (recent.epoch != message.epoch or recent.last + 1 != message.seq):
            self.forget(room)
            recent = None
        if recent is None:
            policy = self._namespaces.policy(room).history
            if not policy.kept:
                return
            recent = self._add(Recent(room, message.epoch, policy))
        if message.trace:  # it belongs to that delivery
            message = msgspec.structs.replace(message, trace="")
        entries = recent.entries
        if len(entries) == FEW and isinstance(entries, list):
            entries = recent.entries = deque(entries)
        entries.append(message)
        self._weigh(recent, kept_bytes(message))
        while len(entries) > recent.count:
            self._shrink(recent)
        self._bound(recent)

    def extend(self, position: Position, messages: Sequence[Deliver]) -> None:
        """Keep messages of a room that were read from the router, before those that are kept; ``position`` is
        where the room stands.

        They are without a hole; those that do not reach up to what is kept (or to the position, where nothing
        is) are passed over.
        """
        if not messages or messages[0].epoch != position.epoch:
            return
        room = messages[0].room
        recent = self._rooms.get(room)
        last = position.seq if recent is None else recent.first - 1
        at = last - messages[0].seq
        policy = self._namespaces.policy(room).history
        if (
            not policy.kept
            or not 0 <= at < len(messages)
            or (recent is not None and recent.epoch != position.epoch)
        ):
            return
        if recent is None:
            recent = self._add(Recent(room, position.epoch, policy))
        kept: list[Deliver] = []
        size = 0
        for message in reversed(messages[: at + 1]):
            size += kept_bytes(message)
            if len(kept) + len(recent.entries) >= recent.count or recent.bytes + size > self._room_bytes:
                break
            kept.append(message)
        added = sum(map(kept_bytes, kept))
        entries = deque(recent.entries)
        entries.extendleft(kept)
        recent.entries = entries if len(entries) > FEW else list(entries)
        self._weigh(recent, added)
        self._bound(recent)

    def forget(self, room: str) -> None:
        """Forget a room: it has no members here any more."""
        recent = self._rooms.pop(room, None)
        if recent is not None:
            self.bytes -= recent.bytes
            self._weights.drop(recent)

    def since(self, room: str, position: Position, upto: Position, now_us: int) -> list[Deliver] | None:
        """Return the messages after ``position`` up to ``upto`` for who comes back: only what the policy
        keeps. None: can't be told from here.
        """
        if position.epoch != upto.epoch or not 0 <= position.seq <= upto.seq:
            return None
        missed = self.between(room, position, upto.seq)
        if not missed:
            return missed
        policy = self._rooms[room].policy
        oldest_us = now_us - policy.age_s * 1_000_000
        if len(missed) > policy.count or any(message.at_us < oldest_us for message in missed):
            return None
        return missed

    def between(self, room: str, after: Position, upto: int) -> list[Deliver] | None:
        """Return the messages after ``after`` up to the seq ``upto`` for who has been a member since,
        whatever the policy says.
        """
        count = upto - after.seq
        if count <= 0:
            return []
        recent = self._rooms.get(room)
        if recent is None or recent.epoch != after.epoch or upto > recent.last:
            return None
        begin = after.seq + 1 - recent.first
        return list(islice(recent.entries, begin, begin + count)) if begin >= 0 else None

    def page(self, room: str, before: int, limit: int, now_us: int) -> tuple[list[Deliver], bool] | None:
        """Return what the router's History would: the last ``limit`` messages before the seq ``before`` (0:
        before now), at most 256 KiB but one in any case, and whether there are older ones; without what has
        expired or is too old. None: can't be told from here.
        """
        policy = self._namespaces.policy(room).history
        if not policy.kept:
            return [], False
        recent = self._rooms.get(room)
        if recent is None:
            return None
        limit = max(1, min(limit, PAGE_COUNT))
        page: list[Deliver] = []
        size, now_ms, oldest_us = 0, now_us // 1_000, now_us - policy.age_s * 1_000_000
        for message in islice(reversed(recent.entries), policy.count):
            if (0 < before <= message.seq) or message.at_us < oldest_us or 0 < message.expires_ms <= now_ms:
                continue
            size += OVERHEAD_BYTES + len(message.payload)
            if len(page) >= limit or (page and size > PAGE_BYTES):
                return page[::-1], True
            page.append(message)
        if len(recent.entries) < policy.count and recent.first > 1:
            return None  # the router may have older ones
        return page[::-1], False

    def tidy(self, now_us: int, rooms: int) -> None:
        """Look at so many rooms, each in its turn, for what has aged, so that silent ones keep nothing for
        ever. To be called again and again.
        """
        for _ in range(min(rooms, len(self._rooms))):
            room, recent = next(iter(self._rooms.items()))
            self._rooms.move_to_end(room)
            limit = now_us - max(recent.policy.age_s * 1_000_000, LEAST_US)
            while recent.entries and recent.entries[0].at_us < limit:
                self._shrink(recent)
            if not recent.entries:
                self.forget(room)

    def _add(self, recent: Recent) -> Recent:
        self._rooms[recent.room] = recent
        self.bytes += ROOM_BYTES
        return recent

    def _weigh(self, recent: Recent, added: int) -> None:
        recent.bytes += added
        self.bytes += added
        self._weights.grown(recent)

    def _bound(self, recent: Recent) -> None:
        """Drop the oldest of this room while it is too large, and of the largest rooms while all are, until
        an eighth of all is free.
        """
        while recent.bytes > self._room_bytes and recent.entries:
            self.evicted += 1
            self._shrink(recent)
        if not recent.entries:
            self.forget(recent.room)
        if self.bytes <= self._all_bytes:
            return
        target = self._all_bytes - self._all_bytes // 8
        while self.bytes > target and (largest := self._weights.heaviest()) is not None:
            self.evicted += 1
            self._shrink(largest)
            if not largest.entries:
                self.forget(largest.room)

    def _shrink(self, recent: Recent) -> None:
        """Drop a room's oldest message."""
        entries = recent.entries
        size = kept_bytes(entries.pop(0) if isinstance(entries, list) else entries.popleft())
        recent.bytes -= size
        self.bytes -= size
