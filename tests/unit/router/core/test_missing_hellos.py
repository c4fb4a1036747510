"""MissingHellos: who asks and is not known, before an entry behind its Hello was read and after."""

from router.core.missing_hellos import AGAIN_S, MOST, MissingHellos


def test_a_life_that_is_not_there_behind_what_it_has_said_never_began():
    """One that has begun meanwhile, or a later one of the same name, is none of them."""
    lives = MissingHellos()
    for gateway, life in (("g1", 1), ("g2", 1), ("g3", 2)):
        lives.heard(gateway, life)
    assert lives.due(0.0, 100) == 100
    assert lives.passed(99, {}) == []  # another's
    assert lives.passed(100, {"g2": (1, 1), "g3": (1, 9)}) == [("g1", 1), ("g3", 2)]
    assert lives.passed(100, {}) == []


def test_who_asks_after_the_entry_was_written_waits_for_the_next_one():
    """Its Hello may stand behind the first one."""
    lives = MissingHellos()
    lives.heard("g1", 1)
    assert lives.due(0.0, 100) == 100
    lives.heard("g2", 1)
    assert lives.due(1.0, 200) == 0
    assert lives.passed(100, {}) == [("g1", 1)]
    assert lives.due(1.0, 200) == 200
    assert lives.passed(200, {}) == [("g2", 1)]


def test_nothing_is_written_where_nobody_asks():
    """And an entry that does not come back is written again after a while."""
    lives = MissingHellos()
    assert lives.due(0.0, 100) == 0
    lives.heard("g1", 1)
    assert lives.due(0.0, 100) == 100
    assert lives.due(AGAIN_S - 0.1, 200) == 0
    assert lives.due(AGAIN_S, 200) == 200
    assert lives.passed(100, {}) == []
    assert lives.passed(200, {}) == [("g1", 1)]


def test_who_speaks_no_more_knows_nothing_of_it():
    """Those who ask will ask again."""
    lives = MissingHellos()
    lives.heard("g1", 1)
    lives.due(0.0, 100)
    lives.heard("g2", 1)
    lives.forget()
    assert lives.due(0.0, 200) == 0
    assert lives.passed(100, {}) == []


def test_they_are_bounded():
    """Beyond it they ask again."""
    lives = MissingHellos()
    for number in range(MOST + 5):
        lives.heard(f"g{number}", 1)
    lives.due(0.0, 1)
    assert len(lives.passed(1, {})) == MOST
