"""When the feed of a shard is asked for."""

from __future__ import annotations

import itertools

import pytest

from gateway.core.feed_timeouts import (
    AGAIN_FIRST_S,
    AGAIN_LAST_S,
    BARREN_FIRST_S,
    BARREN_LAST_S,
    SILENCE_S,
    FeedTimeouts,
)


def times(watch: FeedTimeouts, until: float, step: float = 0.05) -> list[float]:
    """Return when the feed is asked for in a silence that begins at 0."""
    return [step * turn for turn in range(int(until / step) + 1) if watch.due(step * turn)]


def test_a_gap_is_asked_for_at_once_and_again_with_back_off():
    """However many feeds come behind it meanwhile."""
    watch = FeedTimeouts(0.0)
    assert watch.gap(0.0)
    assert watch.has_gap
    asked = [turn / 100 for turn in range(1, 1_000) if watch.gap(turn / 100)]
    waits = [after - before for before, after in zip([0.0, *asked], asked, strict=False)]
    assert waits[:5] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6], abs=0.011)
    assert waits[5:] == pytest.approx([AGAIN_LAST_S] * len(waits[5:]), abs=0.011)
    assert len(waits) == 8


def test_a_feed_that_fits_ends_the_gap():
    """And the next gap is asked for at once."""
    watch = FeedTimeouts(0.0)
    watch.gap(0.0)
    watch.fed(0.01)
    assert not watch.has_gap
    assert not watch.due(0.01 + AGAIN_FIRST_S)
    assert watch.gap(0.2)


def test_a_silence_is_asked_about_while_it_lasts():
    """No sooner than two seconds after the last feed, and then as often."""
    assert times(FeedTimeouts(0.0), 7.0) == [2.0, 4.0, 6.0]
    watch = FeedTimeouts(0.0)
    watch.fed(1.0)
    assert not watch.due(2.9)
    assert watch.due(1.0 + SILENCE_S)
    assert not watch.has_gap


def test_what_was_asked_for_another_reason_counts():
    """Who has just said where it stands does not say it again at once."""
    watch = FeedTimeouts(0.0)
    watch.asked(1.9)
    assert not watch.due(2.0)
    assert watch.due(1.9 + SILENCE_S)


def test_a_life_that_was_never_fed_begins_anew_less_and_less_often():
    """The times double up to a bound; a feed makes them short again."""
    watch = FeedTimeouts(0.0)
    ended: list[float] = []
    for second in range(4_000):
        if watch.barren(float(second), fed=False):
            watch.anew(float(second))
            ended.append(float(second))
    waits = [after - before for before, after in itertools.pairwise(ended)]
    assert ended[0] == BARREN_FIRST_S
    assert waits[:4] == [61.0, 121.0, 241.0, 481.0]
    assert set(waits[4:]) == {BARREN_LAST_S + 1}
    watch.fed(5_000.0)
    assert not watch.barren(5_000.0, fed=True)
    assert not watch.barren(5_001.0, fed=False)
    assert watch.barren(5_001.0 + BARREN_FIRST_S, fed=False)


def test_a_new_life_lacks_nothing_yet():
    """Its silence begins with it."""
    watch = FeedTimeouts(0.0)
    watch.gap(1.0)
    watch.anew(3.0)
    assert not watch.has_gap
    assert not watch.due(4.9)
    assert watch.due(3.0 + SILENCE_S)
