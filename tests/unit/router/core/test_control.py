"""Control: what a command becomes, and which rights it takes."""

import msgspec
import pytest

from router.core import commands, control, verbs
from router.core.api_keys import Scope
from router.core.control import Command, Given, Message, parse_command
from router.core.control_problems import Problem, ProblemCode
from router.core.notification_parser import address_of
from router.core.verbs import BATCH, BROADCAST, PUBLISH
from warren.contract import commands as bodies
from warren.contract.problem import Fault
from warren.envelope import Command as Entry
from warren.envelope import Publish

NOW_US = 1_764_000_000_000_000


def given(**more):
    return Given(**{"now_us": NOW_US, "max_bytes": 100, **more})


def parsed(verb, body, **more):
    return parse_command(verb, msgspec.json.encode(body), given(**more))


def faults(found):
    assert isinstance(found, Problem), found
    return list(found.faults)


def test_a_publish_becomes_what_a_notification_of_the_same_content_becomes():
    """With the time at which it came, and its expiration from then on."""
    body = {
        "address": "user.ann", "payload": {"a": 1}, "type": "deal", "id": "m1", "key": "k", "expiration": 5_000,
    }  # fmt: skip
    command = parsed(PUBLISH, body, traceparent="00-1")
    assert isinstance(command, Command)
    (message,) = command.messages
    assert message == Message(
        "user.ann",
        Publish("@ann", "deal", b'{"a":1}', NOW_US, id="m1", key="k", expires_ms=NOW_US // 1_000 + 5_000),
        "00-1",
    )
    assert command.id == "m1"


def test_the_header_gives_the_id_that_the_body_does_not_give():
    """Where both give one they must agree."""
    command = parsed(PUBLISH, {"address": "all", "payload": 1}, id="h")
    assert isinstance(command, Command)
    assert command.messages[0].made.id == "h"
    assert isinstance(parsed(PUBLISH, {"address": "all", "payload": 1, "id": "h"}, id="h"), Command)
    wrong = parsed(PUBLISH, {"address": "all", "payload": 1, "id": "b"}, id="h")
    assert faults(wrong) == [Fault("/id", "is not that of the header Idempotency-Key")]
    loose = parsed(PUBLISH, {"address": "all", "payload": 1, "id": "b"}, id="h", agrees=False)
    assert isinstance(loose, Command)
    assert loose.id == "b"


def test_bytes_come_as_base64():
    """And are a binary payload."""
    command = parsed(PUBLISH, {"address": "all", "payload": "AP8=", "encoding": "base64"})
    assert isinstance(command, Command)
    assert (command.messages[0].made.payload, command.messages[0].made.binary) == (b"\x00\xff", True)
    for payload in ("AP8", 5, {"x": 1}):
        found = parsed(PUBLISH, {"address": "all", "payload": payload, "encoding": "base64"})
        assert [fault.pointer for fault in faults(found)] == ["/payload"]


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"type": "HISTORY"}, "/type"),
        ({"id": "~x"}, "/id"),
        ({"id": "a\n"}, "/id"),
        ({"key": "a\x00"}, "/key"),
    ],
)
def test_a_rule_of_notifications_that_is_broken_is_told_at_its_field(more, pointer):
    """What the schema can't say is said by the same parser as for AMQP."""
    assert [fault.pointer for fault in faults(parsed(PUBLISH, {"address": "all", "payload": 1, **more}))] == [
        pointer
    ]


def test_a_payload_that_nests_too_deep_is_none():
    """Clients' parsers have limits of their own."""
    text = b'{"address": "all", "payload": ' + b"[" * 129 + b"]" * 129 + b"}"
    found = parse_command(PUBLISH, text, given(max_bytes=1_000))
    assert [fault.pointer for fault in faults(found)] == ["/payload"]


def test_a_payload_beyond_the_limit_is_too_large():
    """With the status that says so."""
    found = parsed(PUBLISH, {"address": "all", "payload": "x" * 100})
    assert isinstance(found, Problem)
    assert (found.code, found.code.status) == (ProblemCode.MESSAGE_TOO_LARGE, 413)


def test_each_message_of_a_batch_is_judged_by_itself():
    """What is wrong with one is told in its place."""
    body = {
        "messages": [
            {"address": "all", "payload": 1, "id": "own"},
            {"address": "x"},
            5,
            {"address": "room.a", "payload": 2},
        ]
    }
    command = parsed(BATCH, body, id="k")
    assert isinstance(command, Command)
    first, second, third, fourth = command.messages
    assert isinstance(first, Message)
    assert first.made.id == "own"
    assert [fault.pointer for fault in faults(second)] == ["/address", "/payload"] or isinstance(
        second, Problem
    )
    assert isinstance(third, Problem)
    assert isinstance(fourth, Message)
    assert fourth.made.id == "k.3"


@pytest.mark.parametrize("messages", [[{"address": "all", "payload": 1}] * 1_001, {"a": 1}, "x", 5])
def test_a_batch_is_a_list_of_at_most_a_thousand(messages):
    """The rest is not built."""
    assert [fault.pointer for fault in faults(parsed(BATCH, {"messages": messages}))] == ["/messages"]


def test_a_broadcast_is_the_same_message_for_each_address():
    """Under the same id, which counts once in each room; without addresses it is for everyone."""
    command = parsed(BROADCAST, {"addresses": ["room.a", "user.ann"], "payload": 1, "id": "m"})
    assert isinstance(command, Command)
    assert [(message.made.room, message.made.id) for message in command.messages] == [
        ("a", "m"),
        ("@ann", "m"),
    ]
    everyone = parsed(BROADCAST, {"payload": 1})
    assert isinstance(everyone, Command)
    assert [message.made.room for message in everyone.messages] == ["*"]
    twice = parsed(BROADCAST, {"addresses": ["room.a", "room.a"], "payload": 1})
    assert faults(twice) == [Fault("/addresses", "one address stands there twice")]


def test_what_is_wrong_with_a_broadcasts_message_is_told_once():
    """Not for each address."""
    found = parsed(BROADCAST, {"addresses": ["room.a", "room.b"], "payload": 1, "type": "JOIN"})
    assert [fault.pointer for fault in faults(found)] == ["/type"]


def test_a_message_takes_a_right_on_its_room():
    """And one to everyone takes that to broadcast."""
    to_room = parsed(PUBLISH, {"address": "room.chat:a", "payload": 1})
    to_all = parsed(PUBLISH, {"address": "all", "payload": 1})
    assert isinstance(to_room, Command)
    assert isinstance(to_all, Command)
    chat = (Scope("publish", "chat:*"),)
    assert control.refusal(to_room, chat) is None
    denied = control.refusal(to_room, (Scope("publish", "other:*"), Scope("presence")))
    assert denied is not None
    assert (denied.code.status, denied.detail) == (403, "The key has no scope that covers publish:chat:a.")
    assert control.refusal(to_all, (Scope("publish"),)) is not None
    assert control.refusal(to_all, (Scope("broadcast"),)) is None


def test_a_body_may_be_as_large_as_its_verb_needs():
    """A payload as base64, a batch of a mebibyte, little for all others."""
    assert control.max_body(PUBLISH, 1_000_000) > 4 * 1_000_000 // 3
    assert control.max_body(BATCH, 5_000_000) == 1024 * 1024


# ── who is where ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("verb", "body", "entry"),
    [
        (
            verbs.DISCONNECT,
            {"address": "conn.g1~5", "code": 4001, "reason": "bye"},
            Entry("i", "disconnect", "g1~5", code=4001, reason="bye"),
        ),
        (
            verbs.REMOVE,
            {"address": "room.chat:a", "user": "ann", "except": ["g1~5"]},
            Entry("i", "remove", "chat:a", "ann", ("g1~5",)),
        ),
        (
            verbs.REMOVE,
            {"address": "room.chat:a", "connection": "g1~5", "reason": "Rude"},
            Entry("i", "remove", "chat:a", conn="g1~5", reason="Rude"),
        ),
        (verbs.ADD, {"address": "conn.g1~5", "rooms": ["a"]}, Entry("i", "add", "g1~5", rooms=("a",))),
        (
            verbs.ADD,
            {"address": "user.ann", "rooms": ["a", "b"]},
            Entry("i", "add", "@ann", rooms=("a", "b")),
        ),
        (verbs.BLOCK, {"address": "user.ann", "until_ms": 5}, Entry("i", "block", "@ann", until_ms=5)),
        (verbs.UNBLOCK, {"address": "room.a", "user": "ann"}, Entry("i", "unblock", "a", "ann")),
        (
            verbs.REVOKE,
            {"address": "user.ann", "token_id": "t", "until_ms": 5},
            Entry("i", "revoke", "@ann", token_id="t", until_ms=5),
        ),
        (verbs.REVOKE, {"address": "user.ann", "before_s": 9}, Entry("i", "revoke", "@ann", before_s=9)),
    ],
)
def test_what_changes_who_is_where_is_an_entry_of_the_log(verb, body, entry):
    """In the log of its address; and the fold takes it as it is."""
    command = parsed(verb, body, id="i")
    assert isinstance(command, Command), command
    assert command.entry == entry
    assert commands.problem(entry) == ""


@pytest.mark.parametrize(
    ("verb", "body", "pointer"),
    [
        (verbs.DISCONNECT, {"address": "room.a"}, "/address"),
        (verbs.DISCONNECT, {"address": "user.ann", "code": 1000}, "/code"),
        (verbs.DISCONNECT, {"address": "user.ann", "reason": "ö" * 100}, "/reason"),
        (verbs.DISCONNECT, {"address": "user.ann", "except": ["x"]}, "/except/0"),
        (verbs.DISCONNECT, {"address": "user.ann\n"}, "/address"),
        (verbs.REMOVE, {"address": "room.a"}, "/user"),
        (verbs.REMOVE, {"address": "room.a", "connection": "ann"}, "/connection"),
        (verbs.REMOVE, {"address": "room.a", "user": "ann", "connection": "g1~5"}, "/connection"),
        (verbs.REMOVE, {"address": "room.a", "connection": "g1~5", "except": ["g1~6"]}, "/except"),
        (verbs.DISCONNECT, {"address": "conn.g1~5", "except": ["g1~6"]}, "/except"),
        (verbs.ADD, {"address": "conn.g1~5", "rooms": ["a"], "except": ["g1~6"]}, "/except"),
        (verbs.ADD, {"address": "user.ann", "rooms": []}, "/rooms"),
        (verbs.BLOCKS, {"room": "a", "prefix": "b"}, "/prefix"),
        (verbs.BLOCKS, {"room": "@ann"}, "/room"),
        (verbs.BLOCKS, {"cursor": "%"}, "/cursor"),
        (verbs.BLOCK, {"address": "room.a"}, "/user"),
        (verbs.BLOCK, {"address": "user.ann", "user": "bob"}, "/user"),
        (verbs.REVOKE, {"address": "user.ann"}, ""),
        (verbs.PRESENCE, {"address": "room.a", "cursor": "%"}, "/cursor"),
        (verbs.PRESENCE, {"address": "room.a", "limit": 0}, "/limit"),
        (verbs.COUNT, {"address": "room.a\n"}, "/address"),
        (verbs.STATUS, {"users": []}, "/users"),
    ],
)
def test_what_can_not_be_done_is_told_at_its_field(verb, body, pointer):
    """Before anything is written or asked."""
    assert [fault.pointer for fault in faults(parsed(verb, body))] == [pointer]


@pytest.mark.parametrize(
    ("verb", "body", "allowed", "denied"),
    [
        (verbs.DISCONNECT, {"address": "user.ann"}, "disconnect:@*", "disconnect:chat:*"),
        (verbs.ADD, {"address": "user.ann", "rooms": ["chat:a"]}, "add:chat:*", "add:@*"),
        (verbs.BLOCK, {"address": "room.chat:a", "user": "ann"}, "block:chat:*", "block:@*"),
        (verbs.PRESENCE, {"address": "user.ann"}, "presence:@*", "count:@*"),
        (verbs.ROOMS, {"prefix": "chat:"}, "rooms:chat:*", "rooms:chat:a*"),
        (verbs.BLOCKS, {"prefix": "chat:"}, "blocks:chat:*", "blocks:chat:a"),
        (verbs.BLOCKS, {"room": "chat:a"}, "blocks:chat:a", "blocks:chat:b"),
        (verbs.BLOCKS, {"user": "ann"}, "blocks", "blocks:@*"),
        (verbs.STATUS, {"users": ["ann", "bob"]}, "status:@*", "status:@ann"),
        (verbs.EXPLAIN, {"address": "room.a", "id": "m"}, "explain", "history"),
    ],
)
def test_each_verb_takes_its_own_right_on_what_it_is_about(verb, body, allowed, denied):
    """Nothing that another scope allows."""

    def scope(text):
        name, _, pattern = text.partition(":")
        return (Scope(name, pattern or "*"),)

    command = parsed(verb, body)
    assert isinstance(command, Command)
    assert control.refusal(command, scope(allowed)) is None
    assert control.refusal(command, scope(denied)) is not None
    assert control.refusal(command, scope("*")) is None
    assert verb.needs in verbs.SCOPE_VERBS


def test_a_cursor_is_a_name_that_need_not_be_read():
    """And nothing else is one."""
    assert control.cursor_of(control.cursor("chat:ä/b")) == "chat:ä/b"
    assert (control.cursor(""), control.cursor_of("")) == ("", "")
    assert [control.cursor_of(text) for text in ("%", "a", "_w==", "ä")] == [None] * 4


# ── the contract's bodies ───────────────────────────────────────────────────────────────────────────────────

ADDRESSES = [
    "all", "room.chat:a", "room.a.b", "user.ann", "user.auth0|5", "user.a@b.c", "conn.g-1~5f",
    "", "room.", "user.", "conn.g1", "room.@ann", "room.*", "user.@ann", "roomx", "conn.g1~5F", "ALL",
    f"room.{'a' * 128}", f"room.{'a' * 129}", f"user.{'a' * 127}", f"user.{'a' * 128}",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_pattern_of_addresses_is_the_rule_of_addresses(address):
    """What the document promises is what the parser takes."""
    found = parsed(PUBLISH, {"address": address, "payload": 1})
    assert isinstance(found, Command) == (address_of(address) is not None)


def test_the_close_codes_are_those_that_the_fold_takes():
    """No other would be done."""
    assert set(msgspec.json.schema(bodies.CloseCode)["enum"]) == {int(code) for code in commands.CLOSES}
