"""History: of each room the last numbered messages, for those who come back; what it can't prove to be whole
it does not give.

A room's window ends at the room's position and has no hole. It keeps the policy's count, and beyond the count
what is younger than a floor: whoever was left behind when a shard's speaker died must find what a busy room
said within those seconds. How young an entry is, is told by the room's newest, not by a clock, so that the
log tells the same windows again. The policy's age is told by the clock, on asking. Bytes are the hard bound
of each window and of all together, where the largest (none is twice as large) lose their oldest first. Pages
stay within the policy's count and age. Bytes are those that an entry and a window really take in this
process, not those of the payload alone. Pure: the time is an argument, and an entry's age counts from when
Warren took it in. ``shell/shard_history.py`` fills it, ``core/history_pages.py`` asks it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from itertools import islice

from warren.envelope import OVERHEAD_BYTES, Deliver
from warren.largest_first import LargestFirst, kept_bytes
from warren.namespaces import HistoryPolicy
from warren.position import Position

# What CPython 3.11 takes for a window with its places in the tables, within some tenths:
# ``tests/unit/router/core/test_history.py`` measures it.
WINDOW_BYTES = 368
# So many entries fit a list, which costs a silent room a tenth of what an empty deque does.
FEW = 32


class Window:
    """One room's. ``entries`` are numbered without a hole, in one epoch; a list while they are few."""

    __slots__ = ("age_us", "bytes", "count", "entries", "epoch", "kept_us", "rank", "room")

    def __init__(self, room: str, epoch: str, policy: HistoryPolicy, floor_us: int) -> None:
        """Begin empty."""
        self.room = room
        self.epoch = epoch
        self.count = policy.count
        self.age_us = policy.age_s * 1_000_000
        self.kept_us = max(self.age_us, floor_us)
        self.entries: list[Deliver] | deque[Deliver] = []
        self.bytes = WINDOW_BYTES
        self.rank = -1  # see Weights

    def add(self, entry: Deliver) -> int:
        """Put an entry behind the others; return its bytes."""
        if len(self.entries) == FEW and isinstance(self.entries, list):
            self.entries = deque(self.entries)
        self.entries.append(entry)
        size = kept_bytes(entry)
        self.bytes += size
        return size

    def shrink(self) -> int:
        """Drop the oldest entry; return its bytes."""
        size = kept_bytes(self.entries.pop(0) if isinstance(self.entries, list) else self.entries.popleft())
        self.bytes -= size
        return size


class History:
    """The windows of a shard's rooms."""

    def __init__(self, room_bytes: int, all_bytes: int, floor_us: int) -> None:
        """Keep at most ``room_bytes`` of each room and ``all_bytes`` of all; within that, whatever is younger
        than ``floor_us`` (0: only what the room's policy says).
        """
        self._room_bytes = WINDOW_BYTES + room_bytes
        self._all_bytes = all_bytes
        self._floor_us = floor_us
        # the first is looked at next for what has aged
        self._windows: OrderedDict[str, Window] = OrderedDict()
        self._weights: LargestFirst[Window] = LargestFirst()
        self.bytes = 0
        self.evicted = 0  # entries that went for their bytes, since the beginning

    def __len__(self) -> int:
        """Return how many rooms have a window."""
        return len(self._windows)

    def put(self, entry: Deliver, policy: HistoryPolicy, now_us: int) -> None:
        """Keep a room's next message. One that does not follow the last begins the window anew."""
        window = self._windows.get(entry.room)
        if window is None:
            window = self._windows[entry.room] = Window(entry.room, entry.epoch, policy, self._floor_us)
            self.bytes += WINDOW_BYTES
        entries = window.entries
        if entries and (window.epoch != entry.epoch or entries[-1].seq + 1 != entry.seq):
            self._shrink(window, len(entries))
        window.epoch = entry.epoch
        self.bytes += window.add(entry)
        entries = window.entries
        self._trim(window, entry.at_us)
        if not entries:
            self.drop(entry.room)
            return
        self._weights.grown(window)
        if self.bytes > self._all_bytes:
            self._relieve()
            self._trim(window, entry.at_us)
        self.tidy(now_us, 1)

    def since(self, position: Position, current: Position, room: str, now_us: int) -> list[Deliver] | None:
        """Return the messages after ``position`` up to ``current``, the room's own; None where that can't be
        told (another epoch, too old, from the future).
        """
        if position.epoch != current.epoch or position.seq < 0:
            return None
        missed = current.seq - position.seq
        if not missed:
            return []
        window = self._windows.get(room)
        if missed < 0 or window is None:
            return None
        self._age(window, now_us)
        entries = window.entries
        if missed > len(entries) or window.epoch != current.epoch or entries[-1].seq != current.seq:
            return None
        return list(islice(entries, len(entries) - missed, None))

    def page(
        self, room: str, before: int, limit: int, max_bytes: int, now_us: int
    ) -> tuple[list[Deliver], bool]:
        """Return the last ``limit`` messages before the seq ``before`` (0: before now) in their order, and
        whether there are older ones.

        At most ``max_bytes`` of payload and overhead, but one message in any case; what has expired is passed
        over, and so is what is kept only for the floor.
        """
        window = self._windows.get(room)
        if window is None:
            return [], False
        self._age(window, now_us)
        page: list[Deliver] = []
        size, now_ms, oldest_us = 0, now_us // 1_000, now_us - window.age_us
        for entry in islice(reversed(window.entries), window.count):
            if (before and entry.seq >= before) or entry.at_us < oldest_us or 0 < entry.expires_ms <= now_ms:
                continue
            size += OVERHEAD_BYTES + len(entry.payload)
            if len(page) >= limit or (page and size > max_bytes):
                return page[::-1], True
            page.append(entry)
        return page[::-1], False

    def drop(self, room: str) -> None:
        """Forget a room."""
        window = self._windows.pop(room, None)
        if window is not None:
            self.bytes -= window.bytes
            self._weights.drop(window)

    def _trim(self, window: Window, newest_us: int) -> None:
        """Drop from the front what neither the count nor the floor keeps, and what the window's bytes have no
        room for.

        Gateways' clocks differ, so what stands behind an entry that went for its bytes may be older than it:
        both rules are asked each time. Each entry comes once and goes once: however many are kept, a message
        costs no more.
        """
        entries, floor_us = window.entries, self._floor_us
        while entries:
            if len(entries) > window.count and (not floor_us or entries[0].at_us <= newest_us - floor_us):
                self._shrink(window, 1)
            elif window.bytes > self._room_bytes:
                self.evicted += 1
                self._shrink(window, 1)
            else:
                return

    def _shrink(self, window: Window, count: int) -> None:
        """Drop a window's oldest entries."""
        for _ in range(count):
            self.bytes -= window.shrink()

    def _age(self, window: Window, now_us: int) -> None:
        """Drop what is too old."""
        limit, entries = now_us - window.kept_us, window.entries
        while entries and entries[0].at_us < limit:
            self._shrink(window, 1)

    def tidy(self, now_us: int, rooms: int) -> None:
        """Look at so many rooms for what has aged, though nothing is said anywhere. To be called again and
        again.
        """
        for _ in range(min(rooms, len(self._windows))):
            self._look(now_us)

    def _look(self, now_us: int) -> None:
        """Look at one room for what has aged, each in its turn, so that silent rooms keep nothing
        for ever.
        """
        room = next(iter(self._windows))
        window = self._windows[room]
        self._age(window, now_us)
        if window.entries:
            self._windows.move_to_end(room)
        else:
            self.drop(room)

    def _relieve(self) -> None:
        """Take from the largest windows, until an eighth of all is free; one that has nothing left goes."""
        target = self._all_bytes - self._all_bytes // 8
        while self.bytes > target and (window := self._weights.heaviest()) is not None:
            if window.entries:
                self.evicted += 1
                self._shrink(window, 1)
            if not window.entries:
                self.drop(window.room)
