"""When a pod is full."""

from __future__ import annotations

from gateway.core.capacity import Capacity


def test_a_pod_is_full_before_it_has_to_refuse():
    """From the given share of its places on it is full."""
    load = Capacity(1_000, 90)
    assert [load.full(count) for count in (0, 899, 900, 1_000)] == [False, False, True, True]


def test_a_full_pod_is_not_free_again_for_one_who_left():
    """It stays full until it has five points less, and is full again only at the share itself."""
    load = Capacity(1_000, 90)
    assert [load.full(count) for count in (900, 899, 851, 850, 899, 900)] == [
        True,
        True,
        True,
        False,
        False,
        True,
    ]


def test_it_can_be_switched_off():
    """With 0 percent, or where there is no limit, it is never full, however many there are."""
    for load in (Capacity(10, 0), Capacity(0, 95)):
        assert [load.full(count) for count in (0, 10, 1_000)] == [False, False, False]


def test_a_pod_with_one_place_is_free_when_that_is():
    """Where the margin is less than one connection an empty pod is free."""
    load = Capacity(1, 3)
    assert [load.full(count) for count in (0, 1, 0)] == [False, True, False]
