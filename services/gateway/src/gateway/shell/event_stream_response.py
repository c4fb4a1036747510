"""The head of the response that is an event stream, and what other origins' pages may read of it: functions
of their arguments; none touches a socket.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import hdrs

from warren.http_server import NAME
from warren.origins import ANY

# For how long a browser remembers what it may send; Chromium takes no more.
PREFLIGHT_S = 7_200

Headers = Sequence[tuple[str, str]]

_SENT = "Authorization, Content-Type, Last-Event-ID, Cache-Control"


def head(headers: Headers, *, chunked: bool) -> bytes:
    """Return the head of a stream. ``chunked``: its end can be told from a broken connection (HTTP/1.1)."""
    lines = [
        "HTTP/1.1 200 OK",
        f"{hdrs.SERVER}: {NAME}",
        f"{hdrs.CONTENT_TYPE}: text/event-stream",
        f"{hdrs.CACHE_CONTROL}: no-store",
        "X-Accel-Buffering: no",  # nginx: pass each event on at once
        f"{hdrs.CONNECTION}: close",
        *(f"{name}: {value}" for name, value in headers),
        *([f"{hdrs.TRANSFER_ENCODING}: chunked"] if chunked else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def shared_with(origin: str, allowed: Sequence[str]) -> Headers:
    """Return the headers by which a browser lets a page of this origin, which may connect, read the answer
    (CORS). Cookies it sends only to who names the origins that may.
    """
    if not origin:
        return [(hdrs.VARY, hdrs.ORIGIN)]
    everybody = ANY in allowed
    shared = [
        (hdrs.VARY, hdrs.ORIGIN),
        (hdrs.ACCESS_CONTROL_ALLOW_ORIGIN, ANY if everybody else origin),
        (hdrs.ACCESS_CONTROL_EXPOSE_HEADERS, hdrs.RETRY_AFTER),
    ]
    return shared if everybody else [*shared, (hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS, "true")]


def preflight() -> Headers:
    """Return what a browser is told that asks before it sends."""
    return [
        (hdrs.ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (hdrs.ACCESS_CONTROL_ALLOW_HEADERS, _SENT),
        (hdrs.ACCESS_CONTROL_MAX_AGE, str(PREFLIGHT_S)),
    ]
