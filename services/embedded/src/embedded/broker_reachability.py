"""Whether the RabbitMQ that was named can be reached at all: for commands that a person has just typed, and
who wants to know now.

The services themselves wait for a broker for as long as it takes. It opens a TCP connection and says nothing
on it; no text of it shows a user or a password.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from warren.urls import WrongURL, parse_broker

PORTS = {"amqp": 5672, "amqps": 5671}
ATTEMPT_S = 3.0
AGAIN_S = 0.25


def unreachable(urls: Sequence[str], *, patience_s: float = 5.0) -> str | None:
    """Return None as soon as one of these AMQP addresses takes a connection; after ``patience_s`` one line
    that says why none does.
    """
    ends = time.monotonic() + patience_s
    while True:
        reasons = [reason for reason in map(_reason, urls) if reason is not None]
        if len(reasons) < len(urls):
            return None
        if time.monotonic() >= ends:
            return (
                f"the RabbitMQ of WARREN_AMQP_URL can't be reached: {'; '.join(reasons)}. Is the address "
                f"right, and does it run? "
                "(amqp://USER:PASSWORD@HOST:5672/%2F)"
            )
        time.sleep(AGAIN_S)


def _reason(url: str) -> str | None:
    try:
        address = parse_broker(url)
    except WrongURL:
        return "one of its addresses has no readable host and port"
    host, port = address.host, address.port or PORTS[address.scheme]
    try:
        with socket.create_connection((host, port), ATTEMPT_S):
            return None
    except socket.gaierror:
        return f"there is no host called {host}"
    except TimeoutError:
        return f"{host}:{port} does not answer"
    except OSError as error:
        return f"{host}:{port}: {error.strerror or error}"
