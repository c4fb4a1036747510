"""Who has been connected for long enough."""

from __future__ import annotations

from gateway.core.max_connection_age import Due, MaxConnectionAge


def test_a_connection_is_asked_once_and_then_closed():
    """At its age it is asked away, a grace later it is closed, and then it is forgotten."""
    ages = MaxConnectionAge(100.0, 0.0, 5.0)
    ages.enter("a", 10.0, 0.5)
    assert ages.due(109.9) == Due()
    assert ages.due(110.0) == Due(ask=["a"])
    assert ages.due(114.9) == Due()
    assert ages.due(115.0) == Due(close=["a"])
    assert ages.due(1_000.0) == Due()
    assert len(ages) == 0


def test_ages_are_spread_below_the_maximum():
    """Chance takes up to the jitter's part off the maximum, and nobody gets older than that."""
    ages = MaxConnectionAge(100.0, 0.2, 5.0)
    for number, chance in enumerate((0.0, 0.5, 1.0)):
        ages.enter(str(number), 0.0, chance)
    assert [ages.due(at).ask for at in (79.9, 80.0, 90.0, 100.0)] == [[], ["2"], ["1"], ["0"]]


def test_who_left_is_neither_asked_nor_closed():
    """A connection that went by itself, before or after it was asked, is not named again."""
    ages = MaxConnectionAge(10.0, 0.0, 5.0)
    for name in ("early", "asked"):
        ages.enter(name, 0.0, 0.0)
    ages.leave("early")
    assert ages.due(10.0) == Due(ask=["asked"])
    ages.leave("asked")
    ages.leave("never here")
    assert ages.due(100.0) == Due()


def test_it_holds_no_more_than_those_who_are_here():
    """However many come and go before their age, what is held stays bounded, and who stays is still due."""
    ages = MaxConnectionAge(1_000.0, 0.1, 5.0)
    ages.enter("stays", 0.0, 0.0)
    most = 0
    for number in range(10_000):
        ages.enter(str(number), 1.0, number % 10 / 10)
        ages.leave(str(number))
        most = max(most, len(ages))
    assert most <= 70
    assert ages.due(1_000.0) == Due(ask=["stays"])


def test_who_comes_together_with_the_same_chance_goes_in_one_tick():
    """Several may be due at one tick, in the order of their time."""
    ages = MaxConnectionAge(10.0, 0.5, 1.0)
    for name, chance in (("late", 0.0), ("soon", 1.0), ("mid", 0.5)):
        ages.enter(name, 0.0, chance)
    assert ages.due(20.0).ask == ["soon", "mid", "late"]
    assert ages.due(21.0).close == ["late", "mid", "soon"]


def test_without_an_age_nobody_is_ever_too_old():
    """And nothing is kept of who comes."""
    never = MaxConnectionAge(0.0, 0.0, 5.0)
    never.enter("a", 0.0, 0.5)
    assert (len(never), never.due(1e9)) == (0, Due())
    never.leave("a")


def test_once_a_pod_goes_nobody_is_too_old():
    """Not those who were asked either: each has a slot of the drain."""
    ages = MaxConnectionAge(10.0, 0.0, 5.0)
    ages.enter("asked", 0.0, 0.0)
    ages.enter("young", 8.0, 0.0)
    assert ages.due(10.0).ask == ["asked"]
    ages.end()
    ages.enter("late", 11.0, 0.0)
    assert ages.due(1e9) == Due()
    ages.leave("asked")
