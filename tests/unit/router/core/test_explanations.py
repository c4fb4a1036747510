"""Explanations: what the log tells of a message, what gateways say who were asked, and nothing else."""

import msgspec
import pytest
from tests.unit.router.core.test_control_reads import NOW_US, Log

from router.core.control_reads import ExplainRead
from router.core.explanations import PATIENCE_S, UNTAKEN_S, Explanations, Trace, explained, trace
from router.core.history import History
from warren.contract.queries import Explained, GatewayReached
from warren.envelope import Batch, Counts, CountsQuery, Gone, Hello, Join, Number
from warren.position import LogPosition, Position

READ = ExplainRead("a", "", "m1")
UNKNOWN = ["written", "withheld", "expired"]


@pytest.fixture
def log() -> Log:
    log = Log()
    log.join("a", "g1~1", "ann")
    return log


def traced(log: Log, read: ExplainRead = READ) -> Trace:
    found = trace(read, log.fold, log.history, log.feeds)
    assert found is not None
    return found


def counts(gateway: str, upto: int = 1, *, kept: bool = True, **numbers: int) -> Counts:
    return Counts(gateway, 0, "a", "k3f9-1", 1, upto, kept, **numbers)


def hello(log: Log, gateway: str, *rooms: str) -> None:
    joins = [Join(room, f"{gateway}~1", "u") for room in rooms]
    log.write(Batch(gateway, 1, 1, NOW_US), Hello(), *joins)


def test_the_log_tells_when_it_came_its_number_and_whom_it_was_for(log: Log):
    """And whether they were fed; those that live and may know more are asked."""
    log.publish("m1", b'"hello"', expires_ms=NOW_US // 1_000 + 60_000)
    hello(log, "g2", "a")
    hello(log, "g3", "b")
    known = traced(log)
    assert (known.reached, known.asked) == ({"g1": False}, frozenset({"g1", "g2"}))
    told = explained(known, {})
    assert (told.epoch, told.seq, told.bytes, told.type) == ("k3f9-1", 1, 7, "X")
    assert (told.accepted_at, told.expires_at) == (NOW_US // 1_000, NOW_US // 1_000 + 60_000)
    log.feeds.number(Number("g1", 0, 1, LogPosition("k3f9", 1, 1)))
    while log.feeds.next("g1") is not None:
        pass
    assert traced(log).reached == {"g1": True}


def test_what_all_gateways_say_is_summed_up(log: Log):
    """Nothing is unknown then; one that has not come there yet has written nothing."""
    hello(log, "g2", "a")
    hello(log, "g3", "a")
    log.publish("m1")
    told = explained(
        traced(log),
        {
            "g1": counts("g1", 4, written=3, withheld=1),
            "g2": counts("g2", written=2, expired=5),
            "g3": counts("g3", 0, kept=False),
        },
    )
    assert told.gateways == [
        GatewayReached(gateway="g1", fed=False, state="counted", seq=4, written=3, withheld=1, expired=0),
        GatewayReached(gateway="g2", fed=False, state="counted", seq=1, written=2, withheld=0, expired=5),
        GatewayReached(gateway="g3", fed=False, state="behind", seq=0),
    ]
    assert (told.written, told.withheld, told.expired, told.unknown) == (5, 1, 5, [])


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (None, "silent"),
        (counts("g2", -1, kept=False), "forgotten"),
        (counts("g2", 1, kept=False), "forgotten"),
        (msgspec.structs.replace(counts("g2", 1, written=2), whole=False), "partly"),
    ],
)
def test_which_gateway_does_not_know_is_said(log: Log, answer: Counts | None, state: str):
    """And that the sums may be more."""
    hello(log, "g2", "a")
    log.publish("m1")
    answers = {"g1": counts("g1", written=3)} | ({} if answer is None else {"g2": answer})
    told = explained(traced(log), answers)
    assert told.gateways is not None
    assert [each.state for each in told.gateways] == ["counted", state]
    assert (told.written, told.unknown) == (5 if state == "partly" else 3, UNKNOWN)


def test_a_gateway_that_has_ended_is_not_asked(log: Log):
    """It is said to be gone."""
    log.publish("m1")
    log.write(Gone("g1", 1, NOW_US))
    known = traced(log)
    assert known.asked == frozenset()
    told = explained(known, {})
    assert told.gateways == [GatewayReached(gateway="g1", fed=False, state="gone")]
    assert (told.written, told.unknown) == (None, UNKNOWN)


def test_who_had_no_members_then_counts_where_it_has_given_it_to_those_who_came(log: Log):
    """Else nothing is said of it, unless it does not answer: then there may be more."""
    log.publish("m1")
    hello(log, "g2", "a")
    hello(log, "g3", "a")
    answers = {
        "g1": counts("g1", written=1),
        "g2": msgspec.structs.replace(counts("g2", written=1), whole=False),
        "g3": counts("g3", kept=False),
    }
    told = explained(traced(log), answers)
    assert told.gateways is not None
    assert [(each.gateway, each.fed) for each in told.gateways] == [("g1", False), ("g2", None)]
    assert (told.written, told.unknown) == (2, UNKNOWN)
    answers["g2"] = counts("g2", kept=False)
    assert explained(traced(log), answers).unknown == []
    del answers["g2"]
    assert explained(traced(log), answers).unknown == UNKNOWN


def test_what_has_left_the_ring_and_the_history_is_named(log: Log):
    """What gateways still know is told."""
    log.publish("m1")
    log.feeds.start("k3f9", log.offset, log.fold.gateways)
    known = trace(READ, log.fold, History(1 << 20, 1 << 20, 0), log.feeds)
    assert known is not None
    assert (known.reached, known.asked) == (None, frozenset({"g1"}))
    told = explained(known, {"g1": counts("g1", written=4)})
    assert (told.seq, told.accepted_at, told.written) == (1, None, 4)
    assert told.unknown == [*UNKNOWN, "message", "gateways"]
    assert explained(known, {}).gateways is None


def test_what_was_for_nobody_is_told_as_that(log: Log):
    """Nothing is unknown; who comes later, and catches up, counts."""
    log.publish("m1", room="empty")
    read = ExplainRead("empty", "", "m1")
    told = explained(traced(log, read), {})
    assert (told.gateways, told.written, told.unknown) == ([], 0, [])
    hello(log, "g2", "empty")
    late = Counts("g2", 0, "empty", told.epoch, 1, 1, True, 1, whole=False)
    told = explained(traced(log, read), {"g2": late})
    assert (told.written, told.unknown) == (1, UNKNOWN)


def test_what_is_not_known_at_all_is_nothing(log: Log):
    """An id that was never seen, or was another sender's."""
    log.publish("m1")
    for read in (ExplainRead("a", "", "m2"), ExplainRead("a", "ann", "m1"), ExplainRead("b", "", "m1")):
        assert trace(read, log.fold, log.history, log.feeds) is None


def test_of_what_is_not_numbered_nobody_is_asked(log: Log):
    """There is no number to ask for."""
    log.publish("m1", ephemeral=True)
    known = traced(log)
    assert known.asked == frozenset()
    assert explained(known, {}).unknown == [*UNKNOWN, "message", "gateways"]


def test_of_what_was_for_everyone_all_gateways_are_asked(log: Log):
    """Also where it has left the ring."""
    hello(log, "g2")
    log.publish("m1", room="*")
    log.feeds.start("k3f9", log.offset, log.fold.gateways)
    assert traced(log, ExplainRead("*", "", "m1")).asked == frozenset({"g1", "g2"})


# ── open ones ───────────────────────────────────────────────────────────────────────────────────────────────


def known(*asked: str, ident: str = "m1") -> Trace:
    reached = dict.fromkeys(asked, True)
    return Trace(ident, "a", Position("k3f9-1", 1), None, reached, frozenset(asked))


def written(told: Explained | None) -> int | None:
    assert told is not None
    return told.written


def test_one_is_answered_once_all_that_were_asked_have_answered():
    """Each is asked once; whoever else says something, or of another message, counts for nothing."""
    open_ones = Explanations("r1", 0)
    query = CountsQuery("r1", 0, "a", "k3f9-1", 1)
    assert not open_ones.is_open(READ, 0.0)
    assert open_ones.begin(READ, known("g2", "g1"), 0.0) == {"g1": query, "g2": query}
    assert open_ones.is_open(READ, 0.1)
    open_ones.counted(counts("g1", written=1))
    for stranger in (counts("g3", written=9), msgspec.structs.replace(counts("g2", written=9), seq=2)):
        open_ones.counted(stranger)
    assert open_ones.answer(READ, 0.1) is None
    open_ones.counted(counts("g2", written=2))
    assert (written(open_ones.answer(READ, 0.1)), len(open_ones)) == (3, 0)
    assert open_ones.answer(READ, 0.1) is None


def test_one_that_nobody_is_asked_of_is_answered_at_once():
    """There is nothing to wait for."""
    open_ones = Explanations("r1", 0)
    assert open_ones.begin(READ, known(), 0.0) == {}
    assert written(open_ones.answer(READ, 0.0)) == 0


def test_who_does_not_answer_is_waited_for_no_longer():
    """What the others have said is told."""
    open_ones = Explanations("r1", 0)
    open_ones.begin(READ, known("g1", "g2"), 0.0)
    open_ones.counted(counts("g1", written=1))
    assert open_ones.answer(READ, PATIENCE_S - 0.01) is None
    told = open_ones.answer(READ, PATIENCE_S)
    assert told is not None
    assert told.gateways is not None
    assert [each.state for each in told.gateways] == ["counted", "silent"]


def test_an_answer_that_nobody_takes_is_void():
    """The next one who asks gets one of its own."""
    open_ones = Explanations("r1", 0)
    open_ones.begin(READ, known("g1"), 0.0)
    open_ones.counted(counts("g1", written=1))
    assert open_ones.is_open(READ, PATIENCE_S + UNTAKEN_S - 0.01)
    assert not open_ones.is_open(READ, PATIENCE_S + UNTAKEN_S)
    assert len(open_ones) == 0


def test_what_is_open_is_bounded():
    """One more has to be asked again; where the log is another one, all are forgotten."""
    open_ones, other = Explanations("r1", 0, count=1), ExplainRead("a", "", "m2")
    open_ones.begin(READ, known("g1"), 0.0)
    assert open_ones.begin(other, known("g1", ident="m2"), 0.0) == {}
    assert open_ones.answer(other, 0.0) is None
    open_ones.clear()
    assert not open_ones.is_open(READ, 0.0)
    assert open_ones.begin(other, known("g1", ident="m2"), 0.0) != {}
