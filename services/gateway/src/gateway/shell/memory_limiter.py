"""MemoryLimiter: which connections hold bytes at present and how many that are, and the end of those that
have to go.

A connection that holds nothing costs nothing here: a transport registers itself when it begins to hold
something, and is forgotten when a check finds that it holds nothing any more. Checks come with the turns of
the loop, and at once where much has come since the last one. Whatever fails in a check ends nobody but whose
bytes can't be counted. It decides nothing: the budget does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from gateway.core.hub import Hub
from gateway.core.memory_budget import End, Holding, MemoryBudget
from warren.clock import Clock
from warren.errors import CloseCode
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics

# Checks take at most this part of the time.
SHARE = 0.05
# Of the budget: so much may come until it is checked, however late the loop is.
UNCHECKED_PERCENT = 10

_log = get_logger("gateway.memory_limiter")


class Holder(Protocol):
    """A connection's bytes."""

    counted: bool
    on_excess: Callable[[CloseCode], None] | None

    def holding(self) -> Holding | None:
        """Return what it holds; None: nothing."""
        ...

    def chunks(self) -> list[bytes]:
        """Return the chunks of what its client has not taken yet; others may hold the same ones."""
        ...

    def spill(self) -> None:
        """Let go of what waits in either direction, before it is closed."""
        ...

    def cut_unless_small(self) -> None:
        """Cut the connection where its last bytes are many."""
        ...

    def cut(self) -> None:
        """End the connection at once."""
        ...


class MemoryLimiter:
    """What all connections of a gateway hold."""

    def __init__(self, budget: MemoryBudget, clock: Clock, metrics: GatewayMetrics, hub: Hub) -> None:
        """``clock`` is asked how long checks take; ``hub`` how many bytes of chunks were made so far that
        several may hold.
        """
        self._budget = budget
        self._clock = clock
        self._metrics = metrics
        self._holders: set[Holder] = set()
        self._next = 0.0
        self._came = 0
        self._hub = hub
        self._spelled = 0
        self._unchecked = budget.limit * UNCHECKED_PERCENT // 100
        self._receiving = self._sending = self._windows = 0
        metrics.buffer_limit.set(budget.limit)
        metrics.buffer_bytes_from("receiving", lambda: self._receiving)
        metrics.buffer_bytes_from("sending", lambda: self._sending)
        metrics.buffer_bytes_from("windows", lambda: self._windows)

    def __len__(self) -> int:
        """Return how many connections hold something, or held something at the last check."""
        return len(self._holders)

    def register(self, holder: Holder) -> None:
        """Count a connection that has begun to hold something."""
        holder.counted = True
        self._holders.add(holder)

    def came(self, size: int) -> None:
        """So many bytes have come from a client: check at once where they are many."""
        self._came += size
        if self._came > self._unchecked:
            self.check()

    def spelled(self, size: int) -> None:
        """A chunk of so many bytes was made for one connection alone."""
        self._spelled += size

    def turn(self, now: float) -> None:
        """Check where it is time to."""
        if now >= self._next:
            self.check()

    def check(self) -> None:
        """Count what is held, and end those that have to go."""
        began = self._clock.monotonic()
        self._came = 0
        try:
            self._check()
        except Exception as error:  # noqa: BLE001 - or it would end whoever happens to send
            event(_log, "memory_check_failed", level=logging.ERROR, error=error)
        now = self._clock.monotonic()
        self._next = now + (now - began) / SHARE

    def _check(self) -> None:
        holders: list[Holder] = []
        holdings: list[Holding] = []
        for holder in list(self._holders):
            try:
                holding = holder.holding()
            except Exception as error:  # noqa: BLE001 - nobody's bytes may go uncounted for long
                event(_log, "memory_check_failed", level=logging.ERROR, error=error)
                self._holders.discard(holder)
                holder.cut()
                continue
            if holding is None:
                holder.counted = False
                self._holders.discard(holder)
            else:
                holders.append(holder)
                holdings.append(holding)
        budget = self._budget
        ends = budget.over(holdings, self._hub.spelled + self._spelled, lambda index: holders[index].chunks())
        for end in ends:
            self._end(holders[end.index], end)
        gone = {end.index for end in ends}
        left = [holding for index, holding in enumerate(holdings) if index not in gone] if gone else holdings
        self._receiving = sum(holding.receiving for holding in left)
        self._sending = budget.chunks + sum(holding.queue for holding in left)
        self._windows = sum(holding.window for holding in left)
        if ends:
            left_bytes = self._receiving + self._sending
            event(
                _log,
                "buffers_full",
                level=logging.WARNING,
                count=len(ends),
                limit=budget.limit,
                left=left_bytes,
            )

    def _end(self, holder: Holder, end: End) -> None:
        self._metrics.buffer_closes(end.of)
        try:
            holder.spill()
            if end.code is not None and holder.on_excess is not None:
                holder.on_excess(end.code)
                holder.cut_unless_small()
                return
        except Exception as error:  # noqa: BLE001 - it goes all the same, and so do the others
            event(_log, "memory_check_failed", level=logging.ERROR, error=error)
        holder.cut()
