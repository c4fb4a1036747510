"""Questions as gateways ask them, and answers that they can follow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.hook_messages import InvalidAnswer
from warren.contract.examples import EXAMPLES
from warren.contract.hooks import HookQuestion
from warren_backend.core.decision import (
    AllowConnect,
    AllowJoin,
    AllowPublish,
    Deny,
    JoinQuestion,
    PublishQuestion,
    answer_to,
    question_of,
)
from warren_backend.core.messages import Incoming

assert issubclass(InvalidAnswer, ValueError)


def asked(body: bytes) -> Any:
    return question_of(Incoming(routing_key="k", body=body))


def test_the_examples_of_the_contract_are_read() -> None:
    """Each field has a place."""
    for example in EXAMPLES[HookQuestion]:
        hook, question = asked(json.dumps(example).encode())
        assert hook == example["hook"]
        for name, value in example.items():
            if name not in ("hook", "payload", "encoding"):
                assert getattr(question, name) == value


def test_what_is_left_out_is_empty() -> None:
    """A connection is always named."""
    hook, question = asked(b'{"hook":"join","connection":"g~1","room":"a","namespace":"n"}')
    assert (hook, question) == ("join", JoinQuestion(connection="g~1", room="a", namespace="n"))
    _, question = asked(
        b'{"hook":"publish","connection":"g~1","room":"a","namespace":"n","type":"CHAT","payload":"AA==",'
        b'"encoding":"base64"}'
    )
    assert isinstance(question, PublishQuestion)
    assert question.payload == b"\x00"


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"hook":"leave"}', b"[" * 100_000])
def test_what_is_no_question_says_so(body: bytes) -> None:
    """A ValueError, whatever came."""
    with pytest.raises(ValueError, match=r"no JSON|no hook"):
        asked(body)


@pytest.mark.parametrize(
    ("hook", "decision", "answer"),
    [
        ("connect", True, {"allow": True}),
        ("join", False, {"allow": False}),
        ("publish", Deny(reason="no", ttl_s=5), {"allow": False, "reason": "no", "ttl": 5}),
        (
            "connect",
            AllowConnect(ttl_s=60, user="ann", info={"n": 1}, rooms=("a", "b")),
            {"allow": True, "ttl": 60, "user": "ann", "info": {"n": 1}, "rooms": ["a", "b"]},
        ),
        ("connect", AllowConnect(), {"allow": True}),
        ("join", AllowJoin(publish=True, ttl_s=1), {"allow": True, "ttl": 1, "rights": ["publish"]}),
        ("publish", AllowPublish(), {"allow": True}),
        ("publish", AllowPublish(payload=None), {"allow": True, "payload": None}),
        ("publish", AllowPublish(payload=b"\x00"), {"allow": True, "payload": "AA==", "encoding": "base64"}),
    ],
)
def test_answers_say_what_was_decided(hook: Any, decision: object, answer: dict[str, Any]) -> None:
    """And nothing that was left out."""
    assert json.loads(answer_to(hook, decision)) == answer


@pytest.mark.parametrize(
    ("hook", "decision", "said"),
    [
        ("connect", None, "is answered by AllowConnect"),
        ("connect", AllowJoin(), "is answered by AllowConnect"),
        ("join", AllowPublish(), "is answered by AllowJoin"),
        ("join", Deny(reason="x" * 257), "257 characters"),
        ("join", AllowJoin(ttl_s=-1), "ttl_s"),
        ("join", AllowJoin(ttl_s=90_000), "ttl_s"),
        ("join", AllowJoin(info="x" * 1_100), "1024 bytes"),
        ("connect", AllowConnect(user="@a"), "no address"),
        ("connect", AllowConnect(rooms=["a b"]), "no address"),
        ("publish", AllowPublish(payload=object()), "no JSON"),
    ],
)
def test_what_warren_could_not_follow_is_refused_here(hook: Any, decision: object, said: str) -> None:
    """With what is wrong, so that it stands in the application's log."""
    with pytest.raises(ValueError, match=said):
        answer_to(hook, decision)
