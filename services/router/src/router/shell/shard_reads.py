"""ShardReads: answers what backends ask of one shard, where this router speaks for it.

An answer is made at once from what the log tells, but for two kinds. For a list of rooms names are put in
order a few at a time, so that a million of them hold up nobody; what was put in order is kept for a moment,
for the pages that follow. Of a message gateways are asked too, for a bounded time. Until then there is no
answer, and it is asked again. It decides nothing (``core/control_reads.py``, ``core/explanations.py``).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from router.core import control_reads as reads
from router.core.effects import BackendEvent
from router.core.explanations import Explanations, Trace
from router.core.feeds import Feeds
from router.core.fold import Fold
from router.core.room_index import RoomIndex
from router.core.user_activity import UserActivity
from router.shell.router_context import RouterContext
from router.shell.shard_history import ShardHistory
from warren.clock import Clock
from warren.contract.queries import Explained
from warren.envelope import Counts, CountsQuery
from warren.supervision import supervised

# For so long, and for so many prefixes, what was put in order is used again.
KEPT_S: Final = 5.0
KEPT_MAX: Final = 4


class ShardReads:
    """One shard's."""

    def __init__(
        self,
        shard: int,
        context: RouterContext,
        history: ShardHistory,
        ask: Callable[[str, CountsQuery], None],
    ) -> None:
        """Nothing was seen yet. ``ask`` asks a gateway, once."""
        self._clock = context.clock
        self._history = history
        self._ask = ask
        self._explanations = Explanations(context.id, shard)
        self._activity = UserActivity()
        self._lists = _RoomLists(context.clock)

    def begin(self) -> None:
        """What was seen is void."""
        self._activity = UserActivity()
        self._lists.clear()
        self._explanations.clear()

    @property
    def waiting(self) -> int:
        """How many questions wait for gateways."""
        return len(self._explanations)

    def note(self, event: BackendEvent) -> None:
        """Somebody has come or gone."""
        if event.kind in ("client.connected", "client.disconnected"):
            told = self._activity.came if event.kind == "client.connected" else self._activity.left
            told(event.user, event.at_us, event.connections)

    def answer(self, body: bytes, fold: Fold, feeds: Feeds) -> bytes | None:
        """Answer a question; None where it can't be answered now, and is to be asked again."""
        answer: object
        match reads.decoded(body):
            case reads.MembersRead() as read:
                answer = reads.members(read, fold)
            case reads.BlocksRead() as read:
                answer = reads.blocks_page(read, fold, self._clock.wall_us() // 1_000)
            case reads.StatusRead() as read:
                answer = reads.status(read, fold, self._activity)
            case reads.HistoryRead() as read:
                answer = self._history.asked(read, fold)
            case reads.ExplainRead() as read:
                answer = self._explained(read, fold, feeds)
            case reads.RoomsRead() as read:
                index = self._lists.of(read.prefix, fold)
                answer = index and reads.rooms_page(index.after(read.after), read.limit, fold.rooms)
            case None:
                return None
        if answer is None or answer == reads.NOTHING:
            return None if answer is None else reads.NOTHING
        return msgspec.json.encode(answer)

    def counted(self, said: Counts) -> None:
        """A gateway says for how many of its connections a message was what."""
        self._explanations.counted(said)

    def _explained(self, read: reads.ExplainRead, fold: Fold, feeds: Feeds) -> Explained | bytes | None:
        now, open_ones = self._clock.monotonic(), self._explanations
        if not open_ones.is_open(read, now):
            known = self._history.trace(read, fold, feeds)
            if not isinstance(known, Trace):
                return known
            for gateway, query in open_ones.begin(read, known, now).items():
                self._ask(gateway, query)
        return open_ones.answer(read, now)


class _RoomLists:
    """Names in order, for the prefixes that were asked for last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[RoomIndex, float]] = OrderedDict()
        self._making: set[asyncio.Task[None]] = set()

    def clear(self) -> None:
        self._kept.clear()
        for task in self._making:
            task.cancel()

    def of(self, prefix: str, fold: Fold) -> RoomIndex | None:
        """Return the rooms with this prefix as of a moment ago; None while they are put in order."""
        now = self._clock.monotonic()
        kept = self._kept.get(prefix)
        if kept is not None and (now - kept[1] < KEPT_S or not kept[0].whole):
            return kept[0] if kept[0].whole else None
        if len(self._making) >= KEPT_MAX:
            return None
        index = RoomIndex(prefix, fold.rooms.names())
        index.step()
        self._kept.pop(prefix, None)
        self._kept[prefix] = (index, now)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        if not index.whole:
            task = asyncio.get_running_loop().create_task(_finish(index), name="room-list")
            self._making.add(task)
            task.add_done_callback(self._making.discard)
            supervised(task)
            return None
        return index


async def _finish(index: RoomIndex) -> None:
    while not index.whole:
        await asyncio.sleep(0)
        index.step()
