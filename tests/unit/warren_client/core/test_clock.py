"""The time is told, and what is due happens in its order."""

from warren_client.core.clock import Clock, Timers


def test_what_is_due_happens_in_its_order_and_once() -> None:
    """Timers fire by their time, not by the order in which they were set."""
    clock, found = Clock(lambda: 0.5), []
    clock.after("b", 20, lambda: found.append("b"))
    clock.after("a", 10, lambda: found.append("a"))
    assert clock.deadline == 10
    clock.tell(25, 1)
    clock.tell(30, 2)
    assert found == ["a", "b"]
    assert (clock.deadline, clock.wall) == (None, 2)


def test_a_name_has_one_timer() -> None:
    """Setting a name anew takes the place of what it had; cancelling ends it."""
    clock, found = Clock(lambda: 0.5), []
    clock.after("a", 10, lambda: found.append("old"))
    clock.after("a", 20, lambda: found.append("new"))
    clock.after("b", 5, lambda: found.append("never"))
    clock.cancel("b")
    clock.tell(50, 0)
    assert found == ["new"]


def test_a_timer_may_cancel_or_set_another_that_is_due_as_well() -> None:
    """What was cancelled meanwhile does not fire, and what was set meanwhile waits for its time."""
    clock, found = Clock(lambda: 0.5), []

    def first() -> None:
        found.append("first")
        clock.cancel("second")
        clock.after("third", 100, lambda: found.append("third"))

    clock.after("first", 1, first)
    clock.after("second", 2, lambda: found.append("second"))
    clock.after("third", 3, lambda: found.append("too early"))
    clock.tell(10, 0)
    assert found == ["first"]
    clock.tell(110, 0)
    assert found == ["first", "third"]


def test_the_time_never_goes_back() -> None:
    """A clock that is told an earlier time keeps the later one."""
    clock = Clock(lambda: 0.5)
    clock.tell(10, 0)
    clock.tell(5, 0)
    assert clock.now == 10


def test_timers_set_anew_for_ever_take_no_more_memory() -> None:
    """What was replaced is thrown away."""
    clock = Clock(lambda: 0.5)
    for _ in range(10_000):
        clock.after("a", 10, lambda: None)
    assert len(clock._heap) < 200


def test_the_timers_of_an_owner_can_be_cancelled_at_once() -> None:
    """Two owners may use the same names."""
    clock, found = Clock(lambda: 0.5), []
    mine, theirs = Timers(clock), Timers(clock)
    mine.after("a", 1, lambda: found.append("mine"))
    mine.after("b", 1, lambda: found.append("mine"))
    theirs.after("a", 1, lambda: found.append("theirs"))
    assert mine.has("a")
    mine.clear()
    assert not mine.has("a")
    clock.tell(5, 0)
    assert found == ["theirs"]
    assert not theirs.has("a")
