"""Origins: which pages may connect. An ``Origin`` header, the ``Host`` that it was sent to, and what the
operator allows, compared by their parts.

A port that is the scheme's default is the same as none, and upper case the same as lower. What is no origin
(a user's name before the host, a path behind it) matches nothing but ``*``. Functions of their arguments;
none logs. The gateway's server and the demo page ask it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

ANY = "*"
NULL = "null"
# Pages that a developer's own machine serves, by whatever port.
LOCAL = ("http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*")
RULE = (
    "write it as https://app.example, https://*.example or http://localhost:* (any port); * for any, "
    "null for pages without one"
)

_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_HOST = r"\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\]+"
_ORIGIN = re.compile(rf"([A-Za-z][A-Za-z0-9+.\-]*)://({_HOST})(?::([0-9]{{1,5}}|\*)?)?")
_PLACE = re.compile(rf"({_HOST})(?::([0-9]{{1,5}})?)?")
_STARRED = re.compile(r"[a-z0-9_.\-]+")


@dataclass(frozen=True, slots=True)
class _Origin:
    scheme: str
    host: str
    port: str  # "" where the scheme has no default and none is given


def origin_allowed(origin: str, host: str, allowed: Iterable[str]) -> bool:
    """Say whether a page of ``origin`` may connect to ``host``: none said (no browser), the same host, or one
    of the allowed.

    An allowed origin is written as the browser sends it (``https://app.example``), may have ``*`` for a part
    of the host that may hold dots (``https://*.example``), or for the port (``http://localhost:*``), or is
    ``*`` for any.
    """
    entries = tuple(allowed)
    if not origin or ANY in entries:
        return True
    if origin == NULL:  # a sandboxed page, a file: anybody can make one
        return NULL in entries
    page = _parse(origin)
    if page is None or ANY in page.host or page.port == ANY:
        return False
    return _is_place(page, host) or any(_matches(entry, page) for entry in entries)


def is_entry(text: str) -> bool:
    """Say whether ``text`` can stand among the allowed origins."""
    if text in (ANY, NULL):
        return True
    entry = _parse(text.removesuffix("/"))
    return entry is not None and entry.host.count(ANY) <= 1 and entry.host != ""


def _parse(text: str) -> _Origin | None:
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return None
    scheme = found[1].lower()
    host = _canonical(found[2])
    port = found[3] or _DEFAULT_PORTS.get(scheme, "")
    return None if host is None else _Origin(scheme, host, port if port == ANY else port.lstrip("0"))


def _canonical(host: str) -> str | None:
    """Return a host in the one way in which it is compared; None where it is none."""
    if not host.startswith("["):
        return host.lower()
    try:
        return f"[{ipaddress.IPv6Address(host[1:-1])}]"
    except ValueError:
        return None


def _is_place(page: _Origin, place: str) -> bool:
    """Say whether a page comes from the host that a request names. That names no scheme, so no port means the
    page's own default.
    """
    found = _PLACE.fullmatch(place)
    if found is None:
        return False
    port = (found[2] or "").lstrip("0") or _DEFAULT_PORTS.get(page.scheme, "")
    return _canonical(found[1]) == page.host and port == page.port


def _matches(text: str, page: _Origin) -> bool:
    entry = _parse(text.removesuffix("/"))
    if entry is None or entry.scheme != page.scheme or entry.port not in (ANY, page.port):
        return False
    head, star, tail = entry.host.partition(ANY)
    if not star:
        return entry.host == page.host
    middle = page.host[len(head) : len(page.host) - len(tail)]
    return (
        len(page.host) > len(head) + len(tail)
        and page.host.startswith(head)
        and page.host.endswith(tail)
        and _STARRED.fullmatch(middle) is not None
    )
