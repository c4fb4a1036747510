"""LogMaintenance: Rules, Gone and Mark, when they are due and not again and again."""

import pytest

from router.core.log_maintenance import AGAIN_S, Bounds, LogMaintenance, MarkTimes
from warren.envelope import Rules

BOUNDS = Bounds(100, 50, 10)
OWN = Rules("life", 1, 100, 50, 10, 7)


def test_a_log_without_rules_gets_them_once():
    """With our bounds and the version that all know; again only where they have not come back for a while."""
    maintenance = LogMaintenance(BOUNDS)
    assert maintenance.rules(None, 1, 10.0, lost=False) == (1, False)
    assert maintenance.made("life", 1, 7, anew=False) == OWN
    assert maintenance.rules(None, 1, 10.0 + AGAIN_S / 2, lost=False) is None
    assert maintenance.rules(None, 1, 10.0 + AGAIN_S, lost=False) == (1, False)
    maintenance.ruled(100.0)  # they are to be read first
    assert maintenance.rules(None, 1, 100.0 + AGAIN_S / 2, lost=False) is None
    assert maintenance.rules(None, 1, 100.0 + AGAIN_S, lost=False) == (1, False)


@pytest.mark.parametrize(
    ("present", "version", "due"),
    [
        (OWN, 1, None),
        (OWN, 2, (2, False)),
        (Rules("life", 2, 100, 50, 10, 7), 1, None),  # a version that was agreed on is not taken back
        (Rules("life", 2, 101, 50, 10, 7), 1, (2, False)),
        (Rules("life", 1, 100, 51, 10, 7), 1, (1, False)),
        (Rules("life", 1, 100, 50, 11, 7), 1, (1, False)),
    ],
)
def test_rules_are_written_where_they_would_say_something_else(present, version, due):
    """Other bounds, or a version that by now all know."""
    assert LogMaintenance(BOUNDS).rules(present, version, 0.0, lost=False) == due


def test_a_log_whose_beginning_is_lost_begins_anew():
    """Whatever rules it has."""
    assert LogMaintenance(BOUNDS).rules(OWN, 1, 0.0, lost=True) == (1, True)


def test_lives_without_a_lease_are_ended_once():
    """Each by its life's number; who lives is left alone; a second time only after a while, or where the name
    has a new life.
    """
    maintenance = LogMaintenance(BOUNDS)
    gateways = {"g1": (1, 5), "g2": (3, 8), "g3": (1, 1)}
    assert maintenance.gone(gateways, {"g1"}, 0.0) == [("g2", 3), ("g3", 1)]
    assert maintenance.gone(gateways, {"g1"}, 1.0) == []
    assert maintenance.gone({"g1": (1, 5), "g2": (4, 1)}, {"g1"}, 2.0) == [("g2", 4)]
    assert maintenance.gone({"g1": (1, 5), "g2": (4, 1)}, {"g1"}, 2.0 + AGAIN_S) == [("g2", 4)]
    maintenance.began()
    assert maintenance.gone({"g2": (4, 1)}, set(), 2.0 + AGAIN_S) == [("g2", 4)]


TIMES = MarkTimes(bytes=1_000, soon_us=60, late_us=600)


@pytest.mark.parametrize(
    ("size", "waited_us", "due"),
    [
        (1_000, 0, True),
        (999, 59, False),
        (250, 60, True),
        (249, 599, False),
        (1, 600, True),
        (0, 10_000, False),
    ],
)
def test_a_checkpoint_is_due_by_bytes_and_by_time(size, waited_us, due):
    """All bytes at once, a quarter after a while, anything after long; nothing where nothing has come."""
    maintenance = LogMaintenance(BOUNDS, TIMES)
    maintenance.marked(1_000)
    maintenance.entered(size)
    assert maintenance.mark(0.0, 1_000 + waited_us, 0) == due


def test_a_large_checkpoint_waits_for_as_many_bytes_as_it_took():
    """So that what is written for checkpoints is at most as much as what is written."""
    maintenance = LogMaintenance(BOUNDS, TIMES)
    maintenance.marked(0)
    maintenance.entered(4_999)
    assert not maintenance.mark(0.0, 0, 5_000)
    maintenance.entered(1)
    assert maintenance.mark(0.0, 0, 5_000)


def test_a_mark_on_its_way_is_not_put_again_before_a_while():
    """Nor where it has come back."""
    maintenance = LogMaintenance(BOUNDS, TIMES)
    maintenance.entered(2_000)
    assert maintenance.mark(0.0, 0, 0)
    assert not maintenance.mark(AGAIN_S / 2, 0, 0)
    assert maintenance.mark(AGAIN_S, 0, 0)
    maintenance.marked(0)
    assert not maintenance.mark(2 * AGAIN_S, 0, 0)
    maintenance.entered(1_000)
    assert maintenance.mark(2 * AGAIN_S, 0, 0)


def test_the_log_is_told_the_time_where_something_in_it_is_due():
    """Once for each moment at which something is; again only where it has not come back for a while."""
    maintenance = LogMaintenance(BOUNDS)
    assert not maintenance.time(None, 1.0, 100)
    assert not maintenance.time(101, 1.0, 100)
    assert maintenance.time(100, 1.0, 100)
    assert not maintenance.time(100, 1.0 + AGAIN_S / 2, 150)
    assert maintenance.time(140, 1.0 + AGAIN_S / 2, 150)
    assert maintenance.time(140, 1.0 + 2 * AGAIN_S, 150)
    maintenance.began()
    assert maintenance.time(140, 1.0 + 2 * AGAIN_S, 150)
