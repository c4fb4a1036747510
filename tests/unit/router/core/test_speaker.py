"""Speaker: who reads and who speaks, by the table."""

import pytest

from router.core.placement import Place
from router.core.speaker import TABLE, Event, Speaker, State, Step

US, OTHER = "r1", "r2"
NOBODY = frozenset()


def speaking():
    speaker = Speaker(US)
    speaker.look(Place(US, OTHER), NOBODY, known=True)
    speaker.happened(Event.READ)
    speaker.look(Place(US, OTHER), NOBODY, known=True)
    assert speaker.state is State.SPEAKING
    return speaker


def test_an_owner_reads_first_and_speaks_when_it_has():
    """The log is read as soon as the placement says so; nothing is said before it is read."""
    speaker = Speaker(US)
    assert speaker.look(Place(US), NOBODY, known=True) == [Step.READ]
    assert speaker.look(Place(US), NOBODY, known=True) == []
    assert speaker.happened(Event.READ) is Step.NOTHING
    assert speaker.state is State.FOLLOWING
    assert speaker.look(Place(US), NOBODY, known=True) == [Step.SPEAK]
    assert speaker.state is State.SPEAKING


def test_nobody_speaks_before_the_others_know_of_it():
    """It reads what it will be given, and waits."""
    speaker = Speaker(US)
    assert speaker.look(Place(US, OTHER), NOBODY, known=False) == [Step.READ]
    speaker.happened(Event.READ)
    assert speaker.look(Place(US, OTHER), {OTHER}, known=False) == []
    assert speaker.look(Place(US, OTHER), {OTHER}, known=True) == [Step.SPEAK]


def test_a_standby_reads_along_and_speaks_as_soon_as_the_shard_is_its():
    """Nothing has to be read then."""
    speaker = Speaker(US)
    assert speaker.look(Place(OTHER, US), {OTHER}, known=True) == [Step.READ]
    speaker.happened(Event.READ)
    assert speaker.look(Place(OTHER, US), {OTHER}, known=True) == []
    assert speaker.look(Place(US), NOBODY, known=True) == [Step.SPEAK]


def test_a_speaker_goes_on_until_the_next_one_says_that_it_speaks():
    """Two who speak do no harm; nobody who speaks would be a pause."""
    speaker = speaking()
    assert speaker.look(Place(OTHER, US), NOBODY, known=True) == []
    assert speaker.look(Place(OTHER, US), {"r3"}, known=True) == []
    assert speaker.look(Place(OTHER, US), {OTHER}, known=True) == [Step.SILENCE]
    assert speaker.state is State.FOLLOWING


def test_who_is_not_wanted_at_all_forgets_the_shard_once_it_is_relieved():
    """First silent, then gone; so too where it only read along or had just begun."""
    speaker = speaking()
    assert speaker.look(Place(OTHER, "r3"), {OTHER}, known=True) == [Step.SILENCE, Step.FORGET]
    assert speaker.state is State.IDLE
    speaker.look(Place(OTHER, US), NOBODY, known=True)
    assert speaker.look(Place(OTHER, "r3"), NOBODY, known=True) == [Step.FORGET]


def test_where_nobody_else_is_there_a_router_that_goes_is_silent_at_once():
    """Nobody would ever relieve it."""
    assert speaking().look(Place(""), NOBODY, known=True) == [Step.SILENCE, Step.FORGET]


def test_a_log_that_is_read_anew_silences_until_it_is_read():
    """And then it goes on as the placement says."""
    speaker = speaking()
    assert speaker.happened(Event.ANEW) is Step.SILENCE
    assert speaker.state is State.STARTING
    assert speaker.look(Place(US, OTHER), NOBODY, known=True) == []
    speaker.happened(Event.READ)
    assert speaker.look(Place(US, OTHER), NOBODY, known=True) == [Step.SPEAK]


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("event", list(Event))
def test_what_the_table_does_not_know_changes_nothing(state, event):
    """Each pair of state and event is either in the table or without effect."""
    speaker = Speaker(US)
    speaker.state = state
    expected = TABLE.get((state, event), (state, Step.NOTHING))
    assert (speaker.happened(event), speaker.state) == expected[::-1]


def test_only_who_speaks_can_be_silenced_and_only_who_has_read_speaks():
    """The promise of the table: SPEAK leads from following to speaking alone, and whatever leads out of
    speaking is silence.
    """
    for (state, _), (reached, step) in TABLE.items():
        assert (step is Step.SPEAK) == (reached is State.SPEAKING)
        assert (step is Step.SPEAK) <= (state is State.FOLLOWING)
        assert (step is Step.SILENCE) == (state is State.SPEAKING)
