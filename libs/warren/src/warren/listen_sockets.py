"""The sockets that a port listens on, one for each address that its host stands for.

The host ``*`` is every address of the machine, of IPv4 and of IPv6, whichever it has: clusters are of the
one, of the other, or of both. Each family has a socket of its own, so that a peer's address is never an IPv4
address written as IPv6. Nothing is accepted here.
"""

from __future__ import annotations

import contextlib
import errno
import socket

from warren.settings import EVERY_ADDRESS

# A free port of one family may be taken in the other.
TRIES = 16
# What a machine says that has not this family: no such sockets at all, or no address to put one on.
_NO_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL})

Address = tuple[socket.AddressFamily, str]


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Return bound sockets that share one port, at least one. Raises OSError."""
    for left in reversed(range(TRIES)):
        try:
            return _bind_all(_addresses(host), port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or not left:
                raise
    raise AssertionError("unreachable")


def _addresses(host: str) -> list[Address]:
    """Return what to bind, in the resolver's order."""
    if host == EVERY_ADDRESS:
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]  # noqa: S104 - a pod's only addresses
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise OSError(
            errno.EADDRNOTAVAIL, f"can't listen on {host!r}: {getattr(error, 'strerror', None) or error}"
        ) from None
    wanted = [(family, str(address[0])) for family, _, _, _, address in found]
    return list(dict.fromkeys(wanted))


def _bind_all(addresses: list[Address], port: int) -> list[socket.socket]:
    bound: list[socket.socket] = []
    with contextlib.ExitStack() as undo:
        missing: OSError | None = None
        for family, address in addresses:
            try:
                each = _bind(family, address, port)
            except OSError as error:
                if error.errno not in _NO_FAMILY:
                    raise
                missing = error
                continue
            undo.callback(each.close)
            bound.append(each)
            port = int(each.getsockname()[1])
        if missing is not None and not bound:
            raise missing
        undo.pop_all()
    return bound


def _bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    shown = f"[{address}]:{port}" if family == socket.AF_INET6 else f"{address}:{port}"
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise OSError(error.errno, f"can't listen on {shown}: {error.strerror}") from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, port))
    except OSError as error:
        made.close()
        raise OSError(error.errno, f"can't listen on {shown}: {error.strerror}") from None
    return made
