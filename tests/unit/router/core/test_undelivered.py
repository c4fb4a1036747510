"""Undelivered: what is known to have been for nobody, and nothing else."""

from router.core.undelivered import Undelivered
from warren.envelope import Deliver


def put(undelivered: Undelivered, room: str, *seqs: int, epoch: str = "e") -> None:
    for seq in seqs:
        undelivered.put(Deliver(room, epoch, seq, "CHAT", b"1", 1))


def known(undelivered: Undelivered, room: str = "a", epoch: str = "e") -> list[int]:
    return [seq for seq in range(20) if (room, epoch, seq) in undelivered]


def test_the_latest_that_came_one_behind_the_other_are_known():
    """In their own room and epoch; where somebody was there in between, what lies before is forgotten."""
    undelivered = Undelivered()
    assert known(undelivered) == []
    put(undelivered, "a", 7, 8, 9)
    assert (known(undelivered), known(undelivered, "b"), known(undelivered, epoch="f")) == ([7, 8, 9], [], [])
    put(undelivered, "a", 12, 13)
    assert known(undelivered) == [12, 13]
    put(undelivered, "a", 14, epoch="f")
    assert (known(undelivered), known(undelivered, epoch="f")) == ([], [14])
    undelivered.clear()
    assert known(undelivered, epoch="f") == []


def test_rooms_are_bounded():
    """The one that was said in longest ago is forgotten."""
    undelivered = Undelivered(rooms=2)
    put(undelivered, "a", 1)
    put(undelivered, "b", 1)
    put(undelivered, "a", 2)
    put(undelivered, "c", 1)
    assert (len(undelivered), known(undelivered), known(undelivered, "b")) == (2, [1, 2], [])
