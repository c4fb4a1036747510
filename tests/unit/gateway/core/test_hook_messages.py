"""hook_messages: a backend's questions as literal bytes, and which of its answers can be followed."""

import json

import msgspec
import pytest

from gateway.core.grants import Grant
from gateway.core.hook_messages import (
    INFO_BYTES,
    REASON_MAX,
    ROOMS_MAX,
    TTL_MAX_S,
    HookAnswer,
    HookMessage,
    HookQuery,
    InvalidAnswer,
    _Answer,
    _Question,
    read,
    spell,
)
from warren.contract import hooks as contract
from warren.contract.examples import EXAMPLES


def test_a_question_to_connect_says_who_it_is():
    """With the claims and headers that were chosen; what is empty is left out."""
    query = HookQuery("connect", "ann", "g~1", b'{"sub":"ann"}', (("cookie", 'a="b"'),))
    assert spell(query) == (
        b'{"hook":"connect","connection":"g~1","user":"ann","claims":{"sub":"ann"},'
        b'"headers":{"cookie":"a=\\"b\\""}}'
    )
    assert spell(HookQuery("connect", "", "g~1")) == b'{"hook":"connect","connection":"g~1"}'


def test_a_question_to_join_says_where():
    """Its room and the name of its namespace; a grant is nobody's business but the gateway's."""
    query = HookQuery("join", "ann", "g~1", room="chat:a", namespace="chat", grant="secret")
    assert spell(query) == (
        b'{"hook":"join","connection":"g~1","user":"ann","room":"chat:a","namespace":"chat"}'
    )


@pytest.mark.parametrize(
    ("message", "rest"),
    [
        (
            HookMessage("CHAT", b'{"text": "hi"}', id="7", key="k"),
            b'"type":"CHAT","id":"7","key":"k","payload":{"text": "hi"}}',
        ),
        (
            HookMessage("blob", b"\xff\x00", binary=True),
            b'"type":"blob","payload":"/wA=","encoding":"base64"}',
        ),
        (HookMessage("CHAT", b"null"), b'"type":"CHAT","payload":null}'),
        (HookMessage("CHAT", b'""'), b'"type":"CHAT","payload":""}'),
        (HookMessage("CHAT", b"", binary=True), b'"type":"CHAT","payload":"","encoding":"base64"}'),
    ],
)
def test_a_question_to_publish_has_the_message(message, rest):
    """Its payload byte for byte, or as base64 where it is binary."""
    head = b'{"hook":"publish","connection":"g~1","user":"ann","room":"r","namespace":"n",'
    assert spell(HookQuery("publish", "ann", "g~1", room="r", namespace="n", message=message)) == head + rest


def test_an_answer_says_what_the_hook_may_say():
    """Fields of another hook, and unknown ones, are passed over."""
    body = json.dumps(
        {
            "allow": True, "reason": "friend", "ttl": 90.7, "rights": ["join", "publish"], "user": "ann",
            "info": {"name": "Ann"}, "rooms": ["a", "b", "a"], "payload": 1, "more": None,
        }
    ).encode()  # fmt: skip
    info = b'{"name": "Ann"}'
    assert read(body, "connect", 100) == HookAnswer(
        True, "friend", 90, user="ann", info=info, rooms=("a", "b")
    )
    assert read(body, "join", 100) == HookAnswer(True, "friend", 90, publish=True, info=info)
    assert read(body, "publish", 100) == HookAnswer(True, "friend", 90, info=info, payload=b"1")


def test_a_short_answer_is_enough():
    """Null is as good as left out."""
    assert read(b'{"allow":false}', "join", 100) == HookAnswer(False)
    nulls = b'{"allow":true,"reason":null,"ttl":null,"rights":null,"user":null,"info":null,"rooms":null}'
    assert read(nulls, "connect", 100) == HookAnswer(True)
    assert read(nulls, "join", 100) == HookAnswer(True)


def test_a_changed_payload_may_be_anything_that_a_client_may_send():
    """JSON, null too, or bytes."""
    assert read(b'{"allow":true,"payload":null}', "publish", 100).payload == b"null"
    answer = read(b'{"allow":true,"payload":"/wA=","encoding":"base64"}', "publish", 100)
    assert (answer.payload, answer.binary) == (b"\xff\x00", True)


def test_what_is_long_is_cut_where_that_does_no_harm():
    """A reason for its reader, and a time for the next question."""
    answer = read(json.dumps({"allow": True, "reason": "é" * 999, "ttl": 1e12}).encode(), "join", 100)
    assert (len(answer.reason), answer.ttl_s) == (REASON_MAX, TTL_MAX_S)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"true", b"[]", b"{}", b"nonsense", b'{"allow":1}', b'{"allow":"true"}', b'{"allow":true',
        b"\xff", b'{"allow":true,"ttl":"9"}', b'{"allow":true,"ttl":-1}', b'{"allow":true,"ttl":1e999}',
        b'{"allow":true,"user":"@ann"}', b'{"allow":true,"user":7}', b'{"allow":true,"rooms":["@bob"]}',
        b'{"allow":true,"rooms":["*"]}', b'{"allow":true,"rooms":"a"}', b'{"allow":true,"reason":7}',
        b'{"allow":true,"info":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        json.dumps({"allow": True, "info": "x" * INFO_BYTES}).encode(),
        json.dumps({"allow": True, "rooms": [str(number) for number in range(ROOMS_MAX + 1)]}).encode(),
    ],
)  # fmt: skip
def test_what_can_not_be_followed_decides_nothing(body):
    """Not even where it begins with an allow."""
    with pytest.raises(InvalidAnswer):
        read(body, "connect", 100)


@pytest.mark.parametrize(
    "body",
    [
        b'{"allow":true,"payload":' + b"[" * 200 + b"]" * 200 + b"}",
        json.dumps({"allow": True, "payload": "x" * 100}).encode(),
        b'{"allow":true,"payload":"=","encoding":"base64"}',
        b'{"allow":true,"payload":7,"encoding":"base64"}',
        b'{"allow":true,"encoding":"base64"}',
        b'{"allow":true,"payload":"/wA=","encoding":"hex"}',
        b'{"allow":true,"payload":"\\ud83d"}',
    ],
)
def test_a_payload_that_nobody_could_send_decides_nothing(body):
    """Too deep, too large, no base64, no text."""
    with pytest.raises(InvalidAnswer):
        read(body, "publish", 100)


def test_a_grant_is_a_join_that_was_allowed():
    """With its rights and what others see."""
    assert HookAnswer.of(Grant(1, 2, True, b"1")) == HookAnswer(True, publish=True, info=b"1")


def test_the_contract_says_what_is_asked_and_read():
    """Its structs have the fields that are written and read here, and its examples are."""
    assert _Question.__struct_fields__ == contract.HookQuestion.__struct_fields__
    assert set(_Answer.__struct_fields__) == set(contract.HookAnswer.__struct_fields__)
    assert (REASON_MAX, INFO_BYTES) == (contract.REASON_MAX, contract.INFO_MAX_BYTES)
    for example in EXAMPLES[contract.HookAnswer]:
        for hook in ("connect", "join", "publish"):
            assert read(json.dumps(example).encode(), hook, 100).allow is example["allow"]
    for example in EXAMPLES[contract.HookQuestion]:
        payload = example.get("payload")
        message = (
            None
            if payload is None
            else HookMessage(example["type"], msgspec.json.encode(payload), id=example["id"])
        )
        asked = HookQuery(
            example["hook"], example["user"], example["connection"],
            msgspec.json.encode(example["claims"]) if "claims" in example else b"",
            room=example["room"], namespace=example["namespace"], message=message,
        )  # fmt: skip
        assert json.loads(spell(asked)) == example
        msgspec.json.decode(spell(asked), type=contract.HookQuestion)
