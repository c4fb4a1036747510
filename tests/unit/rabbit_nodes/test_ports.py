"""Free ports, and each worker's own part of them."""

from __future__ import annotations

import socket

import pytest

from rabbit_nodes import ports
from rabbit_nodes.ports import PORTS_VARIABLE, free_port, is_free


@pytest.fixture(autouse=True)
def _unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin with no port given, and leave this process its own."""
    monkeypatch.setenv(PORTS_VARIABLE, "")
    monkeypatch.setattr(ports, "_not_given", [])


def test_free_ports_are_free() -> None:
    """A free port can be bound, and one that is taken is never given."""
    port = free_port()
    assert is_free(port)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        assert not is_free(port)
        assert all(free_port() != port for _ in range(50))


def test_no_port_is_given_twice() -> None:
    """Who was given a port and has not taken it yet meets nobody there."""
    given = [free_port() for _ in range(500)]
    assert len(set(given)) == 500


def test_the_environment_names_a_part_of_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes side by side that were each given a part find no port of another's."""
    monkeypatch.setenv(PORTS_VARIABLE, "20000-20099")
    assert {free_port() for _ in range(50)} <= set(range(20_000, 20_100))
