"""ObservedFlag: changes are told, once and in order."""

from __future__ import annotations

from warren.bus.observed_flag import ObservedFlag


def test_each_change_is_told_once_and_in_order() -> None:
    """What is so already is told to nobody, and who comes later hears of later changes alone."""
    flag, told = ObservedFlag(), []
    flag.watch(lambda value: told.append(("one", value)))
    flag.set(False)
    flag.set(True)
    flag.watch(lambda value: told.append(("two", value)))
    flag.set(True)
    flag.set(False)
    assert told == [("one", True), ("one", False), ("two", False)]
    assert not flag


def test_a_quiet_change_is_one_all_the_same() -> None:
    """Nobody hears of it, and it is so."""
    flag, told = ObservedFlag(), []
    flag.watch(told.append)
    flag.set(True, quietly=True)
    assert (bool(flag), told) == (True, [])
