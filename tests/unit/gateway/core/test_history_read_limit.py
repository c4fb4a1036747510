"""reads: what a client may be sent of histories."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.history_read_limit import (
    AGAIN_S,
    DEBT_S,
    ESTIMATE_BYTES,
    HistoryReadLimit,
    ReadLimits,
    everyones,
)
from gateway.core.work_rate_limit import WorkRateLimit
from warren.envelope import HistoryQuery, Join
from warren.position import Position

MIB = 1024 * 1024
LIMITS = ReadLimits(4 * MIB, MIB)


def page(ref: str, room: str = "") -> HistoryQuery:
    return HistoryQuery(room or f"room:{ref}", "g~1", ref, 0, 50)


SINCE = Position("e", 1)


def join(ref: str, since: Position | None = SINCE) -> Join:
    return Join(f"room:{ref}", "g~1", "ann", ref, since)


def test_an_answer_costs_its_bytes_and_a_question_only_until_it_is_answered():
    """A hundred questions in a row with small answers wait for nothing; answers of four MiB do."""
    reads = HistoryReadLimit(LIMITS, WorkRateLimit(1 << 30, 1 << 30))
    for number in range(100):
        reads.asked(page(f"q{number}") if number % 2 else join(f"q{number}"), 10.0)
        reads.answered(f"q{number}", 10.0)
        reads.came(1_000, 10.0)
        assert reads.wait(10.0) == 0.0
    reads.came(4 * MIB, 10.0)
    assert reads.wait(10.0) == pytest.approx(100_000 / MIB)
    assert reads.wait(10.2) == 0.0


def test_questions_that_are_not_answered_yet_are_counted_by_an_estimate():
    """So many at once, however large their answers turn out to be; an answer that nobody waited for gives
    nothing back.
    """
    reads = HistoryReadLimit(LIMITS, WorkRateLimit(1 << 30, 1 << 30))
    for number in range(4 * MIB // ESTIMATE_BYTES):
        reads.asked(join(f"q{number}"), 0.0)
    assert reads.wait(0.0) == 0.0
    reads.asked(join("one more"), 0.0)
    assert reads.wait(0.0) == pytest.approx(ESTIMATE_BYTES / MIB)
    reads.answered("another", 0.0)
    assert reads.wait(0.0) > 0.0
    reads.answered("q0", 0.0)
    reads.answered("q0", 0.0)  # a second time: nothing
    assert reads.wait(0.0) == pytest.approx(0.0, abs=1e-9)


def test_who_asks_for_a_room_again_waits_for_the_answer_but_not_for_ever():
    """One that asks for the same again and again has two answers under way at most, however large
    they are.
    """
    reads = HistoryReadLimit(LIMITS, WorkRateLimit(1 << 30, 1 << 30))
    reads.asked(page("q1", "busy"), 10.0)
    reads.asked(page("q2", "other"), 10.0)
    assert reads.wait(10.0) == 0.0
    reads.asked(page("q3", "busy"), 10.0)
    assert reads.wait(10.0) == AGAIN_S
    reads.answered("q1", 11.0)
    assert reads.wait(11.0) == 0.0
    reads.asked(page("q4", "busy"), 11.0)
    assert reads.wait(11.0) == AGAIN_S
    assert reads.wait(11.0 + AGAIN_S) == 0.0


def test_a_join_without_a_position_and_what_comes_unasked_cost_nothing():
    """Nobody waits for what it did not ask for."""
    reads = HistoryReadLimit(LIMITS, WorkRateLimit(1 << 30, 1 << 30))
    for number in range(1_000):
        reads.asked(join(f"q{number}", None), 0.0)
    reads.came(100 * MIB, 0.0)
    assert reads.wait(0.0) == 0.0


def test_while_the_gateways_is_used_up_those_wait_that_have_read_much():
    """Who comes back and asks for little is served, however much others have read."""
    everyone = WorkRateLimit(8 * MIB, 4 * MIB)
    greedy = [HistoryReadLimit(LIMITS, everyone) for _ in range(4)]
    for one in greedy:
        one.asked(page("q"), 0.0)
        one.came(3 * MIB, 0.0)
    assert all(one.wait(0.0) > 1.0 for one in greedy)
    modest = HistoryReadLimit(LIMITS, everyone)
    for number in range(7):
        modest.asked(join(f"q{number}"), 0.0)
    assert modest.wait(0.0) == 0.0


@given(st.lists(st.integers(0, 4 * MIB), max_size=60))
def test_who_asks_for_the_same_again_and_again_gets_no_more_than_the_rate(answers):
    """Beyond what it had at once, and one answer."""
    reads, now, total = HistoryReadLimit(LIMITS, WorkRateLimit(1 << 40, 1 << 40)), 0.0, 0
    for number, size in enumerate(answers):
        reads.asked(join(f"q{number}"), now)
        reads.answered(f"q{number}", now)
        reads.came(size, now)
        total += size
        assert total <= 4 * MIB + now * MIB + 4 * MIB + 1
        now += reads.wait(now)


def test_a_connection_that_ends_gives_back_what_was_kept_for_its_questions():
    """Else those who ask and go would use up what all may read."""
    everyone = WorkRateLimit(8 * MIB, MIB)
    for number in range(1_000):
        reads = HistoryReadLimit(LIMITS, everyone)
        for each in range(5):
            reads.asked(join(f"{number}.{each}"), 10.0)
        reads.close(10.0)
    assert everyone.used(10.0) == pytest.approx(0.0)


def test_one_id_in_two_rooms_is_two_questions():
    """Each answer gives back what its question reserved; a refusal, which names no room, that of
    one of them.
    """
    everyone = WorkRateLimit(8 * MIB, MIB)
    reads = HistoryReadLimit(LIMITS, everyone)
    for room in ("a", "b", "c"):
        reads.asked(page("1", room), 0.0)
    assert everyone.used(0.0) == pytest.approx(3 * ESTIMATE_BYTES / (8 * MIB))
    reads.answered("1", 0.0, "b")
    reads.answered("1", 0.0, "b")
    assert everyone.used(0.0) == pytest.approx(2 * ESTIMATE_BYTES / (8 * MIB))
    reads.answered("1", 0.0)
    reads.asked(page("1", "c"), 0.0)
    reads.close(0.0)
    assert everyone.used(0.0) == pytest.approx(0.0)


def test_who_has_read_much_waits_for_everyones_debt_only_so_long():
    """However many come back at once and ask for little each: they are served, and it is over some seconds
    later.
    """
    everyone = everyones(MIB)
    for number in range(10_000):
        HistoryReadLimit(LIMITS, everyone).asked(join(f"q{number}"), 0.0)
    greedy = HistoryReadLimit(ReadLimits(4 * MIB, 4 * MIB), everyone)
    greedy.asked(page("q"), 0.0)
    greedy.came(3 * MIB, 0.0)
    assert greedy.wait(0.0) == pytest.approx(DEBT_S)
    assert greedy.wait(DEBT_S) == pytest.approx(0.0)
