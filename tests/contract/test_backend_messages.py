"""What backends are sent and what is read of them, held to the contract: bodies by their schemas, headers by
their names.
"""

import json
from typing import get_args

import msgspec
import pytest
from jsonschema import Draft7Validator

from gateway.core.hook_messages import HookMessage, HookQuery, read, spell
from gateway.shell import backend_calls, client_requests
from router.core.effects import BackendEvent
from router.core.event_backlog import Due
from router.core.notification_list_parser import parse_entry
from router.shell import dead_letters, events, notifications, receipt_replies
from warren import envelope as wire
from warren.contract.events import EventHeaders, MembershipEvent, MessageEvent
from warren.contract.examples import EXAMPLES
from warren.contract.hooks import HookAnswer, HookQuestion
from warren.contract.notifications import DeadLetterHeaders, NotificationEntry
from warren.contract.receipts import ReceiptLevel, ReceiptPayload
from warren.contract.rpc import RequestHeaders, ResponseHeaders
from warren.contract.schemas import components, standalone
from warren.log_entries import RECEIPT_LEVELS

SCHEMAS = components("draft-07")
NOW_US = 1_764_000_000_000_000


def problems(struct, document) -> list[str]:
    """Return what is wrong with a message, also that it has fields which the contract has not."""
    unknown = sorted(set(document) - set(SCHEMAS[struct.__name__]["properties"]))
    validator = Draft7Validator(standalone(struct.__name__, SCHEMAS))
    return unknown + [error.message for error in validator.iter_errors(document)]


def names(struct) -> set[str]:
    return set(struct.__struct_encode_fields__)


@pytest.mark.parametrize(
    "query",
    [
        HookQuery("connect", "", "g1~5f", headers=(("cookie", "a=b"),)),
        HookQuery("join", "ann", "g1~5f", b'{"plan":"pro"}', room="chat:a", namespace="chat"),
        HookQuery(
            "publish",
            "ann",
            "g1~5f",
            room="chat:a",
            namespace="chat",
            message=HookMessage("CHAT", b"null", id="1", key="k"),
        ),
        HookQuery(
            "publish",
            "ann",
            "g1~5f",
            room="chat:a",
            namespace="chat",
            message=HookMessage("CHAT", b"\xff", True),
        ),
    ],
    ids=["connect", "join", "publish", "publish bytes"],
)
def test_what_a_backend_is_asked_is_in_the_contract(query):
    """Each field of a question, and none besides."""
    document = json.loads(spell(query))
    assert problems(HookQuestion, document) == []
    assert msgspec.json.decode(spell(query), type=HookQuestion).hook == query.hook


def test_an_answer_that_the_contract_shows_is_understood():
    """The examples are answers that a gateway follows."""
    for example in EXAMPLES[HookAnswer]:
        assert read(json.dumps(example).encode(), "join", 1_000).allow == example["allow"]


@pytest.mark.parametrize(
    "fields",
    [
        receipt_replies.told(wire.Receipt("m1", "@ann", "k3f9-1", 3, False, 1, 2, 2, 1, 1)),
        receipt_replies.told(wire.Receipt("~1", "*", "", 0, True, -1, -1, 0, complete=False)),
        receipt_replies._unknown("@ann", "m1"),
    ],
)
def test_what_a_receipt_says_is_in_the_contract(fields):
    """What is known, and what is not."""
    assert problems(ReceiptPayload, fields) == []


def test_receipts_are_asked_for_by_the_contracts_words():
    """No other is understood."""
    assert set(RECEIPT_LEVELS) == set(get_args(ReceiptLevel))


@pytest.mark.parametrize(
    "emit",
    [
        BackendEvent(1, "client.connected", "@ann", NOW_US, "g1~5f", "ann", connections=1),
        BackendEvent(2, "room.left", "chat:a", NOW_US, "g1~5f", "ann", "gone"),
        BackendEvent(3, "message", "chat:a", NOW_US, message=wire.Deliver("chat:a", "k3f9-1", 12, "CHAT", b'{"a":1}', NOW_US, "g1~5f", "ann", "m1")),
        BackendEvent(4, "undelivered", "@bob", NOW_US, message=wire.Deliver("@bob", "k3f9-1", 2, "CHAT", b"\xff", NOW_US, binary=True)),
    ],
    ids=lambda emit: emit.kind,
)  # fmt: skip
def test_an_event_is_in_the_contract(emit):
    """Its body, and its headers."""
    body = (
        events._membership("k3f9.3.41.1", emit)
        if emit.message is None
        else events._message("k3f9.3.41.1", emit, emit.message)
    )
    document = json.loads(msgspec.json.encode(body))
    assert problems(MembershipEvent if emit.message is None else MessageEvent, document) == []
    headers = events._cloud_event(Due(41, "k3f9.3.41.1", emit), "warren")
    assert set(headers) == names(EventHeaders)
    assert problems(EventHeaders, headers) == []


def test_headers_of_requests_and_answers_are_the_contracts():
    """What the gateway sends and reads has the names that the documents give."""
    assert names(RequestHeaders) == {"user", "connection", "traceparent", backend_calls.ATTEMPT_HEADER}
    assert names(ResponseHeaders) == {
        backend_calls.NUMBER_HEADER,
        backend_calls.MORE_HEADER,
        client_requests.ERROR_HEADER,
        "traceparent",
    }


def test_headers_of_dead_letters_are_the_contracts():
    """All that is added to what came."""
    added = {
        dead_letters.REASON_HEADER,
        dead_letters.KEY_HEADER,
        dead_letters.BODY_HEADER,
        dead_letters.HEADERS_HEADER,
        notifications.INDEX_HEADER,
    }
    assert names(DeadLetterHeaders) == added


def test_entries_that_the_contract_shows_are_taken():
    """The examples of a list are notifications."""
    for example in EXAMPLES[NotificationEntry]:
        made = parse_entry(json.dumps(example).encode(), now_us=NOW_US, max_bytes=1_000).made
        assert isinstance(made, wire.Publish)
