"""Problems of commands: as RFC 9457 has them, with Warren's own members."""

import msgspec

from router.core.control_problems import FAULTS_MAX, Problem, ProblemCode, body_of, encoded, invalid
from warren.contract.problem import Fault
from warren.errors import ErrorCode


def test_a_problem_goes_out_with_its_status_and_whether_to_come_again():
    """``type`` leads to the page's list of codes."""
    problem = Problem(ProblemCode.RATE_LIMITED, "Slower.", (), 1_500)
    assert msgspec.json.decode(encoded(problem, "ab" * 16)) == {
        "type": "/v1/#rate_limited",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "Slower.",
        "code": "rate_limited",
        "retry": True,
        "retry_after_ms": 1_500,
        "trace_id": "ab" * 16,
    }
    assert problem.retry_after_s == 2


def test_what_is_not_known_is_left_out():
    """No null stands in a problem."""
    assert set(msgspec.json.decode(encoded(Problem(ProblemCode.NOT_FOUND, "No.")))) == {
        "type", "title", "status", "detail", "code", "retry",
    }  # fmt: skip


def test_all_faults_are_told_and_the_first_ones_in_words():
    """More than fit are not."""
    faults = [Fault(f"/{number}", "is wrong") for number in range(100)]
    problem = invalid(faults)
    assert problem.detail == "/0: is wrong; /1: is wrong; /2: is wrong (and 97 more)"
    assert body_of(problem).errors == faults[:FAULTS_MAX]
    assert invalid([Fault("", "must be an object")]).detail == "the body: must be an object"


def test_a_code_means_what_it_means_to_a_client():
    """Where an ERROR frame has the same code, both say alike whether to come again."""
    for code in ProblemCode:
        if code.value in {each.value for each in ErrorCode}:
            assert code.retry == ErrorCode(code.value).retry, code
        assert 400 <= code.status < 600
