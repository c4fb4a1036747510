"""The table of open calls: one final answer or one failure for each, whatever comes."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.circuit_breaker import FAILURES
from gateway.core.open_calls import Accepted, Answer, CallLimits, Failed, OpenCalls, Send
from warren.errors import ErrorCode


def table(most: int = 64) -> OpenCalls:
    calls = OpenCalls(CallLimits(most))
    assert calls.answerable(0.0) == []
    return calls


def asked(calls: OpenCalls, name: str = "c", service: str = "s", now: float = 0.0, **more: bool) -> object:
    return calls.open(name, service, "ann", 5.0, now, **more)


def codes(steps: object) -> list[ErrorCode]:
    assert isinstance(steps, list)
    return [step.code for step in steps if isinstance(step, Failed)]


def test_a_call_is_sent_at_once_and_answered_once():
    """What comes behind the answer is late."""
    calls = table()
    assert asked(calls) == Send("c", 1, 5_000)
    assert calls.taken("c") is None
    assert calls.answered("c", None, False, 1.0) == Answer("c", 1, False)
    assert (len(calls), "c" in calls) == (0, False)
    assert calls.answered("c", None, False, 1.0) is None
    assert calls.answered("other", None, False, 1.0) is None
    assert calls.tick(100.0) == []


def test_nobody_there_and_a_full_queue_end_it_at_once():
    """The broker says so."""
    calls = table()
    asked(calls, "a")
    asked(calls, "b")
    assert codes([calls.returned("a"), calls.refused("b")]) == [ErrorCode.NO_SERVICE, ErrorCode.OVERLOADED]
    assert (calls.returned("a"), calls.refused("b"), len(calls)) == (None, None, 0)


def test_its_time_is_over_once():
    """A service that may be at work on it is to be told."""
    calls = table()
    asked(calls)
    calls.taken("c")
    assert calls.tick(4.999) == []
    (step,) = calls.tick(5.0)
    assert isinstance(step, Failed)
    assert (step.code, step.cancel) == (ErrorCode.TIMEOUT, True)
    assert (calls.tick(5.0), calls.answered("c", None, False, 5.0)) == ([], None)


def test_what_the_broker_has_not_taken_is_sent_again_until_its_time_is_over():
    """Then it is the broker's fault, and not the service's."""
    calls = table()
    asked(calls)
    calls.unknown("c", 0.0)
    assert calls.tick(0.05) == []
    assert calls.tick(0.1) == [Send("c", 2, 4_900)]
    assert calls.tick(0.2) == []  # it is under way
    calls.unknown("c", 1.0)
    assert calls.tick(1.2) == [Send("c", 3, 3_800)]
    assert codes(calls.tick(5.0)) == [ErrorCode.UNAVAILABLE]
    calls.unknown("c", 5.0)
    assert len(calls) == 0


def test_nothing_is_sent_while_nothing_could_be_answered():
    """It waits for that as long as its time lasts."""
    calls = OpenCalls(CallLimits(64))
    assert (asked(calls, "a"), asked(calls, "b")) == (None, None)
    assert calls.close("b") is False
    assert calls.answerable(2.0) == [Send("a", 1, 3_000)]
    calls.unanswerable()
    assert asked(calls, "c", now=2.0) is None
    calls.unknown("a", 2.0)
    assert calls.tick(3.0) == []
    assert codes(calls.tick(5.0)) == [ErrorCode.UNAVAILABLE]


def test_where_answers_come_elsewhere_what_is_open_is_asked_again():
    """Under the same name, as the next attempt: what was answered meanwhile is lost."""
    calls = table()
    asked(calls)
    calls.taken("c")
    calls.unanswerable()
    assert calls.answerable(1.0) == [Send("c", 2, 4_000)]
    assert calls.answered("c", None, False, 1.5) == Answer("c", 1, False)


def test_an_answer_in_parts_is_numbered_and_each_part_begins_the_time_anew():
    """By the service, or by the order in which its parts come."""
    calls = table()
    asked(calls, "a")
    asked(calls, "b")
    for number in range(1, 4):
        assert calls.answered("a", number, True, 4.0 * number) == Answer("a", number, True)
        assert calls.answered("b", None, True, 4.0 * number) == Answer("b", number, True)
        assert calls.tick(4.0 * number + 4.9) == []
    assert calls.answered("a", 4, False, 13.0) == Answer("a", 4, False)
    (step,) = calls.tick(17.0)
    assert isinstance(step, Failed)
    assert (step.id, step.code, step.cancel) == ("b", ErrorCode.TIMEOUT, True)


def test_a_repeated_part_is_passed_over_and_a_missing_one_ends_the_call():
    """A service that was killed in the middle is followed by another, which begins anew."""
    calls = table()
    asked(calls)
    for number in (1, 2):
        calls.answered("c", number, True, 0.0)
    assert [calls.answered("c", number, True, 0.0) for number in (1, 2)] == [None, None]
    assert calls.answered("c", 3, True, 0.0) == Answer("c", 3, True)
    step = calls.answered("c", 5, True, 0.0)
    assert isinstance(step, Failed)
    assert (step.code, step.cancel, len(calls)) == (ErrorCode.UNAVAILABLE, True, 0)


def test_a_service_that_repeats_what_was_not_confirmed_leaves_no_gap_whichever_connection_comes_first():
    """Parts 1 and 2 are confirmed; the broker still takes 3 and 4 from the lost connection while 3 to 6 come by
    the new one, in any mixture of the two.
    """
    lost, new = (3, 4), (3, 4, 5, 6)
    for places in combinations(range(len(lost) + len(new)), len(lost)):
        calls, olds, news = table(), iter(lost), iter(new)
        asked(calls)
        come = [1, 2, *(next(olds if at in places else news) for at in range(len(lost) + len(new)))]
        steps = [calls.answered("c", n, n < 6, 1.0) for n in come]
        assert [step for step in steps if step is not None] == [Answer("c", n, n < 6) for n in range(1, 7)]


def test_parts_that_have_no_numbers_are_not_asked_for_again():
    """Nobody knows which of them would come next; numbered ones go on behind those that have come."""
    calls = table()
    asked(calls, "a")
    asked(calls, "b")
    calls.answered("a", 1, True, 0.0)
    calls.answered("b", None, True, 0.0)
    steps = calls.answerable(1.0)
    assert steps[0] == Send("a", 2, 4_000)
    assert isinstance(steps[1], Failed)
    assert (steps[1].code, steps[1].cancel) == (ErrorCode.UNAVAILABLE, True)
    assert calls.answered("a", 1, True, 1.0) is None
    assert calls.answered("a", 2, False, 1.0) == Answer("a", 2, False)


def test_a_one_way_call_is_over_when_the_broker_has_it():
    """Its answer comes by another way, so it needs no place where answers come."""
    calls = OpenCalls(CallLimits(64))
    assert asked(calls, one_way=True) == Send("c", 1, 5_000)
    assert calls.answerable(1.0) == []
    assert calls.answered("c", None, False, 1.0) is None
    assert calls.taken("c") == Accepted("c")
    assert (calls.taken("c"), len(calls)) == (None, 0)
    asked(calls, "d", one_way=True)
    assert calls.close("d") is False
    asked(calls, "e", one_way=True)
    assert codes(calls.tick(5.0)) == [ErrorCode.UNAVAILABLE]


def test_how_many_are_open_is_bounded_and_one_service_has_half():
    """Who comes beyond that is told so at once, and takes no place."""
    calls = table(8)
    refused = [asked(calls, f"a{number}") for number in range(6)][4:]
    assert codes(refused) == [ErrorCode.OVERLOADED] * 2
    refused = [asked(calls, f"b{number}", service=f"t{number}") for number in range(6)][4:]
    assert (codes(refused), len(calls)) == ([ErrorCode.OVERLOADED] * 2, 8)
    calls.close("a0")
    assert asked(calls, "a4") == Send("a4", 1, 5_000)


def test_how_many_bytes_are_open_is_bounded_and_one_service_has_half():
    """One alone finds place whatever its size, or it could never be asked."""
    calls = OpenCalls(CallLimits(100, 1_000))
    calls.answerable(0.0)

    def opened(name: str, service: str, size: int) -> bool:
        return isinstance(calls.open(name, service, "ann", 5.0, 0.0, size=size), Send)

    assert [opened(f"a{number}", "a", 200) for number in range(3)] == [True, True, False]
    assert (opened("b", "b", 501), opened("c", "c", 200), opened("d", "d", 100)) == (True, False, False)
    calls.close("a0")
    assert (opened("e", "c", 200), opened("f", "d", 100)) == (True, False)
    for name in ("a1", "b", "e"):
        calls.close(name)
    assert (len(calls), opened("g", "a", 5_000)) == (0, True)


def test_a_service_that_answers_nobody_is_asked_no_more():
    """Until its breaker lets one call through; the time that a client cut short is no fault of it."""
    calls = table()
    for number in range(2 * FAILURES):
        calls.open(f"x{number}", "s", f"user {number}", 1.0, 0.0, judged=False)
        calls.taken(f"x{number}")
    assert (codes(calls.tick(1.0)), calls.broken) == ([ErrorCode.TIMEOUT] * 2 * FAILURES, 0)
    for number in range(FAILURES):
        calls.open(f"y{number}", "s", f"user {number}", 5.0, 1.0)
        calls.taken(f"y{number}")
    assert (codes(calls.tick(6.0)), calls.broken) == ([ErrorCode.TIMEOUT] * FAILURES, 1)
    step = asked(calls, now=6.0)
    assert isinstance(step, Failed)
    assert (step.code, step.retry_after_ms, len(calls)) == (ErrorCode.UNAVAILABLE, 1_000, 0)
    assert asked(calls, one_way=True, now=6.0) == Send("c", 1, 5_000)  # nobody waits for that one
    assert asked(calls, "d", now=7.0) == Send("d", 1, 5_000)
    assert calls.answered("d", None, False, 7.1) == Answer("d", 1, False)
    assert (calls.broken, asked(calls, "e", now=7.1)) == (0, Send("e", 1, 5_000))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("taken"), st.integers(0, 3)),
        st.tuples(st.just("unknown"), st.integers(0, 3)),
        st.tuples(st.just("returned"), st.integers(0, 3)),
        st.tuples(st.just("answered"), st.integers(0, 3), st.none() | st.integers(-1, 4), st.booleans()),
        st.tuples(st.just("close"), st.integers(0, 3)),
        st.tuples(st.just("tick"), st.floats(0.0, 3.0)),
        st.tuples(st.just("answerable")),
        st.tuples(st.just("unanswerable")),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_comes_each_call_has_one_last_word_and_parts_in_their_order(script: list[tuple]):
    """Nothing is said of a call after its last word, and no part is missing before it."""
    calls, now, number = OpenCalls(CallLimits(3)), 0.0, 0
    names: dict[int, str] = {}
    said: dict[str, list[object]] = {}

    def note(*steps: object) -> None:
        for step in steps:
            if isinstance(step, Answer | Accepted | Failed):
                said[step.id].append(step)

    for kind, *rest in script:
        name = names.get(rest[0], "none") if rest else ""
        match kind:
            case "open":
                number += 1
                name = names[rest[0]] = f"c{number}"
                said[name] = []
                note(calls.open(name, "s", "ann", 5.0, now, one_way=rest[1]))
            case "taken" | "returned":
                note(getattr(calls, kind)(name))
            case "unknown":
                calls.unknown(name, now)
            case "answered":
                note(calls.answered(name, rest[1], rest[2], now))
            case "close":
                if name in calls:
                    calls.close(name)
                    said[name].append(Accepted(name))
            case "tick":
                now += rest[0]
                note(*calls.tick(now))
            case "answerable":
                note(*calls.answerable(now))
            case "unanswerable":
                calls.unanswerable()
    note(*calls.tick(now + 100.0))
    assert len(calls) == 0
    for words in said.values():
        *parts, last = words
        assert all(isinstance(part, Answer) and part.more for part in parts)
        assert not (isinstance(last, Answer) and last.more)
        numbers = [word.n for word in words if isinstance(word, Answer)]
        assert numbers == list(range(1, len(numbers) + 1))
