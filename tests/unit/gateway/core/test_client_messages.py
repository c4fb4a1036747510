"""messages: what a type is on the wire, and what an ERROR says."""

import pytest

from gateway.core.client_messages import Acked, Error, Reconnect, error, farewell, service_error, type_of
from warren.errors import CLOSE_ERRORS, CloseCode, ErrorCode


def test_types_on_the_wire_are_the_protocols():
    """The struct's name in upper case, but for ACK."""
    assert (type_of(Acked("1", "r")), type_of(Reconnect(1))) == ("ACK", "RECONNECT")


def test_an_error_says_whether_to_retry():
    """As the code does."""
    assert error(ErrorCode.UNAVAILABLE, "away", "7") == Error(ErrorCode.UNAVAILABLE, "away", "7", True)
    assert error(ErrorCode.FORBIDDEN, "no").retry is False


@pytest.mark.parametrize("code", list(CLOSE_ERRORS))
def test_a_farewell_says_whether_to_come_back(code):
    """Each close that has a reason is explained by one ERROR before it."""
    said = farewell(code)
    assert said is not None
    assert (said.close, said.reconnect, said.message) == (int(code), code.reconnect, code.reason)


def test_an_ordinary_close_needs_no_farewell():
    """There is nothing to explain."""
    assert farewell(CloseCode.NORMAL) is None


def test_a_services_own_code_says_nothing_of_asking_again():
    """One of ours says what it always does."""
    assert service_error("no_order", "?", "r") == Error("no_order", "?", "r", False)
    assert service_error("overloaded", "?", "r", 5) == error(ErrorCode.OVERLOADED, "?", "r", 5)
