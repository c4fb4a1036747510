"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import os

from rabbit_nodes.ports import PORTS, PORTS_VARIABLE, free_port

__all__ = ["free_port", "free_ports", "take_part"]


def free_ports(count: int) -> list[int]:
    """Return ``count`` different ports that nobody listens on now."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return sorted(ports)


def take_part(index: int, parts: int) -> None:
    """Let this process, and its children that inherit the environment, find ports only in its part of the
    range; ``index`` from 0.
    """
    size = len(PORTS) // parts
    part = PORTS[index * size : (index + 1) * size]
    os.environ[PORTS_VARIABLE] = f"{part.start}-{part.stop - 1}"
