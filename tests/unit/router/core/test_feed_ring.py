"""FeedRing: the last items, each with whom it is for, and from where on they are whole."""

import sys

from router.core.feed_ring import TARGET_BYTES, TRIM_AT, FeedRing
from warren.envelope import Deliver, Left


def entry(offset, index=1):
    return (offset, index, Left("g~1", "a", str(offset)))


def put(ring, *places, size=100):
    for place in places:
        ring.put(entry(*place), ("g",), size)


def places(ring, above):
    return [each[:2] for each, _ in ring.above(above)]


def test_what_lies_above_a_place_comes_in_order_with_its_gateways():
    """By offset, then by index; the place itself does not come, and it need not be one that is held."""
    ring = FeedRing(10_000)
    put(ring, (3, 1), (3, 2), (7, 1))
    ring.put(entry(7, 4), ("g", "h"), 100)
    assert places(ring, (0, 0)) == [(3, 1), (3, 2), (7, 1), (7, 4)]
    assert places(ring, (3, 1)) == [(3, 2), (7, 1), (7, 4)]
    assert places(ring, (3, 9)) == places(ring, (5, 0)) == [(7, 1), (7, 4)]
    assert list(ring.above((7, 2))) == [(entry(7, 4), ("g", "h"))]
    assert places(ring, (7, 4)) == []


def test_the_oldest_make_room_and_the_floor_says_so():
    """The bound counts the names of gateways; the floor is the last item that is gone."""
    ring = FeedRing(3 * (100 + TARGET_BYTES))
    put(ring, (1,), (2,), (3,))
    assert (ring.floor, len(ring), ring.bytes) == ((0, 0), 3, 3 * 116)
    put(ring, (4, 2))
    assert (ring.floor, len(ring), ring.bytes) == ((1, 1), 3, 3 * 116)
    assert places(ring, ring.floor) == [(2, 1), (3, 1), (4, 2)]


def test_an_item_that_is_larger_than_the_bound_empties_the_ring():
    """It is not held itself either: nothing is beyond the bound."""
    ring = FeedRing(500)
    put(ring, (1,), (2,))
    put(ring, (3,), size=600)
    assert (ring.floor, len(ring), ring.bytes) == ((3, 1), 0, 0)


def test_the_memory_of_what_is_gone_is_given_back():
    """However long it runs, there are never more free places than TRIM_AT."""
    ring = FeedRing(10 * (100 + TARGET_BYTES))
    for offset in range(1, 5 * TRIM_AT):
        put(ring, (offset,))
        assert len(ring._kept) <= 10 + TRIM_AT
    last = 5 * TRIM_AT - 1
    assert places(ring, ring.floor) == [(offset, 1) for offset in range(last - 9, last + 1)]


def test_what_is_gone_is_freed_at_once():
    """Not only once TRIM_AT places are free: the ring holds no large payload beyond its bound."""
    ring = FeedRing(2_500)
    payloads = [bytes([number]) * 1_000 for number in range(9)]
    free = sys.getrefcount(payloads[0])
    for offset, payload in enumerate(payloads, 1):
        ring.put((offset, 1, Deliver("a", "e", offset, "CHAT", payload, 1)), ("g",), len(payload))
    del payload
    assert [sys.getrefcount(payloads[at]) - free for at in range(9)] == [0] * 7 + [1] * 2
    assert places(ring, ring.floor) == places(ring, (7, 1)) == [(8, 1), (9, 1)]


def test_it_begins_anew_above_a_place():
    """What was held is forgotten."""
    ring = FeedRing(500)
    put(ring, (1,), (2,), (3,), (4,), (5,))
    ring.begin((9, 1))
    assert (ring.floor, len(ring), ring.bytes) == ((9, 1), 0, 0)
    put(ring, (10,))
    assert places(ring, (9, 1)) == [(10, 1)]
