"""held_leaves: leaves that wait for their user to come back."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.held_leaves import HeldLeaves
from warren.envelope import Leave, size_of


def leave(number: int, rooms: int = 1) -> Leave:
    return Leave(tuple(f"r{room}" for room in range(rooms)), f"g~{number:x}", "", "ann")


def conns(due):
    return [held.leave.conn for held in due]


def test_a_leave_is_held_for_the_grace_and_given_out_once():
    """Not before, and with the shard that it is for."""
    held = HeldLeaves(3.0)
    assert held.hold(leave(1), 2, 100.0) == []
    assert held.hold(leave(2), 0, 101.0) == []
    assert (held.due(102.9), len(held)) == ([], 2)
    (first,) = held.due(103.0)
    assert (first.leave, first.shard) == (leave(1), 2)
    assert conns(held.due(200.0)) == ["g~2"]
    assert (held.due(300.0), len(held)) == ([], 0)


def test_without_grace_nothing_is_held():
    """It comes back at once."""
    held = HeldLeaves(0.0)
    assert conns(held.hold(leave(1), 0, 5.0)) == ["g~1"]
    assert len(held) == 0


def test_beyond_the_count_the_oldest_goes_before_its_time():
    """So that so many are held at most."""
    held = HeldLeaves(3.0, count=2)
    assert [conns(held.hold(leave(number), 0, 1.0)) for number in (1, 2, 3, 4)] == [[], [], ["g~1"], ["g~2"]]
    assert len(held) == 2


def test_beyond_the_bytes_too():
    """A leave of many rooms takes the place of several; one that is larger than all is not held itself."""
    held = HeldLeaves(3.0, size=size_of(leave(1, 10)))
    held.hold(leave(1), 0, 1.0)
    assert conns(held.hold(leave(2, 10), 0, 1.0)) == ["g~1"]
    assert conns(held.hold(leave(3, 11), 0, 1.0)) == ["g~2", "g~3"]


def test_at_the_end_all_go_and_nothing_is_held_any_more():
    """In their order."""
    held = HeldLeaves(3.0)
    for number in (1, 2):
        held.hold(leave(number), 0, 1.0)
    assert conns(held.end()) == ["g~1", "g~2"]
    assert conns(held.hold(leave(3), 0, 2.0)) == ["g~3"]


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 20)), max_size=40), st.integers(1, 5))
def test_each_leave_comes_out_once_in_order_and_never_late(script, count):
    """Whatever comes when: what is due comes out with whatever is done next, and the bounds hold."""
    held, now, out, put = HeldLeaves(1.0, count, 3_000), 0.0, [], {}
    for number, (step, rooms) in enumerate(script, 1):
        now += step
        put[f"g~{number:x}"] = now
        due = held.hold(leave(number, rooms), 0, now)
        out += conns(due)
        assert len(held) <= count
        assert all(put[conn] + 1.0 > now for conn in list(put)[len(out) :])
    assert out + conns(held.end()) == list(put)
