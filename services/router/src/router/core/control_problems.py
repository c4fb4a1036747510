"""Control problems: what can go wrong with a command of a backend, each with its code, its HTTP status, and
whether it may be sent again.

The codes are those of ERROR frames where there is one (``warren/errors.py``), and a few that only a backend
can meet. What a problem looks like to a backend (RFC 9457) is made here alone. Pure.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from warren.contract.problem import Fault
from warren.contract.problem import Problem as ProblemBody

# How many faults of one command are told.
FAULTS_MAX = 32


class ProblemCode(enum.StrEnum):
    """The ``code`` of a problem. ``status``: the HTTP status; ``retry``: whether the same command may be sent
    again later.
    """

    status: int
    retry: bool

    def __new__(cls, value: str, status: int, retry: bool) -> ProblemCode:  # noqa: D102
        member = str.__new__(cls, value)
        member._value_ = value
        member.status = status
        member.retry = retry
        return member

    # No JSON, or no HTTP, that can be read.
    INVALID_FORMAT = "invalid_format", 400, False
    # It can be read, but fields are missing, unknown or wrong; ``errors`` names each.
    INVALID_MESSAGE = "invalid_message", 400, False
    # No key, one that nobody knows, or one that has expired.
    UNAUTHORIZED = "unauthorized", 401, False
    # The key's scopes do not allow it.
    FORBIDDEN = "forbidden", 403, False
    # There is no such path, or what was asked for is not known.
    NOT_FOUND = "not_found", 404, False
    # The path is there, and has another method.
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, False
    # The body did not come in time.
    REQUEST_TIMEOUT = "request_timeout", 408, True
    # Larger than the limit.
    MESSAGE_TOO_LARGE = "message_too_large", 413, False
    # The body is no JSON by its Content-Type, or is compressed.
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", 415, False
    # A header asks for what is not done here.
    EXPECTATION_FAILED = "expectation_failed", 417, False
    # The key, or the failures of this address, are over their rate.
    RATE_LIMITED = "rate_limited", 429, True
    # Request line or headers are too long.
    HEADERS_TOO_LARGE = "headers_too_large", 431, False
    # Our fault, without details; the log has the trace id.
    INTERNAL = "internal", 500, True
    # The log's rules are those of routers that do not know commands yet: update all routers.
    NOT_SUPPORTED = "not_supported", 501, True
    # Too much is under way.
    OVERLOADED = "overloaded", 503, True
    # The broker is away, or no router that could answer did so in time; what was to be changed may have been.
    UNAVAILABLE = "unavailable", 503, True


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a command was not done. ``retry_after_ms``: when to come again; 0: not known."""

    code: ProblemCode
    detail: str
    faults: tuple[Fault, ...] = ()
    retry_after_ms: int = 0

    @property
    def retry_after_s(self) -> int:
        """The same in whole seconds, at least 1 where it is known."""
        return -(-self.retry_after_ms // 1_000)


def invalid(faults: list[Fault]) -> Problem:
    """Return the problem of a command with these faults; its detail tells the first ones in words."""
    told = [f"{fault.pointer or 'the body'}: {fault.detail}" for fault in faults[:3]]
    more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
    return Problem(ProblemCode.INVALID_MESSAGE, "; ".join(told) + more, tuple(faults[:FAULTS_MAX]))


def body_of(problem: Problem, trace_id: str = "") -> ProblemBody:
    """Return a problem as it goes out. Its type is an address relative to the API's page, which lists the
    codes.
    """
    code = problem.code
    return ProblemBody(
        f"/v1/#{code.value}",
        HTTPStatus(code.status).phrase,
        code.status,
        problem.detail,
        code.value,
        code.retry,
        problem.retry_after_ms or None,
        trace_id or None,
        list(problem.faults) or None,
    )


def encoded(problem: Problem, trace_id: str = "") -> bytes:
    """Return the same as JSON."""
    return msgspec.json.encode(body_of(problem, trace_id))
