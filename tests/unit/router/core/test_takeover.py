"""Takeover: every cell of the table, and when a shard may go live."""

import itertools

import pytest

from router.core.takeover import TABLE, Event, State, Step, Takeover, TakeoverLimits

LIMITS = TakeoverLimits(listen_s=1.0, ask_timeout_s=3.0)


def at(state, now=0.0):
    takeover = Takeover(LIMITS)
    if state is not State.IDLE:
        takeover.happened(Event.DELIVERY, now, term=5)
    if state is State.LIVE:
        takeover.happened(Event.READY, now)
    assert takeover.state is state
    return takeover


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_event_in_every_state_does_what_the_table_says(state, event):
    """A cell that is not in the table changes nothing."""
    takeover = at(state)
    expected = TABLE.get((state, event), (state, Step.NOTHING))
    assert (takeover.happened(event, 0.0, term=9), takeover.state) == (expected[1], expected[0])


def test_the_way_of_a_shard():
    """Given a delivery it asks, ready it opens, lost it forgets, and a new possession has a higher term."""
    takeover = Takeover(LIMITS)
    assert takeover.happened(Event.DELIVERY, 0.0, term=100) is Step.ASK
    assert takeover.happened(Event.DELIVERY, 0.0, term=101) is Step.NOTHING
    assert takeover.term == 100
    assert takeover.happened(Event.READY, 1.0) is Step.OPEN
    assert takeover.happened(Event.LOST, 2.0) is Step.FORGET
    assert takeover.happened(Event.LOST, 2.0) is Step.NOTHING
    assert takeover.happened(Event.DELIVERY, 3.0, term=50) is Step.ASK
    assert takeover.term == 101


@pytest.mark.parametrize("state", [State.ASKING, State.LIVE])
def test_who_is_outrun_asks_again_under_a_higher_term(state):
    """The new term is at least what it is told, and the time for answers begins anew."""
    takeover = at(state)
    assert takeover.happened(Event.OUTRUN, 2.9, term=900) is Step.ASK
    assert (takeover.state, takeover.term) == (State.ASKING, 900)
    assert not takeover.ready(5.0, listening_s=9.0, living={"g1"}, answered=set())
    assert takeover.ready(5.9, listening_s=9.0, living={"g1"}, answered=set())


@pytest.mark.parametrize(
    ("now", "listening_s", "living", "answered", "ready"),
    [
        (0.1, 1.0, {"g1", "g2"}, {"g1", "g2"}, True),
        (0.1, 1.0, {"g1", "g2"}, {"g1", "g2", "g3"}, True),
        (0.1, 1.0, {"g1", "g2"}, {"g1"}, False),
        (3.0, 1.0, {"g1", "g2"}, {"g1"}, True),
        (0.1, 0.9, {"g1"}, {"g1"}, False),
        (9.0, 0.9, {"g1"}, {"g1"}, False),
        (9.0, -1.0, set(), set(), False),
        (0.1, 9.0, set(), set(), False),
        (0.1, 9.0, set(), {"g1"}, False),
        (3.0, 9.0, set(), set(), True),
    ],
)
def test_a_shard_goes_live_when_all_that_live_have_answered_or_had_their_time(
    now, listening_s, living, answered, ready
):
    """And never before heartbeats were listened to for long enough; that nobody lives is not believed at once."""
    assert at(State.ASKING).ready(now, listening_s=listening_s, living=living, answered=answered) is ready


@pytest.mark.parametrize("state", [State.IDLE, State.LIVE])
def test_only_a_shard_that_asks_can_become_ready(state):
    """Idle has nothing to open, live is open."""
    assert not at(state).ready(9.0, listening_s=9.0, living=set(), answered=set())
