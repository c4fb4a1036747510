"""HTTP problems: each refusal is a document under a real status."""

import json

from aiohttp.test_utils import make_mocked_request

from router.core.control_problems import Problem, ProblemCode
from router.shell.http_problems import full, not_allowed, refusal, trace_of, unread
from warren.contract.problem import PROBLEM_TYPE

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_refusal_says_what_when_to_come_again_and_its_trace():
    """The trace is the sender's, or one that stays the same for the request."""
    request = make_mocked_request("GET", "/v1/rooms", headers={"traceparent": TRACE})
    answer = refusal(Problem(ProblemCode.RATE_LIMITED, "Used up.", (), 1_200), request)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
    assert answer.headers["Content-Type"] == PROBLEM_TYPE
    assert json.loads(answer.body)["trace_id"] == TRACE[3:35]
    other = make_mocked_request("GET", "/v1/rooms")
    assert trace_of(other) == trace_of(other)


def test_who_is_not_known_is_told_how_to_be():
    """And who used a wrong method, which ones there are."""
    request = make_mocked_request("PUT", "/v1/rooms")
    assert "Bearer" in refusal(Problem(ProblemCode.UNAUTHORIZED, "No."), request).headers["WWW-Authenticate"]
    assert not_allowed("GET, HEAD", request).headers["Allow"] == "GET, HEAD"


def test_what_can_not_be_read_and_what_is_too_much_are_problems_too():
    """The latter as it is written to a socket, with its length."""
    body, kind = unread(431, "Too long.")
    assert (kind, json.loads(body)["code"]) == (PROBLEM_TYPE, "headers_too_large")
    head, _, body = full().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["code"] == "overloaded"
