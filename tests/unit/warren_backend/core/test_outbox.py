"""What is to be published keeps its order over any number of channels, and so much waits and no more."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from warren_backend.core.outbox import Limits, Outbox


def taken(outbox: Outbox[str]) -> list[tuple[int, str]]:
    found = []
    while (due := outbox.next()) is not None:
        found.append(due)
    return found


def test_it_is_bounded_in_messages_and_bytes() -> None:
    """One alone may have any size, else it would never go."""
    outbox: Outbox[str] = Outbox(Limits(messages=2, bytes=10, window=5))
    assert outbox.fits(1_000)
    outbox.add("a", 6)
    assert not outbox.fits(5)
    assert outbox.fits(4)
    number = outbox.add("b", 4)
    assert not outbox.fits(0)
    assert outbox.settle(number) == "b"
    assert outbox.settle(number) is None
    assert outbox.fits(4)


def test_no_more_than_the_window_is_written_and_unconfirmed() -> None:
    """The next one goes when one is settled."""
    outbox: Outbox[str] = Outbox(Limits(window=2))
    for item in "abc":
        outbox.add(item, 1)
    (first, _), _ = taken(outbox)
    assert outbox.next() is None
    outbox.settle(first)
    assert taken(outbox) == [(3, "c")]


def test_what_was_not_confirmed_goes_again_in_order_and_before_what_is_newer() -> None:
    """Also where some of it was confirmed."""
    outbox: Outbox[str] = Outbox(Limits(window=10))
    for item in "abcd":
        outbox.add(item, 1)
    taken(outbox)
    outbox.settle(2)
    outbox.add("e", 1)
    assert outbox.ended() is None
    assert taken(outbox) == [(1, "a"), (3, "c"), (4, "d"), (5, "e")]


def test_a_refused_one_goes_again_before_what_is_newer() -> None:
    """Once each."""
    outbox: Outbox[str] = Outbox(Limits(window=10))
    for item in "ab":
        outbox.add(item, 1)
    taken(outbox)
    outbox.add("c", 1)
    outbox.again(1)
    outbox.again(1)
    assert taken(outbox) == [(1, "a"), (3, "c")]


def test_who_is_to_blame_for_a_channels_end_is_found() -> None:
    """Of three written ones each goes alone, until the channel ends with one of them; the others go on."""
    outbox: Outbox[str] = Outbox(Limits(window=10))
    for item in "abc":
        outbox.add(item, 1)
    taken(outbox)
    assert outbox.ended(refused=True) is None
    assert taken(outbox) == [(1, "a")]
    outbox.settle(1)
    assert taken(outbox) == [(2, "b")]
    assert outbox.ended(refused=True) == "b"
    assert taken(outbox) == [(3, "c")]
    outbox.settle(3)
    for item in "de":
        outbox.add(item, 1)
    assert len(taken(outbox)) == 2


def test_all_that_waits_can_be_taken_out() -> None:
    """Then there is nothing."""
    outbox: Outbox[str] = Outbox(Limits())
    for item in "ab":
        outbox.add(item, 1)
    outbox.next()
    assert outbox.drain() == ["a", "b"]
    assert (len(outbox), outbox.next(), outbox.fits(1 << 40)) == (0, None, True)


def test_what_is_given_up_while_nothing_is_written_leaves_nothing_behind() -> None:
    """However long the broker is away."""
    outbox: Outbox[str] = Outbox(Limits())
    outbox.add("first", 1)
    for _ in range(10_000):
        outbox.settle(outbox.add("x", 1))
    assert len(outbox._unwritten) < 200
    assert taken(outbox) == [(1, "first")]


class Walk(RuleBasedStateMachine):
    """An outbox against a list: what is written since the last end of a channel are the oldest, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox: Outbox[int] = Outbox(Limits(messages=20, bytes=60, window=4))
        self.waiting: dict[int, int] = {}
        self.written: list[int] = []

    @rule(size=st.integers(0, 20))
    def add(self, size: int) -> None:
        assert self.outbox.fits(size) == (
            not self.waiting or (len(self.waiting) < 20 and sum(self.waiting.values()) + size <= 60)
        )
        if self.outbox.fits(size):
            number = self.outbox.add(size, size)
            self.waiting[number] = size

    @rule()
    def write(self) -> None:
        due = self.outbox.next()
        unwritten = [number for number in self.waiting if number not in self.written]
        if len(self.written) >= 4 or not unwritten:
            assert due is None
        else:
            assert due == (unwritten[0], self.waiting[unwritten[0]])
            self.written.append(unwritten[0])

    @rule(at=st.integers(0, 30))
    def settle(self, at: int) -> None:
        number = sorted(self.waiting)[at % len(self.waiting)] if self.waiting else 0
        assert self.outbox.settle(number) == self.waiting.pop(number, None)
        if number in self.written:
            self.written.remove(number)

    @rule()
    def refuse(self) -> None:
        if self.written:
            self.outbox.again(self.written.pop())

    @rule()
    def end(self) -> None:
        assert self.outbox.ended() is None
        self.written.clear()

    @invariant()
    def counts(self) -> None:
        assert len(self.outbox) == len(self.waiting)


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=60, stateful_step_count=40)
