"""In which order several workers take the tests, so that both kinds of time are used to the end: those that
wait for long begin first; after them those that wait and those that compute come by turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pytest

T = TypeVar("T")


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in the order in which they are given out; those of one kind stay in theirs."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    rest = [item for item in items if not item.get_closest_marker("slow")]
    waiting = [item for item in rest if _waits(item)]
    return slow + by_turns(waiting, [item for item in rest if not _waits(item)])


def by_turns(first: Sequence[T], second: Sequence[T]) -> list[T]:
    """Return both sequences as one, each spread evenly over it."""
    places = [
        ((number + 0.5) / len(part), each) for part in (first, second) for number, each in enumerate(part)
    ]
    return [each for _, each in sorted(places, key=lambda place: place[0])]


def _waits(item: pytest.Item) -> bool:
    """Whether a test needs a broker or runs a service: it waits for most of its time."""
    return item.get_closest_marker("rabbit") is not None or item.nodeid.startswith("tests/integration/")
