"""ShardRole: who reads and who speaks, by the table."""

import pytest

from router.core.placement import Assignment
from router.core.shard_role import TABLE, Event, ShardRole, State, Step

US, OTHER = "r1", "r2"
NOBODY = frozenset()


def speaking():
    role = ShardRole(US)
    role.follow(Assignment(US, OTHER), NOBODY, announced=True)
    role.happened(Event.READ)
    role.follow(Assignment(US, OTHER), NOBODY, announced=True)
    assert role.speaks
    return role


def test_an_owner_reads_first_and_speaks_when_it_has():
    """The log is read as soon as the placement says so; nothing is said before it is read."""
    role = ShardRole(US)
    assert role.follow(Assignment(US), NOBODY, announced=True) == [Step.READ]
    assert role.follow(Assignment(US), NOBODY, announced=True) == []
    assert role.happened(Event.READ) is Step.NOTHING
    assert role.state is State.FOLLOWING
    assert role.follow(Assignment(US), NOBODY, announced=True) == [Step.SPEAK]
    assert role.state is State.SPEAKING


def test_nobody_speaks_before_the_others_know_of_it():
    """It reads what it will be given, and waits."""
    role = ShardRole(US)
    assert role.follow(Assignment(US, OTHER), NOBODY, announced=False) == [Step.READ]
    role.happened(Event.READ)
    assert role.follow(Assignment(US, OTHER), {OTHER}, announced=False) == []
    assert role.follow(Assignment(US, OTHER), {OTHER}, announced=True) == [Step.SPEAK]


def test_a_standby_reads_along_and_speaks_as_soon_as_the_shard_is_its():
    """Nothing has to be read then."""
    role = ShardRole(US)
    assert role.follow(Assignment(OTHER, US), {OTHER}, announced=True) == [Step.READ]
    role.happened(Event.READ)
    assert role.follow(Assignment(OTHER, US), {OTHER}, announced=True) == []
    assert role.follow(Assignment(US), NOBODY, announced=True) == [Step.SPEAK]


def test_a_speaker_goes_on_until_the_next_one_says_that_it_speaks():
    """Two who speak do no harm; nobody who speaks would be a pause."""
    role = speaking()
    assert role.follow(Assignment(OTHER, US), NOBODY, announced=True) == []
    assert role.follow(Assignment(OTHER, US), {"r3"}, announced=True) == []
    assert role.follow(Assignment(OTHER, US), {OTHER}, announced=True) == [Step.SILENCE]
    assert role.state is State.FOLLOWING


def test_who_is_not_wanted_at_all_forgets_the_shard_once_it_is_relieved():
    """First silent, then gone; so too where it only read along or had just begun."""
    role = speaking()
    assert role.follow(Assignment(OTHER, "r3"), {OTHER}, announced=True) == [Step.SILENCE, Step.FORGET]
    assert role.state is State.IDLE
    role.follow(Assignment(OTHER, US), NOBODY, announced=True)
    assert role.follow(Assignment(OTHER, "r3"), NOBODY, announced=True) == [Step.FORGET]


def test_where_nobody_else_is_there_a_router_that_goes_is_silent_at_once():
    """Nobody would ever relieve it."""
    assert speaking().follow(Assignment(""), NOBODY, announced=True) == [Step.SILENCE, Step.FORGET]


def test_a_log_that_is_read_anew_silences_until_it_is_read():
    """And then it goes on as the placement says."""
    role = speaking()
    assert role.happened(Event.ANEW) is Step.SILENCE
    assert role.state is State.STARTING
    assert role.follow(Assignment(US, OTHER), NOBODY, announced=True) == []
    role.happened(Event.READ)
    assert role.follow(Assignment(US, OTHER), NOBODY, announced=True) == [Step.SPEAK]


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("event", list(Event))
def test_what_the_table_does_not_know_changes_nothing(state, event):
    """Each pair of state and event is either in the table or without effect."""
    role = ShardRole(US)
    role.state = state
    expected = TABLE.get((state, event), (state, Step.NOTHING))
    assert (role.happened(event), role.state) == expected[::-1]


def test_only_who_speaks_can_be_silenced_and_only_who_has_read_speaks():
    """The promise of the table: SPEAK leads from following to speaking alone, and whatever leads out of
    speaking is silence.
    """
    for (state, _), (reached, step) in TABLE.items():
        assert (step is Step.SPEAK) == (reached is State.SPEAKING)
        assert (step is Step.SPEAK) <= (state is State.FOLLOWING)
        assert (step is Step.SILENCE) == (state is State.SPEAKING)
