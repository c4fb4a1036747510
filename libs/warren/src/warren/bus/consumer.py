"""Consumer: what a subscription was asked for, the same for every engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from warren.bus import OnDelivery, Source, nothing


@dataclass(frozen=True, slots=True)
class Consumer:
    """The arguments of ``Bus.subscribe``; callbacks that were not given do nothing."""

    source: Callable[[], Source]
    on_delivery: OnDelivery
    prefetch: int
    on_start: Callable[[], None] = nothing
    on_lost: Callable[[], None] = nothing
