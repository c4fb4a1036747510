"""Takeover: every cell of the table, its terms, and when all have answered."""

import itertools

import pytest
from tests.model.takeover import ORDER

from router.core.takeover import TABLE, Event, State, Step, Takeover, TakeoverLimits, answered

LIMITS = TakeoverLimits(listen_s=1.0)
WAY = [
    (Event.CALLED, State.CLAIMING, Step.CLAIM),
    (Event.OWNED, State.ASKING, Step.ASK),
    (Event.ANSWERED, State.MARKING, Step.MARK),
    (Event.MARKED, State.READING, Step.READ),
    (Event.READ, State.LIVE, Step.OPEN),
    (Event.RIVAL, State.YIELDING, Step.FINISH),
    (Event.FINISHED, State.IDLE, Step.LEAVE),
]


def at(state):
    """Return a Takeover in this state, under term 7."""
    takeover = Takeover()
    for event, reached, _ in WAY:
        if takeover.state is state:
            break
        takeover.happened(event, term=7)
        assert takeover.state is reached
    assert takeover.state is state
    return takeover


def test_the_way_goes_in_the_order_that_the_model_has_proved():
    """Claim, fence (ask), mark, read, live: as in tests/model, which finds a fault in every other order."""
    takeover, steps = Takeover(), []
    for event, state, step in WAY[:5]:
        assert takeover.happened(event, term=1) is step
        assert takeover.state is state
        steps.append(step)
    names = {Step.CLAIM: "claim", Step.ASK: "fence", Step.MARK: "mark", Step.READ: "read", Step.OPEN: "live"}
    assert tuple(names[step] for step in steps) == ORDER


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_event_in_every_state(state, event):
    """It does what the table says, or nothing at all."""
    takeover = at(state)
    term = takeover.term
    expected = TABLE.get((state, event), (state, Step.NOTHING))
    assert (takeover.happened(event, term=3), takeover.state)[::-1] == expected
    assert takeover.term == (max(3, term + 1) if expected[1] is Step.CLAIM else term)


@pytest.mark.parametrize("state", [state for state in State if state is not State.IDLE])
def test_a_lane_that_is_lost_ends_it_in_every_state(state):
    """Nothing of a shard outlives its lane."""
    takeover = at(state)
    assert takeover.happened(Event.LOST) is Step.FORGET
    assert takeover.state is State.IDLE


def test_no_step_of_a_takeover_can_be_left_out():
    """Each state after claiming is entered from the one before it alone, and live by reading only."""
    for target, source in itertools.pairwise([State.LIVE, State.READING, State.MARKING, State.ASKING, State.CLAIMING]):
        assert {state for (state, _), (reached, _) in TABLE.items() if reached is target and state is not target} == {
            source
        }


def test_a_new_term_is_higher_than_all_before_it():
    """At least what is asked for, and more than our own last."""
    takeover = Takeover()
    takeover.happened(Event.GIVEN, term=100)
    assert takeover.term == 100
    takeover.happened(Event.LOST)
    takeover.happened(Event.GIVEN, term=50)
    assert takeover.term == 101


def test_any_claim_that_was_made_since_we_were_idle_proves_that_the_queue_is_ours():
    """Not only the last one, and none of an earlier life; and only while we wait for it."""
    takeover = Takeover()
    takeover.happened(Event.CALLED, term=10)
    takeover.happened(Event.OVERDUE, term=20)
    assert [takeover.is_ours(term) for term in (9, 10, 15, 20, 21)] == [False, True, True, True, False]
    takeover.happened(Event.LOST)
    takeover.happened(Event.CALLED, term=30)
    assert not takeover.is_ours(20)
    takeover.happened(Event.OWNED)
    assert not takeover.is_ours(30)


@pytest.mark.parametrize(
    ("living", "answers", "listening_s", "ready"),
    [
        ({"a", "b"}, {"a", "b", "c"}, 1.0, True),
        ({"a", "b"}, {"a"}, 99.0, False),
        (set(), set(), 1.0, True),
        ({"a"}, {"a"}, 0.9, False),
        (set(), set(), -1.0, False),
    ],
)
def test_all_that_live_must_have_answered(living, answers, listening_s, ready):
    """And it must have been listened to for long enough to know who lives; no time that passes makes up for an answer."""
    assert answered(living, answers, listening_s=listening_s, limits=LIMITS) is ready
