"""Consumer: what was not asked for does nothing."""

from __future__ import annotations

from warren.bus import Source
from warren.bus.consumer import Consumer
from warren.topology import Topology


def test_callbacks_that_were_not_given_do_nothing() -> None:
    """A subscription may leave both out, and they can be called all the same."""
    consumer = Consumer(lambda: Source(Topology().notify_queue()), lambda _: None, 1)
    consumer.on_start()
    consumer.on_lost()
    assert consumer.prefetch == 1
