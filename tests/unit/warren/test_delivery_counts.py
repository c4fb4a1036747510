"""delivery_counts: what a message's numbers take, and what becomes of them where a connection lets go of it."""

import gc
import tracemalloc

import pytest

from warren.delivery_counts import COUNTS_BYTES, DeliveryCounts, withhold


def test_what_is_let_go_of_was_not_written():
    """For one connection, each message of the chunk."""
    counts = [DeliveryCounts(1, written=2), DeliveryCounts(1, written=1, withheld=3, expired=4)]
    withhold(counts)
    assert [(one.written, one.withheld, one.expired) for one in counts] == [(1, 1, 0), (0, 4, 4)]


def test_bytes_are_what_it_really_takes():
    """With its place in a list; its size is a number of its own."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [DeliveryCounts(1_000 + number) for number in range(10_000)]
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert pytest.approx(taken / len(kept), rel=0.1) == COUNTS_BYTES
