"""SeenReports: what is seen is said soon, seldom, and the last of it never lost."""

from __future__ import annotations

from gateway.core.seen_reports import EVERY_S, SeenReports
from warren.envelope import Seen


def saw(seq: int, room: str = "a", conn: str = "g~1", epoch: str = "e") -> Seen:
    return Seen(room, conn, epoch, seq)


def always(_: int) -> bool:
    return True


def test_the_first_word_goes_at_once_and_the_last_a_while_later():
    """What is said in between is taken in by the last."""
    reports = SeenReports()
    reports.saw(saw(1), 3, 0.0)
    assert reports.due(0.0, always) == [(saw(1), 3)]
    for seq in (2, 3, 4):
        reports.saw(saw(seq), 3, 0.1)
    assert reports.due(0.1, always) == []
    assert reports.due(EVERY_S, always) == [(saw(4), 3)]
    assert (reports.due(99.0, always), len(reports)) == ([], 0)


def test_what_was_said_before_is_no_news():
    """But for another epoch."""
    reports = SeenReports()
    reports.saw(saw(5), 0, 0.0)
    reports.due(0.0, always)
    reports.saw(saw(5), 0, 2.0)
    reports.saw(saw(4), 0, 2.0)
    assert len(reports) == 0
    reports.saw(saw(1, epoch="f"), 0, 2.0)
    assert reports.due(2.0, always) == [(saw(1, epoch="f"), 0)]


def test_nothing_goes_to_a_shard_that_is_not_ready():
    """It waits, and says which room may be asked of it."""
    reports = SeenReports()
    reports.saw(saw(1), 1, 0.0)
    reports.saw(saw(1, "b"), 2, 0.0)
    assert reports.due(0.0, lambda shard: shard == 2) == [(saw(1, "b"), 2)]
    assert reports.shards() == {1: "a"}
    assert reports.due(0.0, always) == [(saw(1), 1)]


def test_who_goes_says_before_what_it_has_seen():
    """Nothing where that is said already; nothing of it is kept."""
    reports = SeenReports()
    reports.saw(saw(1), 1, 0.0)
    reports.due(0.0, always)
    assert reports.left("a", "g~1") is None
    reports.saw(saw(1), 1, 0.0)
    reports.saw(saw(2), 1, 0.0)
    assert reports.left("a", "g~1") == (saw(2), 1)
    assert reports.left("a", "g~1") is None
    assert (len(reports), reports._reports) == (0, {})


def test_a_new_life_hears_all_of_it_again():
    """Of that shard."""
    reports = SeenReports()
    reports.saw(saw(1), 1, 0.0)
    reports.saw(saw(2, conn="g~2"), 1, 0.0)
    reports.saw(saw(3, "b"), 2, 0.0)
    reports.due(0.0, always)
    reports.again(1)
    assert reports.due(EVERY_S, always) == [(saw(1), 1), (saw(2, conn="g~2"), 1)]


def test_what_found_no_place_waits_again():
    """Unless its connection has gone meanwhile."""
    reports = SeenReports()
    reports.saw(saw(1), 1, 0.0)
    (sent,) = reports.due(0.0, always)
    reports.unsent(sent[0])
    assert reports.due(EVERY_S, always) == [sent]
    reports.left("a", "g~1")
    reports.unsent(sent[0])
    assert len(reports) == 0


def test_one_connections_word_is_looked_for_alone():
    """However many others wait: a word costs the same in a busy room."""
    reports = SeenReports()
    for number in (1, 2):
        reports.saw(saw(1, conn=f"g~{number}"), 1, 0.0)
    assert reports.due_of("a", "g~2", 0.0, lambda _: False) is None
    assert reports.due_of("a", "g~2", 0.0, always) == (saw(1, conn="g~2"), 1)
    assert reports.due_of("a", "g~2", 99.0, always) is None
    assert reports.due(0.0, always) == [(saw(1, conn="g~1"), 1)]
