"""Pauses grow, and chance keeps them apart."""

from __future__ import annotations

from warren_backend.core.backoff import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    """And begin anew after a success."""
    backoff = Backoff(0.1, 0.5, lambda: 1.0)
    assert [backoff.next() for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]
    backoff.reset()
    assert backoff.next() == 0.1


def test_chance_cuts_a_pause_by_up_to_a_half() -> None:
    """Never by more."""
    assert Backoff(1.0, 2.0, lambda: 0.0).next() == 0.5
