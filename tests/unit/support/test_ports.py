"""Free ports, and each worker's own part of them."""

from __future__ import annotations

import pytest
from scripts import children
from scripts.children import PORTS
from tests.support.ports import free_port, free_ports, take_part


@pytest.fixture(autouse=True)
def _unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin with no port given, and leave this process its own."""
    monkeypatch.setenv(children.PORTS_VARIABLE, "")
    monkeypatch.setattr(children, "_not_given", [])


def test_ports_are_different() -> None:
    """So many ports as were asked for, none of them twice."""
    assert len(set(free_ports(20))) == 20


def test_no_port_is_given_twice() -> None:
    """Who was given a port and has not taken it yet meets nobody there."""
    given = [free_port() for _ in range(500)]
    assert len(set(given)) == 500


def test_parts_do_not_overlap() -> None:
    """Three workers find ports in three different thirds of the range, and leave none out but a remainder."""
    parts: list[set[int]] = []
    for index in range(3):
        take_part(index, 3)
        parts.append(set(children._ports()))
        children._not_given.clear()
        assert {free_port() for _ in range(50)} <= parts[index]
    assert len(set.union(*parts)) == sum(map(len, parts)) > len(PORTS) - 3
