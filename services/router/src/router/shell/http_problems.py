"""HTTP problems: whatever the HTTP API refuses, as a problem document (RFC 9457) under a real status.

It decides nothing about what is refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from aiohttp import hdrs, web

from router.core.control_problems import Problem, ProblemCode, encoded
from warren.contract.problem import PROBLEM_TYPE
from warren.telemetry import is_valid, trace_id

LATER_MS: Final = 1_000
# Of every answer.
HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
BUSY: Final = Problem(
    ProblemCode.OVERLOADED, "Too much is under way: come again later.", retry_after_ms=LATER_MS
)
# What comes without a request that could be read, by its status.
_UNREAD: Final = {
    400: ProblemCode.INVALID_FORMAT,
    413: ProblemCode.MESSAGE_TOO_LARGE,
    431: ProblemCode.HEADERS_TOO_LARGE,
    500: ProblemCode.INTERNAL,
}
_TRACE: Final = web.RequestKey("trace", str)


def trace_of(request: web.BaseRequest) -> str:
    """Return the trace id of a request: its sender's, or one of its own."""
    known = request.get(_TRACE)
    if known is None:
        given = request.headers.get("traceparent", "")
        known = trace_id(given) if is_valid(given) else secrets.token_hex(16)
        request[_TRACE] = known
    return known


def refusal(
    problem: Problem, request: web.BaseRequest, more: Mapping[str, str] | None = None, *, close: bool = False
) -> web.Response:
    """Return the answer that says a problem; ``close``: the connection ends with it."""
    headers = {**HEADERS, **(more or {})}
    if problem.retry_after_ms:
        headers[hdrs.RETRY_AFTER] = str(problem.retry_after_s)
    if problem.code is ProblemCode.UNAUTHORIZED:
        headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="warren"'
    response = web.Response(
        status=problem.code.status,
        body=encoded(problem, trace_of(request)),
        headers={**headers, hdrs.CONTENT_TYPE: PROBLEM_TYPE},
    )
    if close:
        response.force_close()
    return response


def not_allowed(methods: str, request: web.BaseRequest) -> web.Response:
    """Return the answer to a method that a path has not; ``methods`` are those it has."""
    problem = Problem(ProblemCode.METHOD_NOT_ALLOWED, f"This path has the methods {methods}.")
    return refusal(problem, request, {hdrs.ALLOW: methods})


def unread(status: int, sentence: str) -> tuple[bytes, str]:
    """Return the answer to what is no request that could be read."""
    problem = Problem(_UNREAD.get(status, ProblemCode.INVALID_FORMAT), sentence)
    return encoded(problem, secrets.token_hex(16)), PROBLEM_TYPE


def full() -> bytes:
    """Return what is written to a connection too many, as it is."""
    body = encoded(BUSY)
    head = (
        f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: {PROBLEM_TYPE}\r\nRetry-After: 1\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
