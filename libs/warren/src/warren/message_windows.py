"""MessageWindows: of each room the last numbered messages, without a hole and in one epoch; bounded in bytes,
where the largest rooms lose their oldest first.

It keeps no room's policy: who puts messages in says when the oldest of a room are to go. Bytes are those that
a message and a room really take in this process, not those of the payload alone. Pure.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import islice
from typing import Final

from warren.envelope import OVERHEAD_BYTES, Deliver
from warren.largest_first import LargestFirst, kept_bytes
from warren.namespaces import HistoryPolicy

# What CPython 3.11 takes for a window with its places in the tables, within some tenths:
# ``tests/unit/router/core/test_history.py`` measures it.
WINDOW_BYTES: Final = 368
# So many messages fit a list, which costs a quiet room a tenth of what an empty deque does.
FEW: Final = 32


class MessageWindow:
    """One room's messages: seqs 7, 8, 9 of the epoch ``k3f9-0``, say. A list while they are few. Changed by
    its MessageWindows alone.
    """

    __slots__ = ("bytes", "epoch", "messages", "policy", "rank", "room")

    def __init__(self, room: str, epoch: str, policy: HistoryPolicy) -> None:
        """Begin empty; ``policy`` is the room's."""
        self.room = room
        self.epoch = epoch
        self.policy = policy
        self.messages: list[Deliver] | deque[Deliver] = []
        self.bytes = WINDOW_BYTES
        self.rank = -1  # see LargestFirst

    @property
    def first(self) -> int:
        """The seq of the oldest; there must be one."""
        return self.messages[0].seq

    @property
    def last(self) -> int:
        """The seq of the newest; there must be one."""
        return self.messages[-1].seq

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

    def __init__(self, all_bytes: int) -> None:
        """``relieve`` holds all of them together to ``all_bytes``."""
        self.bytes = 0
        self.evicted = 0  # messages that went for their bytes, since the beginning
        self._all_bytes = all_bytes
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
        window = self._windows[room] = MessageWindow(room, epoch, policy)
        self.bytes += WINDOW_BYTES
        return window

    def close(self, room: str) -> None:
        """Forget a room's window and what is in it."""
        window = self._windows.pop(room, None)
        if window is not None:
            self.bytes -= window.bytes
            self._by_weight.drop(window)

    def append(self, window: MessageWindow, message: Deliver) -> None:
        """Put in a room's next message, behind the others."""
        messages = window.messages
        if len(messages) == FEW and isinstance(messages, list):
            messages = window.messages = deque(messages)
        messages.append(message)
        self._grow(window, kept_bytes(message))

    def prepend(self, window: MessageWindow, newest_first: list[Deliver]) -> None:
        """Put messages before those that are there."""
        messages = deque(window.messages)
        messages.extendleft(newest_first)
        window.messages = messages if len(messages) > FEW else list(messages)
        self._grow(window, sum(map(kept_bytes, newest_first)))

    def shrink(self, window: MessageWindow, count: int = 1) -> None:
        """Drop the oldest messages of a window."""
        messages = window.messages
        for _ in range(count):
            size = kept_bytes(messages.pop(0) if isinstance(messages, list) else messages.popleft())
            window.bytes -= size
            self.bytes -= size

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
