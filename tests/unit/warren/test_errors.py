"""The vocabulary of failure: codes, closes, whose fault, and the one map from exceptions to codes."""

import asyncio

import pytest

from warren.errors import (
    CLOSE_ERRORS,
    BusUnavailable,
    CloseCode,
    ErrorCode,
    MalformedEnvelope,
    NotConfirmed,
    Overloaded,
    ProtocolError,
    SettingsError,
    TopologyMismatch,
    Unauthorized,
    Unroutable,
    UnsupportedEnvelope,
    WarrenError,
    code_of,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProtocolError(ErrorCode.FORBIDDEN, "no"), ErrorCode.FORBIDDEN),
        (Unauthorized("no"), ErrorCode.UNAUTHORIZED),
        (BusUnavailable(), ErrorCode.UNAVAILABLE),
        (NotConfirmed(), ErrorCode.UNAVAILABLE),
        (Unroutable(), ErrorCode.UNAVAILABLE),
        (Overloaded(), ErrorCode.OVERLOADED),
        (MalformedEnvelope(), ErrorCode.INVALID_MESSAGE),
        (UnsupportedEnvelope(), ErrorCode.INVALID_MESSAGE),
        (TopologyMismatch(), ErrorCode.INTERNAL),
        (ZeroDivisionError(), ErrorCode.INTERNAL),
        (asyncio.CancelledError(), ErrorCode.INTERNAL),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_every_exception_has_a_code(error: BaseException, code: ErrorCode) -> None:
    """Any exception becomes the code that a client is told, and what is unknown becomes ``internal``."""
    assert code_of(error) is code


def test_what_may_pass_is_worth_another_try() -> None:
    """Every failure of ours that an exception stands for may be tried again; a peer's mistake may not."""
    for error in (BusUnavailable(), NotConfirmed(), Unroutable(), Overloaded(), ValueError()):
        assert code_of(error).retry
    for error in (MalformedEnvelope(), Unauthorized(), ProtocolError(ErrorCode.INVALID_ROOM, "no")):
        assert not code_of(error).retry


def test_codes_are_plain_words() -> None:
    """An error code is its own text in lower case, and a close code its number within what RFC
    6455 allows.
    """
    for code in ErrorCode:
        assert str(code) == code.value == code.name.lower()
    for close in CloseCode:
        assert 1000 <= close <= 1013 or 4000 <= close <= 4999
        assert close.reconnect in ("yes", "no", "fresh token")
        assert 0 < len(close.reason.encode()) <= 123


def test_every_close_of_ours_is_explained_by_an_error() -> None:
    """Each close code that Warren chose itself has an ERROR that goes before it, no two of them the same."""
    assert {close for close in CloseCode if close >= 4000} <= set(CLOSE_ERRORS)
    assert len(set(CLOSE_ERRORS.values())) == len(CLOSE_ERRORS)


def test_faults_are_told_apart() -> None:
    """What a peer did is the peer's fault, everything else ours."""
    peers = {MalformedEnvelope, UnsupportedEnvelope, ProtocolError, Unauthorized}
    ours = {
        BusUnavailable,
        NotConfirmed,
        Unroutable,
        Overloaded,
        TopologyMismatch,
        SettingsError,
        WarrenError,
    }
    assert {kind.fault for kind in peers} == {"peer"}
    assert {kind.fault for kind in ours} == {"ours"}


def test_errors_keep_what_they_were_told() -> None:
    """A SettingsError shows all its problems, and a ProtocolError its code, message and what it refers to."""
    assert str(SettingsError(["A: wrong", "B: missing"])) == "A: wrong\nB: missing"
    error = ProtocolError(ErrorCode.INVALID_ROOM, "no such room", ref="m1")
    assert (error.code, error.message, error.ref, str(error)) == (
        ErrorCode.INVALID_ROOM,
        "no such room",
        "m1",
        "invalid_room: no such room",
    )
