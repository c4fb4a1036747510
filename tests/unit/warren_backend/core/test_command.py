"""Commands as Warren reads them, and what it answers."""

from __future__ import annotations

import json

import pytest

from warren.contract.queries import VERBS
from warren_backend.core import command
from warren_backend.core.errors import CommandFailed
from warren_backend.core.messages import Incoming


def test_the_verbs_without_an_address_are_those_of_the_contract() -> None:
    """And those that change nothing."""
    assert {verb.name for verb in VERBS if not verb.addressed} == command.UNADDRESSED
    from warren.contract.commands import CHANGES

    assert {verb.name for verb in VERBS} - {verb.name for verb in CHANGES} == command.QUERIES


def test_the_key_is_the_verb_and_the_address() -> None:
    """The body has what says something."""
    message = command.message_of(
        "remove", {"user": "ann", "reason": None}, address="room.a", ident="i", traceparent="t"
    )
    assert (message.routing_key, message.body, message.message_id) == (
        "remove.room.a",
        b'{"user":"ann"}',
        "i",
    )
    assert dict(message.headers) == {"traceparent": "t"}
    assert command.key_of("rooms", None) == "rooms"
    with pytest.raises(ValueError, match="no address"):
        command.key_of("count", None)


def answered(body: object, kind: str) -> Incoming:
    return Incoming(routing_key="", body=json.dumps(body).encode(), type=kind)


def test_an_answer_is_a_result_or_a_problem() -> None:
    """What is neither is a problem that may be tried again."""
    assert command.result_of(answered({"users": 1}, "result")) == {"users": 1}
    with pytest.raises(CommandFailed, match="not_found: x"):
        command.result_of(answered({"code": "not_found", "detail": "x"}, "problem"))
    with pytest.raises(CommandFailed) as failed:
        command.result_of(answered([], "result"))
    assert failed.value.retry
