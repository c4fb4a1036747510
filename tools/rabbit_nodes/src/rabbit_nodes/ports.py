"""Free TCP ports for processes that are started side by side. It binds each for a moment to see that it is
free, and listens on none.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket

# Processes that run side by side and look for ports are each given a part of the range by this variable:
# "20000-23999".
PORTS_VARIABLE = "WARREN_TEST_PORTS"
# Below the range that the kernel takes for outgoing connections, so that none of those takes a port that was
# found free.
PORTS = range(20_000, 32_000)
_not_given: list[int] = []


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that nobody listens on now. None is given twice before all have been: who was given
    one may be slow to take it.
    """
    for _ in range(200):
        if not _not_given:
            ports = _ports()
            _not_given.extend(random.SystemRandom().sample(ports, len(ports)))
        port = _not_given.pop()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port
    raise RuntimeError(f"no free port among 200 of {_ports()} on {host}")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether a server could listen on this TCP port now, though connections may just have ended there
    (TIME_WAIT).
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _ports() -> range:
    first, _, last = os.environ.get(PORTS_VARIABLE, "").partition("-")
    return range(int(first), int(last) + 1) if last else PORTS
