"""MessageWindows: of each room the last numbered messages, without a hole and in one epoch; bounded in bytes,
where the largest rooms lose their oldest first.

It keeps no room's policy: who puts messages in says when the oldest of a room are to go. Bytes are those that
a message and a room really take in this process, not those of the payload alone. Where messages are counted,
each has its DeliveryCounts, and both go together. Pure.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import islice
from typing import Final

from warren.delivery_counts import COUNTS_BYTES, DeliveryCounts
from warren.envelope import OVERHEAD_BYTES, Deliver
from warren.largest_first import LargestFirst, kept_bytes
from warren.namespaces import HistoryPolicy

# What CPython 3.11 takes for a window with its places in the tables, within some tenths:
# ``tests/unit/router/core/test_history.py`` measures it.
WINDOW_BYTES: Final = 368
# And what it takes more where messages are counted: an empty list.
COUNTED_WINDOW_BYTES: Final = 56
# So many messages fit a list, which costs a quiet room a tenth of what an empty deque does.
FEW: Final = 32


class MessageWindow:
    """One room's messages: seqs 7, 8, 9 of the epoch ``k3f9-0``, say. A list while they are few. Changed by
    its MessageWindows alone.
    """

    __slots__ = ("bytes", "counts", "epoch", "messages", "policy", "rank", "room")

    def __init__(self, room: str, epoch: str, policy: HistoryPolicy, *, counted: bool = False) -> None:
        """Begin empty; ``policy`` is the room's. ``counted``: each message has its counts."""
        self.room = room
        self.epoch = epoch
        self.policy = policy
        self.messages: list[Deliver] | deque[Deliver] = []
        # those of the messages, in their order
        self.counts: list[DeliveryCounts] | deque[DeliveryCounts] | None = [] if counted else None
        self.bytes = WINDOW_BYTES + COUNTED_WINDOW_BYTES * counted
        self.rank = -1  # see LargestFirst

    @property
    def first(self) -> int:
        """The seq of the oldest; there must be one."""
        return self.messages[0].seq

    @property
    def last(self) -> int:
        """The seq of the newest; there must be one."""
        return self.messages[-1].seq

    def counts_of(self, seq: int) -> DeliveryCounts | None:
        """Return a message's counts; None where it is not here, or not counted."""
        if not self.counts:
            return None
        at = seq - self.first
        return self.counts[at] if 0 <= at < len(self.counts) else None

    def between(self, after: int, upto: int) -> list[Deliver] | None:
        """Return the messages after the seq ``after`` up to the seq ``upto``, which is above it; None where
        some of them are not here.
        """
        if not self.messages or upto > self.last:
            return None
        begin = after + 1 - self.first
        return list(islice(self.messages, begin, begin + upto - after)) if begin >= 0 else None

    def page(
        self, before: int, limit: int, max_bytes: int, *, oldest_us: int, now_us: int
    ) -> tuple[list[Deliver], bool]:
        """Return the last ``limit`` messages before the seq ``before`` (0: before now) in their order, and
        whether there are older ones.

        At most ``max_bytes`` of payload and overhead, but one message in any case. What has expired at
        ``now_us`` or is older than ``oldest_us`` is passed over, and so is what stands here beyond the
        policy's count.
        """
        page: list[Deliver] = []
        size, now_ms = 0, now_us // 1_000
        for message in islice(reversed(self.messages), self.policy.count):
            if (0 < before <= message.seq) or message.at_us < oldest_us or 0 < message.expires_ms <= now_ms:
                continue
            size += OVERHEAD_BYTES + len(message.payload)
            if len(page) >= limit or (page and size > max_bytes):
                return page[::-1], True
            page.append(message)
        return page[::-1], False


class MessageWindows:
    """The windows of all rooms that have one."""

    def __init__(self, all_bytes: int, *, counted: bool = False) -> None:
        """``relieve`` holds all together to ``all_bytes``. ``counted``: each message has its counts."""
        self.bytes = 0
        self.evicted = 0  # messages that went for their bytes, since the beginning
        self._all_bytes = all_bytes
        self._counted = counted
        self._extra = COUNTS_BYTES * counted  # bytes of each message besides its own
        self._windows: OrderedDict[str, MessageWindow] = OrderedDict()  # the first has its turn next
        self._by_weight: LargestFirst[MessageWindow] = LargestFirst()

    def __len__(self) -> int:
        """Return how many rooms have a window."""
        return len(self._windows)

    def get(self, room: str) -> MessageWindow | None:
        """Return a room's window."""
        return self._windows.get(room)

    def open(self, room: str, epoch: str, policy: HistoryPolicy) -> MessageWindow:
        """Begin a window for a room that has none."""
        window = self._windows[room] = MessageWindow(room, epoch, policy, counted=self._counted)
        self.bytes += window.bytes
        return window

    def close(self, room: str) -> None:
        """Forget a room's window and what is in it."""
        window = self._windows.pop(room, None)
        if window is not None:
            self.bytes -= window.bytes
            self._by_weight.drop(window)

    def append(self, window: MessageWindow, message: Deliver) -> DeliveryCounts | None:
        """Put in a room's next message, behind the others; return its counts, where it is counted."""
        messages, counts = window.messages, window.counts
        if len(messages) == FEW and isinstance(messages, list):
            messages = window.messages = deque(messages)
            if counts is not None:
                counts = window.counts = deque(counts)
        messages.append(message)
        size = self.size(message)
        self._grow(window, size)
        if counts is None:
            return None
        own = DeliveryCounts(size)
        counts.append(own)
        return own

    def prepend(self, window: MessageWindow, newest_first: list[Deliver]) -> None:
        """Put messages before those that are there. What became of them before is not known."""
        messages = deque(window.messages)
        messages.extendleft(newest_first)
        few = len(messages) <= FEW
        window.messages = list(messages) if few else messages
        if window.counts is not None:
            counts = deque(window.counts)
            counts.extendleft(DeliveryCounts(self.size(message), whole=False) for message in newest_first)
            window.counts = list(counts) if few else counts
        self._grow(window, sum(self.size(message) for message in newest_first))

    def shrink(self, window: MessageWindow, count: int = 1) -> None:
        """Drop the oldest messages of a window."""
        messages, counts = window.messages, window.counts
        for _ in range(count):
            if counts is None:
                size = kept_bytes(messages[0])
            else:
                size = counts[0].size
                del counts[0]
            del messages[0]
            window.bytes -= size
            self.bytes -= size

    def size(self, message: Deliver) -> int:
        """Return how many bytes a message takes here."""
        return kept_bytes(message) + self._extra

    def evict(self, window: MessageWindow) -> None:
        """Drop the oldest message of a window for its bytes, and count it."""
        self.evicted += 1
        self.shrink(window)

    def relieve(self) -> bool:
        """Where all together are too large, take from the largest until an eighth is free; return whether
        they were. One that has nothing left goes.
        """
        if self.bytes <= self._all_bytes:
            return False
        target = self._all_bytes - self._all_bytes // 8
        while self.bytes > target and (window := self._by_weight.heaviest()) is not None:
            if window.messages:
                self.evict(window)
            if not window.messages:
                self.close(window.room)
        return True

    def in_turn(self, count: int) -> Iterator[MessageWindow]:
        """Yield so many windows, each when it is its turn; what is closed meanwhile has none any more."""
        for _ in range(min(count, len(self._windows))):
            room, window = next(iter(self._windows.items()))
            self._windows.move_to_end(room)
            yield window

    def _grow(self, window: MessageWindow, size: int) -> None:
        window.bytes += size
        self.bytes += size
        self._by_weight.grown(window)
