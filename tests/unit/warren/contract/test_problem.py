"""problem: what is answered in place of a result."""

import json

import msgspec
from tests.support.contract_examples import through

from warren.contract import problem


def test_a_problem_has_what_the_standard_and_a_backend_need():
    """RFC 9457's members, and whether to send the same again."""
    for example, written in through(problem.Problem):
        assert written == example
        assert {"type", "title", "status", "detail", "code", "retry"} <= set(example)


def test_faults_say_where_they_are():
    """As pointers into the body."""
    fault = problem.Fault("/user", "is missing")
    made = problem.Problem("about:blank", "x", 400, "y", "invalid_message", False, errors=[fault])
    assert json.loads(msgspec.json.encode(made))["errors"] == [{"pointer": "/user", "detail": "is missing"}]
