"""Batch: in order, within its limits, nothing lost; by examples and by a random walk against a
naive model.
"""

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from warren.batch import Batch, BatchLimits, Pace, Pacer


def test_what_is_offered_comes_out_in_order() -> None:
    """Items come out in the order in which they went in, as many at once as the count allows."""
    batch: Batch[int] = Batch(BatchLimits(batch_count=3))
    assert all(batch.offer(number, 1) for number in range(7))
    assert [batch.next(), batch.next(), batch.next(), batch.next()] == [[0, 1, 2], [3, 4, 5], [6], []]


def test_bytes_bound_a_batch_but_one_item_always_goes() -> None:
    """A batch stops before its bytes would be exceeded; an item larger than that goes alone."""
    batch: Batch[str] = Batch(BatchLimits(batch_bytes=10))
    for item, size in (("a", 6), ("b", 4), ("c", 1), ("huge", 99), ("d", 1)):
        assert batch.offer(item, size)
    assert [batch.next(), batch.next(), batch.next(), batch.next()] == [["a", "b"], ["c"], ["huge"], ["d"]]


def test_what_does_not_fit_is_refused() -> None:
    """Over the waiting count or bytes an item is refused and nothing changes; taking makes room."""
    batch: Batch[int] = Batch(BatchLimits(batch_count=1, waiting_count=2, waiting_bytes=10))
    assert batch.offer(1, 5)
    assert not batch.offer(2, 6)
    assert batch.offer(2, 5)
    assert not batch.offer(3, 0)
    assert (len(batch), batch.bytes) == (2, 10)
    assert batch.next() == [1]
    assert batch.offer(3, 5)


def test_an_empty_queue_takes_any_size() -> None:
    """An item larger than all that may wait is taken where nothing waits, or it could never be sent."""
    batch: Batch[str] = Batch(BatchLimits(waiting_bytes=10))
    assert batch.offer("huge", 1_000)
    assert not batch.offer("small", 1)
    assert batch.next() == ["huge"]
    assert batch.bytes == 0


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_an_empty_batch_has_nothing_to_give(size: int) -> None:
    """``next`` gives nothing where nothing waits, before and after."""
    batch: Batch[int] = Batch(BatchLimits())
    assert batch.next() == []
    batch.offer(1, size)
    assert batch.next() == [1]
    assert batch.next() == []


LIMITS = BatchLimits(batch_count=4, batch_bytes=20, waiting_count=9, waiting_bytes=60)


class BatchWalk(RuleBasedStateMachine):
    """Offers and takes in any order, against a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.batch: Batch[int] = Batch(LIMITS)
        self.model: list[tuple[int, int]] = []
        self.number = 0

    @rule(size=st.integers(0, 70))
    def offer(self, size: int) -> None:
        waiting = sum(each for _, each in self.model)
        fits = not self.model or (
            len(self.model) < LIMITS.waiting_count and waiting + size <= LIMITS.waiting_bytes
        )
        self.number += 1
        assert self.batch.offer(self.number, size) == fits
        if fits:
            self.model.append((self.number, size))

    @rule()
    def take(self) -> None:
        taken = self.batch.next()
        expected, self.model = self.model[: len(taken)], self.model[len(taken) :]
        assert taken == [number for number, _ in expected]
        assert bool(taken) == bool(expected)
        total = sum(size for _, size in expected)
        assert len(taken) <= 1 or (len(taken) <= LIMITS.batch_count and total <= LIMITS.batch_bytes)
        if self.model and taken:  # it took all it could
            assert len(taken) == LIMITS.batch_count or total + self.model[0][1] > LIMITS.batch_bytes

    @invariant()
    def counts_agree(self) -> None:
        assert len(self.batch) == len(self.model)
        assert self.batch.bytes == sum(size for _, size in self.model)


TestBatchWalk = BatchWalk.TestCase


class Work:
    """A process: what part of the time it is busy, and its pace."""

    def __init__(self, longest_s: float = 0.02) -> None:
        self.now, self.busy_s = 10.0, 0.0
        self.asked = 0
        self.pace = Pace(longest_s, self._busy)

    def _busy(self) -> float:
        self.asked += 1
        return self.busy_s

    def go_on(self, share: float, seconds: float = 2.0) -> float:
        """Be busy for that part of so many seconds; return the interval at their end."""
        interval = 0.0
        for _ in range(round(seconds / 0.01)):
            self.now += 0.01
            self.busy_s += share * 0.01
            interval = self.pace.interval(self.now)
        return interval


def test_who_has_time_to_spare_does_not_wait() -> None:
    """Up to a fifth of the time there is no beat; it comes with the work, grows with it up to the longest,
    and goes with it.
    """
    work = Work()
    assert work.go_on(0.2) == 0.0
    intervals = [work.go_on(share) for share in (0.4, 0.6, 0.8, 1.0)]
    assert intervals == pytest.approx([0.0032, 0.0072, 0.0128, 0.02], rel=0.02)
    assert work.go_on(0.1) == 0.0


def test_a_moment_of_work_changes_little() -> None:
    """What lasts a twentieth of a second is no pressure, and it is not asked more often than that."""
    work = Work()
    work.go_on(0.1)
    asked = work.asked
    assert work.go_on(1.0, 0.05) < 0.002
    work.go_on(0.1, 1.0)
    assert work.asked - asked <= 22


@pytest.mark.parametrize("busy_s", [-5.0, 1e9])
def test_a_clock_that_jumps_is_believed_as_far_as_can_be(busy_s: float) -> None:
    """More than always, and less than nothing, is not possible."""
    work = Work()
    work.go_on(0.5)
    work.busy_s += busy_s
    assert 0.0 <= work.go_on(0.5, 0.1) <= 0.02


def test_a_destination_with_little_to_do_is_sent_to_at_once() -> None:
    """Nothing comes in an interval that would make its batch larger."""
    work = Work()
    work.go_on(1.0)
    pacer = Pacer(work.pace)
    assert {pacer.pause(1, work.now + number / 40) for number in range(1_000)} == {0.0}


def test_a_busy_destination_waits_for_the_beat() -> None:
    """The next batch goes at a multiple of the interval, the same for all of a process; who was busy is not
    for ever.
    """
    work = Work()
    work.go_on(1.0)
    one, other = Pacer(work.pace), Pacer(work.pace)
    pauses = []
    for _ in range(100):
        pauses.append((one.pause(10, work.now), other.pause(5, work.now + 0.003), work.now))
        work.now += 0.02
        work.busy_s += 0.02
    assert pauses[0][:2] == (0.0, 0.0)
    mine, others, now = pauses[-1]
    interval = work.pace.interval(now)
    assert now + mine == pytest.approx(now + 0.003 + others)
    assert (now + mine) / interval == pytest.approx(round((now + mine) / interval))
    assert one.pause(1, work.now + 2) == 0.0


def test_a_process_with_time_to_spare_sends_at_once_however_much_comes() -> None:
    """The rate alone makes nobody wait."""
    work = Work()
    work.go_on(0.1)
    pacer = Pacer(work.pace)
    assert {pacer.pause(100, work.now + number / 1_000) for number in range(40)} == {0.0}


def test_without_an_interval_nothing_waits() -> None:
    """Interval 0 means always at once, and nobody is asked how busy it is."""
    work = Work(0.0)
    pacer = Pacer(work.pace)
    assert {pacer.pause(100, 10 + number / 100) for number in range(100)} == {0.0}
    assert not work.asked
