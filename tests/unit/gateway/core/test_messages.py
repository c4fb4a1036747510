"""messages: whose a type is, and what an ERROR says."""

import pytest

from gateway.core.messages import Acked, Error, Reconnect, error, farewell, is_reserved, is_type, type_of
from warren.errors import CLOSE_ERRORS, CloseCode, ErrorCode


@pytest.mark.parametrize("name", ["a", "A" * 64, "cursor.moved", "x-y:z_1", "ÄÖ"[:0] + "CHAT"])
def test_a_type_is_letters_digits_and_a_few_signs(name):
    """1 to 64 of them."""
    assert is_type(name)


@pytest.mark.parametrize("name", ["", "a" * 65, "a b", "ä", "a\n", "a/b", "ＣＨＡＴ"])
def test_anything_else_is_no_type(name):
    """Also letters that are not ASCII."""
    assert not is_type(name)


@pytest.mark.parametrize("name", ["JOIN", "X", "REQUEST", "A_1", "WELCOME", "ACK"])
def test_upper_case_is_reserved(name):
    """Known or not: Warren may want it later."""
    assert is_reserved(name)


@pytest.mark.parametrize(
    "name", ["CHAT", "TYPING", "NOTIFICATION", "DATA_UPDATE", "Chat", "join", "MY.TYPE", "A-B", "A:B"]
)
def test_the_predefined_and_all_else_is_the_applications(name):
    """A sign that UPPER CASE has not is enough."""
    assert not is_reserved(name)


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
