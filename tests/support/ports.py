"""Free TCP ports on the loopback interface."""

from __future__ import annotations

from scripts.children import free_port

__all__ = ["free_port", "free_ports"]


def free_ports(count: int) -> list[int]:
    """Return ``count`` different ports that nobody listens on now."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return sorted(ports)
