"""Free ports, and each worker's own part of them."""

from __future__ import annotations

import os

import pytest
from tests.support.ports import free_port, free_ports, take_part

from rabbit_nodes import ports
from rabbit_nodes.ports import PORTS, PORTS_VARIABLE


@pytest.fixture(autouse=True)
def _unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin with no port given, and leave this process its own."""
    monkeypatch.setenv(PORTS_VARIABLE, "")
    monkeypatch.setattr(ports, "_not_given", [])


def test_ports_are_different() -> None:
    """So many ports as were asked for, none of them twice."""
    assert len(set(free_ports(20))) == 20


def test_parts_do_not_overlap() -> None:
    """Three workers find ports in three different thirds of the range, and leave none out but a remainder."""
    parts: list[set[int]] = []
    for index in range(3):
        take_part(index, 3)
        first, last = os.environ[PORTS_VARIABLE].split("-")
        parts.append(set(range(int(first), int(last) + 1)))
        ports._not_given.clear()
        assert {free_port() for _ in range(50)} <= parts[index]
    assert len(set.union(*parts)) == sum(map(len, parts)) > len(PORTS) - 3
