"""membership: what was asked is known by its ref, and answered once."""

from gateway.core.pending_requests import OPEN_MAX, PendingRequests
from warren import envelope
from warren.position import Position


def join(room: str, ref: str) -> envelope.Join:
    """Return a JOIN."""
    return envelope.Join(room, "g~1", "ann", ref)


def test_a_question_is_open_until_it_is_answered():
    """Then the same answer is none any more."""
    made = PendingRequests()
    made.ask(join("r", "1"))
    assert list(made.joins({"r"})) == [join("r", "1")]
    assert list(made.joins({"s"})) == []
    assert made.answered("r", "1") == (join("r", "1"), False)
    assert made.answered("r", "1") == (None, False)
    assert (list(made.joins({"r", "s"})), tuple(made.rooms)) == ([], ("r",))


def test_what_is_open_is_found_by_its_ref():
    """Whatever it is; JOINs alone are asked again as such."""
    made = PendingRequests()
    query = envelope.HistoryQuery("r", "g~1", "2")
    assert made.open("r", "1") == (None, False)
    made.ask(join("r", "1"))
    made.ask(query)
    assert (made.open("r", "2"), made.open("s", "2")) == ((query, False), (None, False))
    assert list(made.joins({"r", "s"})) == [join("r", "1")]


def test_one_ref_in_two_rooms_is_two_questions():
    """Clients choose their ids as they like."""
    made = PendingRequests()
    made.ask(join("r", "1"))
    made.ask(join("s", "1"))
    assert made.answered("s", "1")[0] == join("s", "1")
    assert list(made.joins({"r", "s"})) == [join("r", "1")]


def test_a_refused_join_gives_its_room_up_unless_another_holds_it():
    """One that was answered, or one that is still open."""
    made = PendingRequests()
    for ref in ("1", "2", "3"):
        made.ask(join("r", ref))
    made.refused("1")
    assert "r" in made.rooms
    made.answered("r", "2")
    made.refused("3")
    assert "r" in made.rooms
    made.ask(join("s", "4"))
    made.refused("4")
    assert tuple(made.rooms) == ("r",)


def test_a_refused_page_gives_no_room_up():
    """It asked for none."""
    made = PendingRequests()
    made.ask(join("r", "1"))
    made.ask(envelope.HistoryQuery("r", "g~1", "2"))
    made.answered("r", "1")
    assert made.refused("2")[0] == envelope.HistoryQuery("r", "g~1", "2")
    assert "r" in made.rooms


def test_a_room_that_is_left_takes_its_questions_along():
    """A later answer to them is none."""
    made = PendingRequests()
    made.ask(join("r", "1"))
    assert made.leave("r")
    assert not made.leave("r")
    assert made.answered("r", "1") == (None, False)


def test_refs_of_our_own_are_new_each_time():
    """And can be told from clients'."""
    made = PendingRequests()
    refs = [made.ref() for _ in range(20)]
    assert len(set(refs)) == 20
    assert all(ref.startswith(envelope.INTERNAL_ID) for ref in refs)


def test_a_later_quiet_question_replaces_the_earlier():
    """There is one open for each room at most, so they need no limit."""
    made = PendingRequests()
    made.ask(join("r", "1"))
    assert made.again("r", "g~1", "ann", Position("e", 1)) is None
    made.answered("r", "1")
    first = made.again("r", "g~1", "ann", Position("e", 1))
    second = made.again("r", "g~1", "ann", Position("e", 2))
    assert list(made.joins({"r", "s"})) == []  # only what the client asked
    assert made.open("r", second.ref) == (second, True)
    assert made.answered("r", first.ref) == (None, False)
    assert made.answered("r", second.ref) == (second, True)


def test_what_is_open_is_bounded():
    """Beyond one for each room, and some."""
    made = PendingRequests()
    for number in range(4 + OPEN_MAX):
        assert not made.is_full(4)
        made.ask(join("r", str(number)))
    assert made.is_full(4)


def test_the_end_forgets_everything():
    """And says which rooms were held."""
    made = PendingRequests()
    made.ask(join("r", "1"))
    made.ask(join("s", "2"))
    made.answered("s", "2")
    assert made.clear() == ("r", "s")
    assert (made.clear(), list(made.joins({"r", "s"}))) == ((), [])


def test_the_refs_of_a_room_are_the_clients_own_questions():
    """Not those of other rooms, and not what we asked by ourselves."""
    made = PendingRequests()
    for question in (join("r", "1"), join("s", "2"), envelope.HistoryQuery("r", "g~1", "3")):
        made.ask(question)
    assert made.refs("r") == ["1", "3"]
    made.answered("r", "1")
    made.again("r", "g~1", "ann", Position("e", 1))
    assert made.refs("r") == ["3"]
    assert made.refs("x") == []
