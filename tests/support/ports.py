"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import os

from rabbit_nodes.ports import PORTS, PORTS_VARIABLE, free_port, is_free

__all__ = ["embedded_port", "free_beside", "free_port", "free_ports", "take_part"]


def free_ports(count: int) -> list[int]:
    """Return ``count`` different ports that nobody listens on now."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return sorted(ports)


def free_beside(*above: int) -> int:
    """Return a free port of which those so much above it are free too."""
    for _ in range(200):
        port = free_port()
        if all(is_free(port + each) for each in above):
            return port
    raise RuntimeError(f"no free port with free ones {above} above it")


def embedded_port() -> int:
    """Return a port for an embedded Warren, which listens on the next one and the tenth above it too."""
    return free_beside(1, 10)


def take_part(index: int, parts: int) -> None:
    """Let this process, and its children that inherit the environment, find ports only in its part of the
    range; ``index`` from 0.
    """
    size = len(PORTS) // parts
    part = PORTS[index * size : (index + 1) * size]
    os.environ[PORTS_VARIABLE] = f"{part.start}-{part.stop - 1}"
