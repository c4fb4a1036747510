"""BroadcastBodies: messages for all gateways, until a feed names them."""

from gateway.core.broadcast_bodies import BroadcastBodies
from warren.envelope import OVERHEAD_BYTES, Bodies, Deliver
from warren.position import LogPosition


def message(seq):
    return Deliver("a", "l-1", seq, "CHAT", b"x" * 40, 0)


def at(offset, index=1, life="l"):
    return LogPosition(life, offset, index)


def bodies(*offsets, life="l"):
    return Bodies(3, life, tuple((offset, 1, message(offset)) for offset in offsets))


SIZE = OVERHEAD_BYTES + 40


def test_a_message_is_found_by_its_place():
    """In the life of the log that it counts in, and nowhere else."""
    held = BroadcastBodies(10_000)
    held.put(bodies(3, 5), None)
    assert held.get(at(5)) == message(5)
    assert held.get(at(5, 2)) is held.get(at(4)) is held.get(at(5, 1, "m")) is None


def test_what_no_feed_will_name_any_more_is_not_held():
    """Neither what comes late, nor what was passed; repeats are held once."""
    held = BroadcastBodies(10_000)
    held.put(bodies(3, 5, 5, 7), at(3))
    held.put(bodies(7), at(3))
    assert (len(held), held.bytes) == (2, 2 * SIZE)
    held.passed(at(5))
    assert (len(held), held.bytes, held.get(at(7))) == (1, SIZE, message(7))
    held.put(bodies(1, life="m"), at(5))
    assert held.get(at(1, life="m")) == message(1)
    held.passed(at(1, 0, "m"))
    assert (len(held), held.bytes) == (1, SIZE)


def test_the_oldest_make_room():
    """The bound holds at any moment, also for one that is too large by itself."""
    held = BroadcastBodies(2 * SIZE)
    held.put(bodies(1, 2, 3), None)
    assert (held.bytes, held.get(at(1)), held.get(at(3))) == (2 * SIZE, None, message(3))
    small = BroadcastBodies(SIZE - 1)
    small.put(bodies(1), None)
    assert (len(small), small.bytes) == (0, 0)
