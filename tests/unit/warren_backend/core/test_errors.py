"""Errors say what to do."""

from __future__ import annotations

from warren_backend.core.errors import CommandFailed, NotificationRefused, Refused, remedy


def test_a_dead_letters_reason_has_a_remedy() -> None:
    """One that says it itself has none."""
    error = NotificationRefused("too large: 70002 bytes, at most 65536")
    assert str(error).startswith("too large: 70002 bytes, at most 65536 (send less, ")
    assert error.reason == "too large: 70002 bytes, at most 65536"
    assert str(NotificationRefused("something new")) == "something new"
    assert remedy("something new") == ""


def test_a_problem_is_told_with_each_fault() -> None:
    """And with what can be done about it."""
    problem = {
        "code": "invalid_message",
        "status": 400,
        "detail": "2 fields are wrong",
        "retry": False,
        "errors": [{"pointer": "/user", "detail": "is missing"}, {"pointer": "", "detail": "is bad"}],
    }
    error = CommandFailed(problem)
    assert str(error) == "invalid_message: 2 fields are wrong (/user: is missing; all of it: is bad)"
    assert (error.status, error.retry, error.retry_after_ms) == (400, False, None)
    assert CommandFailed({"retry": True, "retry_after_ms": 5}).retry_after_ms == 5


def test_a_refusal_has_a_code_and_a_text() -> None:
    """The text may be left out."""
    assert (Refused("not_found").code, Refused("a", "b").message) == ("not_found", "b")
