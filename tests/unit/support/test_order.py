"""The order in which workers take the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest
from tests.support.order import by_turns, in_order


@dataclass(frozen=True)
class Item:
    """What is asked of a test."""

    nodeid: str
    marks: tuple[str, ...] = ()

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.marks else None


def names(*items: Item) -> list[str]:
    return [item.nodeid for item in in_order(cast("list[pytest.Item]", list(items)))]


def test_the_slow_ones_begin_and_the_others_come_by_turns() -> None:
    """Whatever waits is spread over what computes; within a kind nothing changes its place."""
    items = [
        Item("tests/unit/a"),
        Item("tests/unit/b"),
        Item("tests/unit/c"),
        Item("tests/unit/d"),
        Item("tests/integration/e"),
        Item("tests/contract/f", ("rabbit",)),
        Item("tests/faults/g", ("rabbit", "slow")),
        Item("tests/page/h", ("slow",)),
    ]
    found = [name[-1] for name in names(*items)]
    assert found == ["g", "h", "a", "e", "b", "c", "f", "d"]


@pytest.mark.parametrize(("few", "many"), [(0, 3), (1, 4), (3, 3), (2, 100)])
def test_no_half_has_all_of_a_kind(few: int, many: int) -> None:
    """All are there once, and each half has half of each kind."""
    mixed = by_turns(["few"] * few, ["many"] * many)
    assert (mixed.count("few"), mixed.count("many")) == (few, many)
    half = mixed[: len(mixed) // 2]
    assert abs(half.count("few") - few / 2) <= 1
