"""EntryTelemetry: what the entries of one shard leave in metrics and traces while this router speaks for it.

It changes nothing but the traceparent of sampled messages, so that what follows stands under the span of this
hop.
"""

from __future__ import annotations

import msgspec

from router.core.effects import Effect, FeedItem
from router.core.fold import Fold
from warren.clock import Clock
from warren.envelope import Deliver, Entered, Left, Refused
from warren.metrics import RouterMetrics
from warren.telemetry import Hop, HopKind, Tracing

_KINDS = {Deliver: "publish", Entered: "join", Left: "leave", Refused: "refused"}


class EntryTelemetry:
    """One shard's."""

    def __init__(self, shard: int, clock: Clock, metrics: RouterMetrics, tracing: Tracing) -> None:
        """One for each shard."""
        self._shard = shard
        self._clock = clock
        self._metrics = metrics
        self._tracing = tracing
        self._began = 0.0
        self._duplicates = 0
        self._skipped = 0
        self._hops: list[Hop] = []

    def begin(self, fold: Fold) -> None:
        """An entry is about to be applied."""
        self._began = self._clock.monotonic()
        self._duplicates, self._skipped = fold.duplicates, fold.skipped

    def traced(self, effects: list[Effect]) -> list[Effect]:
        """Open the spans of sampled messages."""
        if not self._tracing.on:
            return effects
        return [self._opened(effect) if type(effect) is FeedItem else effect for effect in effects]

    def end(self, fold: Fold, effects: list[Effect]) -> None:
        """It was applied, and what it brings about is on its way."""
        metrics, oldest_us = self._metrics, 0
        kinds: dict[str, int] = {}
        for effect in effects:
            if type(effect) is FeedItem:
                item = effect.item
                kind = _KINDS.get(type(item))
                if kind is not None:
                    kinds[kind] = kinds.get(kind, 0) + 1
                    if type(item) is Deliver:
                        oldest_us = oldest_us or item.at_us
        for kind, count in kinds.items():
            metrics.messages(kind, count)
        if kinds:
            metrics.batch_size("process", sum(kinds.values()))
        if fold.duplicates > self._duplicates:
            metrics.duplicates(fold.duplicates - self._duplicates)
        if fold.skipped > self._skipped:
            metrics.rejected("log", fold.skipped - self._skipped)
        trace = self._hops[0].trace_id if self._hops else ""
        took_s = self._clock.monotonic() - self._began
        if oldest_us:
            now_us = self._clock.wall_us()
            metrics.lag.note(now_us - oldest_us)
            metrics.hop_seconds("queue", (now_us - oldest_us) / 1_000_000, trace)
            if fold.written_us:
                metrics.hop_seconds("log", (now_us - fold.written_us) / 1_000_000 - took_s, trace)
        metrics.hop_seconds("process", took_s, trace)
        for hop in self._hops:
            hop.end()
        self._hops.clear()

    def _opened(self, effect: FeedItem) -> FeedItem:
        item = effect.item
        if type(item) is not Deliver or not item.trace:
            return effect
        hop = self._tracing.hop(HopKind.PROCESS, item.trace, message_id=item.id, shard=self._shard)
        if hop is None:
            return effect
        self._hops.append(hop)
        return FeedItem(effect.index, effect.gateways, msgspec.structs.replace(item, trace=hop.traceparent))
