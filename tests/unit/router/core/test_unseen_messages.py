"""UnseenMessages: what nobody has seen in time is told once, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.core import unseen_messages
from router.core.unseen_messages import FEW, Unseen, UnseenMessages
from warren.envelope import OVERHEAD_BYTES, Deliver


def wanted(due_us: int, seq: int, room: str = "@ann", generation: int = 1, payload: bytes = b"1") -> Unseen:
    return Unseen(due_us, generation, Deliver(room, "e", seq, "NOTIFICATION", payload, 5, id=f"m{seq}"))


def test_what_nobody_has_seen_is_told_when_its_time_is_over():
    """In the order of the times, once."""
    unseen = UnseenMessages()
    for each in (wanted(30, 1), wanted(10, 2), wanted(20, 3)):
        assert unseen.put(each)
    assert unseen.next_us == 10
    assert unseen.due(9) == []
    assert [message.seq for message in unseen.due(20)] == [2, 3]
    assert (unseen.next_us, unseen.due(20), len(unseen)) == (30, [], 1)


def test_what_somebody_has_seen_is_not_told():
    """With all before it in that room and epoch; what comes behind waits on."""
    unseen = UnseenMessages()
    for each in (
        wanted(10, 1),
        wanted(10, 2),
        wanted(10, 3),
        wanted(10, 1, "@bob"),
        wanted(10, 1, generation=2),
    ):
        unseen.put(each)
    unseen.saw("@ann", 1, 2)
    unseen.saw("@eve", 1, 9)
    told = {(message.room, message.seq) for message in unseen.due(10)}
    assert told == {("@ann", 3), ("@bob", 1), ("@ann", 1)}
    assert (len(unseen), unseen.next_us) == (0, None)


def test_beyond_the_bounds_nothing_waits(monkeypatch):
    """By count and by bytes; there is place again once something was told or seen."""
    monkeypatch.setattr(unseen_messages, "MOST", 1)
    unseen = UnseenMessages()
    assert unseen.put(wanted(10, 1))
    assert not unseen.put(wanted(10, 2))
    unseen.saw("@ann", 1, 1)
    monkeypatch.setattr(unseen_messages, "MOST_BYTES", OVERHEAD_BYTES + 3)
    assert not unseen.put(wanted(10, 2, payload=b"1234"))
    assert unseen.put(wanted(10, 2, payload=b"123"))
    unseen.due(10)
    assert unseen.put(wanted(10, 3, payload=b"123"))


def test_what_was_seen_leaves_nothing_behind():
    """However far away its time is."""
    unseen = UnseenMessages()
    for seq in range(1, 1_000):
        unseen.put(wanted(10**9 + seq, seq))
        unseen.saw("@ann", 1, seq)
    assert len(unseen._due) <= FEW + 1
    assert unseen.next_us is None


PUT = st.tuples(st.integers(1, 20), st.sampled_from(["@ann", "@bob"]))


@given(st.lists(PUT, max_size=20), st.integers(0, 20), st.integers(0, 10))
def test_what_is_made_from_a_snapshot_goes_on_alike(puts, at, seen_to):
    """It tells the same in the same order."""
    unseen = UnseenMessages()
    for seq, (due, room) in enumerate(puts, 1):
        unseen.put(wanted(due, seq, room))
    unseen.due(at)
    twin = UnseenMessages(unseen.snapshot())
    for each in (unseen, twin):
        each.saw("@ann", 1, seen_to)
    assert twin.snapshot() == unseen.snapshot()
    assert twin.due(99) == unseen.due(99)
