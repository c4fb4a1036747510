"""EventBacklog: in order, bounded, with ids that name the place, and how far all is confirmed."""

from router.core.effects import BackendEvent
from router.core.event_backlog import EventBacklog
from warren.envelope import Deliver

ALL = frozenset({"client", "room", "message"})


def joined(index, room="lobby"):
    return BackendEvent(index, "room.joined", room, 1, "g~1", "u")


def said(index, payload=b"1"):
    return BackendEvent(index, "message", "lobby", 1, message=Deliver("lobby", "e", 1, "CHAT", payload, 1))


def test_an_event_is_named_by_its_place_in_the_log():
    """Life, shard, offset and index; in the order of the log, and it stays until it is done."""
    backlog = EventBacklog(3, ALL)
    backlog.take("life", 7, [joined(2), said(5)], keep=True)
    backlog.take("life", 9, [joined(1)], keep=True)
    assert [due.id for due in backlog.next(10)] == ["life.3.7.2", "life.3.7.5", "life.3.9.1"]
    assert [due.id for due in backlog.next(2)] == ["life.3.7.2", "life.3.7.5"]
    backlog.done(backlog.next(1))
    assert [due.id for due in backlog.next(10)] == ["life.3.7.5", "life.3.9.1"]


def test_confirmed_is_the_entry_before_the_first_that_waits():
    """Or the last that was taken, where nothing waits; it moves on over entries without events."""
    backlog = EventBacklog(0, ALL)
    assert backlog.confirmed == -1
    backlog.begin(4)
    assert backlog.confirmed == 4
    backlog.take("life", 5, [], keep=True)
    assert backlog.confirmed == 5
    backlog.take("life", 6, [joined(1), joined(2)], keep=True)
    backlog.take("life", 7, [], keep=True)
    assert backlog.confirmed == 5
    backlog.done(backlog.next(1))
    assert backlog.confirmed == 5
    backlog.done(backlog.next(1))
    assert backlog.confirmed == 7


def test_what_somebody_has_confirmed_is_forgotten():
    """Up to that entry, and no further."""
    backlog = EventBacklog(0, ALL)
    for offset in range(4):
        backlog.take("life", offset, [joined(1)], keep=False)
    backlog.upto(2)
    assert [due.offset for due in backlog.next(9)] == [3]
    assert backlog.confirmed == 2


def test_kinds_that_are_switched_off_are_not_kept():
    """And they hold up nothing."""
    backlog = EventBacklog(0, frozenset({"client"}))
    backlog.take(
        "life", 1, [joined(1), said(2), BackendEvent(3, "client.connected", "@u", 1, "g~1", "u")], keep=True
    )
    assert [due.id for due in backlog.next(9)] == ["life.0.1.3"]


def test_a_reader_that_only_follows_lets_the_oldest_go_and_counts_them():
    """A speaker keeps them, and is told that it is full."""
    backlog = EventBacklog(0, ALL, count=2)
    for offset in range(4):
        backlog.take("life", offset, [joined(1)], keep=False)
    assert backlog.lost == 3
    assert [due.offset for due in backlog.next(9)] == [3]
    backlog.take("life", 4, [joined(1)], keep=True)
    assert backlog.full
    backlog.take("life", 5, [joined(1)], keep=True)
    assert len(backlog) == 3
    assert backlog.lost == 3


def test_bytes_are_bounded_as_well():
    """Of messages, with their payloads."""
    backlog = EventBacklog(0, ALL, bytes=2_000)
    backlog.take("life", 1, [said(1, b"x" * 2_000)], keep=True)
    assert backlog.full
    backlog.begin(1)
    assert not backlog.full
