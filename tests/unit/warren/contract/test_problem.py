"""problem: what is answered in place of a result."""

import pytest
from tests.support.contract_examples import through

from warren.contract import problem


@pytest.mark.parametrize("struct", [problem.Problem], ids=lambda struct: struct.__name__)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost and nothing is added."""
    for example, written in through(struct):
        assert written == example


def test_a_problem_has_what_the_standard_and_a_client_need():
    """RFC 9457's members, and whether to send the same again."""
    assert {"type", "title", "status", "detail", "instance"} < set(problem.Problem.__struct_fields__)
    with pytest.raises(TypeError):
        problem.Problem(type="about:blank", title="x", status=400)
